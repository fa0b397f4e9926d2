"""Error against evaluations of a network disturbed in several ways: a panel for each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowsolve._arguments import instance
from flowsolve.plot.axes import finish
from flowsolve.plot.look import Look, canvas, heading, strokes
from flowsolve.plot.view import Line, draw_errors
from flowsolve.study.names import line_names

if TYPE_CHECKING:
    from flowsolve.study.error import ErrorRow
    from flowsolve.study.series import Study

GREY: dict[str, Any] = {"color": "0.75", "marker": "None", "lw": 0.9}


def error_by_perturbation(study: Study, title: str = "", **look: Unpack[Look]) -> Figure:
    """RMS error against evaluations, log-log, a panel for each perturbation, all with the same axes.

    In grey, without a marker: the same solvers on the network as it is. Bars are standard errors over the
    samples.
    """
    from flowsolve.study.series import UNPERTURBED, Study

    instance("study", study, Study, "compare(network, ..., perturb=...).study")
    parts = study.perturbations
    series = {name: part.series for name, part in parts.items()}
    keys = [*dict.fromkeys(key for lines in series.values() for key in lines)]
    names = dict(zip(keys, line_names(keys, look.get("labels")), strict=True))
    stroke = dict(zip(keys, strokes(), strict=False))
    columns = min(3, max(len(parts), 1))
    rows = math.ceil(max(len(parts), 1) / columns)
    with canvas(look, 2.2 + 2.5 * columns, 0.9 + 2.5 * rows, rows, columns) as (figure, panels):
        for axes, (name, lines) in zip(panels, series.items(), strict=False):
            plain = series.get("", {}) if name else {}
            drawn = [_line(r, {**stroke[k], **GREY}) for k, r in plain.items()]
            drawn += [_line(r, {**stroke[k], "label": names[k]}) for k, r in lines.items()]
            draw_errors(axes, drawn, [r.scale for some in lines.values() for r in some])
            axes.set_title(name or UNPERTURBED)
            finish(axes)
            if legend := axes.get_legend():
                legend.remove()
        _shared(panels[: len(parts)], columns)
        for axes in panels[len(parts) :]:
            axes.set_axis_off()
        if look.get("ax") is None:
            if len(parts) > 1 and "" in parts:
                panels[0].plot([], [], label=f"grey: {UNPERTURBED}", **GREY)
            named = {
                label: handle
                for axes in panels
                for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
            }
            figure.legend(
                [*named.values()], [*named], loc="outside lower center", ncols=2, frameon=False
            )
        first = next(
            (r for lines in series.values() for some in lines.values() for r in some), None
        )
        heading(
            figure, look, title or (f"{first.problem}, {first.samples} samples" if first else "")
        )
    return figure


def _line(rows: list[ErrorRow], stroke: dict[str, object]) -> Line:
    return Line([r.nfe for r in rows], [r.rmse for r in rows], [r.stderr for r in rows], stroke)


def _shared(panels: list[Axes], columns: int) -> None:
    """The same limits for all, and words at the outer axes alone."""
    for get, put in (("get_xlim", "set_xlim"), ("get_ylim", "set_ylim")):
        ends = [getattr(axes, get)() for axes in panels]
        for axes in panels:
            getattr(axes, put)(min(e[0] for e in ends), max(e[1] for e in ends))
    for i, axes in enumerate(panels):
        if i % columns == 0:
            axes.set_ylabel("RMS error")
        else:
            axes.tick_params(labelleft=False)
        if i + columns >= len(panels):
            axes.set_xlabel("evaluations (NFE)")
