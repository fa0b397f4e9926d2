"""What round trips lose, against the number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from matplotlib import colormaps
from matplotlib.figure import Figure

from flowsolve.plot.axes import MARKERS, check_rows, finish, new

if TYPE_CHECKING:
    from flowsolve.study.round_trip import RoundTripRow


def round_trips_vs_steps(rows: Sequence[RoundTripRow]) -> Figure:
    """Root mean squared error against S, a line for each way; solid in the first dtype, dashed in others."""
    from flowsolve.study.round_trip import RoundTripRow

    rows = check_rows(rows, RoundTripRow)
    figure, axes = new(8.5, 5.2)
    ways, dtypes = ([*dict.fromkeys(getattr(r, k) for r in rows)] for k in ("way", "dtype"))
    colors = colormaps["tab20"]
    for (k, way), marker in zip(enumerate(ways), cycle(MARKERS), strict=False):
        for dtype in dtypes:
            some = sorted(
                (r for r in rows if (r.way, r.dtype) == (way, dtype) and not r.error),
                key=lambda r: r.S,
            )
            axes.loglog(
                [r.S for r in some], [r.mse**0.5 for r in some], "-" if dtype == dtypes[0] else "--",
                marker=marker, ms=4, color=colors(k % 20), label=way if dtype == dtypes[0] else None,
            )  # fmt: skip
    axes.set_xlabel("S, steps each way")
    axes.set_ylabel("error of the round trip, root mean square")
    if rows:
        styles = " (solid), ".join(dtypes) + (" (dashed)" if len(dtypes) > 1 else "")
        axes.set_title(f"{rows[0].problem}, {rows[0].samples} of the data, {styles}")
    finish(axes)
    if ways:
        axes.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
