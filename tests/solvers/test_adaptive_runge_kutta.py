"""Runge-Kutta pairs with steps of their own: the error that is asked for, and what ends a run early."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from flowsolve import DATA, FLOW, LOG_SIGMA, NOISE, ODE, VELOCITY, Grid, karras, solve
from flowsolve.errors import BudgetError, NonFiniteError, StateError
from flowsolve.problems import Mixture
from flowsolve.schedule import FlowTime, Theta, Variable
from flowsolve.solver import Chart
from flowsolve_solvers import (
    BOGACKI_SHAMPINE,
    DORMAND_PRINCE5,
    DORMAND_PRINCE8,
    HEUN2,
    KUTTA4,
    AdaptiveRungeKutta,
    RungeKutta,
    Tableau,
)

PROBLEM = Mixture()
X = PROBLEM.start(range(32), torch.float64)
ENDS = Grid([PROBLEM.sigma_max, PROBLEM.sigma_min])
EXACT = solve(
    PROBLEM, X, karras(200, PROBLEM.sigma_max, PROBLEM.sigma_min), RungeKutta(DORMAND_PRINCE8)
).x


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


@pytest.mark.parametrize("tol", [1e-3, 1e-6])
@pytest.mark.parametrize(
    ("tableau", "chart", "variable"),
    [
        (HEUN2, NOISE, LOG_SIGMA),
        (BOGACKI_SHAMPINE, FLOW, FlowTime()),
        (DORMAND_PRINCE5, VELOCITY, Theta()),
        (DORMAND_PRINCE5, DATA, LOG_SIGMA),
        (DORMAND_PRINCE8, NOISE, LOG_SIGMA),
    ],
)
def test_the_error_is_of_the_size_that_is_asked_for(
    tableau: Tableau, chart: Chart, variable: Variable, tol: float
) -> None:
    solver = AdaptiveRungeKutta(tol, tableau, chart, variable=variable)
    found = solve(PROBLEM, X, ENDS, solver)
    assert rms(found.x - EXACT) < 25 * tol  # steps' errors add up
    stages, trials = len(tableau.b), found.stats["accepted"] + found.stats["rejected"]
    known = trials - 1 if tableau.reuses_last else found.stats["rejected"]
    assert found.nfe == stages * trials - known == found.stats["nfe_max"]


def test_a_smaller_tolerance_costs_more_and_errs_less() -> None:
    runs = [solve(PROBLEM, X, ENDS, AdaptiveRungeKutta(10.0**-k)) for k in range(2, 10)]
    errors, costs = [rms(run.x - EXACT) for run in runs], [run.nfe for run in runs]
    assert errors == sorted(errors, reverse=True)
    assert costs == sorted(costs)
    assert errors[-1] < 1e-8


def test_one_step_is_that_of_the_tableau() -> None:
    grid = Grid([2.0, 1.5])
    solver = AdaptiveRungeKutta(1e9, first=1.0)
    same = RungeKutta(DORMAND_PRINCE5, VELOCITY, solver.variable)
    one, two = (solve(PROBLEM, X, grid, s).x for s in (solver, same))
    assert torch.equal(one, two)


def test_levels_on_the_way_and_up_again() -> None:
    solver = AdaptiveRungeKutta(1e-9)
    grid = karras(3, PROBLEM.sigma_max, PROBLEM.sigma_min)
    path = solve(PROBLEM, X, grid, solver, keep=1).path
    fine = solve(PROBLEM, X, grid, AdaptiveRungeKutta(1e-12, DORMAND_PRINCE8), keep=1).path
    assert [p.sigma for p in path] == [*grid]
    assert all(rms(a.x - b.x) < 1e-7 for a, b in zip(path, fine, strict=True))
    back = solve(PROBLEM, path[-1].x, grid.reversed(), solver).x
    assert rms(back - X) < 1e-6


def test_each_sample_alone() -> None:
    solver = AdaptiveRungeKutta(1e-4, batch="each")
    found = solve(PROBLEM, X[:3], ENDS, solver)
    parts = [solve(PROBLEM, X[i : i + 1], ENDS, solver) for i in range(3)]
    assert torch.equal(found.x, torch.cat([p.x for p in parts]))
    assert found.nfe == sum(p.nfe for p in parts)
    assert found.stats["nfe_max"] == max(p.nfe for p in parts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision(dtype: torch.dtype) -> None:
    found = solve(PROBLEM, X.to(dtype), ENDS, AdaptiveRungeKutta(0.1)).x
    assert found.dtype == dtype
    assert rms(found.double() - EXACT) < 0.3


class Broken(ODE):
    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return x * float("nan") if sigma < 1 else x / sigma


def test_what_ends_a_run_early() -> None:
    with pytest.raises(BudgetError, match=r"max_nfe = 20 ran out") as budget:
        solve(PROBLEM, X, ENDS, AdaptiveRungeKutta(1e-9, max_nfe=20))
    assert budget.value.partial is not None
    with pytest.raises(NonFiniteError, match=r"could not go on from σ = .*its error at σ"):
        solve(Broken(), X, ENDS, AdaptiveRungeKutta())
    with pytest.raises(StateError, match=r"asks for more than torch.float32 can resolve"):
        solve(PROBLEM, X.float(), ENDS, AdaptiveRungeKutta(1e-8))


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match=r"needs a tableau with a pair of lower order"):
        AdaptiveRungeKutta(tableau=KUTTA4)
    with pytest.raises(ValueError, match=r"batch is 'each' or 'joint', not 'all'"):
        AdaptiveRungeKutta(batch="all")
    for wrong in ({"tol": 0.0}, {"tol": float("inf")}, {"first": 0.0}):
        with pytest.raises(ValueError, match=r"tol must be positive and finite and first between"):
            AdaptiveRungeKutta(**wrong)
    with pytest.raises(ValueError, match=r"max_nfe must be 1 or more, but got 0"):
        AdaptiveRungeKutta(max_nfe=0)
    with pytest.raises(StateError, match=r"tableau must be a Tableau"):
        AdaptiveRungeKutta(tableau="dopri5")  # type: ignore[arg-type]
