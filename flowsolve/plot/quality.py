"""Distance to data against steps and evaluations, with the floor that real data have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowsolve.plot.axes import MARKERS, check_rows, finish, new

if TYPE_CHECKING:
    from flowsolve.study.quality import QualityRow


def table1(rows: Sequence[QualityRow], labels: dict[str, str] | None = None) -> Figure:
    """Fréchet distance against S: a line for each solver, and the floor of real data as a band.

    labels  of the lines, by solver
    """
    from flowsolve.study.quality import QualityRow

    rows = check_rows(rows, QualityRow)
    figure, axes = new(7.5, 5)
    _distances(axes, rows, lambda row: row.steps, labels or {})
    axes.set_xlabel("S, the steps of the sub-sequence")
    axes.set_title(_about(rows))
    finish(axes)
    return figure


def quality_vs_nfe(rows: Sequence[QualityRow]) -> Figure:
    """Error against the ODE's solution beside distance to data, both against evaluations."""
    from flowsolve.study.quality import QualityRow

    rows = check_rows(rows, QualityRow)
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (solver, some), marker in zip(_series(rows), cycle(MARKERS), strict=False):
        points = [r for r in some if not math.isnan(r.rmse)]
        left.loglog(
            [r.nfe for r in points], [r.rmse for r in points], marker=marker, ms=5, label=solver
        )
    left.set_ylabel("RMS error against the solution of the ODE")
    _distances(right, rows, lambda row: row.nfe, {})
    for axes in (left, right):
        axes.set_xlabel("network evaluations (NFE)")
        finish(axes)
    figure.suptitle(_about(rows))
    return figure


def _series(rows: Iterable[QualityRow]) -> list[tuple[str, list[QualityRow]]]:
    groups: dict[tuple[str, str], list[QualityRow]] = {}
    for row in rows:
        if row.asked and not row.error:
            groups.setdefault((row.solver, row.spacing), []).append(row)
    several = len({spacing for _, spacing in groups}) > 1
    return [
        (f"{solver}, {spacing}" if several else solver, sorted(some, key=lambda r: r.nfe))
        for (solver, spacing), some in groups.items()
    ]


def _distances(
    axes: Axes,
    rows: Sequence[QualityRow],
    at: Callable[[QualityRow], float],
    labels: dict[str, str],
) -> None:
    for row in rows:
        if not row.asked and not row.error:
            low, high = row.frechet - row.frechet_error, row.frechet + row.frechet_error
            axes.axhspan(low, high, color="0.85", label=f"{row.samples} real ones, ± 1 s.d.")
    for (solver, some), marker in zip(_series(rows), cycle(MARKERS), strict=False):
        axes.errorbar(
            [at(r) for r in some], [r.frechet for r in some], [r.frechet_error for r in some],
            marker=marker, ms=5, capsize=3, label=labels.get(solver, solver),
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    features = next((r.features for r in rows), "")
    axes.set_ylabel(f"Fréchet distance of {features}")


def _about(rows: Sequence[QualityRow]) -> str:
    row = next((r for r in rows if r.asked), None)
    return "" if row is None else f"{row.problem}, {row.samples} samples, {row.real} real ones"
