"""Figures. The only user of matplotlib; every function returns a Figure and draws nothing on a screen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.grid import Grid
    from flowsolve.problems.mixture import Mixture, Mixture1D
    from flowsolve.rows import Row
    from flowsolve.solution import Point, Solution
    from flowsolve.study import Study
    from flowsolve.table import Table

MARKERS = "osD^vP*X<>"


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure, its format by the suffix; the same figure gives the same bytes."""
    path = Path(path)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with rc_context({"svg.hashsalt": "flowsolve"}):
        figure.savefig(path, dpi=150, metadata=metadata)


def error_vs_nfe(study: Study, title: str = "") -> Figure:
    """RMSE against evaluations, log-log, one line for each solver and spacing; slope triangles."""
    figure, axes = _new(7.5, 5)
    _lines(axes, study, lambda row: row.nfe)
    axes.set_xlabel("network evaluations (NFE)")
    axes.set_ylabel("RMS error against the reference")
    first = next(iter(study.series.values()), [])
    axes.set_title(title or (f"{first[0].problem}, {first[0].samples} samples" if first else ""))
    _finish(axes)
    return figure


def convergence(studies: Sequence[Study], title: str = "") -> Figure:
    """RMSE against steps, log-log, with a triangle of the declared order at each line."""
    figure, axes = _new(7.5, 5)
    _lines(axes, _joined(studies), lambda row: row.steps)
    axes.set_xlabel("steps")
    axes.set_ylabel("RMS error against the reference")
    axes.set_title(title or "convergence")
    _finish(axes)
    return figure


def _joined(studies: Sequence[Study]) -> Study:
    from flowsolve.study import Study

    return Study(tuple(row for study in studies for row in study.rows))


def _new(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _lines(axes: Axes, study: Study, at: Callable[[Row], float]) -> None:
    fixed = {k: rows for k, rows in study.series.items() if rows[0].fixed}
    spacings = {spacing for _, spacing in fixed}
    end = max((at(rows[-1]) for rows in fixed.values()), default=1)
    orders: dict[int, Row] = {}
    for ((solver, spacing), rows), marker in zip(
        study.series.items(), cycle(MARKERS), strict=False
    ):
        named = len(spacings) > 1 and (solver, spacing) in fixed
        label = f"{solver}, {spacing}" if named else solver
        axes.loglog([at(r) for r in rows], [r.rmse for r in rows], marker=marker, ms=5, label=label)
        if len(rows) > 1 and (solver, spacing) in fixed:
            orders.setdefault(rows[-1].order, rows[-1])
    for order, last in orders.items():
        _triangle(axes, end, last.rmse, order)
    floor = max((r.ref_err for rows in study.series.values() for r in rows), default=0)
    low = min((r.rmse for rows in study.series.values() for r in rows), default=1)
    if floor * 10 > low:
        axes.axhline(10 * floor, color="0.5", lw=1, ls=":", label="10 × reference error")


def _triangle(axes: Axes, x: float, y: float, order: int) -> None:
    """A slope of -order, to the right of all lines and as high as the end of its own."""
    left, right, top = x * 1.06, x * 1.06 * 1.35, y
    bottom = top * 1.35**-order
    axes.plot([left, right, left, left], [top, bottom, bottom, top], color="0.4", lw=0.9)
    axes.annotate(
        str(order), (math.sqrt(left * right), math.sqrt(top * bottom)), (2, 1),
        textcoords="offset points", ha="left", va="bottom", fontsize=8, color="0.3",
    )  # fmt: skip


def _finish(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_xlim()
    marks = (1, 2, 3, 5, 7) if high < 100 * low else (1, 2, 5) if high < 1e4 * low else (1,)
    ticks = [m * 10**k for k in range(8) for m in marks]
    axes.set_xticks([t for t in ticks if low <= t <= high])
    axes.grid(which="both", color="0.9", lw=0.6)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8)


def grids(many: Sequence[Grid]) -> Figure:
    """Where grids place their levels: log σ on the axis, one row for each grid."""
    figure, axes = _new(7.5, 0.9 + 0.4 * len(many))
    for i, grid in enumerate(many):
        levels = [s for s in grid if 0 < s < math.inf]
        axes.plot(levels, [i] * len(levels), "|-", ms=12, lw=0.6, color=f"C{i % 10}")
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_ylim(len(many) - 0.5, -0.5)
    axes.set_yticks(range(len(many)), [f"{g.name} ({g.steps})" for g in many])
    axes.set_xlabel("σ, from noise to data")
    return figure


def table(t: Table) -> Figure:
    """The coefficient table as a heat map: rows are probes and the answer, columns x̄_T and each ε.

    Colour is the weight on its own scale, sign(w) √|w| of the largest; weights on x̄_T are 1.
    """
    m = t.matrix
    shown = np.sign(m[:, 1:]) * np.sqrt(np.abs(m[:, 1:]))
    top = float(np.abs(shown).max()) or 1.0
    n = len(m)
    figure, axes = _new(1.8 + 0.42 * n, 1.5 + 0.34 * n)
    mask = np.ma.masked_where(m[:, 1:] == 0, shown)
    axes.imshow(mask, cmap="RdBu_r", vmin=-top, vmax=top, aspect="auto")
    if n <= 17:
        for (i, j), w in np.ndenumerate(m[:, 1:]):
            if w:
                dark = abs(shown[i, j]) > 0.6 * top
                axes.text(j, i, f"{w:.2g}", ha="center", va="center", fontsize=6,
                          color="w" if dark else "k")  # fmt: skip
    axes.set_xticks(range(n - 1), [f"ε{k}" for k in range(1, n)], fontsize=7)
    rows = [*(f"probe {k}: σ = {s:.3g}" for k, s in enumerate(t.sigmas, 1)), "answer"]
    axes.set_yticks(range(n), rows, fontsize=7)
    axes.set_title(f"{t.solver}: weights on the ε", fontsize=9)
    return figure


def paths_1d(problem: Mixture1D, solution: Solution) -> Figure:
    """Paths of a 1-D problem over its density, in x_t (left) and in x̄ (right). Needs keep=1.

    Raises ValueError for a solution without a path.
    """
    import torch

    points = _path(solution)
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    sigmas = np.geomspace(max(p.sigma for p in points), min(p.sigma for p in points), 200)
    for k, scaled in enumerate((True, False), 1):
        axes = figure.add_subplot(1, 2, k)
        states = np.array([(p.x_t if scaled else p.x).cpu().numpy() for p in points])
        reach = float(np.abs(states).max()) * 1.05
        y = np.linspace(-reach, reach, 400)
        columns = []
        for s in sigmas:
            alpha = 1 / math.hypot(1, s) if scaled else 1.0
            p = problem.log_density(torch.as_tensor(y / alpha), float(s)).exp().numpy() / alpha
            columns.append(p / p.max())
        axes.pcolormesh(sigmas, y, np.array(columns).T, cmap="Greys", shading="auto", vmax=1.6,
                        rasterized=True)  # fmt: skip
        axes.plot([p.sigma for p in points], states, lw=0.9, marker=".", ms=3)
        axes.set_xscale("log")
        axes.invert_xaxis()
        axes.set_xlabel("σ")
        axes.set_title("x_t = α x̄, variance preserving" if scaled else "x̄ = x_t/α")
    figure.suptitle(f"{solution.solver!r}, {solution.nfe} evaluations")
    return figure


def _path(solution: Solution) -> Sequence[Point]:
    if not solution.path:
        raise ValueError("this solution kept no path: solve with keep=1 to draw one.")
    return solution.path


def paths_2d(problem: Mixture, solution: Solution) -> Figure:
    """Paths of a 2-D problem over the density of the data, in x_t (left) and in x̄ (right)."""
    import torch

    points = _path(solution)
    figure = Figure(figsize=(10, 5), layout="constrained")
    for k, scaled in enumerate((True, False), 1):
        axes = figure.add_subplot(1, 2, k)
        states = np.array([(p.x_t if scaled else p.x).cpu().numpy() for p in points])
        reach = float(np.abs(states).max()) * 1.05
        side = np.linspace(-reach, reach, 240)
        at = torch.as_tensor(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2))
        p = problem.log_density(at, problem.sigma_min).exp().numpy().reshape(240, 240)
        axes.contourf(side, side, p, levels=12, cmap="Greys")
        for i in range(states.shape[1]):
            axes.plot(*states[:, i].T, lw=0.9, marker=".", ms=3)
        axes.set_aspect("equal")
        axes.set_title("x_t = α x̄" if scaled else "x̄ = x_t/α")
    figure.suptitle(f"{solution.solver!r}, {solution.nfe} evaluations")
    return figure


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
    figure, axes = _new(0.5 * columns, 0.5 * rows + (0.25 if title else 0))
    axes.imshow(sheet, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, fontsize=9)
    return figure


def scatter(x: Tensor, title: str = "") -> Figure:
    """Samples of a problem in one dimension (a histogram) or two (points)."""
    figure, axes = _new(5, 4.5)
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
