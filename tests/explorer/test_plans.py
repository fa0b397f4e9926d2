"""What the browser replays is what Python solves: every exported plan, and every method of the library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flowsolve import ODE, Grid, Solver, karras, sample, solve, tabulate, unit_noise
from flowsolve.analysis.stages import recurrence
from flowsolve.errors import StateError, TableError
from flowsolve.explorer import SCENES, export, methods, own, page
from flowsolve.explorer.plans import cases, packed
from flowsolve.explorer.scenes import SIGMA_MAX, SIGMA_MIN
from flowsolve.explorer.sprites import shipped
from flowsolve_solvers import ALL, STOCHASTIC, TWO_STATE, GaussianStart, Heun, Scipy
from tests.explorer.helpers import Drawn, Jobs, largest, needs_node, ode_of, start
from tests.helpers import says

TOLERANCE = 1e-12  # of the RMS of the state
KARRAS = karras(6, SIGMA_MAX, SIGMA_MIN)


def wrong(jobs: Jobs, folder: Path, tolerance: float = TOLERANCE) -> dict[tuple[Any, ...], float]:
    """By method, grid, schedule and n, what differs by more."""
    return {
        tuple(map(job.get, ("method", "grid", "schedule", "n"))): off
        for job, found, expected in jobs.done(folder)
        if not (off := largest(found, expected)) <= tolerance
    }


@needs_node
def test_every_plan(tmp_path: Path) -> None:
    """All methods, grids, schedules and numbers of steps, on 64 samples, with Python's noises."""
    data = export()
    jobs, scenes = (
        Jobs(data),
        cycle([(name, ode_of(name), start(name)) for name in ("modes2", "three")]),
    )
    for method in methods():
        for _, key, n, solver, grid in cases(method):
            name, ode, x = next(scenes)
            drawn = Drawn(ode)
            end = solve(drawn, x, grid, solver).x
            at, schedule = [*key.split("|")[1:], *("karras", "linear")[key.count("|") :]]
            asked = {"method": method.key, "grid": at, "schedule": schedule, "n": n}
            jobs.add("plan", end, scene=name, x=x, draws=drawn.all, **asked)
    assert len(jobs.jobs) == sum(map(len, data["plans"].values())) > 1800
    assert len(page.page(data | {"sprites": shipped()}).encode()) < 1.5e6
    assert not wrong(jobs, tmp_path)


def of(solvers: list[Solver], grid: Grid = KARRAS) -> dict[str, Any]:
    """Data with the methods m0, m1, ... on one grid."""
    plans = {f"m{i}|karras": {6: packed(recurrence(s, grid))} for i, s in enumerate(solvers)}
    return {**export([]), "levels": {"karras": {6: [*grid]}}, "plans": plans}


@needs_node
def test_every_method_of_the_library(tmp_path: Path) -> None:
    solvers = [*ALL, *TWO_STATE, *STOCHASTIC]
    jobs, x = Jobs(of(solvers)), start("modes2")
    for i, solver in enumerate(solvers):
        drawn = Drawn(ode_of("modes2"))
        end = solve(drawn, x, KARRAS, solver).x
        jobs.add("plan", end, method=f"m{i}", grid="karras", schedule="linear", n=6, scene="modes2",
                 x=x, draws=drawn.all)  # fmt: skip
    assert not {solvers[int(key[0][1:])]: off for key, off in wrong(jobs, tmp_path).items()}


@needs_node
def test_a_plan_that_is_off_by_a_billionth_is_found(tmp_path: Path) -> None:
    data, x = of([Heun()]), start("modes2")
    data["plans"]["m0|karras"][6][2][4][6][1] *= 1 + 1e-9
    jobs = Jobs(data)
    end = solve(ode_of("modes2"), x, KARRAS, Heun()).x
    jobs.add("plan", end, method="m0", grid="karras", schedule="linear", n=6, scene="modes2", x=x,
             draws=x[:0])  # fmt: skip
    assert wrong(jobs, tmp_path)


@needs_node
def test_tables_and_nodes(tmp_path: Path) -> None:
    """The table is `tabulate`'s. A method's path is its own, and of UniPC the states that it evaluated."""
    chosen = [m for m in methods() if not m.on("linear").stochastic]
    jobs, x = Jobs(export(chosen, steps=(6,))), start("three", 4)
    for method in chosen:
        _, _, _, solver, grid = next(cases(method, (6,)))
        asked = {"method": method.key, "grid": "karras", "schedule": "linear", "n": 6}
        jobs.add("table", tabulate(solver, grid).matrix, **asked)
        if method.key not in ("unipc", "default"):
            nodes = solve(ode_of("three"), x, grid, solver, keep=1).path
            rows = [[p.sigma, *p.x.ravel().tolist()] for p in nodes]
            jobs.add("path", np.array(rows), scene="three", x=x, **asked)
    assert not wrong(jobs, tmp_path)
    per_step = {"heun": 2, "midpoint": 2, "dpm2": 2, "dpmpp_2s": 2, "dpm3": 3, "rk4": 4}
    plans = jobs.data["plans"]
    for key in [m.key for m in chosen if m.key != "default"]:
        name = next(k for k in plans if k.startswith(f"{key}|karras"))
        assert plans[name][6][0] == [per_step.get(key, 1) * i for i in range(7)]


def test_the_default_is_what_sample_takes() -> None:
    """All scenes have the scales that the export takes for theirs."""
    (method,) = (m for m in methods() if m.key == "default")
    for found in SCENES:
        problem = found.problem()
        assert vars(problem.scales) == pytest.approx({"std": 1, "top": 1}, abs=1e-12)
        assert torch.as_tensor(problem.data().mean(0)).abs().max() < 0.1
        noise = unit_noise(range(8), problem.event, torch.float64)
        for n in (4, 8, 20):
            _, _, _, solver, grid = next(cases(method, (n,)))
            taken = sample(problem, noise, nfe=n)
            assert taken.nfe == n
            other = solve(problem, noise * SIGMA_MAX, grid, solver).x
            torch.testing.assert_close(taken.x, other, rtol=1e-10, atol=1e-10)


@dataclass(frozen=True, repr=False)
class Clipping(Solver):
    """Euler with a clipped ε."""

    order = 1

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        for s, t in pairwise(grid):
            x = x + (t - s) * ode.eps(x, s).clamp(-0.5, 0.5)
            yield x


def test_a_solver_of_ones_own() -> None:
    data = export([own(Heun(), 2)], steps=(3,))
    (about,) = data["methods"]
    assert (about["key"], about["label"], about["family"]) == ("own2", "Heun()", "your own")
    assert (about["order"], about["perStep"], about["stochastic"], about["free"]) == (
        2,
        2,
        False,
        False,
    )
    assert [*data["plans"]] == [
        "own2|karras", "own2|log_snr", "own2|quadratic|linear",
        "own2|uniform|linear", "own2|uniform|cosine", "own2|uniform|flow",
    ]  # fmt: skip


def test_what_has_no_recurrence_is_refused() -> None:
    says(TableError, "the explorer replays a method from numbers: Scipy() chooses its steps from the "
         "values it sees", lambda: own(Scipy()))  # fmt: skip
    says(TableError, "the explorer replays a method from numbers: Clipping() gives other weights for other "
         "values", lambda: own(Clipping()))  # fmt: skip
    matrices = GaussianStart(Heun(), mean=torch.zeros(2), covariance=torch.eye(2))
    says(TableError, "the explorer replays a method from numbers: the weights of GaussianStart are matrices",
         lambda: own(matrices))  # fmt: skip
    says(StateError, "solver must be an instance, not the class Heun", lambda: own(Heun))  # type: ignore[arg-type]
