"""Samples: sheets of images, histograms, points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from flowsolve.plot.axes import new

if TYPE_CHECKING:
    from torch import Tensor


def images(x: Tensor, columns: int = 16, title: str = "") -> Figure:
    """Samples of one channel as a sheet of images, values -1 to 1 from black to white."""
    x = x.detach().cpu().float()
    columns = min(columns, len(x))
    rows = math.ceil(len(x) / columns)
    h, w = x.shape[-2:]
    sheet = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1), np.nan)
    for i, image in enumerate(x[:, 0].numpy()):
        r, c = divmod(i, columns)
        sheet[r * (h + 1) : r * (h + 1) + h, c * (w + 1) : c * (w + 1) + w] = image
    figure, axes = new(0.5 * columns, 0.5 * rows + (0.25 if title else 0))
    axes.imshow(sheet, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, fontsize=9)
    return figure


def scatter(x: Tensor, title: str = "") -> Figure:
    """Samples of a problem in one dimension (a histogram) or two (points)."""
    figure, axes = new(5, 4.5)
    values = x.detach().cpu().numpy().reshape(len(x), -1)
    if values.shape[1] == 1:
        axes.hist(values[:, 0], bins=min(60, max(20, len(x) // 8)), density=True)
        axes.set_xlabel("x")
        axes.set_ylabel("density")
    else:
        axes.plot(values[:, 0], values[:, 1], ".", ms=4)
        axes.set_xlabel("x₁")
        axes.set_ylabel("x₂")
        axes.set_aspect("equal")
    axes.set_title(title)
    return figure
