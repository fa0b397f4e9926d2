"""Estimators of sbi, their network replaced by the exact one of a Gaussian posterior, against its known law."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve.errors import NetworkError
from flowsolve.interop import from_sbi
from flowsolve_solvers import Heun

estimators = pytest.importorskip(
    "sbi.neural_nets.estimators.score_estimator",
    reason="sbi is not installed: pip install sbi, which brings tensorboard and others",
)
flows = pytest.importorskip("sbi.neural_nets.estimators.flowmatching_estimator")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]
X_O = torch.tensor([0.5, -1.0, 2.0])
MEAN, STD = torch.tensor([1.0, -0.5]), torch.tensor([0.6, 1.4])


def exact_score(estimator: Any, theta: Tensor, t: Tensor) -> Tensor:
    """∇ log p_t of N(MEAN, STD²) diffused by the estimator's own mean and deviation."""
    alpha, s = estimator.mean_t_fn(t), estimator.std_fn(t)
    return -(theta - alpha * MEAN) / (alpha**2 * STD**2 + s**2)


def made(kind: str) -> Any:
    """An estimator whose answer is exact: its class's forward, with the network that makes it so."""
    net = torch.nn.Module()
    shapes = (torch.Size([2]), torch.Size([3]))
    if kind == "FlowMatchingEstimator":
        estimator = flows.FlowMatchingEstimator(net, *shapes)

        def velocity(input: Tensor, condition: Tensor, time: Tensor) -> Tensor:
            a, s = (1 - time)[:, None], time[:, None]
            variance = a**2 * STD**2 + s**2
            residual = input - a * MEAN
            return s / variance * residual - (MEAN + a * STD**2 / variance * residual)

        estimator.forward = velocity
    else:
        estimator = getattr(estimators, kind)(net, *shapes)
        estimator.forward = lambda input, condition, time: exact_score(estimator, input, time)
    return estimator


@pytest.mark.parametrize(
    "kind", ["VPScoreEstimator", "SubVPScoreEstimator", "VEScoreEstimator", "FlowMatchingEstimator"]
)
def test_the_posterior_is_found(kind: str) -> None:
    ode = from_sbi(made(kind), X_O)
    noise = fs.unit_noise(range(512), (2,))
    result = fs.sample(ode, noise, nfe=30)
    assert float((result.x.mean(0) - MEAN).abs().max()) < 0.15
    assert float((result.x.std(0) / STD - 1).abs().max()) < 0.1


@pytest.mark.parametrize("kind", ["VPScoreEstimator", "SubVPScoreEstimator", "VEScoreEstimator"])
def test_levels_are_those_of_the_estimator(kind: str) -> None:
    estimator = made(kind)
    ode = from_sbi(estimator, X_O)
    for t in (0.01, 0.3, 1.0):
        time = torch.tensor([t])
        alpha, s = float(estimator.mean_t_fn(time)), float(estimator.std_fn(time))
        sigma = ode.precondition.clock.sigma(t)
        assert sigma == pytest.approx(s / alpha, rel=1e-4)
        assert ode.alpha(sigma) == pytest.approx(alpha, rel=1e-4)


def test_its_own_ode_ends_at_the_same_samples() -> None:
    """ode_fn in t, by Heun's method in 400 steps from the same states."""
    estimator = made("VPScoreEstimator")
    ode = from_sbi(estimator, X_O)
    sigma = ode.precondition.clock.sigma
    noise = fs.unit_noise(range(8), (2,), torch.float64)
    grid = fs.karras(60, sigma(1.0), sigma(1e-3))
    mine = fs.sample(ode, noise, grid, Heun()).x_t
    theta = noise * grid[0] * ode.alpha(grid[0])
    times = torch.linspace(1.0, 1e-3, 401, dtype=torch.float64)
    for t, after in pairwise(times):
        first = estimator.ode_fn(theta, X_O[None], t.expand(8))
        second = estimator.ode_fn(theta + (after - t) * first, X_O[None], after.expand(8))
        theta = theta + (after - t) * (first + second) / 2
    assert float((mine - theta).abs().max()) < 5e-3


def test_others_are_refused() -> None:
    with pytest.raises(NetworkError, match="SimpleNamespace is none of sbi's VPScoreEstimator"):
        from_sbi(SimpleNamespace(), X_O)
    composed = made("VPScoreEstimator")
    composed.__class__ = type("Composed", (type(composed),), {"compose_enabled": True})
    with pytest.raises(NetworkError, match="composes standardizations"):
        from_sbi(composed, X_O)
