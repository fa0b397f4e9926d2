"""DPM-Solver-v3's chart and DC-Solver: what they are without their numbers, and by hand with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flowsolve import (
    DATA,
    FLOW,
    NOISE,
    VELOCITY,
    Grid,
    Replay,
    Solver,
    Table,
    karras,
    sample,
    solve,
    tabulate,
)
from flowsolve.analysis import EnginePlan, drive, engine_plan
from flowsolve.errors import StateError
from flowsolve.problems import Mixture
from flowsolve.schedule import LOG_SIGMA, VPSDE, ClockTime
from flowsolve.solver import Chart, Fitted, adams_weights, make_solver
from flowsolve_solvers import Adams, DCSolver, Heun, UniPC
from tests.helpers import says

P = Mixture(sigma_max=10.0, sigma_min=0.05)
X = P.start(range(8), torch.float64)
GRID = karras(7, 10.0, 0.05)
V3 = Fitted((0.6, 0.5, -0.1), (-0.5, 0.4, 0.1), 10.0, 0.05)
RATIOS = (1.0, 1.0, 0.8, 1.1, 0.95, 1.2, 0.9)


def far(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def chebyshev(f: Callable[[float], float], n: int = 60) -> tuple[float, ...]:
    """The series of f(σ) for Fitted's y between 10 and 0.05."""
    angles = [math.pi * (i + 0.5) / n for i in range(n)]
    values = [f(10 * math.exp((math.cos(a) - 1) * math.log(200) / 2)) for a in angles]
    return tuple(
        (2 - (k == 0)) / n * math.fsum(v * math.cos(k * a) for v, a in zip(values, angles, strict=True))
        for k in range(n)
    )  # fmt: skip


CASES: list[tuple[Chart, Callable[[float], float]]] = [
    (DATA, lambda s: 1.0),
    (NOISE, lambda s: 0.0),
    (VELOCITY, lambda s: s * s / (1 + s * s)),
    (FLOW, lambda s: s / (1 + s)),
]


@pytest.mark.parametrize("solver", [Adams(3), UniPC(3), Adams(4, start=Heun())], ids=repr)
@pytest.mark.parametrize(("chart", "share"), CASES, ids=["data", "noise", "velocity", "flow"])
def test_every_chart_is_a_fitted_one(
    chart: Chart, share: Callable[[float], float], solver: Adams | UniPC
) -> None:
    """With l = 1 and s = 0 it is DPM-Solver++, with l = 0 and s = -1 DPM-Solver."""
    series = chebyshev(share)
    fitted = Fitted(series, (series[0] - 1, *series[1:]), 10.0, 0.05)
    known = solve(P, X, GRID, replace(solver, chart=chart)).x
    assert far(solve(P, X, GRID, replace(solver, chart=fitted)).x, known) < 1e-12 * 10


def test_dpm_solver_v3_by_hand() -> None:
    """Two points, with the integrals of the paper as trapezoidal sums of 4000 intervals in λ."""
    n = 4000

    def linear(y: float) -> float:
        return 0.6 + 0.5 * y - 0.1 * (2 * y * y - 1)

    def growth(y: float) -> float:
        return -0.5 + 0.4 * y + 0.1 * (2 * y * y - 1)

    def sums(f: Callable[[float], float], a: float, b: float) -> list[float]:
        """∫_a^λ f dλ on the intervals from a to b."""
        h, out = (b - a) / n, [0.0]
        for i in range(n):
            out.append(out[-1] + h / 2 * (f(a + i * h) + f(a + (i + 1) * h)))
        return out

    def y(lam: float) -> float:
        return 1 - 2 * (lam + math.log(10)) / math.log(200)

    x, before = X, None
    for sigma, t in pairwise(karras(4, 10.0, 0.05)):
        here, end = -math.log(sigma), -math.log(t)
        h = (end - here) / n
        grown, left = (
            sums(lambda q: linear(y(q)), here, end),
            sums(lambda q: growth(y(q)), here, end),
        )
        f = sigma * P.eps(x, sigma) - linear(y(here)) * x
        e = [math.exp(a + b) for a, b in zip(grown, left, strict=True)]
        slope = torch.zeros_like(f)
        if before is not None:  # g = e^-S f, S from here
            back, f_back = before
            g = math.exp(-sums(lambda q: growth(y(q)), here, back)[-1]) * f_back
            slope = (f - g) / (here - back)
        area = h * (math.fsum(e) - (e[0] + e[-1]) / 2)
        ramp = [v * i * h for i, v in enumerate(e)]
        first = h * (math.fsum(ramp) - ramp[-1] / 2)
        x = math.exp(-grown[-1]) * (x - area * f - first * slope)
        before = here, f
    made = solve(P, X, karras(4, 10.0, 0.05), Adams(2, V3, LOG_SIGMA, guard=None)).x
    assert far(x, made) < 1e-6


def test_outside_its_levels_it_goes_on_evenly() -> None:
    wide = Fitted(V3.l, V3.s, 10.0, 0.05)
    for sigma in (0.01, 40.0):
        end = 10.0 if sigma > 1 else 0.05
        rate = wide.from_x0(end)[0] / wide.from_x0(end)[1]
        assert wide.from_x0(sigma)[0] / wide.from_x0(sigma)[1] == pytest.approx(rate, rel=1e-14)
        slope = math.log(wide.r(sigma) / wide.r(end)) / math.log(sigma / end)
        assert slope == pytest.approx(1 + rate, rel=1e-12)  # l = 1 - (1 - l), r = e^-L


def test_dc_solver_by_hand() -> None:
    """UniPC-2's steps of the authors' code on a list of values whose newest is replaced."""
    time = ClockTime(VPSDE())
    nodes, values, x = list[float](), list[Tensor](), X
    for i, t in enumerate(GRID):
        if i:
            if len(values) >= 3:
                tau = [time.tau(s) for s in nodes[:3]]
                at = RATIOS[i - 1] * tau[0] + (1 - RATIOS[i - 1]) * tau[1]
                values[0] = sum(
                    (
                        values[j]
                        * math.prod((at - tau[k]) / (tau[j] - tau[k]) for k in range(3) if k != j)
                        for j in range(3)
                    ),
                    torch.zeros_like(x),
                )
            k, s, x_s = min(2, len(nodes)), nodes[0], x
            w = adams_weights(DATA, LOG_SIGMA, tuple(nodes[:k]), s, t)
            x = DATA.advance(x_s, s, t, w, values[:k])
            if i == GRID.steps:
                break
        value = P.x0(x, t)
        if i:
            w = adams_weights(DATA, LOG_SIGMA, (t, *nodes[:k]), s, t)
            x = DATA.advance(x_s, s, t, w, [value, *values[:k]])
        nodes, values = [t, *nodes], [value, *values]
    made = solve(P, X, GRID, DCSolver(2, ratios=RATIOS, guard=None)).x
    assert far(made, x) < 1e-12 * 10


def test_with_ratios_of_one_it_is_unipc() -> None:
    for options in ({}, {"variant": "bh2", "lower_order_final": True, "guard": None}):
        made = solve(P, X, GRID, DCSolver(3, ratios=(1.0,) * 7, **options)).x  # type: ignore[arg-type]
        assert torch.equal(made, solve(P, X, GRID, UniPC(3, **options)).x)  # type: ignore[arg-type]


FITTED: list[Solver] = [Adams(3, V3), UniPC(3, V3), DCSolver(3, ratios=RATIOS)]


@pytest.mark.parametrize("solver", FITTED, ids=repr)
def test_tables_plans_and_texts(solver: Solver, tmp_path: Path) -> None:
    """Saved, loaded, replayed and driven as a plan it gives what it gives itself; 7 evaluations."""
    own = solve(P, X, GRID, solver)
    assert own.nfe == 7
    tabulate(solver, GRID).save(tmp_path / "table.json")
    replay = Replay(Table.load(tmp_path / "table.json"))
    assert far(solve(P, X, GRID, replay).x, own.x) < 1e-13 * 10
    engine_plan(replay, GRID).save(tmp_path / "plan.json")
    plan = EnginePlan.load(tmp_path / "plan.json")
    assert far(drive(P, X, plan.recurrence), own.x) < 1e-13 * 10
    assert far(drive(P, X, engine_plan(solver, GRID).recurrence), own.x) < 1e-13 * 10
    assert make_solver(repr(solver)) == solver


WRONG: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: Fitted((1.0,), (0.0,), 0.1, 1.0), StateError, "Fitted: need 0 < low < high < inf"),
    (lambda: Fitted((), (0.0,), 1.0, 0.1), StateError, "Fitted: l is a tuple of finite numbers"),
    (lambda: Fitted((1.0,), (math.nan,), 1.0, 0.1), StateError, "Fitted: s is a tuple of"),
    (lambda: DCSolver(ratios=[1.0]), ValueError, "DCSolver: ratios is a tuple"),  # type: ignore[arg-type]
    (lambda: DCSolver(degree=5), ValueError, "DCSolver has 1 to 4 points in its degree"),
]


@pytest.mark.parametrize(("make", "error", "text"), WRONG)
def test_wrong_numbers(make: Callable[[], object], error: type[Exception], text: str) -> None:
    says(error, text, make)


def test_grids_end_at_zero_by_a_ddim_step() -> None:
    for solver in FITTED:
        ended = sample(P, X / 10, Grid((*GRID, 0.0)), solver)
        assert ended.nfe == 8
        assert far(ended.x, sample(P, X / 10, GRID, solver).x) < 0.2  # σ from 0.05 to 0, 8 samples
