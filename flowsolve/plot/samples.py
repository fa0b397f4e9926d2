"""Samples: sheets of images, histograms, points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure

from flowsolve._arguments import instance, shown
from flowsolve.errors import StateError
from flowsolve.plot.look import Look, canvas, colors, heading
from flowsolve.study.names import readable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from flowsolve.integrate.solution import Solution


def images(x: Tensor, columns: int = 16, title: str = "", **look: Unpack[Look]) -> Figure:
    """Samples of one channel (grey) or three (red, green, blue) as a sheet of images, values -1 to 1."""
    _check_images(x, 4)
    made, gap = _pictures(x)
    columns = min(columns, len(x))
    rows = math.ceil(len(x) / columns)
    h, w = x.shape[-2:]
    sheet = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1, *made.shape[3:]), gap)
    for i, image in enumerate(made):
        r, c = divmod(i, columns)
        sheet[r * (h + 1) : r * (h + 1) + h, c * (w + 1) : c * (w + 1) + w] = image
    with canvas(look, 0.5 * columns, 0.5 * rows + (0.25 if title else 0)) as (figure, (axes,)):
        axes.imshow(sheet, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title)
    return figure


def signals(x: Tensor, columns: int = 8, title: str = "", **look: Unpack[Look]) -> Figure:
    """Samples (N, C, L) as a sheet of curves over 0..L-1, all on one scale, a curve for each channel."""
    import torch

    if not isinstance(x, torch.Tensor) or x.ndim != 3 or not x.numel():
        raise StateError(f"signals are a tensor (N, C, L), not {_shape(x)}.")
    made = x.detach().cpu().double().numpy()
    columns = min(columns, len(made))
    rows, points = math.ceil(len(made) / columns), np.arange(x.shape[2])
    high = 1.1 * max(float(np.ptp(made)), 1e-12)
    with canvas(look, 1.1 * columns, 0.7 * rows + (0.25 if title else 0)) as (figure, (axes,)):
        for i, sample in enumerate(made):
            r, c = divmod(i, columns)
            for values, color in zip(sample, colors(len(sample)), strict=True):
                axes.plot(points + 1.15 * c * len(points), values - high * r, color=color, lw=0.9)
        axes.set_axis_off()
        axes.set_title(title)
    return figure


def sheet(
    x: Tensor,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str = "",
    every: int = 1,
    *,
    groups: Sequence[str] = (),
    **look: Unpack[Look],
) -> Figure:
    """Images in labelled rows and columns; x is (rows, columns, 1 or 3, H, W), values -1 to 1.

    every   leave a wider gap before every so many columns
    groups  titles over as many equal groups of columns, between which the gap is then
    """
    _check_images(x, 5)
    if groups:
        if len(columns) % len(groups):
            raise ValueError(
                f"groups must part {len(columns)} columns evenly, but are {len(groups)}: {[*groups]}."
            )
        every = len(columns) // len(groups)
    made, blank = _pictures(x)
    h, w = x.shape[-2:]
    gap, wide = max(1, h // 8), max(2, h // 2) if 1 < every < x.shape[1] else 0
    left = [j * (w + gap) + (j // every) * wide for j in range(x.shape[1])]
    page = np.full((len(x) * (h + gap) - gap, left[-1] + w, *made.shape[4:]), blank)
    for i, row in enumerate(made):
        for j, image in enumerate(row):
            page[i * (h + gap) : i * (h + gap) + h, left[j] : left[j] + w] = image
    side, head = 0.48, 0.6 + 0.25 * bool(groups)
    with canvas(look, 1 + side * page.shape[1] / w, head + side * page.shape[0] / h) as (
        figure,
        (axes,),
    ):
        axes.imshow(page, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        axes.set_xticks([c + w / 2 - 0.5 for c in left], columns)
        axes.set_yticks([i * (h + gap) + h / 2 - 0.5 for i in range(len(x))], rows)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for k, group in enumerate(groups):
            middle = (left[k * every] + left[(k + 1) * every - 1] + w - 1) / 2
            axes.annotate(
                group, (middle, 1), (0, 2.1 * rcParams["xtick.labelsize"]), ha="center", va="bottom",
                xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                fontsize=rcParams["axes.titlesize"],
            )  # fmt: skip
        axes.set_title(title)
    return figure


def _shape(x: object) -> str:
    return str(tuple(x.shape)) if hasattr(x, "shape") else shown(x)


def _check_images(x: Any, axes: int) -> None:
    """Raise StateError unless it is a tensor of so many axes, of 1 or 3 channels."""
    import torch

    good = isinstance(x, torch.Tensor) and x.ndim == axes and x.numel()
    if not good or x.shape[-3] not in (1, 3):
        wanted = "(N, C, H, W)" if axes == 4 else "(rows, columns, C, H, W)"
        raise StateError(f"images are a tensor {wanted} of 1 or 3 channels, not {_shape(x)}.")


def _pictures(x: Tensor) -> tuple[NDArray[np.float32], float]:
    """Images as matplotlib takes them, grey (..., H, W) or colours (..., H, W, 3) in [0, 1], and a blank."""
    made = x.detach().cpu().float()
    if x.shape[-3] == 1:
        return made.squeeze(-3).numpy(), math.nan
    return made.add(1).div(2).clamp(0, 1).movedim(-3, -1).numpy(), 1.0


def scatter(x: Tensor, title: str = "", **look: Unpack[Look]) -> Figure:
    """Samples of a problem in one dimension (a histogram) or two (points)."""
    import torch

    if not isinstance(x, torch.Tensor) or not 1 <= x.ndim <= 2:
        raise StateError(f"scatter draws samples (N,) or (N, d), not {_shape(x)}.")
    values, color = x.detach().cpu().numpy().reshape(len(x), -1), colors(1)[0]
    with canvas(look, 4.5, 4) as (figure, (axes,)):
        if values.shape[1] == 1:
            axes.hist(values[:, 0], bins=min(60, max(20, len(x) // 8)), density=True, color=color)
            axes.set_xlabel("x")
            axes.set_ylabel("density")
        else:
            axes.plot(values[:, 0], values[:, 1], ".", ms=4, color=color)
            axes.set_xlabel("x₁")
            axes.set_ylabel("x₂")
            axes.set_aspect("equal")
        axes.set_title(title)
    return figure


def along_path(
    solution: Solution, sample: int = 0, columns: int = 9, **look: Unpack[Look]
) -> Figure:
    """One sample on its way, at up to `columns` nodes of the path: x_t, x̂₀ and ε, one row each.

    Images of one channel. Black to white is -1 to 1 for x̂₀, -2 to 2 for ε, and ±(α + 2s) for x_t, data and
    two deviations of noise. Raises ValueError for a solution without a path, or of other shapes.
    """
    from flowsolve.integrate.solution import Solution

    instance("solution", solution, Solution, "sample(..., keep=1)")
    path = solution.path
    if not path or path[0].x.ndim != 4 or path[0].x.shape[1] != 1:
        shape = tuple(path[0].x.shape) if path else "no path"
        raise ValueError(
            f"along_path() draws the kept nodes (keep=1) of images (B, 1, H, W), but got {shape}."
        )
    shown = min(columns, len(path))
    nodes = [path[round(k * (len(path) - 1) / max(1, shown - 1))] for k in range(shown)]
    with canvas(look, 0.4 + 0.75 * shown, 2.7, 3, shown) as (figure, panels):
        cells = np.array(panels).reshape(3, shown)
        for p, column in zip(nodes, cells.T, strict=True):
            wide = 2.0 if math.isinf(p.sigma) else p.alpha * (1 + 2 * p.sigma)
            for axes, x, limit in zip(column, (p.x_t, p.x0, p.eps), (wide, 1.0, 2.0), strict=True):
                axes.set(xticks=[], yticks=[])
                if x is None:
                    axes.set_axis_off()
                    continue
                image = x[sample, 0].detach().cpu().float().numpy()
                axes.imshow(image, cmap="gray", vmin=-limit, vmax=limit, interpolation="nearest")
            column[0].set_title(
                "σ = ∞" if math.isinf(p.sigma) else f"σ = {p.sigma:.3g}", fontsize="medium"
            )
        for axes, name in zip(cells[:, 0], ("x_t", "x̂₀", "ε"), strict=True):
            axes.set_ylabel(name, rotation=0, ha="right", va="center")
        heading(figure, look, f"{readable(repr(solution.solver))}, {solution.nfe} evaluations")
    return figure
