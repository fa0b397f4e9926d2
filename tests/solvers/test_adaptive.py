"""torchdiffeq's and SciPy's methods: tolerances, exact flows, rejections, and max_nfe."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from flowsolve import (
    LOG_SIGMA,
    SIGMA,
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    Grid,
    Solver,
    karras,
    log_snr,
    solve,
)
from flowsolve.errors import BudgetError, StateError
from flowsolve.problems import Gaussian, Mixture, Mixture1D
from flowsolve.schedule.variable import Variable
from flowsolve.study import Study, convergence
from flowsolve_solvers import RK4, Scipy, Torchdiffeq

PROBLEMS = [Mixture1D(sigma_max=1.0, sigma_min=0.2), Mixture(sigma_max=1.0, sigma_min=0.2)]
SPACINGS = [karras, log_snr]


def agrees(result: Study, order: int) -> bool:
    slope = result.slope()
    return abs(slope.order - order) < 0.2 and slope.settled


@pytest.mark.parametrize("variable", [SIGMA, LOG_SIGMA], ids=repr)
@pytest.mark.parametrize("method", ["rk4", "midpoint"])
def test_torchdiffeq_fixed_grid(method: str, variable: Variable) -> None:
    """Its rk4, the 3/8 rule, settles later than the classical one: 3.3, 3.6, 3.8, 3.9, 3.96."""
    solver = Torchdiffeq(method, variable=variable)
    assert not solver.adaptive
    for spacing in SPACINGS:
        result = convergence(solver, PROBLEMS[0], steps=(80, 160, 320), spacing=spacing)
        assert agrees(result, solver.order), f"declared {solver.order}, measured:\n{result}"


WIDE = Mixture1D()
X = WIDE.start(range(8), torch.float64)
BOTH_ENDS = Grid((WIDE.sigma_max, WIDE.sigma_min))


def error(solver: Solver, x: Tensor, grid: Grid) -> float:
    exact = WIDE.flow(x, grid[0], grid[-1])
    return float((solve(WIDE, x, grid, solver).x - exact).abs().max() / exact.abs().max())


@pytest.mark.parametrize("variable", [SIGMA, LOG_SIGMA], ids=repr)
@pytest.mark.parametrize("method", ["DOP853", "RK45", "LSODA"])
def test_scipy_meets_the_quantile_map(method: str, variable: Variable) -> None:
    solver = Scipy(method, rtol=1e-12, atol=1e-12, variable=variable)
    assert solver.adaptive
    assert error(solver, X, BOTH_ENDS) < 1e-9
    data = WIDE.flow(X, *BOTH_ENDS)
    assert error(solver, data, BOTH_ENDS.reversed()) < 1e-9
    levels = solve(WIDE, X, karras(7, 10, 0.05), solver, keep=1)  # off the interpolants
    for point in levels.path:
        exact = WIDE.flow(X, 10, point.sigma)
        torch.testing.assert_close(point.x, exact, rtol=1e-8, atol=1e-8)


def test_rk4_meets_the_quantile_map() -> None:
    assert error(RK4(LOG_SIGMA), X, log_snr(640, 10, 0.05)) < 1e-8


ADAPTIVE = [
    Torchdiffeq(method, variable=variable)
    for method in ("dopri5", "bosh3", "dopri8", "adaptive_heun")
    for variable in (SIGMA, LOG_SIGMA)
]
# evaluations a trial; each first step size costs 2 more
STAGES = {"dopri5": 6, "bosh3": 3, "dopri8": 13, "adaptive_heun": 1, "RK45": 6, "DOP853": 12}


@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
@pytest.mark.parametrize("solver", [*ADAPTIVE, Scipy("RK45"), Scipy()], ids=repr)
def test_adaptive_errors_follow_the_tolerance(solver: Torchdiffeq | Scipy, up: bool) -> None:
    grid = BOTH_ENDS.reversed() if up else BOTH_ENDS
    x = WIDE.flow(X, *BOTH_ENDS) if up else X
    errors, costs = [], []
    for tol in (1e-2, 1e-3, 1e-4) if solver.order == 2 else (1e-3, 1e-5, 1e-7):
        run = type(solver)(solver.method, tol, tol, solver.variable)
        answer = solve(WIDE, x, grid, run)
        trials = answer.stats["accepted"] + answer.stats["rejected"]
        assert answer.stats["accepted"] > 0
        assert answer.nfe == 2 + STAGES[solver.method] * trials
        errors.append(error(run, x, grid))
        costs.append(answer.nfe)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1 * errors[0]
    assert costs == sorted(set(costs))


@pytest.mark.parametrize("solver", [Torchdiffeq(variable=SIGMA), Scipy("RK45")], ids=repr)
def test_rejections_are_counted(solver: Torchdiffeq | Scipy) -> None:
    """Two near points: the flow bends suddenly where σ comes down to their distance."""
    stiff = Mixture1D(means=(-0.1, 0.1), deviations=(0.002, 0.002), sigma_min=0.001)
    grid = Grid((stiff.sigma_max, stiff.sigma_min))
    assert solve(stiff, X, grid, solver).stats["rejected"] > 0


@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
@pytest.mark.parametrize("max_nfe", [1, 20, 50])
@pytest.mark.parametrize("make", [Torchdiffeq, Scipy])
def test_max_nfe_holds_what_was_reached(
    make: type[Torchdiffeq | Scipy], max_nfe: int, up: bool
) -> None:
    grid = karras(5, 10, 0.05)
    solver = make(rtol=1e-9, atol=1e-9, max_nfe=max_nfe)
    with pytest.raises(BudgetError, match=f"max_nfe = {max_nfe} ran out") as caught:
        solve(WIDE, X, grid.reversed() if up else grid, solver, keep=1)
    partial = caught.value.partial
    assert partial is not None
    assert partial.nfe == max_nfe
    assert partial.x.isfinite().all()
    reached = partial.grid[-1]
    assert 0.05 <= reached <= 10
    if reached != partial.grid[0]:  # a state of the trajectory, not of some stage
        exact = WIDE.flow(X, partial.grid[0], reached)
        torch.testing.assert_close(partial.x, exact, rtol=1e-6, atol=1e-6)


def test_gaussian_agrees_with_its_closed_form() -> None:
    """One Gaussian is linear: its flow and DOP853 know nothing of each other."""
    problem = Gaussian()
    x = problem.start(range(8), torch.float64)
    got = solve(problem, x, [10, 0.05], Scipy(rtol=1e-12, atol=1e-12)).x
    torch.testing.assert_close(got, problem.flow(x, 10, 0.05), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("wanted", ["of the state", "of the network"])
def test_scipy_says_that_it_gives_no_gradient(wanted: str) -> None:
    """Without a word it would have given none; where none is wanted, grad=True is as good as False."""
    weight = torch.tensor(0.3, dtype=torch.float64, requires_grad=wanted == "of the network")
    ode = DiffusionODE(lambda x, t: weight * x, EpsPrediction(VPSDE()))
    x = torch.ones(2, 3, dtype=torch.float64, requires_grad=wanted == "of the state")
    with pytest.raises(
        StateError, match=r"Scipy\(\) gives no gradient: SciPy integrates outside of torch"
    ):
        solve(ode, x, [10, 1], Scipy(), grad=True)
    plain = solve(ode, x, [10, 1], Scipy()).x
    assert not plain.requires_grad
    with torch.no_grad():
        assert torch.equal(solve(ode, x, [10, 1], Scipy(), grad=True).x, plain)
    free = DiffusionODE(lambda x, t: 0.3 * x, EpsPrediction(VPSDE()))
    assert torch.equal(solve(free, x.detach(), [10, 1], Scipy(), grad=True).x, plain)
