"""Tables for a terminal, by rich, and progress: a bar on a terminal, a line per row elsewhere."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from flowsolve.cli.reference_progress import reference_progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowsolve.analysis.order import Slope
    from flowsolve.analysis.table import Table
    from flowsolve.study.error import ErrorRow
    from flowsolve.study.results import Row
    from flowsolve.study.studies import Study


def console() -> Console:
    """Standard output; where it is no terminal, wide enough that no table is folded."""
    if sys.stdout.isatty():
        return Console()
    return Console(width=int(os.environ.get("COLUMNS", 160)), highlight=False)


def plain(columns: list[str], rows: list[list[str]], title: str = "") -> RichTable:
    """Text columns; those whose cells are all numbers are set to the right."""
    out = RichTable(title=Text(title) if title else None, title_justify="left")
    for i, name in enumerate(columns):
        numeric = all(_numeric(row[i]) for row in rows)
        out.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        out.add_row(*map(Text, row))  # brackets in names are not rich's markup
    return out


def _numeric(text: str) -> bool:
    return not text or text[0].isdigit() or text in ("-", "?", "adaptive") or text[0] in "+-"


def errors(study: Study) -> Iterator[RichTable]:
    """RMSE by budget (rows) and solver (columns), the slope below; then the adaptive runs."""
    series = {k: r for k, r in study.series.items() if r[0].fixed}
    spacings = {spacing for _, spacing in series}
    if series:
        out = RichTable(title="RMS error (evaluations used, where fewer)", title_justify="left")
        out.add_column("NFE", justify="right")
        for solver, spacing in series:
            label = solver if len(spacings) == 1 else f"{solver}\n{spacing}"
            out.add_column(Text(label), justify="right")
        for asked in sorted({r.asked for rows in series.values() for r in rows}, key=_budget):
            cells = [next((r for r in rows if r.asked == asked), None) for rows in series.values()]
            out.add_row(str(_budget(asked)), *(_cell(r) for r in cells))
        out.add_section()
        out.add_row("slope", *(_slope(study.slope(*name)) for name in series))
        out.add_row("order", *(str(rows[0].order) for rows in series.values()))
        yield out
    adaptive = [r for rows in study.series.values() for r in rows if not r.fixed]
    if adaptive:
        lines = [
            [r.solver, r.asked.removeprefix("tol="), str(r.nfe), f"{r.rmse:.2e}"] for r in adaptive
        ]
        yield plain(["solver", "tolerance", "NFE", "RMS error"], lines, "Adaptive")


def _slope(s: Slope) -> str:
    return "-" if math.isnan(s.order) else f"{s.order:.2f}" + ("" if s.settled else "?")


def _budget(asked: str) -> int:
    return int(asked.partition("=")[2])


def _cell(row: ErrorRow | None) -> str:
    if row is None:
        return "-"
    used = "" if row.nfe == _budget(row.asked) else f" ({row.nfe})"
    return f"{row.rmse:.2e}{used}" + ("" if row.certified else " *")


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


def coefficients(t: Table) -> RichTable:
    """The coefficient table: a row for each evaluation and one for the answer."""
    rows = [
        [*(f"{w:+.4f}" for w in row), *[""] * (len(t.sigmas) + 1 - len(row))]
        for row in (*t.probes, t.answer)
    ]
    names = [*(f"{s:.4g}" for s in t.sigmas), "answer"]
    sums = [f"{s:+.4f}" for s in t.row_sums]
    head = ["at σ", "x̄_T", *(f"ε{k}" for k in range(1, len(t.sigmas) + 1)), "Σ ε"]
    body = [[name, *row, total] for name, row, total in zip(names, rows, sums, strict=True)]
    return plain(head, body, t.solver)


@contextmanager
def progress(out: Console, what: str) -> Iterator[Callable[[Row, int, int], None]]:
    """A callback for rows: a bar with the time left on a terminal, else one line for each row.

    References show how far they are in the bar, or in a line every 5 seconds on standard error.
    """
    if not out.is_terminal:

        def line(row: Row, done: int, total: int) -> None:
            print(f"[{done}/{total}] {row.name}  {row.error or row.result}", flush=True)

        with reference_progress(lambda text: print(text, file=sys.stderr, flush=True), 5.0):
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
