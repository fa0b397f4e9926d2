"""Work and precision of the benchmark, side by side: error against evaluations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowsolve.plot.axes import check_rows, finish
from flowsolve.plot.look import Look, canvas, strokes
from flowsolve.plot.view import Line, draw_errors
from flowsolve.study.names import line_names

if TYPE_CHECKING:
    from flowsolve.study.ranking import Place

SHOWN = (
    "default, scales measured", "default, scales guessed", "k-diffusion sample_dpmpp_2m, karras",
    "diffusers UniPCMultistep", "diff-sampler ipndm, polynomial", "k-diffusion sample_heun, karras",
    "diffusers DDIM",
)  # fmt: skip


def work_precision_by_side(
    places: Sequence[Place], asked: Iterable[str] = (), **look: Unpack[Look]
) -> Figure:
    """The geometric mean over the problems of a side of error over RMS of the solution, against evaluations.

    A panel for each side. Bars are the standard errors of the scores. Grey is what all methods together reach:
    the best of the menu on each problem, in hindsight.

    asked  methods to draw before the default and five well-known ones
    """
    from flowsolve.study.ranking import Place

    places = check_rows(places, Place)
    methods, sides = {p.method for p in places}, [*dict.fromkeys(p.side for p in places)] or [""]
    names = [name for name in dict.fromkeys((*asked, *SHOWN)) if name in methods]
    labels = line_names([(name, "") for name in names], look.get("labels"))
    drawn = dict(zip(names, zip(labels, strokes(), strict=False), strict=True))
    columns = min(2, len(sides))
    rows = math.ceil(len(sides) / columns)
    with canvas(look, 4.6 * columns, 3.1 * rows + 1.4, rows, columns) as (figure, axes):
        for side, panel in zip(sides, axes, strict=False):
            _panel(panel, [p for p in places if p.side == side], drawn)
            panel.set_title(side)
            panel.set_xlabel("network evaluations (NFE)")
            panel.set_ylabel("error / RMS of the solution")
        for panel in axes[len(sides) :]:
            panel.set_visible(False)
        legends = [panel.get_legend() for panel in axes]
        for legend in legends[0 if look.get("ax") is None else 1 :]:
            if legend is not None:
                legend.remove()
        if look.get("ax") is None and names:
            handles: dict[str, Any] = {}
            for panel in axes:
                handles |= {t: h for h, t in zip(*panel.get_legend_handles_labels(), strict=True)}
            place: Any = "outside lower center"
            figure.legend([*handles.values()], [*handles], loc=place, ncols=columns, frameon=False)
    return figure


def _panel(
    axes: Axes, places: Sequence[Place], drawn: dict[str, tuple[str, dict[str, Any]]]
) -> None:
    best = {p.nfe: p.error / p.score for p in places}
    if best:
        name = "the best of all, in hindsight"
        axes.plot([*best], [*best.values()], color="0.6", lw=4, alpha=0.5, label=name)
    lines = []
    for name, (label, stroke) in drawn.items():
        own = [p for p in places if p.method == name]
        lines.append(
            Line([p.nfe for p in own], [p.error for p in own], [p.error * p.spread for p in own],
                 {**stroke, "label": label})
        )  # fmt: skip
    draw_errors(axes, [line for line in lines if line.x], [1.0])
    finish(axes)
