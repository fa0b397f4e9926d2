"""Distance to data against steps and evaluations, with the floor that real data have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowsolve.plot.axes import check_rows, finish, plain
from flowsolve.plot.look import Look, canvas, strokes
from flowsolve.plot.view import Line, common_size, draw_errors, draw_lines
from flowsolve.study.names import Labels, line_names

if TYPE_CHECKING:
    from flowsolve.study.quality import QualityRow


def table1(rows: Sequence[QualityRow], **look: Unpack[Look]) -> Figure:
    """Fréchet distance against S: a line for each solver, and the floor of real data as a band."""
    from flowsolve.study.quality import QualityRow

    rows = check_rows(rows, QualityRow)
    with canvas(look, 6.5, 4.4) as (figure, (axes,)):
        _distances(axes, rows, _lines(rows, lambda r: r.steps, _frechet, look.get("labels")))
        axes.set_xlabel("S, the steps of the sub-sequence")
        axes.set_title(_about(rows))
        finish(axes)
    return figure


def quality_vs_nfe(rows: Sequence[QualityRow], **look: Unpack[Look]) -> Figure:
    """Error against the ODE's solution beside distance to data, both against evaluations.

    The lines are named in the left panel. Of the two, what was not measured has no panel.
    """
    from flowsolve.study.quality import QualityRow

    rows, labels = check_rows(rows, QualityRow), look.get("labels")
    asked = [r for r in rows if r.asked]
    values = ([r.rmse for r in asked], [r.frechet for r in asked])
    known = [any(not math.isnan(v) for v in of) for of in values]
    errors, distances = known if any(known) else (True, True)
    panels = errors + distances
    with canvas(look, 4.5 * panels, 4.2, columns=panels) as (figure, every):
        if errors:
            axes = every[0]
            lines = _lines(rows, lambda r: r.nfe, lambda r: (r.rmse, r.stderr), labels)
            draw_errors(axes, lines, [r.scale for r in rows])
            axes.set_title("distance to the ODE's solution")
            axes.set_ylabel("RMS error")
        if distances:
            axes, named = every[-1], _lines(rows, lambda r: r.nfe, _frechet, labels)
            unnamed = [line._replace(stroke={**line.stroke, "label": None}) for line in named]
            _distances(axes, rows, unnamed if errors else named)
            axes.set_title(f"distance to data: {_about(rows)}")
        for axes in every:
            axes.set_xlabel("network evaluations (NFE)")
            finish(axes)
    return figure


def _lines(
    rows: Sequence[QualityRow],
    at: Callable[[QualityRow], float],
    value: Callable[[QualityRow], tuple[float, float]],
    labels: Labels,
) -> list[Line]:
    """A line for each solver and spacing, of (value, standard error) where there is a value."""
    groups: dict[tuple[str, str], list[QualityRow]] = {}
    for row in rows:
        if row.asked and not row.error:
            groups.setdefault((row.solver, row.spacing), []).append(row)
    lines = []
    for some, name, stroke in zip(
        groups.values(), line_names([*groups], labels), strokes(), strict=False
    ):
        points = sorted((at(r), *value(r)) for r in some if not math.isnan(value(r)[0]))
        x, y, error = zip(*points, strict=True) if points else repeat((), 3)
        lines.append(Line(x, y, error, {**stroke, "label": name}))
    return lines


def _frechet(row: QualityRow) -> tuple[float, float]:
    return row.frechet, row.frechet_error


def _distances(axes: Axes, rows: Sequence[QualityRow], lines: Sequence[Line]) -> None:
    limit = common_size(lines)
    draw_lines(axes, lines, limit, f"above {limit:.2g}, beyond the axis")
    plain(axes.yaxis)
    for row in rows:
        if not row.asked and not row.error:
            low, high = row.frechet - row.frechet_error, row.frechet + row.frechet_error
            axes.axhspan(
                low, high, color="0.85", zorder=0, label=f"{row.samples} real ones, ± 1 s.d."
            )
    features = next((r.features for r in rows), "")
    axes.set_ylabel(f"Fréchet distance of {features}")


def _about(rows: Sequence[QualityRow]) -> str:
    row = next((r for r in rows if r.asked), None)
    if row is None:
        return ""
    real = f"{row.real} real ones" if row.real else "moments of real ones"
    return f"{row.problem}, {row.samples} samples, {real}"
