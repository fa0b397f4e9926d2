"""The error of a solver on a grid, against a certified reference: one row for a block of seeds."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Self, TypeVar

from flowsolve.integrate.driver import solve
from flowsolve.study.cases import Case
from flowsolve.study.door import door
from flowsolve.study.one_thread import one_thread
from flowsolve.study.references import LOOSE, Reference, reference, rms
from flowsolve.study.results import Row
from flowsolve.study.runner import Task
from flowsolve.study.settings import Setup

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.problems.base import Problem


@dataclass(frozen=True, kw_only=True, repr=False)
class ErrorRow(Row):
    """One solver on one grid for one block of seeds.

    asked      what was asked for: "nfe=10", "steps=40" or "tol=1e-05"
    perturb    what the network was disturbed by: "gaussian:0.01", or ""
    nfe        evaluations counted, per sample;  forwards: network passes per sample
    rmse       √mean|x - reference|² over all values;  stderr: its standard error over the samples
    median     of the per-sample RMS errors, as are p90, max and the geometric mean
    scale      the RMS of the reference;  ref_err: its own error;  certified: rmse >= 10 ref_err. A network's
               reference is as accurate as its row needs, so rows of one block may have several ref_err
    seconds    of the solve alone, the device synchronised
    """

    KEY = (*Row.KEY, "solver", "spacing", "asked", "sigma_max", "sigma_min", "seeds", "perturb")

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
    stderr: float = math.nan
    geometric: float = math.nan
    median: float = math.nan
    p90: float = math.nan
    max: float = math.nan
    scale: float = math.nan
    ref_err: float = math.nan
    certified: bool = False
    perturb: str = ""

    @property
    def fixed(self) -> bool:
        """Whether it was run on a fixed grid, not by an adaptive method."""
        return self.asked.startswith(("nfe=", "steps="))

    def of_samples(self, each: Tensor) -> Self:
        """The row with what it keeps of the RMS errors of the samples, (B,). Here nothing."""
        return self

    @property
    def name(self) -> str:
        by = f"  {self.perturb}" if self.perturb else ""
        return f"{self.solver}  {self.asked}{by}"

    @property
    def result(self) -> str:
        return f"rmse {self.rmse:.3e}  nfe {self.nfe}  {self.seconds:.2f} s"


E = TypeVar("E", bound=ErrorRow)


def error_tasks(cases: Sequence[Case], problem: Problem, run: Setup) -> list[Task[ErrorRow]]:
    """Tasks for `collect`: every case, on one block of seeds after the other. See `error_tasks_of`."""
    return error_tasks_of(ErrorRow, cases, problem, run)


def error_tasks_of(
    kind: type[E], cases: Sequence[Case], problem: Problem, run: Setup
) -> list[Task[E]]:
    """The tasks of `error_tasks`, each with a row of this kind.

    The network is met at the first row, and the reference of a block made when its first row is; if either
    fails, so does the run. A method that fails leaves a row that says why.
    """
    parts, met = [*run.blocks()], door(problem, run)
    stamps = [part.stamp(problem) for part in parts]

    @lru_cache(maxsize=1)  # the states of one block are in memory, not those of all
    def start(i: int) -> tuple[Problem, Tensor, Truth]:
        met()
        part = parts[i]
        ours = problem.for_seeds(part.seeds, part.device)
        # the reference starts at exactly the rounded state that the solvers get
        x = problem.start(part.seeds, part.dtype, part.device)
        truth = Truth(ours.unperturbed, x, problem.sigma_max, problem.sigma_min, part.cached)
        ours.eps(x, problem.sigma_max)  # so that no timing holds the loading of a network
        return ours, x, truth

    def task(i: int, case: Case) -> Task[E]:
        row = kind(
            **stamps[i], solver=case.label, order=case.solver.order,
            spacing=case.spacing, asked=case.asked, sigma_max=problem.sigma_max,
            sigma_min=problem.sigma_min, seeds=parts[i].seeds_text, samples=len(parts[i].seeds),
            perturb=problem.perturbation,
        )  # fmt: skip
        return Task(row, lambda row: _measure(row, case, *start(i)), partial(start, i))

    return [task(i, case) for i in range(len(parts)) for case in cases]


class Truth:
    """The reference of one block of seeds, as accurate as its results need.

    Of a network it is made to LOOSE first, and made ten times as accurate, down to the problem's tolerance,
    where an error comes within ten times its own. What a row is measured against depends on that row alone.
    """

    def __init__(self, problem: Problem, x: Tensor, s: float, t: float, cached: bool) -> None:
        self._make = partial(reference, problem, x, s, t, cached=cached)
        self._least = problem.tolerance
        first = max(LOOSE, self._least) if problem.is_network else self._least
        self._found = [(first, self._make(tolerance=first))]

    def of(self, x: Tensor) -> tuple[Reference, Tensor]:
        """What the result x is measured against, and its error, (B, values)."""
        for i in itertools.count():
            tolerance, truth = self._found[i]
            errors = (x.detach().cpu().double() - truth.x).reshape(len(x), -1)
            finest = tolerance <= self._least or not truth.agrees(tolerance)
            if finest or rms(errors) >= 10 * truth.err:
                return truth, errors
            if i + 1 == len(self._found):
                tolerance = max(tolerance / 10, self._least)
                self._found.append((tolerance, self._make(tolerance=tolerance, after=truth)))
        raise AssertionError


def _measure(row: E, case: Case, problem: Problem, x: Tensor, truth: Truth) -> E:
    grid = case.grid()
    _synchronise(x)
    begin = time.perf_counter()
    solution = solve(problem, x, grid, case.solver)
    _synchronise(x)
    seconds = time.perf_counter() - begin
    against, errors = truth.of(solution.x)
    row = replace(
        row,
        grid=grid.name,
        grid_hash=grid.digest,
        steps=solution.stats.get("accepted", grid.steps),
        nfe=round(solution.per_sample),
        forwards=solution.forwards,
        seconds=seconds,
    )
    with one_thread():
        return _summed(row, errors, against)


def _summed(row: E, errors: Tensor, against: Reference) -> E:
    """The row with what there is to say of the errors, (B, values)."""
    each = errors.square().mean(1).sqrt()
    return replace(
        row.of_samples(each),
        rmse=rms(errors),
        stderr=root_error(each),
        geometric=float(each.log().mean().exp()),
        median=float(each.median()),
        p90=float(each.quantile(0.9)),
        max=float(each.max()),
        scale=rms(against.x),
        ref_err=against.err,
        certified=rms(errors) >= 10 * against.err,
    )


def root_error(each: Tensor) -> float:
    """The standard error of √mean e² over samples e: that of the mean of e², over 2 √mean e²."""
    squares = each.square()
    if len(each) < 2 or not float(squares.mean()):
        return math.nan
    return float(squares.std() / len(each) ** 0.5 / (2 * squares.mean().sqrt()))


def _synchronise(x: Tensor) -> None:
    if x.is_cuda:
        import torch

        torch.cuda.synchronize(x.device)
