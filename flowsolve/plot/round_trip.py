"""What round trips lose, against the number of steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from matplotlib.figure import Figure

from flowsolve.plot.axes import check_rows, finish
from flowsolve.plot.look import Look, canvas, curve, strokes
from flowsolve.study.names import line_names

if TYPE_CHECKING:
    from flowsolve.study.round_trip import RoundTripRow


def round_trips_vs_steps(rows: Sequence[RoundTripRow], **look: Unpack[Look]) -> Figure:
    """Root mean squared error against S, a line for each way; markers are hollow in all but the first dtype."""
    from flowsolve.study.round_trip import RoundTripRow

    rows = check_rows(rows, RoundTripRow)
    ways, dtypes = ([*dict.fromkeys(getattr(r, k) for r in rows)] for k in ("way", "dtype"))
    names = line_names([(way, "") for way in ways], look.get("labels"))
    with canvas(look, 8, 4.8) as (figure, (axes,)):
        axes.set(xscale="log", yscale="log")
        for way, name, stroke in zip(ways, names, strokes(), strict=False):
            for dtype in dtypes:
                some = sorted(
                    (r for r in rows if (r.way, r.dtype) == (way, dtype) and not r.error),
                    key=lambda r: r.S,
                )
                first = dtype == dtypes[0]
                y = [r.mse**0.5 for r in some]
                error = [
                    r.mse_error / (2 * e) if e else math.nan for r, e in zip(some, y, strict=True)
                ]
                filled = stroke["color"] if first else "white"
                curve(
                    axes,
                    [r.S for r in some],
                    y,
                    error,
                    label=name if first else None,
                    mfc=filled,
                    **stroke,
                )
        axes.set_xlabel("S, steps each way")
        axes.set_ylabel("error of the round trip, root mean square")
        if rows:
            hollow = f" (filled), {', '.join(dtypes[1:])} (hollow)" if len(dtypes) > 1 else ""
            axes.set_title(f"{rows[0].problem}, {rows[0].samples} of the data, {dtypes[0]}{hollow}")
        finish(axes)
        if ways:
            axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
