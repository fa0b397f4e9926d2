"""Edited images under their originals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from flowsolve._arguments import shown
from flowsolve.errors import StateError

if TYPE_CHECKING:
    from torch import Tensor


def edits(rows: Mapping[str, Tensor], columns: Sequence[str] = (), title: str = "") -> Figure:
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
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    figure = Figure(figsize=(1.7 + 0.42 * n, 0.2 + 0.42 * len(rows)), layout=layout)
    panels = figure.subplots(len(rows), n, squeeze=False)
    for line, (name, x) in zip(panels, rows.items(), strict=True):
        for axes, image in zip(line, x.detach().cpu().float()[:, 0].numpy(), strict=True):
            framed = np.pad(image, 1, constant_values=-1)  # small digits touch their edges
            axes.imshow(framed, cmap="gray", vmin=-1, vmax=1, interpolation="bicubic")
            axes.set(xticks=[], yticks=[], frame_on=False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7.5)
    for axes, heading in zip(panels[0], columns, strict=False):
        axes.set_title(heading, fontsize=8, pad=2)
    figure.suptitle(title, fontsize=9)
    return figure
