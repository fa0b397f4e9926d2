"""Studies: error against steps (convergence) and error against evaluations (work and precision)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve.analysis.order import Slope, observed_order
from flowsolve.errors import BudgetError, FlowsolveError
from flowsolve.schedule.grid import Spacing
from flowsolve.schedule.spacings import karras
from flowsolve.solver.base import Solver, check_solver
from flowsolve.study.cases import budget_cases, measure, steps_case
from flowsolve.study.results import Row, RowFile, read_jsonl, write_csv

if TYPE_CHECKING:
    import torch

    from flowsolve.problems.base import Problem

TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class Study:
    """Rows, and what can be read from them. The same object feeds tables, figures, tests and docs."""

    rows: tuple[Row, ...]

    @classmethod
    def load(cls, path: str | Path) -> Study:
        """From a JSON Lines file; of a measurement tried again, the last try."""
        return cls(tuple({row.key: row for row in read_jsonl(Path(path), Row)}.values()))

    def save_csv(self, path: str | Path) -> None:
        """All rows, for pandas or a spreadsheet."""
        write_csv(self.rows, Path(path))

    @property
    def series(self) -> dict[tuple[str, str], list[Row]]:
        """The measured rows of each (solver, spacing), by evaluations; blocks of seeds pooled."""
        groups: dict[tuple[str, str], dict[str, list[Row]]] = {}
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
    def failures(self) -> list[Row]:
        """The rows that say why they hold no measurement."""
        return [row for row in self.rows if row.error]

    def slope(self, solver: str | None = None, spacing: str | None = None) -> Slope:
        """The observed order in steps of one series (of the only one, if the study has one).

        Errors within ten times the reference's own, or within round-off of the dtype, are left out.
        """
        names = [k for k in self.series if solver in (None, k[0]) and spacing in (None, k[1])]
        if len(names) != 1:
            raise ValueError(
                f"the study has {len(names)} such series; name one of {[*self.series]}."
            )
        rows = self.series[names[0]]
        unit = {"float64": 2.0**-52, "float32": 2.0**-23}.get(rows[0].dtype, 2.0**-8)
        floor = max(max(10 * r.ref_err, 100 * unit * r.scale) for r in rows)
        by_steps = {r.steps: r.rmse for r in rows if r.fixed}
        return observed_order([*by_steps], [*by_steps.values()], floor)

    def order(self, solver: str | None = None, spacing: str | None = None) -> float:
        """The number of `slope`."""
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


def _pool(block: Sequence[Row]) -> Row:
    """One row for several blocks of seeds: exact for rmse and max, averaged for median and p90."""
    n = sum(r.samples for r in block)

    def mean(value: Callable[[Row], float]) -> float:
        return math.fsum(r.samples * value(r) for r in block) / n

    if len(block) == 1:
        return block[0]
    return replace(
        block[0],
        samples=n,
        seeds=", ".join(r.seeds for r in block),
        rmse=math.sqrt(mean(lambda r: r.rmse**2)),
        scale=math.sqrt(mean(lambda r: r.scale**2)),
        ref_err=math.sqrt(mean(lambda r: r.ref_err**2)),
        median=mean(lambda r: r.median),
        p90=mean(lambda r: r.p90),
        max=max(r.max for r in block),
        nfe=round(mean(lambda r: r.nfe)),
        certified=all(r.certified for r in block),
        seconds=math.fsum(r.seconds for r in block),
    )


def convergence(
    solver: Solver,
    problem: Problem,
    *,
    steps: Sequence[int] = (20, 40, 80, 160, 320, 640),
    spacing: Spacing = karras,
    seeds: Sequence[int] = range(16),
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> Study:
    """Errors of one solver on grids of the given numbers of steps, in float64 unless told otherwise.

    A failure raises, as this is one experiment.
    """
    import torch

    check_solver(solver)
    if solver.adaptive:
        raise BudgetError(
            f"{solver!r} chooses its own steps, so it has no order in their number. Use "
            "work_precision, which runs it at several tolerances."
        )
    cases = [steps_case(solver, problem, spacing, n) for n in steps]
    rows = tuple(measure(cases, problem, seeds, len(seeds), dtype or torch.float64, device, {}))
    for row in rows:
        if row.error:
            raise FlowsolveError(f"{row.solver} with {row.asked}: {row.error}")
    return Study(rows)


def work_precision(
    solvers: Iterable[Solver],
    problem: Problem,
    nfe: Sequence[int],
    *,
    spacings: Sequence[Spacing] = (karras,),
    seeds: Sequence[int] = range(256),
    block: int = 256,
    tolerances: Sequence[float] = TOLERANCES,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    path: str | Path | None = None,
    on_row: Callable[[Row, int, int], None] | None = None,
    cached: bool = True,
) -> Study:
    """Errors of several solvers at several evaluation budgets, from the same noise, to the same σ.

    solvers     fixed-grid ones run on the largest grid within each budget of `nfe`; adaptive ones
                once for each of `tolerances` (rtol = atol)
    seeds       one sample each, solved `block` at a time, a row for each block
    path        a JSON Lines file: each row is on the disk before the next is computed, and rows
                found there are not computed again
    on_row      called with each row, how many are done and how many there will be
    cached      keep references in the user's cache folder

    A method that fails leaves a row whose `error` says why; the study goes on.
    """
    import torch

    solvers = list(solvers)
    for solver in solvers:
        check_solver(solver)
    cases = [
        case
        for solver in solvers
        for spacing in (spacings[:1] if solver.adaptive else spacings)
        for case in budget_cases(solver, problem, spacing, nfe, tolerances)
    ]
    cases = [*{(t.label, t.spacing, t.asked): t for t in cases}.values()]  # no point twice
    total = len(cases) * math.ceil(len(seeds) / block)
    file = None if path is None else RowFile(Path(path), Row)
    done = file.measured if file else {}
    rows = []
    for row in measure(
        cases, problem, seeds, block, dtype or torch.float32, device, done, cached=cached
    ):
        if file and row.key not in done:
            file.append(row)
        rows.append(row)
        if on_row:
            on_row(row, len(rows), total)
    return Study(tuple(rows))
