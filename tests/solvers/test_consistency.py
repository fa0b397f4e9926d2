"""What every method's weights must satisfy: row sums, scaling, and exactness for constant ε or x₀."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from flowsolve import (
    DATA,
    LOG_SIGMA,
    VELOCITY,
    VPSDE,
    Grid,
    Solver,
    karras,
    log_snr,
    solve,
    tabulate,
    uniform_t,
)
from flowsolve.problems import Mixture1D
from flowsolve_solvers import (
    ALL,
    RK4,
    Adams,
    DPMSolverPP2M,
    DPMSolverPP2S,
    Euler,
    EulerInT,
    EulerInVariance,
)
from tests.helpers import ConstantData, ConstantNoise

CLOCK = VPSDE()
IRREGULAR = Grid([14.6, 9.1, 8.8, 3.0, 1.7, 0.9, 0.85, 0.31, 0.12, 0.05], "irregular")
GRIDS = [IRREGULAR, karras(8, 80, 0.002), uniform_t(11, 100, 0.02, clock=CLOCK)]
by_grid = pytest.mark.parametrize("grid", GRIDS, ids=["irregular", "karras", "uniform_t"])
# VELOCITY is exact for Gaussian data, not for a constant ε; Fitted for what it was fitted to
LOOSE = [
    s
    for s in ALL
    if isinstance(s, EulerInT | EulerInVariance)
    or any(word in repr(s) for word in ("RK4(variable=LOG_SIGMA)", "VELOCITY", "Fitted"))
]
CONSISTENT = [s for s in ALL if s not in LOOSE]


def deviation(solver: Solver, grid: Grid) -> float:
    """The largest departure from weight 1 on x̄_T and from row sums σ - σ_T, probes and answer."""
    table = tabulate(solver, grid)
    rows = np.array(table.row_sums) - (np.array([*table.sigmas, grid[-1]]) - grid[0])
    return float(max(abs(table.matrix[:, 0] - 1).max(), abs(rows).max()))


@by_grid
@pytest.mark.parametrize("solver", CONSISTENT, ids=repr)
def test_tables_are_consistent(solver: Solver, grid: Grid) -> None:
    assert deviation(solver, grid) < 1e-12 * grid[0]
    table = tabulate(solver, grid)
    for row, level in zip(table.nodes, grid[1:], strict=True):
        assert row[0] == pytest.approx(1, abs=1e-12)
        assert sum(row[1:]) == pytest.approx(level - grid[0], abs=1e-12 * grid[0])


@pytest.mark.parametrize("solver", [EulerInT(), EulerInVariance(), RK4(LOG_SIGMA)], ids=repr)
def test_methods_that_approximate_the_integral(solver: Solver) -> None:
    """They integrate dσ/dτ by their own rule, so the answer's row is right to their order only."""

    def last(n: int) -> float:
        table = tabulate(solver, log_snr(n, 5, 0.1))
        return abs(table.answer[0] - 1) + abs(table.row_sums[-1] - (0.1 - 5))

    errors = [last(n) for n in (40, 80, 160)]
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert slopes == pytest.approx([solver.order] * 2, abs=0.2)


@pytest.mark.parametrize(
    "solver", [s for s in LOOSE if isinstance(s, Adams) and s.chart != VELOCITY], ids=repr
)
def test_a_start_that_approximates_the_integral(solver: Adams) -> None:
    """Three steps of RK4 in log σ leave h⁵ each, and Adams adds nothing."""
    errors = [deviation(solver, log_snr(n, 5, 0.1)) for n in (40, 80, 160)]
    # the inner stages are the loosest rows: a half step by Euler's rule, h² of σ
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert min(slopes) > 1.8

    def last(n: int) -> float:
        return abs(tabulate(solver, log_snr(n, 5, 0.1)).row_sums[-1] + 4.9)

    assert math.log2(last(40) / last(80)) == pytest.approx(5, abs=0.4)


# only a clock knows a scale, DCSolver's too, a flow, whose σ/(1+σ) has a half at σ = 1, and what is given one
SCALED = (
    "VPSDE", "DCSolver", "Fitted", "EulerInT", "FlowHeun", "VELOCITY", "FLOW", "Flow(", "FireFlow", "STORK",
)  # fmt: skip
SCALE_FREE = [s for s in ALL if not any(word in repr(s) for word in SCALED)]


@pytest.mark.parametrize("c", [0.01, 3.0])
@pytest.mark.parametrize("solver", SCALE_FREE, ids=repr)
def test_scaling(solver: Solver, c: float) -> None:
    """Data and levels scaled by c: the same flow, scaled."""
    small = Mixture1D()
    big = Mixture1D(
        means=tuple(c * m for m in small.means), deviations=tuple(c * d for d in small.deviations)
    )
    x = small.start(range(4), torch.float64)
    grid = Grid(IRREGULAR[2:])
    one = solve(small, x, grid, solver).x
    two = solve(big, c * x, Grid(c * s for s in grid), solver).x
    torch.testing.assert_close(two, c * one, rtol=1e-10, atol=1e-12 * c)


DATA_METHODS = [
    s
    for s in ALL
    if isinstance(s, DPMSolverPP2M | DPMSolverPP2S)
    or (isinstance(s, Euler | Adams) and s.chart == DATA and getattr(s, "start", None) is None)
]


@pytest.mark.parametrize("solver", DATA_METHODS, ids=repr)
def test_constant_data_take_one_step(solver: Solver) -> None:
    """If x₀ never changes, the data chart's slope is constant: exact on any grid, even one step."""
    point = torch.tensor([0.3, -2.0], dtype=torch.float64)
    x = torch.tensor([[5.0, 7.0], [-1.0, 30.0]], dtype=torch.float64)
    for grid in (Grid([10, 0.1]), Grid([10, 3, 2, 1.5, 0.1])):
        got = solve(ConstantData(point), x, grid, solver).x
        torch.testing.assert_close(got, point + (x - point) * 0.01, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", CONSISTENT, ids=repr)
def test_constant_noise_is_exact(solver: Solver) -> None:
    """If ε never changes, so is every method of weight 1 and row sums Δσ, whatever its chart."""

    x = torch.tensor([5.0, -1.0], dtype=torch.float64)
    got = solve(ConstantNoise(), x, IRREGULAR, solver).x
    torch.testing.assert_close(got, x + 0.7 * (0.05 - 14.6), rtol=1e-12, atol=1e-12)
