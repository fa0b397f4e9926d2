"""What all figures share: new axes, their finish, the density behind paths, and save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from flowsolve._arguments import file_path, instance, several
from flowsolve.errors import ResultsError

if TYPE_CHECKING:
    from flowsolve.problems.mixture import Mixture

MARKERS = "osD^vP*X<>"


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure, its format by the suffix; the same figure gives the same bytes."""
    instance("figure", figure, Figure, "plot.grid_levels([grid])")
    path = file_path(path)
    known = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise ValueError(f"{path} must end in one of .{', .'.join(sorted(known))}, its format.")
    dated = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix)
    metadata = {dated: None} if dated else None
    try:
        with rc_context({"svg.hashsalt": "flowsolve"}):
            figure.savefig(path, dpi=150, metadata=metadata)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror}.") from None


def check_rows(rows: Any, kind: type) -> list[Any]:
    """The rows in a list. Raises StateError unless all are of this kind."""
    found = several("rows", rows, f"{kind.__name__}, as collect() returns them", empty=True)
    for i, row in enumerate(found):
        instance(f"rows[{i}]", row, kind)
    return found


def new(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, laid out to fit."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def finish(axes: Axes) -> None:
    """Plain numbers on a logarithmic x axis, a light grid, the legend."""
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_xlim()
    marks = (1, 2, 3, 5, 7) if high < 100 * low else (1, 2, 5) if high < 1e4 * low else (1,)
    ticks = [m * 10**k for k in range(8) for m in marks]
    axes.set_xticks([t for t in ticks if low <= t <= high])
    axes.grid(which="both", color="0.9", lw=0.6)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8)


def density(axes: Axes, problem: Mixture, sigma: float, reach: float) -> None:
    """The density of a 2-D x̄ at σ in grey, from -reach to reach both ways."""
    import torch

    side = np.linspace(-reach, reach, 240)
    at = torch.as_tensor(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2))
    p = problem.log_density(at, sigma).exp().numpy().reshape(240, 240)
    axes.contourf(side, side, p, levels=12, cmap="Greys")
    axes.set_aspect("equal")
