"""What all figures share: one that shows itself in a notebook, save, ticks, the density behind paths."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib.figure
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, NullFormatter

from flowsolve._arguments import file_path, instance, several
from flowsolve.errors import ResultsError

if TYPE_CHECKING:
    from flowsolve.problems.mixture import Mixture


class Figure(matplotlib.figure.Figure):
    """A figure of matplotlib that is shown as the last line of a notebook's cell, also without pyplot."""

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self.savefig(out, format="png", dpi=110)
        return out.getvalue()


def save(figure: matplotlib.figure.Figure, path: str | Path) -> None:
    """Write a figure, its format by the suffix; the same figure gives the same bytes."""
    instance("figure", figure, matplotlib.figure.Figure, "plot.grid_levels([grid])")
    path = file_path(path)
    known = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise ValueError(f"{path} must end in one of .{', .'.join(sorted(known))}, its format.")
    dated = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix.lower())
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


def finish(axes: Axes, loc: Literal["best", "center right", "below"] = "best") -> None:
    """Plain numbers on a logarithmic x axis, a light grid, the legend at `loc`; below it covers nothing."""
    plain(axes.xaxis)
    axes.grid(which="both", color="0.9", lw=0.6)
    names = axes.get_legend_handles_labels()[1]
    if not names:
        return
    if loc == "below":
        columns = 2 if max(map(len, names)) <= 44 else 1
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=columns, frameon=False)
    else:
        axes.legend(loc=loc)


def plain(axis: Axis) -> None:
    """Numbers as 0.3, 10 and 2000 on a logarithmic axis."""
    low, high = axis.get_view_interval()
    marks = (1, 2, 3, 5, 7) if high < 100 * low else (1, 2, 5) if high < 1e4 * low else (1,)
    ticks = [float(f"{m}e{k}") for k in range(-8, 8) for m in marks]
    axis.set_ticks([t for t in ticks if low <= t <= high])
    axis.set_major_formatter(FuncFormatter(lambda t, _: f"{t:.0f}" if t >= 1 else f"{t:g}"))
    axis.set_minor_formatter(NullFormatter())


def density(axes: Axes, problem: Mixture, sigma: float, reach: float) -> None:
    """The density of a 2-D x̄ at σ in grey, from -reach to reach both ways."""
    import torch

    side = np.linspace(-reach, reach, 240)
    at = torch.as_tensor(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2))
    p = problem.log_density(at, sigma).exp().numpy().reshape(240, 240)
    axes.contourf(side, side, p, levels=12, cmap="Greys")
    axes.set_aspect("equal")
