"""What log-log figures show: the range worth seeing, arrows for what is beyond it, triangles apart."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from flowsolve import plot
from flowsolve.study import Study
from tests.plot.test_figures import made_quality, made_up, row, triangles

ARROW = "$\\uparrow$"
WILD = [row("Wild()", 2, n, rmse=e) for n, e in ((3, 60.0), (6, 2.0), (32, 1e-4))]


def arrows(axes: Axes) -> list[tuple[float, str]]:
    """(x, colour) of the arrows at the upper edge."""
    found = [x for x in axes.lines if x.get_marker() == ARROW and x.get_xdata().size]
    assert all(0.8 < x.get_ydata()[0] < 1 for x in found)
    return [(float(x.get_xdata()[0]), str(x.get_color())) for x in found]


def legend(axes: Axes) -> list[str]:
    made = axes.get_legend()
    assert made is not None
    return [t.get_text() for t in made.get_texts()]


def test_a_wild_method_does_not_stretch_the_axis() -> None:
    calm = plot.error_vs_nfe(made_up()).axes[0].get_ylim()
    axes = plot.error_vs_nfe(Study((*made_up().rows, *WILD))).axes[0]
    low, high = axes.get_ylim()
    assert high == 1.0  # the RMS of the solution: made-up rows have scale 1
    assert low <= calm[0]
    wild = next(x for x in axes.lines if x.get_label() == "Wild")
    assert arrows(axes) == [(3, wild.get_color()), (6, wild.get_color())]
    assert [*wild.get_ydata()] == [60, 2, 1e-4]  # the line itself leaves
    assert legend(axes)[-1] == "above 1, the RMS of the solution itself"
    assert not arrows(plot.error_vs_nfe(made_up()).axes[0])


def test_arrows_at_one_number_of_evaluations_stand_under_each_other() -> None:
    others = [row("Other()", 2, r.steps, rmse=r.rmse * 1.1) for r in WILD]
    axes = plot.error_vs_nfe(Study((*made_up().rows, *WILD, *others))).axes[0]
    places = {(x, float(line.get_ydata()[0])) for line in axes.lines
              if line.get_marker() == ARROW for x in line.get_xdata()}  # fmt: skip
    assert len(places) == 4


def test_where_most_is_wild_all_is_shown() -> None:
    axes = plot.error_vs_nfe(Study(tuple(WILD))).axes[0]
    assert not arrows(axes)
    assert axes.get_ylim()[1] > 60


def test_the_axis_holds_the_bars_of_its_points_unless_they_are_longer_than_it() -> None:
    low, high = plot.error_vs_nfe(made_up(stderr=1e-5)).axes[0].get_ylim()
    assert low < 32.0**-3 - 1e-5
    assert high > 0.25 + 1e-5
    long = plot.error_vs_nfe(made_up(stderr=100.0)).axes[0].get_ylim()
    assert long[0] > 32.0**-3 / 9
    assert long[1] < 2


def test_a_distance_far_above_the_other_lines_is_beyond_the_axis() -> None:
    from dataclasses import replace

    rows = made_quality()
    wild = [replace(r, solver="Wild()", frechet=2e3 / r.steps**2) for r in rows[1:4]]
    axes = plot.quality_vs_nfe([*rows, *wild]).axes[1]
    assert axes.get_ylim()[1] == pytest.approx(5.0)
    assert [x for x, _ in arrows(axes)] == [10]
    assert any(text.startswith("above 5") for text in legend(axes))


def boxes(figure: Figure) -> list[Bbox]:
    """What each triangle takes with its number, in pixels."""
    figure.draw_without_rendering()
    (axes,) = figure.axes
    corners = [axes.transData.transform([*zip(x, y, strict=True)]) for x, y in triangles(axes)]
    shapes = [Bbox([c.min(0), c.max(0)]) for c in corners]
    texts = [t.get_window_extent() for t in axes.texts]
    return [Bbox.union([s, t]) for s, t in zip(shapes, texts, strict=True)]


ENDS: dict[str, Any] = {
    "one place": lambda order: 1e-3,
    "crossed": lambda order: 1e-3 * 1.2**order,
    "at the bottom": lambda order: 1e-3 if order == 1 else 1e-6,
    "near": lambda order: 1e-3 / 1.1**order,
    "apart": lambda order: 10.0**-order,
}


@pytest.mark.parametrize(
    ("ends", "most", "style"),
    [*((ends, 5, "paper") for ends in ENDS), ("one place", 3, "paper"), ("one place", 3, "slides")],
)
def test_triangles_do_not_overlap(ends: str, most: int, style: Any) -> None:
    orders = range(1, most + 1)
    study = Study(tuple(
        row(f"M{p}()", p, n, rmse=e)
        for p in orders
        for n, e in ((4, 0.3), (40, ENDS[ends](p)))
    ))  # fmt: skip
    figure = plot.error_vs_nfe(study, style=style)
    found = boxes(figure)
    assert len(found) == len(orders)
    inside = figure.axes[0].get_window_extent()
    for box in found:
        assert inside.contains(box.x0, box.y0)
        assert inside.contains(box.x1, box.y1)
    for a, b in combinations(found, 2):
        assert not a.overlaps(b)
