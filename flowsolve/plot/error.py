"""Error against evaluations, and against steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowsolve._arguments import instance, several
from flowsolve.plot.axes import finish
from flowsolve.plot.look import Look, canvas, strokes
from flowsolve.plot.view import Line, draw_errors, triangles
from flowsolve.study.names import line_names

if TYPE_CHECKING:
    from flowsolve.study.error import ErrorRow
    from flowsolve.study.series import Study


def error_vs_nfe(study: Study, title: str = "", **look: Unpack[Look]) -> Figure:
    """RMS error against evaluations, log-log: a line for each solver and spacing, and triangles of slopes.

    Bars are standard errors over the samples. Errors above the RMS of the solution are marked at the edge.
    """
    from flowsolve.study.series import Study

    instance("study", study, Study, "work_precision(...)")
    with canvas(look, 6.5, _height(study)) as (figure, (axes,)):
        _lines(axes, study, lambda row: row.nfe, look)
        axes.set_xlabel("network evaluations (NFE)")
        first = next(iter(study.series.values()), [])
        axes.set_title(
            title or (f"{first[0].problem}, {first[0].samples} samples" if first else "")
        )
    return figure


def convergence(studies: Study | Sequence[Study], title: str = "", **look: Unpack[Look]) -> Figure:
    """RMS error against steps, log-log, with a triangle of the declared order beside each line."""
    study = _joined(studies)
    with canvas(look, 6.5, _height(study)) as (figure, (axes,)):
        _lines(axes, study, lambda row: row.steps, look)
        axes.set_xlabel("steps")
        axes.set_title(title or "convergence")
    return figure


def _height(study: Study) -> float:
    """With room for the legend under the axes."""
    return 4.4 + 0.085 * len(study.series)


def _joined(studies: Study | Sequence[Study]) -> Study:
    from flowsolve.study.series import Study

    found = [studies] if isinstance(studies, Study) else several("studies", studies, "Studies")
    for i, study in enumerate(found):
        instance(f"studies[{i}]", study, Study, "convergence(solver, problem)")
    return Study(tuple(row for study in found for row in study.rows))


def _lines(axes: Axes, study: Study, at: Callable[[ErrorRow], float], look: Look) -> None:
    series = study.series
    lines = [
        Line([at(r) for r in rows], [r.rmse for r in rows], [r.stderr for r in rows],
             {**stroke, "label": name})
        for rows, name, stroke in zip(
            series.values(), line_names([*series], look.get("labels")), strokes(), strict=False
        )
    ]  # fmt: skip
    every = [row for rows in series.values() for row in rows]
    draw_errors(axes, lines, [r.scale for r in every])
    ends: dict[int, float] = {}
    for rows in series.values():
        if len(rows) > 1 and rows[0].fixed and not _reached(rows[-1]):
            ends.setdefault(rows[-1].order, rows[-1].rmse)
    if ends:
        start, end = min(map(at, every)), max(at(r) for r in every if r.fixed)
        triangles(axes, start, end, ends)
    _floor(axes, every)
    axes.set_ylabel("RMS error against the reference")
    finish(axes, "below" if look.get("ax") is None else "best")


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
