"""The order of a stochastic method on one Brownian path: the strong order."""

from __future__ import annotations

from itertools import pairwise

from flowsolve.analysis.order import Slope, observed_order
from flowsolve.analysis.step_response import noise_levels
from flowsolve.integrate.driver import solve
from flowsolve.ode.noise import BrownianNoise, WithNoise
from flowsolve.problems import Mixture1D
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.spacings import log_snr
from flowsolve.solver.base import Solver

PROBLEM = Mixture1D(deviations=(0.6, 0.5), sigma_max=1.0, sigma_min=0.2)
PATH_ORDER = 1
STEPS = (64, 128, 256, 512, 1024)
SAMPLES = 300


def path_slope(solver: Solver) -> Slope:
    """The rate at which the ends of n and of 2n steps on one Brownian path come together.

    1 is what additive noise allows a method that sees increments only. The modes are wider than
    those the law is measured on, where the few paths that end between two modes decide alone.
    """
    import torch

    finest = log_snr(STEPS[-1], PROBLEM.sigma_max, PROBLEM.sigma_min)
    grids = [Grid(finest[:: finest.steps // n]) for n in STEPS]
    levels = {level for grid in grids for level in noise_levels(solver, grid)}
    ode = WithNoise(PROBLEM, BrownianNoise(range(2), levels))
    x = BrownianNoise(range(2), (0.0, 1.0))(torch.zeros(2, SAMPLES, dtype=torch.float64), 1.0, 0.0)
    ends = [solve(ode, x, grid, solver).x for grid in grids]
    changes = [float((a - b).square().mean().sqrt()) for a, b in pairwise(ends)]
    return observed_order(STEPS[:-1], changes)
