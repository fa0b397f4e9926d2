"""Rescaled guidance: the paper's formula for every prediction, and the ends of its range."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from flowsolve import (
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    FlowPrediction,
    Guided,
    VPrediction,
    X0Prediction,
)
from flowsolve.errors import ScheduleError
from flowsolve.ode.precondition import Precondition
from flowsolve.problems import exact_network
from tests.ode.guided import (
    ALL_OF_IT,
    FLOW,
    PART,
    X,
)


def literal(cond: Tensor, guided: Tensor, phi: float) -> Tensor:
    """Lin et al. 2023, Eq. 14 to 16."""
    axes = list(range(1, cond.ndim))
    rescaled = guided * (cond.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True))
    return phi * rescaled + (1 - phi) * guided


@pytest.mark.parametrize("phi", [0.3, 1.0])
@pytest.mark.parametrize(
    "precondition",
    [VPrediction(VPSDE()), X0Prediction(VPSDE()), EpsPrediction(VPSDE()), FlowPrediction()],
    ids=repr,
)
def test_rescale_is_that_of_the_network_it_names(precondition: Precondition, phi: float) -> None:
    """What a network of that kind says on both sides, combined and rescaled, and made x₀ and ε again."""
    sigma, w = 0.8, 3.0
    nets = [exact_network(p, precondition) for p in (ALL_OF_IT, PART)]
    c = precondition(sigma)
    u, v = (f(c.c_in * X, torch.full((6,), c.t, dtype=torch.float64)) for f in nets)
    answer = literal(v, u + w * (v - u), phi)
    sides = [DiffusionODE(f, precondition) for f in (nets[1], nets[0])]
    for a, b in (sides, (PART, ALL_OF_IT)):
        ode = Guided(a, b, w, rescale=phi, quantity=precondition)
        torch.testing.assert_close(ode.x0(X, sigma), c.c_skip * X + c.c_out * answer)
        torch.testing.assert_close(ode.eps(X, sigma), c.e_skip * X + c.e_out * answer)
    default = Guided(PART, ALL_OF_IT, w, rescale=phi)
    assert default.eps(X, sigma).allclose(ode.eps(X, sigma)) == isinstance(
        precondition, VPrediction
    )


def test_rescale_at_the_ends_of_its_range() -> None:
    plain, ode = Guided(PART, ALL_OF_IT, 3.0), Guided(PART, ALL_OF_IT, 3.0, rescale=1.0)
    assert not plain.x0(X, 0.5).allclose(ode.x0(X, 0.5))
    one = Guided(PART, ALL_OF_IT, 1.0, rescale=1.0)
    assert one.x0(X, 0.5).equal(PART.x0(X, 0.5))
    of = {"rescale": 0.7, "quantity": EpsPrediction(FLOW)}
    with pytest.raises(ScheduleError, match="ε-network says nothing about x₀ at σ = ∞"):
        Guided(PART, ALL_OF_IT, 3.0, **of).x0(X, math.inf)  # type: ignore[arg-type]
