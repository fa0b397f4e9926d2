"""The likelihood of data against evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from flowsolve.plot.axes import check_rows, finish
from flowsolve.plot.look import Look, canvas, curve, strokes
from flowsolve.study.names import line_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flowsolve.study.likelihood import LikelihoodRow


def likelihood_vs_nfe(rows: Sequence[LikelihoodRow], **look: Unpack[Look]) -> Figure:
    """Bits per dimension, or log p, against evaluations, with the standard error over the data."""
    from flowsolve.study.likelihood import LikelihoodRow

    rows = check_rows(rows, LikelihoodRow)
    solvers = [*dict.fromkeys(r.solver for r in rows)]
    names = line_names([(s, "") for s in solvers], look.get("labels"))
    with canvas(look, 6.5, 4.4) as (figure, (axes,)):
        axes.set_xscale("log")
        for solver, name, stroke in zip(solvers, names, strokes(), strict=False):
            some = sorted(
                (r for r in rows if r.solver == solver and not r.error), key=lambda r: r.nfe
            )
            curve(axes, [r.nfe for r in some], [r.estimate.value for r in some],
                  [r.estimate.error for r in some], label=name, **stroke)  # fmt: skip
        axes.set_xlabel("network evaluations (NFE), each with its divergence")
        in_bits = any(not math.isnan(r.bits) for r in rows)
        axes.set_ylabel("bits per dimension" if in_bits else "log p (nats)")
        if rows:
            axes.set_title(
                f"{rows[0].problem}, {rows[0].samples} of the data, σ = {rows[0].sigma_min:.3g}"
            )
        finish(axes)
    return figure
