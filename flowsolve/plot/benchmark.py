"""Work and precision of the benchmark, side by side: error against evaluations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowsolve.plot.axes import check_rows, plain
from flowsolve.plot.look import Look, canvas, strokes

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
    """The error relative to the solution, its geometric mean over the problems of a side, against evaluations.

    A panel for each side. asked  methods to draw besides the default and six well-known ones. Grey is what all
    methods together reach: the best of the menu, chosen in hindsight on each problem.
    """
    from flowsolve.study.ranking import Place

    places = check_rows(places, Place)
    sides = [*dict.fromkeys(p.side for p in places)]
    names = [*dict.fromkeys((*asked, *SHOWN))]
    columns = min(2, len(sides)) or 1
    rows = math.ceil(len(sides) / columns) or 1
    with canvas(look, 4.6 * columns, 3.4 * rows + 0.6, rows, columns) as (figure, axes):
        for side, panel in zip(sides, axes, strict=False):
            _panel(panel, [p for p in places if p.side == side], names)
            panel.set_title(side)
        for panel in axes[len(sides) :]:
            panel.set_visible(False)
        for panel in axes[::columns]:
            panel.set_ylabel("error / RMS of the solution")
        for panel in axes[max(len(sides) - columns, 0) : len(sides)]:
            panel.set_xlabel("network evaluations (NFE)")
        if look.get("ax") is None and sides:
            handles = {
                t: h for a in axes for h, t in zip(*a.get_legend_handles_labels(), strict=True)
            }
            figure.legend(
                [*handles.values()], [*handles], loc="outside lower center", ncols=2, frameon=False
            )
    return figure


def _panel(axes: Axes, places: Sequence[Place], names: Sequence[str]) -> None:
    axes.set(xscale="log", yscale="log")
    best = {p.nfe: p.error / p.score for p in places if p.score}
    axes.plot(
        [*best],
        [*best.values()],
        color="0.6",
        lw=4,
        alpha=0.5,
        label="the best of the menu, in hindsight",
    )
    for name, stroke in zip(names, strokes(), strict=False):
        own = [p for p in places if p.method == name]
        if own:
            axes.plot([p.nfe for p in own], [p.error for p in own], label=name, **stroke)
    plain(axes.xaxis)
    axes.grid(which="major", color="0.9", lw=0.6)
