"""Edited images under their originals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from flowsolve._arguments import shown
from flowsolve.errors import StateError
from flowsolve.plot.look import Look, canvas, heading

if TYPE_CHECKING:
    from torch import Tensor


def edits(
    rows: Mapping[str, Tensor],
    columns: Sequence[str] = (),
    title: str = "",
    **look: Unpack[Look],
) -> Figure:
    """A sheet of images: a row for each name, a column for each image; -1 is black and 1 white, smoothed.

    rows     name -> (n, 1, h, w), n alike in all;  columns: n headings, for example "3 → 8"

    Raises ValueError for rows or headings of other numbers.
    """
    if not isinstance(rows, Mapping) or any(getattr(x, "ndim", 0) != 4 for x in rows.values()):
        raise StateError(f"edits draws a dictionary name -> (n, 1, h, w), not {shown(rows)}.")
    counts = {len(x) for x in rows.values()} | ({len(columns)} if columns else set())
    if len(counts) != 1 or 0 in counts:
        raise ValueError(
            "edits draws rows of equally many images under as many headings, but got "
            f"{ {k: tuple(x.shape) for k, x in rows.items()} } and {len(columns)} headings."
        )
    n = counts.pop()
    with canvas(look, 1.7 + 0.42 * n, 0.2 + 0.42 * len(rows), len(rows), n) as (figure, panels):
        for k, (name, x) in enumerate(rows.items()):
            line = panels[k * n : (k + 1) * n]
            for axes, image in zip(line, x.detach().cpu().float()[:, 0].numpy(), strict=True):
                framed = np.pad(image, 1, constant_values=-1)  # small digits touch their edges
                axes.imshow(framed, cmap="gray", vmin=-1, vmax=1, interpolation="bicubic")
                axes.set(xticks=[], yticks=[], frame_on=False)
            line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize="small")
        for axes, column in zip(panels, columns, strict=False):
            axes.set_title(column, fontsize="small", pad=2)
        heading(figure, look, title)
        layout = figure.get_layout_engine()
        if look.get("ax") is None and isinstance(layout, ConstrainedLayoutEngine):
            layout.set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    return figure
