"""Budgets, grids and paths that cannot be: the whole texts."""

from __future__ import annotations

import pytest
import torch

from flowsolve import Grid, log_snr, sample, solve
from flowsolve.errors import BudgetError, GridError
from flowsolve_solvers import RK4, Adams, DPMSolver3, Euler, Heun, Scipy, Torchdiffeq
from tests.helpers import says
from tests.integrate.helpers import Decay

GRID = Grid([4.0, 2.0, 1.0, 0.5])
X = torch.ones(2, 3, 4, 4)


def spacing(n: int) -> Grid:
    return log_snr(n, 4.0, 0.5)


@pytest.mark.parametrize("nfe", [0, -1, 2.5, True, "8"])
def test_nfe_is_a_whole_number(nfe) -> None:
    says(
        BudgetError,
        f"nfe must be a whole number of at least 1, but got {nfe!r}.",
        lambda: solve(Decay(), X, spacing, Euler(), nfe=nfe),
    )


@pytest.mark.parametrize(("solver", "least"), [(Heun(), 2), (DPMSolver3(), 3), (RK4(), 4)])
def test_nfe_that_a_method_cannot_meet(solver, least: int) -> None:
    ode = Decay()
    says(
        BudgetError,
        f"{solver!r} needs at least {least} evaluations (one step), but nfe = {least - 1}. Give a "
        "larger budget, or a method with fewer evaluations a step.",
        lambda: solve(ode, X, spacing, solver, nfe=least - 1),
    )
    assert ode.calls == 0
    assert solve(ode, X, spacing, solver, nfe=least).nfe == least


def test_nfe_with_a_fixed_grid() -> None:
    says(
        BudgetError,
        "nfe= chooses among grids: give it a function n -> Grid, not one grid.",
        lambda: solve(Decay(), X, GRID, Euler(), nfe=3),
    )


def test_spacing_without_nfe() -> None:
    says(
        BudgetError,
        "a function n -> Grid needs nfe=, the number of evaluations to spend.",
        lambda: sample(Decay(), X, spacing, Euler()),
    )


@pytest.mark.parametrize("solver", [Torchdiffeq(), Scipy()], ids=repr)
def test_nfe_for_an_adaptive_solver(solver) -> None:
    says(
        BudgetError,
        f"{solver!r} chooses its own evaluations, so it has no cost beforehand and takes no nfe=. "
        "Limit it with max_nfe=.",
        lambda: solve(Decay(), X, spacing, solver, nfe=20),
    )


def test_budget_error_holds_the_solution_so_far() -> None:
    with pytest.raises(BudgetError, match="when max_nfe = 30 ran out") as error:
        solve(Decay(), X.double(), [10, 0.1], Scipy(rtol=1e-8, atol=1e-8, max_nfe=30))
    partial = error.value.partial
    assert partial is not None
    assert partial.nfe == 30
    assert 0.1 < partial.grid[-1] < 10
    assert torch.allclose(partial.x, X.double() * (1 + partial.grid[-1]) / 11, rtol=1e-6)


def test_keep() -> None:
    says(
        ValueError,
        "keep must be 0 (no path) or k >= 1 (every k-th node), but got -1.",
        lambda: solve(Decay(), X, GRID, Euler(), keep=-1),
    )


@pytest.mark.parametrize(
    ("grid", "solver", "ends"),
    [
        (GRID.to_zero(), Heun(), "4.0 to 0.0"),
        (GRID.to_zero(), Adams(2), "4.0 to 0.0"),
        (GRID.from_infinity(), Euler(), "inf to 0.5"),
        (GRID.to_zero().reversed(), Euler(), "0.0 to 4.0"),
        (GRID.from_infinity().reversed(), Euler(), "0.5 to inf"),
    ],
    ids=str,
)
def test_solve_walks_finite_levels(grid, solver, ends: str) -> None:
    says(
        GridError,
        f"solve walks finite levels above 0, but the grid goes from {ends}. sample() takes the "
        "steps from σ = ∞ and to σ = 0.",
        lambda: solve(Decay(), X, grid, solver),
    )


def test_solve_to_zero_where_the_method_can() -> None:
    assert solve(Decay(), X, GRID.to_zero(), Euler()).nfe == 4


def test_sample_with_a_rising_grid() -> None:
    says(
        GridError,
        "sample goes from noise to data, so σ must fall, but this grid rises. To encode data into "
        "noise, use solve() with it.",
        lambda: sample(Decay(), X, GRID.reversed(), Euler()),
    )


def test_levels_are_checked_on_the_way_in() -> None:
    says(
        GridError,
        "σ must fall, but this grid rises from 1.0 to 3.0.",
        lambda: solve(Decay(), X, [1, 2, 3], Euler()),
    )
