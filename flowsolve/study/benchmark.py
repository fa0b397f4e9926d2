"""The standing benchmark: methods on grids at budgets, on fixed problems of two sides, a row for each.

`ranking` makes of the rows who is best, by how much, and what are ties. Whatever a number depends on is part of
the version BENCH: the problems (`flowsolve.problems.benchmark`), the sizes and the menu of methods
(`flowsolve.cli.benchmark`). A test fails when one of them changes and BENCH does not.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from flowsolve import metrics
from flowsolve.integrate.cost import cost, fit
from flowsolve.integrate.options import check_names
from flowsolve.ode.base import Scales
from flowsolve.ode.data_scales import guessed_scales, scales
from flowsolve.ode.noise import unit_noise
from flowsolve.problems.base import Problem
from flowsolve.problems.benchmark import HELD, HELD_NETWORKS, OPEN, OPEN_NETWORKS
from flowsolve.schedule.grid import Grid, Spacing
from flowsolve.schedule.spacings import log_snr
from flowsolve.solver.base import Solver
from flowsolve.solver.rule import Rule
from flowsolve.study.cases import Case, budget_cases, spacing_name
from flowsolve.study.door import door
from flowsolve.study.error import ErrorRow, error_tasks_of
from flowsolve.study.runner import Task
from flowsolve.study.samples import draw
from flowsolve.study.settings import Settings, Setup

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BENCH = "1"
FLOAT32 = 5e-7
Key = tuple[str, str, str]
SIDES: dict[str, dict[str, Callable[[], Problem]]] = {
    "open": {**OPEN}, "held": {**HELD},
    "open networks": {**OPEN_NETWORKS}, "held network": {**HELD_NETWORKS},
}  # fmt: skip
"""The problems by side: those to develop on, and those to judge by; the default was made on open networks."""
SIDE_OF = {problem: side for side, made in SIDES.items() for problem in made}


@dataclass(frozen=True)
class Size:
    """How much is measured.

    nfe       budgets
    samples   of an exact problem, in float64;  network_samples: of a network, in float32
    energy    budgets at which samples of networks are compared with data, `drawn` of them
    """

    nfe: tuple[int, ...]
    samples: int
    network_samples: int
    energy: tuple[int, ...] = ()
    drawn: int = 512


SIZES = {
    "quick": Size((5, 8, 12, 20), 32, 16),
    "standard": Size((4, 5, 6, 8, 10, 12, 15, 20, 30, 50, 100), 64, 32, (5, 8, 12)),
    "full": Size((4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50, 70, 100), 256, 64, (5, 8, 12, 20), 1024),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False)
class BenchRow(ErrorRow):
    """One method at one budget on one problem.

    bench   the version of the benchmark;  code: of the source of a method that is not on its menu, or ""
    each    the RMS error of every sample, three digits
    energy  the unbiased energy distance to 1024 of the data, and its standard error, where it was asked for
    """

    KEY = (*ErrorRow.KEY, "bench", "code")

    bench: str = BENCH
    code: str = ""
    each: str = ""
    energy: float = math.nan
    energy_error: float = math.nan

    def of_samples(self, each: Tensor) -> BenchRow:
        return replace(self, each=" ".join(f"{e:.2e}" for e in each.tolist()))

    @property
    def budget(self) -> int:
        return int(self.asked.partition("=")[2])

    @property
    def name(self) -> str:
        return f"{self.problem}  {self.solver} {self.spacing}  {self.asked}"

    @property
    def result(self) -> str:
        if math.isnan(self.energy):
            return f"error {self.geometric:.3e}  {self.seconds:.2f} s"
        return f"energy {self.energy:.4f} ± {self.energy_error:.4f}  {self.seconds:.1f} s"


@dataclass(frozen=True)
class Entry:
    """A method as it is compared, by its name.

    method   a solver on a spacing, or a rule, which has grids of its own
    scales   those that a rule is given: "measured" by two evaluations, or "guessed" from the shape of a sample
    code     8 digits of its source, so that rows of a method that was changed are not taken for its own
    """

    name: str
    method: Solver | Rule
    spacing: Spacing | None = None
    scales: str = ""
    code: str = ""

    @property
    def key(self) -> Key:
        """The solver, the spacing and the code, as rows have them."""
        if self.spacing is None:
            return f"{self.method!r}, scales {self.scales}", "", self.code
        return repr(self.method), spacing_name(self.spacing), self.code

    def read(self) -> Entry:
        """The same with its code, for a method that is not on the menu."""
        file = inspect.getsourcefile(type(self.method))
        source = Path(file).read_bytes() if file and Path(file).exists() else b""
        return replace(self, code=hashlib.sha256(source).hexdigest()[:8])

    def cases(self, problem: Problem, nfe: Sequence[int], dtype: torch.dtype) -> Iterator[Case]:
        """What it is at each budget."""
        if isinstance(self.method, Solver):
            assert self.spacing is not None
            ends, made = problem.sigma_range, budget_cases(self.method, problem, self.spacing, nfe)
            for n, case in zip(nfe, made, strict=True):
                yield replace(case, grid=partial(_fitted, self.method, self.spacing, n, ends))
            return
        found = (_measured if self.scales == "measured" else _guessed)(problem, dtype)
        for n in nfe:
            solver, grid = self.method.choose(n, problem.sigma_max, problem.sigma_min, found)
            yield Case(solver, *self.key[:2], f"nfe={n}", partial(Grid, grid, grid.name))


@cache
def _steps(method: Solver, nfe: int) -> tuple[int, int]:
    """The steps that a budget allows between plain ends, and what they cost."""
    grid = fit(method, nfe, lambda n: log_snr(n, 10.0, 0.1))
    return grid.steps, cost(method, grid)


def _fitted(method: Solver, spacing: Spacing, nfe: int, ends: tuple[float, float]) -> Grid:
    """`fit`, which most methods need once for all grids."""
    with suppress(TypeError):  # a method that has no hash
        steps, spent = _steps(method, nfe)
        grid = spacing(steps, *ends)
        if grid.steps == steps and cost(method, grid) == spent:
            return grid
    return fit(method, nfe, lambda n: spacing(n, *ends))


@cache
def _measured(problem: Problem, dtype: torch.dtype) -> Scales:
    """From noises that are none of the samples'."""
    seeds = range(10_000, 10_016)
    asked = copy.copy(problem.for_seeds(seeds))
    return scales(asked, unit_noise(seeds, problem.event, dtype))


def _guessed(problem: Problem, dtype: torch.dtype) -> Scales:
    """As for a network of that shape whose scales nobody told."""
    return guessed_scales(problem.event, problem.data_std)


def bench_tasks(
    entries: Sequence[Entry], problem: Problem, nfe: Sequence[int], **settings: Unpack[Settings]
) -> list[Task[BenchRow]]:
    """Tasks for `collect`: every entry at every budget.

    settings  the seeds 0 to 63 in one block; float32 on a network, float64 elsewhere

    References of networks are made to 5e-7 at best, where two answers in float32 still agree.
    """
    run = _setup(problem, settings)
    if problem.is_network:
        problem = copy.copy(problem)
        vars(problem)["tolerance"] = FLOAT32
    pairs = [(e, case) for e in entries for case in e.cases(problem, nfe, run.dtype)]
    run = replace(run, block=len(run.seeds))
    tasks = error_tasks_of(BenchRow, [case for _, case in pairs], problem, run)
    return [
        replace(task, row=replace(task.row, code=entry.code))
        for (entry, _), task in zip(pairs, tasks, strict=True)
    ]


def energy_tasks(
    entries: Sequence[Entry], problem: Problem, nfe: Sequence[int], **settings: Unpack[Settings]
) -> list[Task[BenchRow]]:
    """Tasks that draw samples and measure their unbiased energy distance to the first 1024 of the data."""
    run = _setup(problem, settings)
    met, stamp, data = door(problem, run), run.stamp(problem), cache(lambda: problem.data()[:1024])

    def measure(case: Case, row: BenchRow) -> BenchRow:
        grid = case.grid()
        made = draw(problem, case.solver, grid, run)
        found = metrics.energy(made.x, data())
        return replace(
            row, grid=grid.name, grid_hash=grid.digest, steps=grid.steps, nfe=made.nfe,
            energy=found.corrected, energy_error=found.error,
        )  # fmt: skip

    def task(entry: Entry, case: Case) -> Task[BenchRow]:
        row = BenchRow(
            **stamp, solver=case.label, order=case.solver.order, spacing=case.spacing, asked=case.asked,
            sigma_max=problem.sigma_max, sigma_min=problem.sigma_min, seeds=f"energy {run.seeds_text}",
            samples=len(run.seeds), code=entry.code,
        )  # fmt: skip
        return Task(row, partial(measure, case), met)

    return [task(entry, case) for entry in entries for case in entry.cases(problem, nfe, run.dtype)]


def _setup(problem: Problem, settings: Settings) -> Setup:
    check_names(settings, Settings)
    dtype = "float32" if problem.is_network else "float64"
    return Setup.of(settings, seeds=range(64), dtype=dtype)
