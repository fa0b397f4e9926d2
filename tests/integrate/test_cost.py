"""Evaluations and forward passes are counted where they are made; a budget is met or refused."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from torch import Tensor

from flowsolve import (
    ODE,
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    Grid,
    OneStep,
    Solver,
    karras,
    sample,
    solve,
)
from flowsolve.errors import BudgetError
from flowsolve.integrate.cost import cost
from flowsolve.problems import exact_network
from flowsolve_solvers import LMS, RK4, Adams, DPMSolver3, DPMSolverPP2M, Euler, Heun
from tests.helpers import Asked
from tests.integrate.helpers import ADAPTIVE, GRID, PROBLEM, X, each, every, spacing


@pytest.mark.parametrize("grid", [GRID, GRID.to_zero(), GRID.from_infinity().to_zero()], ids=str)
@each
def test_cost_is_what_is_counted(solver: Solver, grid: Grid) -> None:
    asked = Asked(PROBLEM)
    answer = sample(asked, X / 10, grid, solver)
    assert answer.nfe == asked.calls == cost(solver, grid)
    assert answer.forwards == 0  # an exact problem has no network


EVALUATIONS = {Euler(): 1, Heun(): 2, RK4(): 4, DPMSolver3(): 3, DPMSolverPP2M(): 1, LMS(): 1}


@pytest.mark.parametrize("solver", EVALUATIONS, ids=repr)
def test_evaluations_a_step(solver: Solver) -> None:
    assert cost(solver, GRID) == EVALUATIONS[solver] * GRID.steps
    assert cost(Adams(4, start=DPMSolver3()), GRID) == 3 * 3 + 3
    assert cost(Heun(), karras(17, 80, 0.002).to_zero()) == 35  # EDM's 18 steps


@pytest.mark.parametrize("batch", [1, 3])
@every
def test_forwards_of_a_network(solver: Solver, batch: int) -> None:
    """Counted at the network, a sample: as many as evaluations without guidance."""
    calls = []

    def network(x: Tensor, t: Tensor) -> Tensor:
        calls.append(len(x))
        return inner(x, t)

    precondition = EpsPrediction(VPSDE())
    inner = exact_network(PROBLEM, precondition)
    answer = solve(DiffusionODE(network, precondition), X[:batch], GRID, solver)
    assert answer.nfe == answer.forwards == len(calls)
    assert set(calls) == {batch}


@pytest.mark.parametrize("to_zero", [False, True])
@each
def test_budgets_are_met_or_refused(solver: Solver, to_zero: bool) -> None:
    def grids(n: int) -> Grid:
        return spacing(n).to_zero() if to_zero else spacing(n)

    least = cost(solver, grids(1))
    for budget in (1, 2, 3, 4, 5, 7, 12, 20):
        if least > budget:
            with pytest.raises(BudgetError, match=f"one step.*but nfe = {budget}"):
                sample(PROBLEM, X / 10, grids, solver, nfe=budget)
            continue
        answer = sample(PROBLEM, X / 10, grids, solver, nfe=budget)
        n = answer.grid.steps - to_zero
        assert answer.grid == grids(n)
        assert answer.nfe <= budget < cost(solver, grids(n + 1))


@pytest.mark.parametrize(("budget", "steps", "nfe"), [(10, 5, 10), (11, 5, 10), (2, 1, 2)])
def test_ten_evaluations_of_heun(budget: int, steps: int, nfe: int) -> None:
    answer = solve(PROBLEM, X, spacing, Heun(), nfe=budget)
    assert (answer.grid.steps, answer.nfe) == (steps, nfe)


@pytest.mark.parametrize("solver", ADAPTIVE, ids=repr)
def test_adaptive_methods_take_no_budget(solver: Solver) -> None:
    with pytest.raises(BudgetError, match=r"chooses its own evaluations.*max_nfe="):
        solve(PROBLEM, X, spacing, solver, nfe=10)


@pytest.mark.parametrize("nfe", [0, -3, 2.5, True, "10"])
def test_what_is_no_budget(nfe: Any) -> None:
    with pytest.raises(BudgetError, match="whole number of at least 1"):
        solve(PROBLEM, X, spacing, Heun(), nfe=nfe)


def test_budget_and_grid_do_not_mix() -> None:
    with pytest.raises(BudgetError, match="needs nfe="):
        solve(PROBLEM, X, spacing, Heun())
    with pytest.raises(BudgetError, match="not one grid"):
        solve(PROBLEM, X, GRID, Heun(), nfe=10)


@dataclass(frozen=True, repr=False)
class Reading(OneStep):
    """Euler that first looks at its state, as no method should."""

    order = 1

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        assert float(x.abs().max()) < 1e9
        return x + (t - s) * ode.eps(x, s)


def test_a_method_that_reads_its_state_can_be_costed() -> None:
    """Counted on a real tensor where nothing is not enough."""
    assert cost(Reading(), GRID) == GRID.steps
    assert solve(PROBLEM, X, spacing, Reading(), nfe=7).nfe == 7


@each
def test_evaluations_lie_in_their_step(solver: Solver) -> None:
    ode = Asked(PROBLEM)
    run = solver.steps(ode, X, GRID)
    for s, t in pairwise(GRID):
        next(run)
        assert all(t * (1 - 1e-12) <= level <= s * (1 + 1e-12) for level in ode.levels)
        ode.levels.clear()
