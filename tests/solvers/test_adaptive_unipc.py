"""UniPC with steps of its own: what it is on its own levels, its tolerance, its counts, its limits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import FLOW, NOISE, VELOCITY, Grid, Phi, TwoPower, Velocity, sample, solve
from flowsolve.errors import BudgetError, NonFiniteError, StateError
from flowsolve.ode import Wrapped
from flowsolve.problems import Mixture, Mixture1D
from flowsolve.schedule import LOG_SIGMA
from flowsolve_solvers import AFS, AdaptiveUniPC, CorrectedStart, UniPC
from tests.helpers import Asked, says

PROBLEM, WIDE = Mixture(), Mixture1D()
X = WIDE.start(range(16), torch.float64)
ENDS = Grid([10, 0.05])
EXACT = WIDE.flow(X, *ENDS)
KINDS = [
    AdaptiveUniPC(points=points, chart=chart) for points in (1, 2, 3, 4) for chart in (VELOCITY, FLOW)
]  # fmt: skip
kinds = pytest.mark.parametrize("solver", KINDS, ids=repr)


def error_of(x: Tensor, exact: Tensor = EXACT) -> float:
    return float((x - exact).square().mean().sqrt())


@kinds
@pytest.mark.parametrize("up", [False, True])
def test_it_is_unipc_on_the_levels_that_it_chose(solver: AdaptiveUniPC, up: bool) -> None:
    """Evaluations that were not rejected are at its levels, where the corrected state is UniPC's."""
    asked = Asked(WIDE)
    x, ends = (EXACT, ENDS.reversed()) if up else (X, ENDS)
    found = solve(asked, x, ends, replace(solver, tol=1e-3))
    levels = [ends[0]]
    for s in asked.levels[1:]:  # a level behind the one before it was a rejected one
        while len(levels) > 1 and (s < levels[-1] if up else s > levels[-1]):
            levels.pop()
        levels.append(s)
    again = UniPC(solver.points, solver.chart, variable=Phi(), guard=None)
    grid = Grid(sorted([*levels, ends[-1]], reverse=True))
    want = solve(WIDE, x, grid.reversed() if up else grid, again)
    assert found.stats["accepted"] == len(levels)
    assert found.nfe == len(asked.levels) == found.stats["accepted"] + found.stats["rejected"]
    torch.testing.assert_close(found.x, want.x, rtol=1e-12, atol=1e-12)


@kinds
def test_errors_follow_the_tolerance(solver: AdaptiveUniPC) -> None:
    errors, costs = [], []
    for tol in (1e-2, 1e-3, 1e-4, 1e-5):
        found = solve(WIDE, X, ENDS, replace(solver, tol=tol))
        errors.append(error_of(found.x))
        costs.append(found.nfe)
        assert errors[-1] < (30 if solver.points == 1 else 6) * tol
    assert errors == sorted(errors, reverse=True)
    assert costs == sorted(set(costs))


def test_more_points_pay_for_small_tolerances() -> None:
    """Evaluations to an error of 1e-6 and to 1e-2."""
    cost = {
        (points, goal): min(
            run.nfe
            for k in range(9)
            for run in [solve(WIDE, X, ENDS, AdaptiveUniPC(goal * 4 / 1.5**k, points))]
            if error_of(run.x) <= goal
        )
        for points in (2, 4)
        for goal in (1e-2, 1e-6)
    }
    assert cost[4, 1e-6] < 0.6 * cost[2, 1e-6]
    assert cost[2, 1e-2] <= cost[4, 1e-2]


@pytest.mark.parametrize("batch", ["joint", "each"])
def test_levels_in_between_cost_nothing(batch: str) -> None:
    solver = AdaptiveUniPC(1e-4, batch=batch)
    levels = [10.0, 9.99, 4.0, 1.0, 0.5, 0.21, 0.2, 0.06, 0.05]
    seen: list[tuple[float, Tensor]] = []
    found = solve(
        WIDE, X, Grid(levels), solver, on_step=lambda k, sigma, x: seen.append((sigma, x))
    )
    assert [sigma for sigma, _ in seen] == levels
    for sigma, x in seen:
        assert error_of(x, WIDE.flow(X, 10, sigma)) < 5e-4 * math.hypot(1, sigma)
    plain = solve(WIDE, X, ENDS, solver)
    assert found.nfe == plain.nfe
    assert found.x.equal(plain.x)


def test_each_sample_alone() -> None:
    solver = AdaptiveUniPC(1e-3, batch="each")
    found = solve(WIDE, X, ENDS, solver)
    alone = [solve(WIDE, x[None], ENDS, solver) for x in X]
    assert found.x.equal(torch.cat([one.x for one in alone]))
    assert found.stats["nfe_max"] == max(one.nfe for one in alone)
    assert len({one.nfe for one in alone}) > 2
    assert found.per_sample == pytest.approx(sum(one.nfe for one in alone) / len(X))


def test_there_and_back() -> None:
    solver = AdaptiveUniPC(1e-6, 4)
    up = solve(WIDE, EXACT, ENDS.reversed(), solver)
    assert error_of(up.x, X) < 1e-4
    assert error_of(solve(WIDE, up.x, ENDS, solver).x) < 1e-5


def test_from_infinity_and_to_zero() -> None:
    noise = X / 10
    errors = []
    for tol in (1e-2, 1e-4, 1e-6):
        found = sample(WIDE, noise, Grid([math.inf, 0.05]), AdaptiveUniPC(tol, 4))
        far = sample(WIDE, noise, Grid([1e7, 0.05]), AdaptiveUniPC(1e-8, 4, first=0.02))
        errors.append(error_of(found.x, far.x))
        assert sample(WIDE, noise, Grid([math.inf, 0.0]), AdaptiveUniPC(tol, 4)).x.isfinite().all()
    assert errors[0] < 5e-2
    assert errors[2] < 1e-5


def test_after_a_start() -> None:
    """The start's one evaluation is the method's first."""
    solver = CorrectedStart(AdaptiveUniPC(1e-3, chart=Velocity(1.5)), 1.5)
    assert solver.adaptive
    asked = Asked(WIDE)
    found = solve(asked, X, Grid([10.0, 6.0, 0.05]), solver)
    assert asked.levels[0] == 6.0
    assert (
        found.nfe
        == len(asked.levels)
        == sum(map(found.stats.__getitem__, ("accepted", "rejected")))
    )
    says(TypeError, "AFS takes a method that steps from level to level, not AdaptiveUniPC()",
         lambda: AFS(AdaptiveUniPC()))  # fmt: skip


def test_the_budget_runs_out() -> None:
    for batch in ("joint", "each"):
        solver = AdaptiveUniPC(1e-6, batch=batch, max_nfe=12)
        with pytest.raises(BudgetError, match=r"max_nfe = 12 ran out") as error:
            solve(WIDE, X, Grid([10.0, 9.0, 0.05]), solver)
        partial: Any = error.value.partial
        assert partial.x.shape == X.shape
        assert partial.grid[-1] > 0.05


class Rough(Wrapped):
    """An ODE with an error that no step resolves."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self.ode.eps(x, sigma) + 0.3 * math.sin(1e6 * sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return x - sigma * self.eps(x, sigma)


def test_a_rough_network_ends() -> None:
    solver = AdaptiveUniPC(1e-4, max_nfe=300)
    with pytest.raises(BudgetError, match=r"max_nfe = 300 ran out"):
        solve(Rough(WIDE), X, ENDS, solver)


def test_rounding_ends_it() -> None:
    """Data that are far larger than the chart's scale: float32 resolves them to 1e-3, and tol is 1e-6."""
    large = Mixture(means=((-9e3, 0.0), (9e3, 4e3), (0.0, 0.0)), sigma_max=1e5, sigma_min=0.05)
    x = large.start(range(4), torch.float32)
    with pytest.raises(StateError, match=r"rounding of torch.float32 is more than tol there"):
        solve(large, x, Grid([1e5, 0.05]), AdaptiveUniPC(1e-6, max_nfe=10_000))


class Failing(Wrapped):
    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self.ode.eps(x, sigma) * (math.nan if sigma < 1 else 1)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return x - sigma * self.eps(x, sigma)


def test_nan_stops_it() -> None:
    with pytest.raises(NonFiniteError, match=r"corrector and predictor is not finite"):
        solve(Failing(WIDE), X, ENDS, AdaptiveUniPC())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_no_more_than_the_dtype_resolves(dtype: torch.dtype) -> None:
    least = 8 * torch.finfo(dtype).eps / 2
    found = solve(PROBLEM, PROBLEM.start(range(4), dtype), ENDS, AdaptiveUniPC(2 * least))
    assert found.x.dtype == dtype
    assert found.nfe < 100
    with pytest.raises(StateError, match=rf"more than {dtype} can resolve.*tol of at least"):
        solve(PROBLEM, PROBLEM.start(range(4), dtype), ENDS, AdaptiveUniPC(least / 2))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tol": 0.0}, "AdaptiveUniPC: tol must be positive and finite and first between 0 and 1"),
        ({"first": 1.5}, "AdaptiveUniPC: tol must be positive and finite and first between 0 and 1"),
        ({"points": 5}, "AdaptiveUniPC has 1 to 4 points, a whole number"),
        ({"batch": "all"}, "AdaptiveUniPC: batch is 'each' or 'joint', not 'all'."),
        ({"max_nfe": 0}, "AdaptiveUniPC: max_nfe must be 1 or more, but got 0."),
        ({"chart": NOISE}, "AdaptiveUniPC needs a chart and a variable that are finite at σ = 0 and"),
        ({"variable": LOG_SIGMA}, "AdaptiveUniPC needs a chart and a variable that are finite"),
        ({"variable": TwoPower(below=0.0)}, "AdaptiveUniPC needs a chart and a variable that"),
    ],
)  # fmt: skip
def test_wrong_options(options: dict[str, Any], text: str) -> None:
    says(ValueError, text, lambda: AdaptiveUniPC(**options))
