"""How figures look: their options, colours and markers that stay apart, sizes for paper and for slides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import matplotlib.figure
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes

from flowsolve._arguments import shown
from flowsolve.errors import StateError
from flowsolve.integrate.options import check_names
from flowsolve.plot.axes import Figure

if TYPE_CHECKING:
    from flowsolve.study.names import Labels

# Okabe and Ito 2008, without their yellow, in an order in which the first lines differ most. Seen with
# deuteranopia (Machado et al. 2009) the first five are 22 apart in CIEDE2000, all seven 12.5.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#000000", "#56B4E9", "#CC79A7", "#D55E00")
MARKERS = "osD^vP*X<>h"
DASHES = ("-", "--", "-.", ":")

STYLES: dict[str, dict[str, Any]] = {
    "paper": {
        "font.size": 9, "axes.titlesize": 9.5, "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8,
        "legend.fontsize": 8, "figure.titlesize": 10, "lines.linewidth": 1.4, "lines.markersize": 4.5,
        "axes.linewidth": 0.8,
    },
    "slides": {
        "font.size": 16, "axes.titlesize": 17, "axes.labelsize": 16, "xtick.labelsize": 14,
        "ytick.labelsize": 14, "legend.fontsize": 13, "figure.titlesize": 18, "lines.linewidth": 2.6,
        "lines.markersize": 9, "axes.linewidth": 1.2,
    },
}  # fmt: skip
LARGER = {"paper": 1.0, "slides": 1.5}  # than what a figure says its size is, in inches


class Look(TypedDict, total=False):
    """`**look` of every figure.

    ax      your own matplotlib axes to draw into: one of a figure with one panel, else a sequence of as many as
            it has panels, row by row. They keep their size and the sizes of their texts
    labels  of the lines: a mapping from the solver's repr, or from the whole name, to what is to be written, or
            as many names as there are lines. Figures without named lines do not read it
    style   "paper" (the default) or "slides": sizes of figure, texts, lines and markers
    """

    ax: Axes | Sequence[Axes] | None
    labels: Labels
    style: Literal["paper", "slides"]


@contextmanager
def canvas(
    look: Look, width: float, height: float, rows: int = 1, columns: int = 1
) -> Iterator[tuple[matplotlib.figure.Figure, list[Axes]]]:
    """The figure and its axes, row by row: a new one of this size in inches, or that of look["ax"].

    In the block texts and lines have the sizes of the style. Raises TypeError for a name that is no option,
    ValueError for a style or a number of axes that cannot be, StateError for axes that are none.
    """
    check_names(look, Look)
    style, given = look.get("style", "paper"), look.get("ax")
    if style not in STYLES:
        raise ValueError(f'style must be "paper" or "slides", but got {shown(style)}.')
    sizes: Any = STYLES[style]
    with rc_context(sizes):
        if given is not None:
            found = _axes(given, rows * columns)
            yield found[0].figure.figure, found
            return
        scale = LARGER[style]
        figure = Figure(figsize=(width * scale, height * scale), layout="constrained")
        found = [*figure.subplots(rows, columns, squeeze=False).flat]
        yield figure, found
        for axes in found:  # ticks are made later, with the sizes that hold by then
            axes.tick_params(axis="x", labelsize=sizes["xtick.labelsize"])
            axes.tick_params(axis="y", labelsize=sizes["ytick.labelsize"])


def heading(figure: matplotlib.figure.Figure, look: Look, text: str) -> None:
    """A title over all panels, unless they are in a figure of the user's."""
    if look.get("ax") is None:
        figure.suptitle(text)


def _axes(given: Any, count: int) -> list[Axes]:
    found = [given] if isinstance(given, Axes) else (
        [*given.flat] if isinstance(given, np.ndarray) else given
    )  # fmt: skip
    if not isinstance(found, Sequence) or not all(isinstance(a, Axes) for a in found):
        such = (
            "an Axes of matplotlib" if count == 1 else f"a sequence of {count} Axes of matplotlib"
        )
        raise StateError(f"ax must be {such}, not {shown(given)}.")
    if len(found) != count:
        raise ValueError(f"this figure has {count} panels, but ax holds {len(found)} Axes.")
    return [*found]


def strokes() -> Iterator[dict[str, Any]]:
    """Colour, marker and dashes of one line after another, in which no two of the first 77 are alike."""
    k = 0
    while True:
        yield {
            "color": COLORS[k % len(COLORS)], "marker": MARKERS[k % len(MARKERS)],
            "ls": DASHES[k // len(COLORS) % len(DASHES)],
        }  # fmt: skip
        k += 1


def colors(n: int) -> list[str]:
    """The colours of the first n lines."""
    return [stroke["color"] for stroke in islice(strokes(), n)]


def curve(
    axes: Axes, x: Sequence[float], y: Sequence[float], error: Sequence[float], **stroke: Any
) -> None:
    """A line with its standard errors; NaN where there is none."""
    axes.plot(x, y, **stroke)
    bars = {k: v for k, v in stroke.items() if k == "color"}
    size = axes.lines[-1].get_markersize()
    axes.errorbar(
        x,
        y,
        error,
        fmt="none",
        capsize=0.5 * size,
        elinewidth=0.22 * size,
        capthick=0.22 * size,
        **bars,
    )
