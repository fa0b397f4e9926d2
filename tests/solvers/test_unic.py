"""UniC around other methods: UniPC, the order, what it costs, and which methods it takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flowsolve import (
    DATA,
    FLOW,
    LOG_SIGMA,
    NOISE,
    ODE,
    SIGMA,
    Grid,
    OneStep,
    Phi,
    Solver,
    karras,
    log_snr,
    sample,
    solve,
    tabulate,
)
from flowsolve.integrate.cost import cost
from flowsolve.problems import Mixture, Mixture1D
from flowsolve.solver import make_solver
from flowsolve.study import convergence
from flowsolve.study.certificate import measuring_steps
from flowsolve_solvers import (
    AFS,
    IPNDM,
    LMS,
    PLMS,
    RK4,
    STORK,
    Adams,
    DDIMEta,
    DPMSolver2,
    DPMSolver3,
    DPMSolverPP2M,
    DPMSolverPPM,
    Euler,
    FireFlow,
    Heun,
    Plan,
    PublishedDPMSolver,
    UniC,
    UniPC,
)
from tests.helpers import Asked, says

PROBLEM = Mixture(sigma_max=14.6, sigma_min=0.05)
GRID = Grid([14.6, 9.1, 8.8, 3.0, 1.7, 0.9, 0.85, 0.31, 0.12, 0.05])
X = PROBLEM.start(range(8), torch.float64)


@pytest.mark.parametrize("points", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("chart", "options"),
    [(DATA, {}), (NOISE, {}), (FLOW, {"variable": Phi()}), (DATA, {"guard": None})],
    ids=["data", "noise", "flow", "no guard"],
)
def test_around_adams_it_is_unipc(points: int, chart: Any, options: dict[str, Any]) -> None:
    variable = options.get("variable", LOG_SIGMA)
    guard = {k: v for k, v in options.items() if k == "guard"}
    ours = UniC(Adams(points, chart, variable, **guard), points, chart, **options)
    theirs = UniPC(points, chart, **options)
    for grid in (GRID, karras(5, 80, 0.002)):
        a, b = (tabulate(s, grid).matrix for s in (ours, theirs))
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * grid[0])
    assert ours.order == theirs.order


def test_euler_and_one_point_by_hand() -> None:
    """x_t = x_s + ∫ P dσ, P the line in σ through ε_s and the ε at Euler's x_t, which is ε_t from then on."""
    x, eps = X, PROBLEM.eps(X, GRID[0])
    for s, t in pairwise(GRID[:-1]):
        new = PROBLEM.eps(x + (t - s) * eps, t)
        x, eps = x + (t - s) * (eps + new) / 2, new
    x = x + (GRID[-1] - GRID[-2]) * eps
    found = solve(PROBLEM, X, GRID, UniC(Euler(), 1, NOISE, variable=SIGMA)).x
    torch.testing.assert_close(found, x, rtol=1e-12, atol=1e-12)


AROUND = [
    (Euler(), 1, 2),
    (Euler(), 2, 2),
    (DPMSolver2(), 1, 2),
    (IPNDM(2), 2, 3),
    (PublishedDPMSolver(3, NOISE), 2, 3),
    (DPMSolverPPM(3, start=Heun()), 3, 3),
    (Adams(3, lower_order_final=True), 2, 2),
    (STORK(), 2, 3),
    (RK4(LOG_SIGMA), 1, 2),
]


@pytest.mark.parametrize(("method", "points", "order"), AROUND, ids=repr)
def test_order(method: Any, points: int, order: int) -> None:
    """One more than the method's where the points allow, fewer if they are fewer."""
    solver = UniC(method, points)
    assert solver.order == order
    problem = Mixture1D(sigma_max=1.0, sigma_min=0.2)
    steps = measuring_steps(solver)
    study = convergence(solver, problem, steps=steps, spacing=karras, seeds=range(8))
    assert abs(study.order() - order) < 0.2, study


@pytest.mark.parametrize("spacing", [karras, log_snr])
@pytest.mark.parametrize("problem", [Mixture1D, Mixture])
def test_around_dpm_solver_3_it_is_of_order_4(problem: Any, spacing: Any) -> None:
    """From 2 to 0.05. On the mixture from 1 to 0.2 with log_snr the slopes are 5.1, 3.7, 3.7 and 4.0 from 40
    steps on, and at 640 steps the error, 8e-13, is near that of the reference, 6e-13.
    """
    solver = UniC(DPMSolver3(), 3)
    study = convergence(
        solver,
        problem(sigma_max=2.0, sigma_min=0.05),
        steps=[160, 320, 480],
        spacing=spacing,
        seeds=range(8),
    )
    assert solver.order == 4
    assert abs(study.order() - 4) < 0.2, study


METHODS = [
    *(Euler(), Heun(), DPMSolver3(), LMS(3), LMS(3, start=Heun()), IPNDM(), PLMS()),
    *(DPMSolverPP2M(), PublishedDPMSolver(lower_order_final=True)),
]


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("points", [1, 3])
def test_it_costs_what_the_method_costs(method: Any, points: int) -> None:
    """One step to nine, with and without a step to σ = 0; none is asked twice at one level."""
    for n in range(1, 10):
        for grid in (karras(n, 10, 0.1), karras(n, 10, 0.1).to_zero()):
            assert cost(UniC(method, points), grid) == cost(method, grid)
    ode = Asked(PROBLEM)
    done = sample(ode, X / GRID[0], GRID.to_zero(), UniC(method, points))
    assert done.nfe == ode.calls == cost(method, GRID.to_zero())
    assert done.nfe == sample(PROBLEM, X / GRID[0], GRID.to_zero(), method).nfe


def test_a_method_of_lower_order_is_not_corrected() -> None:
    """One step, and the steps that have fewer points behind them than keep order 3."""
    for n in (1, 2):
        found, alone = (
            solve(PROBLEM, X, GRID.part(0, n), s).x for s in (UniC(DPMSolver3(), 3), DPMSolver3())
        )
        torch.testing.assert_close(found, alone, rtol=1e-12, atol=1e-12)
    later = [solve(PROBLEM, X, GRID, s).x for s in (UniC(DPMSolver3(), 3), DPMSolver3())]
    assert float((later[0] - later[1]).abs().max()) > 1e-6


def test_around_and_inside() -> None:
    """AFS takes its first answer from it; up a grid the corrector works as well."""
    solver = UniC(DPMSolverPP2M())
    assert solve(PROBLEM, X, GRID, AFS(solver)).nfe == GRID.steps - 1
    fine = karras(60, 10, 0.05)
    x = Mixture().start(range(8), torch.float64)
    down = solve(PROBLEM, x, fine, solver).x
    back = solve(PROBLEM, down, fine.reversed(), solver).x
    plain = solve(PROBLEM, down, fine.reversed(), DPMSolverPP2M()).x
    assert float((back - x).abs().max()) < float((plain - x).abs().max()) < 0.2


def test_a_method_of_ones_own() -> None:
    """Every OneStep goes on from the state that it is sent."""

    class Half(OneStep):
        order = 1

        def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
            return x.add(ode.eps(x, s), alpha=t - s)

    a, b = (solve(PROBLEM, X, GRID, UniC(m, 1)).x for m in (Half(), Euler()))
    torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_what_it_refuses() -> None:
    class Silent(Solver):
        """Does not look at what it is sent."""

        order = 1

        def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
            yield from Euler().steps(ode, x, grid)

    text = "UniC corrects a method without noise that goes on from the state it is sent (`Resumed`): one-step"
    for method in (Silent(), FireFlow(), Plan(), DDIMEta(), Euler, 3):
        says(TypeError, text, lambda method=method: UniC(method))  # type: ignore[misc]
    says(ValueError, "UniC has 1 to 8 points, a whole number", lambda: UniC(Euler(), 0))
    says(ValueError, "UniC: guard must be a number above 0", lambda: UniC(Euler(), guard=-1.0))
    assert make_solver(repr(UniC(DPMSolver2(0.8), 3))) == UniC(DPMSolver2(0.8), 3)


def test_ends() -> None:
    """σ = 0 as the method; σ = ∞ by DDIM, which needs no corrector."""
    assert UniC(Euler()).reaches_zero
    assert not UniC(Heun()).reaches_zero
    assert not UniC(Adams(2, FLOW, Phi()), chart=FLOW, variable=Phi()).leaves_infinity
    grid = Grid([math.inf, 8.0, 2.0, 0.5, 0.0])
    assert sample(PROBLEM, X / GRID[0], grid, UniC(Adams(2, FLOW, Phi()))).nfe == 4
