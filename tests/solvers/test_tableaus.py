"""Runge-Kutta by tableau: orders from the conditions, the papers' classes as rows, SciPy's coefficients."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import DOP853, RK23, RK45, OdeSolver

from flowsolve import (
    DATA,
    FLOW,
    LOG_SIGMA,
    NOISE,
    SIGMA,
    VELOCITY,
    Grid,
    Solver,
    karras,
    log_snr,
    sample,
    solve,
    tabulate,
)
from flowsolve.errors import StateError
from flowsolve.integrate.cost import cost
from flowsolve.problems import Mixture, Mixture1D
from flowsolve.schedule import FlowTime, Phi, Theta, Variable
from flowsolve.solver import Chart, Flow, phi
from flowsolve.study import convergence
from flowsolve_solvers import (
    BOGACKI_SHAMPINE,
    BUTCHER6,
    COX_MATTHEWS,
    DORMAND_PRINCE5,
    DORMAND_PRINCE8,
    HEUN2,
    HEUN3,
    HOCHBRUCK_OSTERMANN,
    KROGSTAD,
    KUTTA3,
    KUTTA4,
    MIDPOINT2,
    RALSTON2,
    RALSTON3,
    RES2S,
    RES3S,
    RK4,
    STREHMEL_WEINER,
    THREE_EIGHTHS,
    DPMSolver2,
    DPMSolver3,
    DPMSolverPP2S,
    ExponentialTableau,
    FlowHeun,
    Heun,
    Midpoint,
    RFSolver,
    RungeKutta,
    Tableau,
    stiff_order,
)
from flowsolve_solvers.exponential_tableau import M, dpm_solver_2, dpm_solver_3, res_2s, res_3s
from flowsolve_solvers.tableau import trees

IRREGULAR = Grid([14.6, 9.1, 8.8, 3.0, 1.7, 0.9, 0.85, 0.31, 0.12, 0.05], "irregular")
GRIDS = [IRREGULAR, karras(6, 80, 0.002)]
ORDERS = {
    MIDPOINT2: (2, None),
    HEUN2: (2, 1),
    RALSTON2: (2, None),
    KUTTA3: (3, None),
    HEUN3: (3, None),
    RALSTON3: (3, None),
    BOGACKI_SHAMPINE: (3, 2),
    KUTTA4: (4, None),
    THREE_EIGHTHS: (4, None),
    DORMAND_PRINCE5: (5, 4),
    BUTCHER6: (6, None),
    DORMAND_PRINCE8: (8, 5),
}
HIGH = [RungeKutta(t) for t in (DORMAND_PRINCE5, BUTCHER6, DORMAND_PRINCE8)]


def same(one: Solver, other: Solver, grid: Grid) -> bool:
    a, b = tabulate(one, grid).matrix, tabulate(other, grid).matrix
    return bool(abs(a - b).max() <= 1e-12 * abs(b).max())


# ------------------------------------------------------------------------------- orders


def test_there_are_as_many_trees_as_known() -> None:
    assert [len(trees(n)) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]


@pytest.mark.parametrize(("tableau", "orders"), ORDERS.items(), ids=lambda x: repr(x))
def test_the_order_follows_from_butchers_conditions(
    tableau: Tableau, orders: tuple[int, int | None]
) -> None:
    assert (tableau.order, tableau.lower_order) == orders


def test_a_wrong_coefficient_lowers_the_order() -> None:
    assert Tableau("off", KUTTA4.a, (1 / 6, 2 / 6, 2 / 6 + 1e-6, 1 / 6 - 1e-6)).order == 1
    with pytest.raises(ValueError, match=r"Tableau lost: the weights b sum to 0.97619"):
        Tableau("lost", KUTTA4.a, (1 / 6, 2 / 6, 2 / 6, 1 / 7))
    assert Tableau("decimals", KUTTA3.a, (0.1667, 0.6667, 0.1666)).order == 1
    a = (*BUTCHER6.a[:4], (0.0, 9 / 8, -3 / 8, -3 / 4 + 1e-8, 1 / 2 - 1e-8), BUTCHER6.a[5])
    assert Tableau("off", a, BUTCHER6.b).order == 2


@pytest.mark.parametrize(
    ("tableau", "method", "a", "b", "estimate"),
    [
        (BOGACKI_SHAMPINE, RK23, RK23.A, RK23.B, RK23.E),
        (DORMAND_PRINCE5, RK45, RK45.A, RK45.B, RK45.E),
        (DORMAND_PRINCE8, DOP853, DOP853.A, DOP853.B, DOP853.E5),
    ],
    ids=["23", "45", "853"],
)
def test_coefficients_are_scipys(
    tableau: Tableau, method: type[OdeSolver], a: np.ndarray, b: np.ndarray, estimate: np.ndarray
) -> None:
    stages = len(b)
    for i in range(1, stages):
        assert tableau.a[i - 1] == pytest.approx(a[i, :i], abs=1e-15)
    assert tableau.b[:stages] == pytest.approx(b, abs=1e-15)
    assert tableau.c[:stages] == pytest.approx(method.C, abs=1e-14)
    assert tableau.lower is not None
    off = np.subtract(tableau.b, tableau.lower)
    assert abs(off) == pytest.approx(abs(estimate[: len(off)]), abs=1e-15)


@pytest.mark.parametrize(
    ("solver", "start", "end", "steps"),
    [
        (RungeKutta(BUTCHER6), 4.0, 0.05, (40, 80, 160)),
        (RungeKutta(BUTCHER6, VELOCITY, Phi()), 4.0, 0.05, (40, 80, 160)),
        (RungeKutta(DORMAND_PRINCE5, VELOCITY, Phi()), 10.0, 0.02, (80, 160, 320)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("spacing", [karras, log_snr])
@pytest.mark.parametrize("problem", [Mixture1D, Mixture])
def test_measured_high_orders(solver, start, end, steps, spacing, problem) -> None:
    study = convergence(
        solver,
        problem(sigma_max=start, sigma_min=end),
        steps=steps,
        spacing=spacing,
        seeds=range(8),
    )
    above = (
        0.4 if solver.order == 5 else 0.2
    )  # its error terms of order 6 outweigh those of order 5
    assert solver.order - 0.2 < study.order() < solver.order + above, str(study)


def test_order_8_as_far_as_float64_shows_it() -> None:
    """20 and 40 steps err by 4e-9 and 8e-12; 80 by round-off."""
    problem = Mixture1D(sigma_max=4.0, sigma_min=0.05)
    for chart, variable in ((NOISE, SIGMA), (VELOCITY, Phi())):
        solver = RungeKutta(DORMAND_PRINCE8, chart, variable)
        rows = convergence(solver, problem, steps=(20, 40), spacing=karras, seeds=range(8)).rows
        assert math.log2(rows[0].rmse / rows[1].rmse) > 7.8


@pytest.mark.parametrize(
    ("tableau", "order", "stiff"),
    [
        (COX_MATTHEWS, 4, 2),
        (KROGSTAD, 4, 3),
        (STREHMEL_WEINER, 4, 3),
        (HOCHBRUCK_OSTERMANN, 4, 4),
        (dpm_solver_2(), 2, 2),
        (dpm_solver_3(), 3, 3),
        (dpm_solver_3(0.4, 0.9), 2, 2),
        (res_2s(0.8), 2, 2),
        (res_3s(), 3, 3),
        (res_3s(0.5, 1.0), 3, 3),
    ],
    ids=repr,
)
def test_stiff_orders(tableau: ExponentialTableau, order: int, stiff: int) -> None:
    """As Hochbruck and Ostermann found them: 2, 3, 3 and 4 for the methods of order 4."""
    assert (tableau.order, stiff_order(tableau)) == (order, stiff)


@pytest.mark.parametrize(
    "tableau",
    [
        COX_MATTHEWS,
        KROGSTAD,
        STREHMEL_WEINER,
        HOCHBRUCK_OSTERMANN,
        dpm_solver_3(),
        res_3s(0.4, 0.8),
    ],
    ids=repr,
)
def test_where_u_is_tau_an_exponential_tableau_is_a_classical_one_of_its_order(
    tableau: ExponentialTableau,
) -> None:
    *a, b = tableau.weights(NOISE, SIGMA, 1.0, 2.0)
    assert Tableau("limit", tuple(a), b).order == tableau.order


def test_the_published_res_3s_of_res4lyf_has_order_2_but_at_1() -> None:
    """c₃³ for c₃² in γ: right at c₃ = 1 only."""
    for c3, expected in ((1.0, 3), (0.8, 2)):
        right = res_3s(0.5, c3)
        gamma = (3 * c3**3 - 2 * c3) / (0.5 * (2 - 3 * 0.5))
        b3 = M(2) * (1 / (gamma * 0.5 + c3))
        wrong = ExponentialTableau("res4lyf", right.c, right.a, (b3 * gamma, b3), 3)
        assert stiff_order(wrong) == expected
        study = convergence(
            RungeKutta(wrong, DATA, LOG_SIGMA),
            Mixture1D(sigma_max=1.0, sigma_min=0.2),
            steps=(40, 80, 160),
            spacing=log_snr,
            seeds=range(8),
        )
        assert abs(study.order() - expected) < 0.2, str(study)


def test_the_coefficients_of_krogstad_as_printed() -> None:
    """φ at -h, in the data chart."""
    s, t = 2.0, 0.7
    h = math.log(s / t)
    rows = KROGSTAD.weights(DATA, LOG_SIGMA, s, t)
    m = math.sqrt(s * t)
    half = [phi(k, -h / 2) * h for k in range(4)]
    whole = [phi(k, -h) * h for k in range(4)]
    printed = [
        (half[1] / 2,),
        (half[1] / 2 - half[2], half[2]),
        (whole[1] - 2 * whole[2], 0.0, 2 * whole[2]),
        (
            whole[1] - 3 * whole[2] + 4 * whole[3],
            2 * whole[2] - 4 * whole[3],
            2 * whole[2] - 4 * whole[3],
            -whole[2] + 4 * whole[3],
        ),
    ]
    for level, row, expected in zip((m, m, t, t), rows, printed, strict=True):
        assert [level * w for w in row] == pytest.approx(expected, abs=1e-14)


# --------------------------------------------------------------------- the papers' classes


@pytest.mark.parametrize("grid", GRIDS, ids=["irregular", "karras"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (RungeKutta(HEUN2), Heun()),
        (RungeKutta(MIDPOINT2), Midpoint()),
        (RungeKutta(), RK4()),
        (RungeKutta(KUTTA4, NOISE, LOG_SIGMA), RK4(LOG_SIGMA)),
        (RungeKutta(HEUN2, FLOW, FlowTime()), FlowHeun()),
        (RungeKutta(dpm_solver_2(), NOISE, LOG_SIGMA), DPMSolver2()),
        (RungeKutta(dpm_solver_2(0.8), NOISE, LOG_SIGMA), DPMSolver2(r=0.8)),
        (RungeKutta(dpm_solver_2(0.8), DATA, LOG_SIGMA), DPMSolverPP2S(r=0.8)),
        (RungeKutta(dpm_solver_3(0.4, 0.9), NOISE, LOG_SIGMA), DPMSolver3(0.4, 0.9)),
        (RungeKutta(res_2s(0.8), DATA, LOG_SIGMA), RES2S(0.8)),
        (RungeKutta(res_3s(), DATA, LOG_SIGMA), RES3S()),
        (RungeKutta(res_3s(0.4, 0.8), DATA, LOG_SIGMA), RES3S(0.4, 0.8)),
        *((RungeKutta(t), RK4()) for t in (KROGSTAD, COX_MATTHEWS)),
        *(
            (RungeKutta(KROGSTAD, chart, own), RungeKutta(KUTTA4, chart, own))
            for chart, own in ((FLOW, FlowTime()), (VELOCITY, Theta()), (Flow(0.5), FlowTime(0.5)))
        ),
    ],
    ids=repr,
)
def test_identities(one: Solver, other: Solver, grid: Grid) -> None:
    assert same(one, other, grid)


def test_rf_solver_as_printed() -> None:
    """Wang et al. 2024: a step to the middle of the time, whose velocity is taken for the whole step."""
    problem, grid = Mixture(), log_snr(7, 40, 0.05)
    x = problem.start(range(4), torch.float64)
    y, time = x / (1 + grid[0]), [s / (1 + s) for s in grid]

    def velocity(y: torch.Tensor, time: float) -> torch.Tensor:
        sigma = time / (1 - time)
        eps = problem.eps(y * (1 + sigma), sigma)
        return eps - (y * (1 + sigma) - sigma * eps)

    for a, b in pairwise(time):
        half = y + (b - a) / 2 * velocity(y, a)
        y = y + (b - a) * velocity(half, (a + b) / 2)
    found = solve(problem, x, grid, RFSolver()).x
    assert torch.allclose(found, y * (1 + grid[-1]), rtol=1e-12, atol=1e-12)


# --------------------------------------------------------------------------- ends and costs


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("tableau", [*ORDERS, KROGSTAD, HOCHBRUCK_OSTERMANN], ids=repr)
def test_evaluations(tableau: Tableau, steps: int) -> None:
    """One for each stage, but for a last one that is made at the new state."""
    stages = len(tableau.c) - (tableau in (BOGACKI_SHAMPINE, DORMAND_PRINCE5))
    assert cost(RungeKutta(tableau), karras(steps, 10, 0.1)) == steps * stages


@pytest.mark.parametrize(
    ("tableau", "chart", "variable"),
    [
        (MIDPOINT2, FLOW, FlowTime()),
        (RALSTON3, VELOCITY, Theta()),
        (res_2s(), FLOW, Phi()),
        (dpm_solver_3(), VELOCITY, Phi()),
    ],
)
def test_steps_from_infinity_and_to_zero(
    tableau: Tableau, chart: Chart, variable: Variable
) -> None:
    """On its own: no step is DDIM's, and the order holds up to the ends."""
    problem = Mixture1D()
    solver = RungeKutta(tableau, chart, variable, to_zero=True)
    assert solver.leaves_infinity
    assert solver.reaches_zero
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    errors = []
    for n in (16, 32, 256):
        ends = (variable.tau(math.inf), variable.tau(0.0))
        inner = [ends[0] + (ends[1] - ends[0]) * i / n for i in range(1, n)]
        grid = Grid([math.inf, *map(variable.sigma, inner), 0.0], "whole")
        solution = sample(problem, noise, grid, solver)
        assert solution.nfe == n * len(tableau.c)
        errors.append(solution.x)
    one, two = ((x - errors[-1]).square().mean().sqrt() for x in errors[:2])
    assert math.log2(one / two) > solver.order - 0.4


def test_a_stage_at_zero_or_a_weight_without_limit_is_left_to_ddim() -> None:
    assert not RungeKutta(MIDPOINT2, FLOW, Phi()).leaves_infinity  # du/dτ at ∞ is not a number
    assert not RungeKutta(MIDPOINT2).reaches_zero  # networks know no level below the grid's
    assert RungeKutta(MIDPOINT2, to_zero=True).reaches_zero
    for wrong in ((HEUN2, FLOW, FlowTime()), (MIDPOINT2, FLOW, Phi()), (MIDPOINT2, DATA, SIGMA)):
        with pytest.raises(
            ValueError, match=r"RungeKutta: to_zero needs a tableau without a stage"
        ):
            RungeKutta(*wrong, to_zero=True)


@pytest.mark.parametrize("solver", HIGH, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_high_orders_in_half_precision(solver: Solver, dtype: torch.dtype) -> None:
    problem = Mixture()
    x = problem.start(range(16), torch.float64)
    grid = karras(8, problem.sigma_max, problem.sigma_min)
    exact = solve(problem, x, grid, solver).x
    low = solve(problem, x.to(dtype), grid, solver).x
    assert low.dtype == dtype
    assert (low.double() - exact).square().mean().sqrt() < 0.1


@pytest.mark.parametrize("solver", HIGH, ids=repr)
def test_high_orders_do_not_depend_on_the_batch(solver: Solver) -> None:
    problem, grid = Mixture(), karras(3, 10, 0.1)
    x = problem.start(range(5), torch.float64)
    one = torch.cat([solve(problem, part[None], grid, solver).x for part in x])
    assert torch.allclose(solve(problem, x, grid, solver).x, one, rtol=1e-12, atol=1e-13)


# ------------------------------------------------------------------------------- wrong ones


def test_wrong_tableaus() -> None:
    with pytest.raises(ValueError, match=r"Tableau short: the rows of a have 1, 2, 3, ... weights"):
        Tableau("short", ((0.5,), (0.5,)), (0.0, 0.5, 0.5))
    with pytest.raises(ValueError, match=r"all finite"):
        Tableau("nan", ((math.nan,),), (0.5, 0.5))
    with pytest.raises(ValueError, match=r"rows have \[1, 2, 3\]"):
        Tableau("lower", ((1.0,),), (0.5, 0.5), lower=(1.0, 0.0, 0.0))
    with pytest.raises(ValueError, match=r"ExponentialTableau far: c starts with 0 and goes to 1"):
        ExponentialTableau("far", (0.0, 1.5), ((),), (M(1),), 1)
    with pytest.raises(StateError, match=r"RungeKutta: tableau must be one such as KUTTA4 or KROG"):
        RungeKutta("kutta3")  # type: ignore[arg-type]
