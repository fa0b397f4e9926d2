"""Tables of studies, and progress: a bar on a terminal, a line a row elsewhere."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from flowsolve.cli.reference_progress import reference_progress
from flowsolve.cli.show import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowsolve.analysis.order import Slope
    from flowsolve.study.error import ErrorRow
    from flowsolve.study.results import Row
    from flowsolve.study.studies import Study


def console(stderr: bool = False) -> Console:
    """Standard output or error; where it is no terminal, wide enough that no table is folded."""
    if (sys.stderr if stderr else sys.stdout).isatty():
        return Console(stderr=stderr)
    return Console(width=int(os.environ.get("COLUMNS", 160)), highlight=False, stderr=stderr)


def errors(study: Study) -> Iterator[Table]:
    """RMSE by budget (rows) and solver (columns), the slope below; then the adaptive runs."""
    series = {k: r for k, r in study.series.items() if r[0].fixed}
    spacings = {spacing for _, spacing in series}
    if series:
        names = [
            solver if len(spacings) == 1 else f"{solver}\n{spacing}" for solver, spacing in series
        ]
        body = []
        for asked in sorted({r.asked for rows in series.values() for r in rows}, key=_budget):
            cells = [next((r for r in rows if r.asked == asked), None) for rows in series.values()]
            body.append([str(_budget(asked)), *map(_cell, cells)])
        slopes = ["slope", *(_slope(study.slope(*name)) for name in series)]
        orders = ["order", *(str(rows[0].order) for rows in series.values())]
        title = "RMS error ± its standard error over the samples (evaluations used, where fewer)"
        yield Table(["NFE", *names], body, title, [slopes, orders])
    adaptive = [r for rows in study.series.values() for r in rows if not r.fixed]
    if adaptive:
        lines = [
            [r.solver, r.asked.removeprefix("tol="), str(r.nfe), f"{r.rmse:.2e}"] for r in adaptive
        ]
        yield Table(["solver", "tolerance", "NFE", "RMS error"], lines, "Adaptive")


def _slope(s: Slope) -> str:
    return "-" if math.isnan(s.order) else f"{s.order:.2f}" + ("" if s.settled else "?")


def _budget(asked: str) -> int:
    return int(asked.partition("=")[2])


def _cell(row: ErrorRow | None) -> str:
    if row is None:
        return "-"
    used = "" if row.nfe == _budget(row.asked) else f" ({row.nfe})"
    spread = "" if math.isnan(row.stderr) else f" ± {row.stderr / row.rmse:.0%}"
    return f"{row.rmse:.2e}{spread}{used}" + ("" if row.certified else " *")


def notes(study: Study) -> Iterator[str]:
    """What a reader of the table must know: failures, and errors that reach the reference's own."""
    fixed = [name for name, rows in study.series.items() if rows[0].fixed]
    slopes = [study.slope(*name) for name in fixed]
    if any(not (s.settled or math.isnan(s.order)) for s in slopes):
        yield "?: the last two slopes differ by more than 0.15, so it is no order yet"
    for row in study.failures:
        yield f"{row.solver}, {row.spacing}, {row.asked}: {row.error}"
    reached = [r for rows in study.series.values() for r in rows if not r.certified]
    if reached:
        err = max(r.ref_err for r in reached)
        yield f"* within ten times the reference's own error ({err:.1e}): {len(reached)} results."


@contextmanager
def progress(
    out: Console, what: str, quiet: bool = False
) -> Iterator[Callable[[Row, int, int], None]]:
    """A callback for rows: a bar with the time left on a terminal, else one line for each row.

    References show how far they are in the bar, or in a line every 5 seconds.
    """
    if quiet or not out.is_terminal:

        def say(text: str) -> None:
            if not quiet:
                print(text, file=sys.stderr, flush=True)

        def line(row: Row, done: int, total: int) -> None:
            say(f"[{done}/{total}] {row.name}  {row.error or row.result}")

        with reference_progress(say, 5.0):
            yield line
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns, console=out, transient=True) as bar,
        reference_progress(lambda text: bar.update(task, description=text), 0.2),
    ):
        task = bar.add_task(what, total=None)

        def advance(row: Row, done: int, total: int) -> None:
            result = "failed" if row.error else row.result
            bar.update(task, completed=done, total=total, description=f"{row.name}: {result}")

        yield advance
