"""The distance between samples of one x_T, against the number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from matplotlib.figure import Figure

from flowsolve.plot.axes import check_rows, finish
from flowsolve.plot.look import Look, canvas, curve, strokes
from flowsolve.study.names import line_names, readable

if TYPE_CHECKING:
    from flowsolve.study.consistency import ConsistencyRow


def consistency_vs_steps(rows: Sequence[ConsistencyRow], **look: Unpack[Look]) -> Figure:
    """The distance between images of one x_T, over that between images of different x_T, against S."""
    from flowsolve.study.consistency import ConsistencyRow

    rows = check_rows(rows, ConsistencyRow)
    solvers = [*dict.fromkeys(r.solver for r in rows)]
    names = dict(
        zip(solvers, line_names([(s, "") for s in solvers], look.get("labels")), strict=True)
    )
    with canvas(look, 6.5, 4.4) as (figure, (axes,)):
        axes.set_xscale("log")
        for solver, stroke in zip(solvers, strokes(), strict=False):
            some = sorted(
                (r for r in rows if r.solver == solver and not r.error), key=lambda r: r.S
            )
            curve(axes, [r.S for r in some], [r.first for r in some], [r.first_error for r in some],
                  label=names[solver], **stroke)  # fmt: skip
        axes.axhline(1, color="0.5", ls=":", lw=1, label="images of different x_T")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("S, the steps of the sub-sequence")
        first = rows[0].first_solver if rows else ""
        most = max((r.most for r in rows), default=0)
        axes.set_ylabel(
            f"distance to {names.get(first, readable(first))} in {most} steps, relative"
        )
        axes.set_title(f"{rows[0].problem}, {rows[0].samples} x_T" if rows else "")
        finish(axes, "center right")
    return figure
