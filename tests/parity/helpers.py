"""What both parity tests share: the peer in float64, one exact network for both, one measure."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from flowsolve import (
    ODE,
    DiffusionODE,
    EpsPrediction,
    Grid,
    Solution,
    Solver,
    VPrediction,
    X0Prediction,
    from_alphas_cumprod,
    linear_beta,
    sample,
    vp_start,
)
from flowsolve.ode import Precondition
from flowsolve.problems import Mixture, exact_network
from flowsolve.schedule import DiscreteClock

PROBLEM = Mixture()
NOISE = torch.randn(6, *PROBLEM.event, generator=torch.Generator().manual_seed(1)).double()
LINEAR = linear_beta(between="log_sigma")
KINDS: dict[str, type[Precondition]] = {
    "epsilon": EpsPrediction,
    "v_prediction": VPrediction,
    "sample": X0Prediction,
}
NFES = (1, 2, 3, 5, 10, 50)
TIGHT, SINGLE = 1e-10, 2e-6
worst: dict[str, float] = {}


@functools.cache
def clock_of(alphas_cumprod: tuple[float, ...]) -> DiscreteClock:
    return from_alphas_cumprod(alphas_cumprod, "log_sigma")


def network(kind: str, clock: DiscreteClock) -> Callable[[Tensor, Tensor], Tensor]:
    """F(x, t) of the labels, exact for the mixture."""
    return exact_network(PROBLEM, KINDS[kind](clock))


def ours(
    solver: Solver, grid: Grid, clock: DiscreteClock = LINEAR, kind: str = "epsilon"
) -> Solution:
    """x_T ~ N(0, I) as in DDPM, so x̄ = √(1+σ²) noise."""
    ode: ODE = DiffusionODE(network(kind, clock), KINDS[kind](clock))
    return sample(ode, NOISE, grid, solver, start=vp_start)


def difference(a: Tensor, b: Tensor) -> float:
    """max|a - b| / max|b|."""
    return float((a.double() - b.double()).abs().max() / b.double().abs().max())


def note(name: str, value: float) -> float:
    """Remember the largest difference under this name; `pytest -s` prints them all."""
    worst[name] = max(worst.get(name, 0.0), value)
    return value
