"""What a log-log figure shows: the range worth seeing, marks for the points beyond it, slope triangles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from flowsolve.plot.look import curve


class Line(NamedTuple):
    """Points of one line, their standard errors, and how it is drawn."""

    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float]
    stroke: Mapping[str, object]


def draw_lines(axes: Axes, lines: Sequence[Line], limit: float, why: str) -> None:
    """All lines, log-log. Points above `limit` lie beyond the axis, and an arrow at its edge marks each.

    limit  what parts few points from most, else it is ignored;  why: what the legend says of those few
    """
    axes.set(xscale="log", yscale="log")
    for line in lines:
        curve(axes, line.x, line.y, line.error, **line.stroke)
    shown = sorted(y for line in lines for y in line.y if 0 < y < math.inf)
    if not shown:
        return
    beyond = shown[-1] > limit > shown[len(shown) // 2]
    inside = [
        (y, error if error > 0 else 0.0)
        for line in lines
        for y, error in zip(line.y, line.error, strict=True)
        if 0 < y < math.inf and not (beyond and y > limit)
    ]
    # the bars too, but a long one must not stretch the axis either
    ends = [end for y, e in inside for end in (max(y - e, y / 3), min(y + e, 3 * y))]
    room = (max(ends) / min(ends)) ** 0.05 * 1.1
    axes.set_ylim(min(ends) / room, limit if beyond else max(ends) * room)
    if not beyond:
        return
    marked: dict[float, int] = {}
    size = 1.5 * axes.lines[0].get_markersize()
    for line in lines:
        for x, y in zip(line.x, line.y, strict=True):
            if y > limit:  # arrows at one place stand under each other
                high = 0.975 - 0.04 * marked.setdefault(x, 0)
                marked[x] += 1
                axes.plot(
                    [x], [high], marker="$\\uparrow$", ms=size, color=line.stroke["color"], ls="none",
                    transform=axes.get_xaxis_transform(), zorder=3,
                )  # fmt: skip
    axes.plot([], [], marker="$\\uparrow$", ms=size, color="0.3", ls="none", label=why)


def draw_errors(axes: Axes, lines: Sequence[Line], scales: Sequence[float]) -> None:
    """RMS errors; those above the RMS of the solution itself (the largest of `scales`) lie beyond the axis."""
    size = max((s for s in scales if s > 0), default=math.inf)
    draw_lines(axes, lines, size, f"above {size:.2g}, the RMS of the solution itself")


def common_size(lines: Sequence[Line]) -> float:
    """Ten times the median over the lines of their largest value: what is above is wild."""
    tops = sorted(max(line.y) for line in lines if line.y)
    return 10 * tops[len(tops) // 2] if tops else math.inf


def triangles(axes: Axes, start: float, end: float, ends: Mapping[int, float]) -> None:
    """A triangle of slope -order for each order, to the right of all lines, none over another.

    start, end  the first and the last x of all lines
    ends        the last y of a line of that order, where the triangle's top is if there is room
    """
    low, high = (math.log10(v) for v in axes.get_ylim())
    first, last = math.log10(start), math.log10(end)
    width = min(max(0.11 * (last - first), 0.08), 0.3 * (high - low) / max(ends))
    left = 10 ** (last + 0.4 * width)
    right = left * 10**width
    gap, least = 0.012 * (high - low), 0.05 * (high - low)  # between them; the height of a label
    wanted = sorted(((math.log10(y), order) for order, y in ends.items()), reverse=True)
    heights = [max(order * width, least) for _, order in wanted]
    deepest = min(y - height for (y, _), height in zip(wanted, heights, strict=True))
    low = min(low, deepest - gap, high - sum(heights) - gap * (len(heights) + 1))
    tops: list[float] = []
    room = high - gap
    for (y, _), height in zip(wanted, heights, strict=True):  # each under the one before
        tops.append(min(y, room))
        room = tops[-1] - height - gap
    room = low + gap
    for i in reversed(range(len(tops))):  # and none under the axis
        tops[i] = max(tops[i], room + heights[i])
        room = tops[i] + gap
    for top, (_, order) in zip(tops, wanted, strict=True):
        upper, lower = 10**top, 10 ** (top - order * width)
        axes.plot([left, right, right, left], [upper, lower, upper, upper], color="0.4", lw=0.9)
        axes.text(
            right * 10 ** (0.12 * width), math.sqrt(upper * lower), str(order),
            ha="left", va="center", fontsize="small", color="0.3",
        )  # fmt: skip
    axes.set_ylim(10**low, 10**high)
