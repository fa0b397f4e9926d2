"""Scores of score-SDE, and exact networks of every kind that is read here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

from flowsolve import (
    VESDE,
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    X0Prediction,
)
from flowsolve.interop import from_score
from flowsolve.interop.flow import velocity
from flowsolve.interop.score_sde import SubVPSDE, score_of
from flowsolve.ode import SUB_VP, VE, VP, Precondition
from flowsolve.problems import exact_network
from flowsolve.schedule import Clock, SigmaClock
from tests.interop.helpers import EDM_FAMILIES, PROBLEM, X, same_ode

SDES: dict[str, tuple[Clock, Any, Callable[[float], tuple[float, float]]]] = {
    "VP": (VPSDE(), VP, lambda t: (math.exp(-B(t) / 2), math.sqrt(-math.expm1(-B(t))))),
    "sub-VP": (SubVPSDE(), SUB_VP, lambda t: (math.exp(-B(t) / 2), -math.expm1(-B(t)))),
    "VE": (VESDE(), VE, lambda t: (1.0, 0.01 * 5000**t)),
}


def B(t: float) -> float:
    return 0.1 * t + 19.9 * t * t / 2


@pytest.mark.parametrize("sde", SDES)
def test_a_score_is_an_ode(sde: str) -> None:
    """score(x_t, t) = ∇ log p_t from marginal_prob(t), t in [0, 1]; and the labels of score_sde's networks."""
    clock, path, marginal = SDES[sde]

    def score(x: Tensor, label: Tensor) -> Tensor:
        alpha, s = marginal(float(label[0]))
        return PROBLEM.eps(x / alpha, s / alpha) / -s

    def check(ode: DiffusionODE, levels: list[float]) -> None:
        for sigma in levels:
            x = X * sigma
            assert float((ode.eps(x, sigma) - PROBLEM.eps(x, sigma)).abs().max()) < 1e-10
            alpha, s = marginal(clock.t(sigma))
            assert s / alpha == pytest.approx(sigma, rel=1e-11)
            assert ode.alpha(sigma) == pytest.approx(alpha, rel=1e-11)

    levels = [49.0, 7.3, 1.0, 0.31, 0.02]
    check(from_score(score, clock, path), levels)
    if path is VE:  # continuous VE networks take σ and return the score
        check(
            from_score(lambda x, s: PROBLEM.eps(x, float(s[0])) / -s[:, None], SigmaClock(), VE),
            levels,
        )
        return

    def network(x: Tensor, label: Tensor) -> Tensor:
        """Of VP and sub-VP: get_score_fn makes -network/std of it."""
        alpha, s = marginal(float(label[0]) / 999)
        return PROBLEM.eps(x / alpha, s / alpha)

    of_999 = VPSDE(scale=999) if path is VP else SubVPSDE(scale=999)
    check(DiffusionODE(network, EpsPrediction(of_999, path)), levels)


NEW_KINDS = [
    score_of(VPSDE()),
    score_of(SubVPSDE(), SUB_VP),
    velocity(1),
    velocity(1, 0, path=VP),
    X0Prediction(SigmaClock(), VE),
    EDM_FAMILIES["ve"],
]


@pytest.mark.parametrize("precondition", NEW_KINDS, ids=range(len(NEW_KINDS)))
def test_exact_networks_of_the_new_kinds(precondition: Precondition) -> None:
    same_ode(DiffusionODE(exact_network(PROBLEM, precondition), precondition), 1e-9)
