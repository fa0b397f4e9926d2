"""Scales of guidance: one for each sample, functions of σ, an interval, CFG++."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch

from flowsolve import (
    Grid,
    Guided,
    Solver,
    cfgpp,
    interval,
    karras,
    log_snr,
    solve,
)
from flowsolve.errors import GridError
from flowsolve_solvers import (
    Euler,
    Midpoint,
)
from tests.helpers import says
from tests.ode.guided import (
    ALL_OF_IT,
    GRID,
    PART,
    SOLVERS,
    X,
)

# ------------------------------------------------------------------------------------------ scales


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_a_scale_for_each_sample(solver: Solver) -> None:
    scales = [0.0, 1.0, 1.5, 3.0, -1.0, 7.5]
    w = torch.tensor(scales)  # float32, for a float64 state
    for given in (w, lambda s: w, interval(w, 0.0, math.inf)):
        together = solve(Guided(PART, ALL_OF_IT, given), X, GRID, solver).x
        for i, each in enumerate(scales):
            alone = solve(Guided(PART, ALL_OF_IT, each), X[i : i + 1], GRID, solver).x
            torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 1), (1, 2), (6, 2)])
def test_a_scale_over_the_axes_of_the_state(shape: tuple[int, ...]) -> None:
    """By frame, by pixel: each value is guided with its own."""
    w = torch.linspace(-1.0, 6.0, math.prod(shape)).reshape(shape)
    cond, uncond = PART.eps(X, 0.5), ALL_OF_IT.eps(X, 0.5)
    got = Guided(PART, ALL_OF_IT, w).eps(X, 0.5)
    torch.testing.assert_close(got, uncond + w * (cond - uncond), rtol=1e-6, atol=1e-6)


def test_an_interval_is_open_below_and_closed_above() -> None:
    w = interval(3.0, 0.5, 2.0)
    assert [w(s) for s in (0.4, 0.5, 0.51, 2.0, 2.01, math.inf)] == [1, 1, 3, 3, 1, 1]
    assert interval(3.0, 0.0, math.inf)(math.inf) == 3
    assert interval(lambda s: 2 * s, 0.5, 2.0)(1.5) == 3
    says(ValueError, "an interval needs 0 <= low < high, but got low = 2, high = 1.",
         lambda: interval(3.0, 2, 1))  # fmt: skip


# ------------------------------------------------------------------------------------------- CFG++


@pytest.mark.parametrize("lam", [0.0, 0.2, 0.6, 1.0])
def test_cfgpp_is_euler_with_a_scale_that_knows_the_grid(lam: float) -> None:
    """Chung et al. 2024, Algorithm 2, in their x_t and ᾱ: renoise the guided x̂₀ with ε_∅."""
    grid = karras(8, 10.0, 0.05).to_zero()
    x = 10 * X
    got = solve(Guided(PART, ALL_OF_IT, cfgpp(grid, lam)), x, grid, Euler(), keep=1)
    a = [1 / (1 + s * s) for s in grid]
    z = math.sqrt(a[0]) * x
    for i, (now, then) in enumerate(pairwise(a)):
        null, cond = (p.eps(z / math.sqrt(now), grid[i]) for p in (ALL_OF_IT, PART))
        guided = null + lam * (cond - null)
        clean = (z - math.sqrt(1 - now) * guided) / math.sqrt(now)
        z = math.sqrt(then) * clean + math.sqrt(1 - then) * null
        torch.testing.assert_close(got.path[i + 1].x_t, z, rtol=1e-11, atol=1e-11)
    weights = [cfgpp(grid, lam)(s) for s in grid[:-1]]
    assert weights == pytest.approx([lam * s / (s - t) for s, t in pairwise(grid)], rel=1e-14)
    assert weights[-1] == lam  # in the step to 0
    assert cfgpp(grid.from_infinity(), lam)(math.inf) == lam


def test_cfgpp_has_no_limit() -> None:
    """The scale grows with the steps: doubling them moves the answer more and more, and w = 3's less."""
    x = 10 * ALL_OF_IT.start(range(64), torch.float64)
    grids = [log_snr(n, 10.0, 0.05) for n in (80, 160, 320, 640)]

    def moves(scale: Callable[[Grid], Any]) -> list[float]:
        ends = [solve(Guided(PART, ALL_OF_IT, scale(g)), x, g, Euler()).x for g in grids]
        return [float((a - b).square().mean().sqrt()) for a, b in pairwise(ends)]

    wild, tame = moves(lambda g: cfgpp(g, 0.6)), moves(lambda g: 3.0)
    assert wild == pytest.approx([0.125, 0.214, 0.373], rel=0.01)
    assert tame == pytest.approx([0.00407, 0.00204, 0.00102], rel=0.01)
    largest = [max(map(cfgpp(g, 0.6), g[:-1])) for g in grids]
    assert all(b / a == pytest.approx(2, abs=0.1) for a, b in pairwise(largest)), largest


def test_cfgpp_off_its_grid() -> None:
    w = cfgpp(GRID, 0.6)
    text = (
        f"σ = 0.9 is not a level of the grid ({GRID}) that was given to say where the step from it"
    )
    says(GridError, text, lambda: w(0.9))
    says(GridError, "σ = ", lambda: solve(Guided(PART, ALL_OF_IT, w), X, GRID, Midpoint()))
    says(
        ValueError,
        "CFG++ interpolates, 0 <= lam <= 1, but got lam = 7.5.",
        lambda: cfgpp(GRID, 7.5),
    )
