"""The error of a solver on a grid, against a certified reference: one row for a block of seeds."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from flowsolve.integrate.driver import solve
from flowsolve.study.cases import Case
from flowsolve.study.door import door
from flowsolve.study.references import Reference, reference
from flowsolve.study.results import Row
from flowsolve.study.runner import Task
from flowsolve.study.settings import Setup

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.problems.base import Problem


@dataclass(frozen=True, kw_only=True)
class ErrorRow(Row):
    """One solver on one grid for one block of seeds.

    asked      what was asked for: "nfe=10", "steps=40" or "tol=1e-05"
    nfe        evaluations counted, per sample;  forwards: network passes per sample
    rmse       √mean|x - reference|² over all values;  median, p90, max: of the per-sample RMS errors
    scale      the RMS of the reference;  ref_err: its own error;  certified: rmse >= 10 ref_err
    seconds    of the solve alone, the device synchronised
    """

    KEY = (*Row.KEY, "solver", "spacing", "asked", "sigma_max", "sigma_min", "seeds")

    solver: str
    order: int
    spacing: str
    asked: str
    sigma_max: float = math.nan
    sigma_min: float = math.nan
    seeds: str = ""
    samples: int = 0
    grid: str = ""
    grid_hash: str = ""
    steps: int = 0
    nfe: int = 0
    forwards: float = 0.0
    rmse: float = math.nan
    median: float = math.nan
    p90: float = math.nan
    max: float = math.nan
    scale: float = math.nan
    ref_err: float = math.nan
    certified: bool = False

    @property
    def fixed(self) -> bool:
        """Whether it was run on a fixed grid, not by an adaptive method."""
        return self.asked.startswith(("nfe=", "steps="))

    @property
    def name(self) -> str:
        return f"{self.solver}  {self.asked}"

    @property
    def result(self) -> str:
        return f"rmse {self.rmse:.3e}  nfe {self.nfe}  {self.seconds:.2f} s"


def error_tasks(cases: Sequence[Case], problem: Problem, run: Setup) -> list[Task[ErrorRow]]:
    """Tasks for `collect`: every case, on one block of seeds after the other.

    The network is met at the first row, and the reference of a block made when its first row is; if either
    fails, so does the run. A method that
    fails leaves a row that says why.
    """
    parts, met = [*run.blocks()], door(problem, run)

    @lru_cache(maxsize=1)  # the states of one block are in memory, not those of all
    def start(i: int) -> tuple[Tensor, Reference]:
        met()
        part = parts[i]
        # the reference starts at exactly the rounded state that the solvers get
        x = problem.start(part.seeds, part.dtype, part.device)
        truth = reference(problem, x, problem.sigma_max, problem.sigma_min, cached=part.cached)
        problem.eps(x, problem.sigma_max)  # so that no timing holds the loading of a network
        return x, truth

    def task(i: int, case: Case) -> Task[ErrorRow]:
        row = ErrorRow(
            **parts[i].stamp(problem), solver=case.label, order=case.solver.order,
            spacing=case.spacing, asked=case.asked, sigma_max=problem.sigma_max,
            sigma_min=problem.sigma_min, seeds=parts[i].seeds_text, samples=len(parts[i].seeds),
        )  # fmt: skip
        return Task(row, lambda row: _measure(row, case, problem, *start(i)), partial(start, i))

    return [task(i, case) for i in range(len(parts)) for case in cases]


def _measure(row: ErrorRow, case: Case, problem: Problem, x: Tensor, truth: Reference) -> ErrorRow:
    grid = case.grid()
    _synchronise(x)
    begin = time.perf_counter()
    solution = solve(problem, x, grid, case.solver)
    _synchronise(x)
    seconds = time.perf_counter() - begin
    errors = (solution.x.detach().cpu().double() - truth.x).reshape(len(x), -1)
    each = errors.square().mean(1).sqrt()
    rmse = float(errors.square().mean().sqrt())
    return replace(
        row,
        grid=grid.name,
        grid_hash=grid.digest,
        steps=solution.stats.get("accepted", grid.steps),
        nfe=round(solution.per_sample),
        forwards=solution.forwards,
        rmse=rmse,
        median=float(each.median()),
        p90=float(each.quantile(0.9)),
        max=float(each.max()),
        scale=float(truth.x.square().mean().sqrt()),
        ref_err=truth.err,
        certified=rmse >= 10 * truth.err,
        seconds=seconds,
    )


def _synchronise(x: Tensor) -> None:
    if x.is_cuda:
        import torch

        torch.cuda.synchronize(x.device)
