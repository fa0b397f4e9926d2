"""The likelihood of data against evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from flowsolve.plot.axes import MARKERS, check_rows, finish, new

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flowsolve.study.likelihood import LikelihoodRow


def likelihood_vs_nfe(rows: Sequence[LikelihoodRow]) -> Figure:
    """Bits per dimension, or log p, against evaluations, with the standard error over the data."""
    from flowsolve.study.likelihood import LikelihoodRow

    rows = check_rows(rows, LikelihoodRow)
    figure, axes = new(7.5, 5)
    for solver, marker in zip(dict.fromkeys(r.solver for r in rows), cycle(MARKERS), strict=False):
        some = sorted((r for r in rows if r.solver == solver and not r.error), key=lambda r: r.nfe)
        axes.errorbar(
            [r.nfe for r in some], [r.estimate.value for r in some], [r.estimate.error for r in some],
            marker=marker, ms=5, capsize=3, label=solver,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("network evaluations (NFE), each with its divergence")
    in_bits = any(not math.isnan(r.bits) for r in rows)
    axes.set_ylabel("bits per dimension" if in_bits else "log p (nats)")
    if rows:
        axes.set_title(
            f"{rows[0].problem}, {rows[0].samples} of the data, σ = {rows[0].sigma_min:.3g}"
        )
    finish(axes)
    return figure
