"""Studies: error against steps (convergence) and error against evaluations (work and precision)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from flowsolve._arguments import file_path, several
from flowsolve.analysis.order import Slope, observed_order
from flowsolve.errors import BudgetError, FlowsolveError, ResultsError
from flowsolve.problems.base import Problem, check_problem
from flowsolve.schedule.grid import Spacing
from flowsolve.schedule.spacings import karras
from flowsolve.solver.base import Solver, check_solver
from flowsolve.study.cases import (
    EXAMPLE,
    Method,
    check_noise_free,
    counts,
    method_cases,
    methods,
    steps_case,
)
from flowsolve.study.error import ErrorRow, error_tasks
from flowsolve.study.results import read_jsonl, write_csv
from flowsolve.study.runner import Task, collect
from flowsolve.study.settings import Settings, Setup, seeds_of

TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class Study:
    """The rows of a study, and what can be read from them."""

    rows: tuple[ErrorRow, ...]

    @classmethod
    def load(cls, path: str | Path) -> Study:
        """Read a JSON Lines file. Of a measurement that was tried again, the last try counts."""
        path = file_path(path)
        if not path.exists():
            raise ResultsError(f"there is no file {path}: a study writes it, with path=.")
        return cls(tuple({row.key: row for row in read_jsonl(path, ErrorRow)}.values()))

    def save_csv(self, path: str | Path) -> None:
        """Write all rows as CSV."""
        write_csv(self.rows, file_path(path), ErrorRow)

    @property
    def series(self) -> dict[tuple[str, str], list[ErrorRow]]:
        """The measured rows of each (solver, spacing), by evaluations; blocks of seeds pooled.

        Raises ResultsError for rows that cannot be: of one seed twice, or of two problems, dtypes or versions.
        """
        groups: dict[tuple[str, str], dict[str, list[ErrorRow]]] = {}
        for row in self.rows:
            if not row.error:
                points = groups.setdefault((row.solver, row.spacing), {})
                points.setdefault(row.asked, []).append(row)
        return {
            name: sorted(
                (_pool(block) for block in points.values()), key=lambda r: (r.nfe, r.steps)
            )
            for name, points in groups.items()
        }

    @property
    def failures(self) -> list[ErrorRow]:
        """The rows that say why they hold no measurement."""
        return [row for row in self.rows if row.error]

    def slope(self, solver: str | None = None, spacing: str | None = None) -> Slope:
        """The observed order in steps of one series (of the only one, if the study has one).

        Errors within ten times their reference's own, or within round-off of the dtype, are left out. A
        network of a lower dtype than the study's is in the reference's own.
        """
        names = [k for k in self.series if solver in (None, k[0]) and spacing in (None, k[1])]
        if len(names) != 1:
            raise ValueError(
                f"the study has {len(names)} such series; name one of {[*self.series]}."
            )
        rows = self.series[names[0]]
        unit = {"float64": 2.0**-52, "float32": 2.0**-23}.get(rows[0].dtype, 2.0**-8)
        clean = [r for r in rows if r.rmse > max(10 * r.ref_err, 100 * unit * r.scale)]
        by_steps = {r.steps: r.rmse for r in clean if r.fixed}
        return observed_order([*by_steps], [*by_steps.values()])

    def order(self, solver: str | None = None, spacing: str | None = None) -> float:
        return self.slope(solver, spacing).order

    def __str__(self) -> str:
        lines = []
        for (solver, spacing), rows in self.series.items():
            lines += [f"{solver} on {rows[0].problem}, {spacing}", " steps    nfe      rmse  slope"]
            for before, row in zip([None, *rows], rows, strict=False):
                local = "" if before is None or before.steps == row.steps else (
                    f"{math.log(before.rmse / row.rmse) / math.log(row.steps / before.steps):7.2f}"
                )  # fmt: skip
                mark = "" if row.certified else "  reference reached"
                lines.append(f"{row.steps:6d} {row.nfe:6d} {row.rmse:9.2e}{local}{mark}")
        lines += [f"{r.solver} {r.asked}: {r.error}" for r in self.failures]
        return "\n".join(lines)


def _pool(block: Sequence[ErrorRow]) -> ErrorRow:
    """One row for several blocks of seeds: median and p90 are averages, the others exact."""
    n = sum(r.samples for r in block)

    def mean(value: Callable[[ErrorRow], float]) -> float:
        return math.fsum(r.samples * value(r) for r in block) / n

    if len(block) == 1:
        return block[0]
    _check_blocks(block)
    rmse = math.sqrt(mean(lambda r: r.rmse**2))
    spread = math.fsum((r.samples * r.rmse * r.stderr) ** 2 for r in block)  # of mean e², over 2 n
    return replace(
        block[0],
        samples=n,
        seeds=", ".join(r.seeds for r in block),
        rmse=rmse,
        stderr=math.sqrt(spread) / (n * rmse) if rmse else math.nan,
        geometric=math.exp(mean(lambda r: math.log(r.geometric))) if rmse else 0.0,
        scale=math.sqrt(mean(lambda r: r.scale**2)),
        ref_err=math.sqrt(mean(lambda r: r.ref_err**2)),
        median=mean(lambda r: r.median),
        p90=mean(lambda r: r.p90),
        max=max(r.max for r in block),
        nfe=round(mean(lambda r: r.nfe)),
        certified=all(r.certified for r in block),
        seconds=math.fsum(r.seconds for r in block),
    )


def _check_blocks(block: Sequence[ErrorRow]) -> None:
    """Raise ResultsError unless the rows differ in their seeds alone, and share none."""
    row = block[0]
    what = f"the rows of {row.solver}, {row.spacing}, {row.asked} cannot be pooled"
    for name in (n for n in row.KEY if n != "seeds"):
        found = sorted({str(getattr(r, name)) for r in block})
        if len(found) > 1:
            raise ResultsError(
                f"{what}: their {name} is {' and '.join(found)}. Take those of one: "
                f"Study(tuple(r for r in study.rows if r.{name} == {getattr(row, name)!r}))."
            )
    seeds = [seed for r in block for seed in seeds_of(r.seeds)]
    if len(set(seeds)) < len(seeds):
        raise ResultsError(
            f"{what}: some seeds of {' and '.join(r.seeds for r in block)} are the same, and would count "
            f"twice. Take one block: Study(tuple(r for r in study.rows if r.seeds == {row.seeds!r}))."
        )


def convergence(
    solver: Solver,
    problem: Problem,
    *,
    steps: Sequence[int] = (20, 40, 80, 160, 320, 640),
    spacing: Spacing = karras,
    path: str | Path | None = None,
    on_row: Callable[[ErrorRow, int, int], None] | None = None,
    **settings: Unpack[Settings],
) -> Study:
    """Errors of one solver on grids of the given numbers of steps.

    path      a file of rows that is continued, and on_row what is called with each, as in `work_precision`
    settings  the seeds 0 to 15 and float64 unless told otherwise; all seeds are one block

    Raises BudgetError for an adaptive solver, StateError for a stochastic one, and FlowsolveError where a
    measurement fails.
    """
    check_solver(solver)
    check_noise_free(solver)
    if solver.adaptive:
        raise BudgetError(
            f"{solver!r} chooses its own steps, so it has no order in their number. Use "
            "work_precision, which runs it at several tolerances."
        )
    run = Setup.of(settings, seeds=range(16), dtype="float64")
    cases = [steps_case(solver, problem, spacing, n) for n in counts("steps", steps)]
    tasks = error_tasks(cases, problem, replace(run, block=len(run.seeds)))
    rows = collect(tasks, path, on_row)
    for row in rows:
        if row.error:
            raise FlowsolveError(f"{row.solver} with {row.asked}: {row.error}")
    return Study(rows)


def work_precision(
    solvers: Method | Iterable[Method],
    problem: Problem,
    nfe: Sequence[int],
    *,
    spacings: Spacing | Sequence[Spacing] = (karras,),
    tolerances: Sequence[float] = TOLERANCES,
    path: str | Path | None = None,
    on_row: Callable[[ErrorRow, int, int], None] | None = None,
    **settings: Unpack[Settings],
) -> Study:
    """Errors of several solvers at several budgets of evaluations, from the same noise, to the same σ.

    solvers     one or several: fixed-grid ones run on the largest grid within each budget of `nfe`,
                adaptive ones once for each of `tolerances` (rtol = atol). A pair (solver, spacing) has a
                spacing of its own, and a rule (`flowsolve.solver.default_rule()`) solvers and grids
    path        a JSON Lines file: each row is on the disk before the next is computed, and rows
                found there are not computed again
    on_row      called with each row, how many are done and how many there will be
    settings    the seeds 0 to 255 and float32 unless told otherwise; one row for each block of seeds

    A method that fails leaves a row whose `error` says why; the study goes on. Raises StateError for a
    stochastic solver, which has no error against the ODE's solution, and for arguments of a wrong kind.
    """
    tasks = work_precision_tasks(
        solvers, problem, nfe, spacings=spacings, tolerances=tolerances, **settings
    )
    return Study(collect(tasks, path, on_row))


def work_precision_tasks(
    solvers: Method | Iterable[Method],
    problem: Problem,
    nfe: Sequence[int],
    *,
    spacings: Spacing | Sequence[Spacing] = (karras,),
    tolerances: Sequence[float] = TOLERANCES,
    **settings: Unpack[Settings],
) -> list[Task[ErrorRow]]:
    """What `work_precision` measures, as tasks for `collect`."""
    check_problem(problem)
    run = Setup.of(settings, seeds=range(256))
    found = methods(solvers)
    for method, _ in found:
        if isinstance(method, Solver):
            check_noise_free(method)
    spacings = several(
        "spacings", [spacings] if callable(spacings) else spacings, f"spacings, each {EXAMPLE}"
    )
    cases = method_cases(found, problem, nfe, spacings, tolerances)
    if not cases:
        raise BudgetError(
            "there is nothing to measure: give nfe=[10, 20], say, or tolerances for adaptive solvers."
        )
    cases = [*{(c.label, c.spacing, c.asked): c for c in cases}.values()]  # no point twice
    return error_tasks(cases, problem, run)
