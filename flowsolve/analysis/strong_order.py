"""The strong order of a stochastic method: how fast its ends on one Brownian path converge."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.analysis.order import Slope, observed_order
from flowsolve.analysis.step_response import noise_levels
from flowsolve.integrate.driver import solve
from flowsolve.ode.noise import BrownianNoise, WithNoise
from flowsolve.problems import Mixture1D
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.spacings import log_snr
from flowsolve.solver.base import Solver

if TYPE_CHECKING:
    from torch import Tensor

PROBLEM = Mixture1D(deviations=(0.6, 0.5), sigma_max=1.0, sigma_min=0.2)
STRONG_ORDER = 1  # of every method here: the most that increments alone allow with additive noise
STEPS = (64, 128, 256, 512, 1024)
SAMPLES = 300


class _DrawnOnce(BrownianNoise):
    """Each increment of the path is drawn once for all grids, not once for each."""

    @cached_property
    def _drawn(self) -> dict[str, Tensor]:
        return {}

    def _draw(self, x: Tensor, key: str) -> Tensor:
        if key not in self._drawn:
            self._drawn[key] = super()._draw(x, key)
        return self._drawn[key]


def path_slope(solver: Solver) -> Slope:
    """The strong order: the slope of √E|x_N - x_2N|², the ends of N and 2N steps on one Brownian path.

    On PROBLEM, from σ = 1 to 0.2, over 2 x 300 paths. Its modes are wider than those of the problem of
    `weak_order`: with narrow modes the few paths that end between two of them make up the whole error.
    """
    import torch

    finest = log_snr(STEPS[-1], PROBLEM.sigma_max, PROBLEM.sigma_min)
    grids = [Grid(finest[:: finest.steps // n]) for n in STEPS]
    levels = {level for grid in grids for level in noise_levels(solver, grid)}
    ode = WithNoise(PROBLEM, _DrawnOnce(range(2), levels))
    x = BrownianNoise(range(2), (0.0, 1.0))(
        torch.zeros(2, SAMPLES, dtype=torch.float64, device="cpu"), 1.0, 0.0
    )
    ends = [solve(ode, x, grid, solver).x for grid in grids]
    changes = [float((a - b).square().mean().sqrt()) for a, b in pairwise(ends)]
    return observed_order(STEPS[:-1], changes)
