"""Error against evaluations, and against steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowsolve._arguments import instance, several
from flowsolve.plot.axes import MARKERS, finish, new

if TYPE_CHECKING:
    from flowsolve.study.error import ErrorRow
    from flowsolve.study.studies import Study


def error_vs_nfe(study: Study, title: str = "") -> Figure:
    """RMS error against evaluations, log-log: a line for each solver and spacing, and triangles of slopes."""
    from flowsolve.study.studies import Study

    instance("study", study, Study, "work_precision(...)")
    figure, axes = new(7.5, 5)
    _lines(axes, study, lambda row: row.nfe)
    axes.set_xlabel("network evaluations (NFE)")
    axes.set_ylabel("RMS error against the reference")
    first = next(iter(study.series.values()), [])
    axes.set_title(title or (f"{first[0].problem}, {first[0].samples} samples" if first else ""))
    finish(axes)
    return figure


def convergence(studies: Study | Sequence[Study], title: str = "") -> Figure:
    """RMS error against steps, log-log, with a triangle of the declared order beside each line."""
    figure, axes = new(7.5, 5)
    _lines(axes, _joined(studies), lambda row: row.steps)
    axes.set_xlabel("steps")
    axes.set_ylabel("RMS error against the reference")
    axes.set_title(title or "convergence")
    finish(axes)
    return figure


def _joined(studies: Study | Sequence[Study]) -> Study:
    from flowsolve.study.studies import Study

    found = [studies] if isinstance(studies, Study) else several("studies", studies, "Studies")
    for i, study in enumerate(found):
        instance(f"studies[{i}]", study, Study, "convergence(solver, problem)")
    return Study(tuple(row for study in found for row in study.rows))


def _lines(axes: Axes, study: Study, at: Callable[[ErrorRow], float]) -> None:
    fixed = {k: rows for k, rows in study.series.items() if rows[0].fixed}
    spacings = {spacing for _, spacing in fixed}
    end = max((at(rows[-1]) for rows in fixed.values()), default=1)
    orders: dict[int, ErrorRow] = {}
    for ((solver, spacing), rows), marker in zip(
        study.series.items(), cycle(MARKERS), strict=False
    ):
        named = len(spacings) > 1 and (solver, spacing) in fixed
        label = f"{solver}, {spacing}" if named else solver
        axes.loglog([at(r) for r in rows], [r.rmse for r in rows], marker=marker, ms=5, label=label)
        if len(rows) > 1 and (solver, spacing) in fixed and not _reached(rows[-1]):
            orders.setdefault(rows[-1].order, rows[-1])
    for order, last in orders.items():
        _triangle(axes, end, last.rmse, order)
    _floor(axes, [r for rows in study.series.values() for r in rows])


def _reached(row: ErrorRow) -> bool:
    """Whether its error is within ten times that of its reference."""
    return row.rmse < 10 * row.ref_err


def _floor(axes: Axes, rows: Sequence[ErrorRow]) -> None:
    """Shade the errors that say nothing, if there is such a row."""
    reached = [10 * r.ref_err for r in rows if _reached(r)]
    if reached:
        top, bottom = max(reached), axes.get_ylim()[0]
        axes.axhline(top, color="0.5", lw=1, ls=":", label="10 × reference error")
        axes.axhspan(bottom, top, color="0.5", alpha=0.15, lw=0)
        axes.set_ylim(bottom=bottom)


def _triangle(axes: Axes, x: float, y: float, order: int) -> None:
    """Draw a slope of -order to the right of all lines, at the height where its own line ends."""
    left, right, top = x * 1.06, x * 1.06 * 1.35, y
    bottom = top * 1.35**-order
    axes.plot([left, right, left, left], [top, bottom, bottom, top], color="0.4", lw=0.9)
    axes.annotate(
        str(order), (math.sqrt(left * right), math.sqrt(top * bottom)), (2, 1),
        textcoords="offset points", ha="left", va="bottom", fontsize=8, color="0.3",
    )  # fmt: skip
