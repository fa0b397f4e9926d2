"""Samples from between two noises: how strong the noise is there, how far they are from data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from matplotlib.figure import Figure

from flowsolve.plot.axes import check_rows
from flowsolve.plot.look import Look, canvas, curve, strokes
from flowsolve.study.names import line_names, readable

if TYPE_CHECKING:
    from flowsolve.study.interpolation import InterpolationRow


def along_interpolation(rows: Sequence[InterpolationRow], **look: Unpack[Look]) -> Figure:
    """How strong the noise between two noises is, and how far from data the samples from it are."""
    from flowsolve.study.interpolation import InterpolationRow

    rows = check_rows(rows, InterpolationRow)
    paths = [*dict.fromkeys(r.path for r in rows)]
    names = line_names([(path, "") for path in paths], look.get("labels"))
    with canvas(look, 9, 3.8, columns=2) as (figure, panels):
        left, right = panels
        for path, name, stroke in zip(paths, names, strokes(), strict=False):
            some = [r for r in rows if r.path == path and not r.error]
            t = [r.t for r in some]
            for axes, value in ((left, "deviation"), (right, "energy")):
                curve(axes, t, [getattr(r, value) for r in some],
                      [getattr(r, f"{value}_error") for r in some], label=name, **stroke)  # fmt: skip
        left.set_title("the noise")
        left.set_ylabel("deviation")
        about = (
            f"{rows[0].problem}, {rows[0].pairs} pairs, {readable(rows[0].solver)}" if rows else ""
        )
        right.set_title(about)
        right.set_ylabel("energy distance of the samples to the data")
        for axes in panels:
            axes.set_xlabel("t, from one noise to the other")
            axes.set_ylim(bottom=0)
            axes.grid(color="0.9", lw=0.6)
            if rows:
                axes.legend()
    return figure
