"""Samples from between two noises: how strong the noise is there, how far they are from data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from flowsolve.plot.axes import MARKERS, check_rows

if TYPE_CHECKING:
    from flowsolve.study.interpolation import InterpolationRow


def along_interpolation(rows: Sequence[InterpolationRow]) -> Figure:
    """How strong the noise between two noises is, and how far from data the samples from it are."""
    from flowsolve.study.interpolation import InterpolationRow

    rows = check_rows(rows, InterpolationRow)
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for path, marker in zip(dict.fromkeys(r.path for r in rows), cycle(MARKERS), strict=False):
        some = [r for r in rows if r.path == path and not r.error]
        t = [r.t for r in some]
        left.plot(t, [r.deviation for r in some], marker=marker, ms=5, label=path)
        right.errorbar(t, [r.energy for r in some], [r.energy_error for r in some],
                       marker=marker, ms=5, capsize=3, label=path)  # fmt: skip
    left.set_ylabel("deviation of the noise")
    right.set_ylabel("energy distance of the samples to the data")
    for axes in (left, right):
        axes.set_xlabel("t, from one noise to the other")
        axes.set_ylim(bottom=0)
        axes.grid(color="0.9", lw=0.6)
        if rows:
            axes.legend(fontsize=8)
    if rows:
        figure.suptitle(f"{rows[0].problem}, {rows[0].pairs} pairs, {rows[0].solver}")
    return figure
