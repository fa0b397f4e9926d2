"""The problem, state, grid and solvers that tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from flowsolve import ODE, SIGMA, VPSDE, DiffusionODE, EpsPrediction, Grid, Solver, karras, log_snr
from flowsolve.problems import Mixture
from flowsolve_solvers import ALL, Scipy, Torchdiffeq

PROBLEM = Mixture()
X = PROBLEM.start(range(4), torch.float64)
GRID = karras(6, 10, 0.05)
ADAPTIVE: list[Solver] = [
    Torchdiffeq(),
    Torchdiffeq("bosh3", variable=SIGMA),
    Scipy(),
    Scipy("RK45", variable=SIGMA),
    Scipy("LSODA"),
]
EVERY = [*ALL, Torchdiffeq("rk4"), Torchdiffeq("midpoint", variable=SIGMA), *ADAPTIVE]
each = pytest.mark.parametrize("solver", ALL, ids=repr)
every = pytest.mark.parametrize("solver", EVERY, ids=repr)


def spacing(n: int) -> Grid:
    return log_snr(n, 10, 0.05)


class Decay(ODE):
    """ε = x̄/(1 + σ), and what `spoil` makes of it."""

    def __init__(self, spoil: Callable[[Tensor, float, int], Tensor] | None = None) -> None:
        self.spoil, self.calls = spoil, 0

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.calls += 1
        out = x / (1 + sigma)
        return out if self.spoil is None else self.spoil(out, sigma, self.calls)


def network_of(answer: Callable[[Tensor], object]) -> DiffusionODE:
    return DiffusionODE(lambda x, t: answer(x), EpsPrediction(VPSDE()))  # type: ignore[arg-type, return-value]
