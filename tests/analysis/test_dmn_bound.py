"""The bound that DMN minimises: by hand, as a bound, and what its minimum buys."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from flowsolve import (
    DATA,
    LOG_SIGMA,
    Grid,
    Replay,
    arctan,
    dmn,
    karras,
    log_snr,
    solve,
    tabulate,
)
from flowsolve.analysis.dmn_bound import DENOISER_ERROR, error_bound
from flowsolve.errors import GridError
from flowsolve.problems import Gaussian, Mixture
from flowsolve.solver.weights import adams_weights
from flowsolve.study.references import reference
from flowsolve_solvers import DPMSolverPP2M, DPMSolverPPM, Euler


def test_the_bound_is_the_methods() -> None:
    """|W_k| are the weights of x₀ in the answer, read off a table of the method itself."""
    grid = karras(6, 10, 0.05)
    weights = [0.0] * 6
    for i, (s, t) in enumerate(pairwise(grid)):  # 1, 2, 3, 3, 2, 1 points
        nodes = tuple(grid[i - j] for j in range((1, 2, 3, 3, 2, 1)[i]))
        for j, w in enumerate(adams_weights(DATA, LOG_SIGMA, nodes, s, t)):
            weights[i - j] += w
    expected = grid[-1] * sum(abs(w) * s for w, s in zip(weights, grid, strict=False))
    assert error_bound(grid) == pytest.approx(expected, rel=1e-12)
    # with one point it is Euler's: Σ t (1/t - 1/s) of each step, carried down to σ_N
    euler = sum((1 / t - 1 / s) * s for s, t in pairwise(grid)) * grid[-1]
    assert error_bound(grid, points=1) == pytest.approx(euler, rel=1e-12)
    assert error_bound(grid, split=9) > error_bound(grid, split=2) > error_bound(grid)


def test_the_bound_bounds() -> None:
    """A denoiser wrong by ±e(σ) moves the answer by at most that much, and by that much at worst."""
    grid = karras(6, 10, 0.05)
    x = torch.zeros(1, dtype=torch.float64)
    table = tabulate(Euler(DATA), grid)
    assert solve(Gaussian(mean=(0.0,), covariance=((1.0,),)), x[None], grid, Replay(table)).nfe == 6
    total = 0.0
    for s, t in pairwise(grid):  # the worst signs for Euler: all alike
        total = total * t / s + (1 - t / s) * DENOISER_ERROR["pixel"](s)
    assert total == pytest.approx(error_bound(grid, points=1), rel=1e-12)


@pytest.mark.parametrize("error", DENOISER_ERROR)
@pytest.mark.parametrize("n", [3, 5, 8, 10])
def test_dmn_lowers_its_bound(n: int, error: str) -> None:
    grid = dmn(n, 10, 0.05, error=error)
    assert isinstance(grid, Grid)
    own = error_bound(grid, error=error, split=3)
    for other in (log_snr, karras):
        assert own < 0.9 * error_bound(other(n, 10, 0.05), error=error, split=3)
    for i in range(1, n):  # and no level moved a little lowers it further
        for factor in (0.98, 1.02):
            levels = [*grid.levels[:i], grid[i] * factor, *grid.levels[i + 1 :]]
            assert error_bound(levels, error=error, split=3) > own * (1 - 1e-4)


def test_what_dmn_buys_on_an_exact_problem() -> None:
    """Less for Euler with few steps, as errors of a network would be; no less for what it is made for."""
    problem = Mixture()
    x = problem.start(range(64), torch.float64)
    truth = reference(problem, x, 10, 0.05).x

    def error(solver: Any, grid: Grid) -> float:
        return float((solve(problem, x, grid, solver).x - truth).square().mean().sqrt())

    for n in (5, 6, 7, 8, 10):
        tuned, even = dmn(n, 10, 0.05), log_snr(n, 10, 0.05)
        for solver in (DPMSolverPPM(3, guard=None), DPMSolverPP2M(guard=None)):
            assert error(solver, tuned) > error(solver, even)
        if n < 8:
            assert error(Euler(), tuned) < error(Euler(), even)
        assert error(Euler(), arctan(n, 10, 0.05)) < error(Euler(), even)


def test_bad_options_of_dmn() -> None:
    with pytest.raises(GridError, match="sigma_min > 0"):
        dmn(3, 10, 0)
    for points, error in ((0, "pixel"), (3, "video")):
        with pytest.raises(GridError, match="need points >= 1"):
            dmn(3, 10, 0.05, points, error)
