"""The distance between samples of one x_T, against the number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from flowsolve.plot.axes import MARKERS, check_rows, finish, new

if TYPE_CHECKING:
    from flowsolve.study.consistency import ConsistencyRow


def consistency_vs_steps(rows: Sequence[ConsistencyRow]) -> Figure:
    """The distance between images of one x_T, over that between images of different x_T, against S."""
    from flowsolve.study.consistency import ConsistencyRow

    rows = check_rows(rows, ConsistencyRow)
    figure, axes = new(7.5, 5)
    solvers = dict.fromkeys(r.solver for r in rows)
    most = max((r.most for r in rows), default=0)
    for solver, marker in zip(solvers, cycle(MARKERS), strict=False):
        some = sorted((r for r in rows if r.solver == solver and not r.error), key=lambda r: r.S)
        axes.errorbar(
            [r.S for r in some], [r.first for r in some], [r.first_error for r in some],
            marker=marker, ms=5, capsize=3, label=solver,
        )  # fmt: skip
    axes.axhline(1, color="0.5", ls=":", lw=1, label="images of different x_T")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("S, the steps of the sub-sequence")
    first = rows[0].first_solver if rows else ""
    axes.set_ylabel(f"distance to {first} in {most} steps, relative")
    finish(axes)
    return figure
