"""Where grids place their levels, and the weights that a method has on one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
from matplotlib.figure import Figure

from flowsolve._arguments import instance, several
from flowsolve.plot.look import Look, canvas, colors
from flowsolve.schedule.grid import Grid
from flowsolve.study.names import line_names, readable

if TYPE_CHECKING:
    from flowsolve.analysis.table import Table


def grid_levels(many: Grid | Sequence[Grid], **look: Unpack[Look]) -> Figure:
    """Where grids place their levels: log σ on the axis, one row for each grid."""
    many = [many] if isinstance(many, Grid) else several("grids", many, "Grids")
    for i, grid in enumerate(many):
        instance(f"grids[{i}]", grid, Grid, "karras(10, 80, 0.002)")
    names = line_names([(f"{g.name} ({g.steps})", "") for g in many], look.get("labels"))
    with canvas(look, 6.5, 0.8 + 0.35 * len(many)) as (figure, (axes,)):
        for i, (grid, color) in enumerate(zip(many, colors(len(many)), strict=True)):
            levels = [s for s in grid if 0 < s < math.inf]
            axes.plot(levels, [i] * len(levels), "|-", ms=12, lw=0.6, color=color)
        axes.set_xscale("log")
        axes.invert_xaxis()
        axes.set_ylim(len(many) - 0.5, -0.5)
        axes.set_yticks(range(len(many)), names)
        axes.set_xlabel("σ, from noise to data")
    return figure


def coefficients(t: Table, **look: Unpack[Look]) -> Figure:
    """The coefficient table as a heat map: rows are probes and the answer, columns x̄_T and each ε.

    Colour is the weight on its own scale, sign(w) √|w| of the largest; weights on x̄_T are 1.
    """
    from flowsolve.analysis.table import Table

    instance("table", t, Table, "tabulate(Heun(), grid)")
    m = t.matrix
    shown = np.sign(m[:, 1:]) * np.sqrt(np.abs(m[:, 1:]))
    top = float(np.abs(shown).max()) or 1.0
    n = len(m)
    mask = np.ma.masked_where(m[:, 1:] == 0, shown)
    with canvas(look, 1.8 + 0.42 * n, 1.5 + 0.34 * n) as (figure, (axes,)):
        axes.imshow(mask, cmap="RdBu_r", vmin=-top, vmax=top, aspect="auto")
        if n <= 17:
            for (i, j), w in np.ndenumerate(m[:, 1:]):
                if w:
                    color = "w" if abs(shown[i, j]) > 0.6 * top else "k"
                    axes.text(
                        j, i, f"{w:.2g}", ha="center", va="center", fontsize="x-small", color=color
                    )
        axes.set_xticks(range(n - 1), [f"ε{k}" for k in range(1, n)])
        rows = [*(f"probe {k}: σ = {s:.3g}" for k, s in enumerate(t.sigmas, 1)), "answer"]
        axes.set_yticks(range(n), rows)
        axes.set_title(f"{readable(t.solver)}: weights on the ε")
    return figure
