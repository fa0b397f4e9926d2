"""Samples between noises, and the likelihood of data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from flowsolve.plot.axes import MARKERS, finish, new

if TYPE_CHECKING:
    from flowsolve.experiments.interpolation import InterpolationRow
    from flowsolve.experiments.likelihood import LikelihoodRow


def interpolation(rows: Sequence[InterpolationRow]) -> Figure:
    """How strong the noise between two noises is, and how far from data the samples from it are."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for path, marker in zip(dict.fromkeys(r.path for r in rows), cycle(MARKERS), strict=False):
        some = [r for r in rows if r.path == path and not r.error]
        t = [r.t for r in some]
        left.plot(t, [r.deviation for r in some], marker=marker, ms=5, label=path)
        right.errorbar(t, [r.energy for r in some], [r.energy_error for r in some],
                       marker=marker, ms=5, capsize=3, label=path)  # fmt: skip
    left.set_ylabel("deviation of the noise")
    right.set_ylabel("energy distance of the samples to the data")
    for axes in (left, right):
        axes.set_xlabel("t, from one noise to the other")
        axes.set_ylim(bottom=0)
        axes.grid(color="0.9", lw=0.6)
        if rows:
            axes.legend(fontsize=8)
    if rows:
        figure.suptitle(f"{rows[0].problem}, {rows[0].pairs} pairs, {rows[0].solver}")
    return figure


def likelihood(rows: Sequence[LikelihoodRow]) -> Figure:
    """Bits per dimension, or log p, against evaluations, with the standard error over the data."""
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
