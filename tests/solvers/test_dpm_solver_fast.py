"""Plan and DPMSolverFast: which method takes which step, costs, orders, and k-diffusion's dpm_fast."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import DATA, Grid, OneStep, karras, log_snr, sample, solve
from flowsolve.errors import BudgetError
from flowsolve.integrate.cost import cost, fit
from flowsolve.problems import Mixture, Mixture1D
from flowsolve.study import convergence
from flowsolve_solvers import (
    LMS,
    RES2S,
    RES3S,
    DPMSolver2,
    DPMSolver3,
    DPMSolverFast,
    Euler,
    Heun,
    Plan,
)

PROBLEM = Mixture()
X = PROBLEM.start(range(8), torch.float64)


def spacing(n: int) -> Grid:
    return log_snr(n, 10, 0.05)


def published(nfe: int) -> list[int]:
    """dpm_fast's list of orders, as its paper gives it: K = nfe // 3 + 1 steps."""
    k = nfe // 3 + 1
    if nfe % 3 == 0:
        return [3] * (k - 2) + [2, 1]
    return [3] * (k - 1) + [nfe % 3]


@pytest.mark.parametrize("nfe", range(1, 31))
def test_fast_spends_exactly_its_budget(nfe: int) -> None:
    solver = DPMSolverFast(nfe)
    grid = fit(solver, nfe, spacing)
    assert grid.steps == nfe // 3 + 1
    assert [m.order for m in solver.on(grid.steps)] == published(nfe)
    assert cost(solver, grid) == nfe
    assert solve(PROBLEM, X, spacing, solver, nfe=nfe).nfe == nfe


@pytest.mark.parametrize("nfe", range(1, 12))
def test_order_two(nfe: int) -> None:
    solver = DPMSolverFast(nfe, order=2)
    grid = fit(solver, nfe, spacing)
    assert grid.steps == (nfe + 1) // 2
    assert [m.order for m in solver.on(grid.steps)] == [2] * (nfe // 2) + [1] * (nfe % 2)
    assert cost(solver, grid) == nfe


def test_the_plan_on_any_grid() -> None:
    a, b, c = DPMSolver3(), DPMSolver2(), Euler()
    plan = Plan((a, b, c))
    assert [plan.on(k) for k in (1, 2, 3, 5)] == [(c,), (b, c), (a, b, c), (a, a, a, b, c)]
    assert plan == Plan()
    assert Plan((a,)).on(3) == (a, a, a)


def test_a_step_is_the_step_of_its_method() -> None:
    """On an irregular grid, one state a level."""
    methods: tuple[OneStep, ...] = (Heun(), RES3S(), DPMSolver2(), Euler(DATA))
    grid = Grid([10, 4.1, 3.9, 0.7, 0.2, 0.05])
    got = solve(PROBLEM, X, grid, Plan(methods), keep=1)
    x = X
    for method, (s, t), point in zip((Heun(), *methods), pairwise(grid), got.path[1:], strict=True):
        x = method.step(PROBLEM, x, s, t)
        assert point.x.equal(x)
        assert point.sigma == t
    assert got.nfe == 2 + 2 + 3 + 2 + 1
    alone = solve(PROBLEM, X, grid, DPMSolver3()).x
    assert solve(PROBLEM, X, grid, Plan((DPMSolver3(),))).x.equal(alone)


@pytest.mark.parametrize(
    ("plan", "order"),
    [
        (Plan(), 2),
        (Plan((DPMSolver3(), Euler())), 2),
        (Plan((DPMSolver3(), DPMSolver2())), 3),
        (Plan((RES3S(), RES2S())), 3),
        (Plan((DPMSolver2(), Euler())), 2),
        (Plan((Euler(), DPMSolver3())), 1),
        (DPMSolverFast(9), 2), (DPMSolverFast(10), 2), (DPMSolverFast(11), 3),
    ],
    ids=repr,
)  # fmt: skip
def test_order(plan: Plan, order: int) -> None:
    """One step of one order less costs nothing in the limit: its error is made once."""
    assert plan.order == order
    for problem in (Mixture1D(sigma_max=1.0, sigma_min=0.2), Mixture(sigma_max=1.0, sigma_min=0.2)):
        slope = convergence(plan, problem, steps=(80, 160, 320), seeds=range(8)).slope()
        assert abs(slope.order - order) < 0.2
        assert slope.settled


def test_zero_and_infinity() -> None:
    """The ends are `sample`'s, and the plan is that of the levels between them."""
    grid = spacing(5).from_infinity().to_zero()
    got = sample(PROBLEM, X / 10, grid, Plan(), keep=1)
    assert got.nfe == cost(Plan(), grid) == 1 + (3 + 3 + 3 + 2 + 1) + 1
    inner = solve(PROBLEM, got.path[1].x, spacing(5), Plan()).x
    assert got.path[-2].x.equal(inner)
    assert got.x.equal(PROBLEM.x0(inner, 0.05))


def test_bad_plans() -> None:
    with pytest.raises(TypeError, match="at least one one-step solver"):
        Plan(())
    with pytest.raises(TypeError, match="at least one one-step solver"):
        Plan((DPMSolver3(), LMS()))  # type: ignore[arg-type]
    for nfe, order in ((0, 3), (5, 1), (5, 4)):
        with pytest.raises(ValueError, match="nfe >= 1 and order 2 or 3"):
            DPMSolverFast(nfe, order)
    with pytest.raises(BudgetError, match="at least 3 evaluations"):
        fit(Plan((DPMSolver3(),)), 2, spacing)


# ------------------------------------------------------------------------------------ k-diffusion


def test_dpm_fast(k_sampling: Any) -> None:
    calls = []

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        calls.append(len(x))
        return PROBLEM.x0(x, float(sigma[0]))

    worst = 0.0
    for nfe in range(1, 26):
        calls.clear()
        theirs = k_sampling.sample_dpm_fast(denoise, X, 0.05, 10.0, nfe, disable=True)
        ours = solve(PROBLEM, X, spacing, DPMSolverFast(nfe), nfe=nfe)
        assert ours.nfe == len(calls) == nfe
        worst = max(worst, float((ours.x - theirs).abs().max()))
    print(f"dpm_fast, 1 to 25 evaluations: {worst:.1e}")
    assert worst < 1e-10


def test_dpm_fast_is_not_it_on_another_grid(k_sampling: Any) -> None:
    """Its grid is part of it, so that the test above can fail."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return PROBLEM.x0(x, float(sigma[0]))

    theirs = k_sampling.sample_dpm_fast(denoise, X, 0.05, 10.0, 15, disable=True)
    ours = solve(PROBLEM, X, karras(6, 10, 0.05), DPMSolverFast(15)).x
    assert (ours - theirs).abs().max() > 1e-4
