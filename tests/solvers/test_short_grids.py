"""Grids of one, two and three steps, and the step to σ = 0: every method comes near the exact answer."""

from __future__ import annotations

import pytest
import torch

from flowsolve import Grid, Solver, karras, sample, solve
from flowsolve.problems import Gaussian, Mixture
from flowsolve_solvers import ALL

PROBLEM = Mixture(sigma_max=1.0, sigma_min=0.2)
SEEDS = range(8)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("solver", ALL, ids=repr)
def test_short_grids(solver: Solver, steps: int) -> None:
    """Close to the exact answer of a problem that is nearly linear over them; to 0 as well."""
    easy = Gaussian(sigma_max=1.0, sigma_min=0.8)
    x = easy.start(SEEDS, torch.float64)
    grid = karras(steps, 1.0, 0.8)
    got = solve(easy, x, grid, solver).x
    torch.testing.assert_close(got, easy.flow(x, 1.0, 0.8), rtol=0.03, atol=0.03)
    to_zero = sample(PROBLEM, x, karras(steps, 1.0, 0.2).to_zero(), solver).x
    assert bool(to_zero.isfinite().all())
    assert bool(sample(PROBLEM, x, Grid([1.0, 0.0]), solver).x.isfinite().all())


@pytest.mark.parametrize("solver", ALL, ids=repr)
def test_the_step_to_zero_goes_to_the_data(solver: Solver) -> None:
    """DDIM's goes to x₀ of the last state; what a method makes of earlier values changes it by less."""
    easy = Gaussian(sigma_max=1.0, sigma_min=0.1)
    x = easy.start(SEEDS, torch.float64)
    grid = karras(40, 1.0, 0.1)
    last = solve(easy, x, grid, solver).x
    got = sample(easy, x, grid.to_zero(), solver).x
    data = easy.x0(last, 0.1)
    assert float((got - data).abs().max()) < 0.6 * float((last - data).abs().max())
