"""How figures look: colours that stay apart, axes of the user's, names, sizes, and pictures in notebooks."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flowsolve import karras, plot, solve, tabulate
from flowsolve.errors import StateError
from flowsolve.plot.look import LARGER, STYLES, strokes
from flowsolve.problems import Mixture, Mixture1D
from flowsolve.study import Study
from flowsolve_solvers import Heun
from tests.helpers import refused, says
from tests.plot.test_figures import (
    GRID,
    made_consistency,
    made_interpolation,
    made_likelihood,
    made_places,
    made_quality,
    made_round_trips,
    made_up,
    row,
)

Floats = NDArray[np.float64]


# --- colours --------------------------------------------------------------------------------------

# Machado, Oliveira, Fernandes 2009: deuteranopia (severity 1), of linear RGB
DEUTERANOPIA = np.array([
    [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881],
])  # fmt: skip
TO_XYZ = np.array([
    [0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041],
])  # fmt: skip


def lab(color: Any, eye: Floats) -> Floats:
    """CIE L*a*b* (D65) of a colour of sRGB as an eye sees it."""
    c = np.array(to_rgb(color))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(eye @ linear, 0, 1) / np.array([0.95047, 1, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def ciede2000(one: Any, other: Any) -> float:
    """ΔE₀₀ of two colours in L*a*b*.   Sharma, Wu, Dalal 2005."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    g = 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0
    hue = (h1 + h2) / 2 if c1 * c2 else h1 + h2
    if c1 * c2 and abs(h1 - h2) > 180:
        hue += 180 if h1 + h2 < 360 else -180
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = 1 + sum(
        w * math.cos(math.radians(k * hue + p))
        for w, k, p in ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.2, 4, -63))
    )
    dl = (l2 - l1) / (1 + 0.015 * (lightness - 50) ** 2 / math.sqrt(20 + (lightness - 50) ** 2))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2)) / (1 + 0.015 * chroma * t)
    swing = 60 * math.exp(-(((hue - 275) / 25) ** 2))
    rotation = -2 * math.sqrt(chroma**7 / (chroma**7 + 25**7)) * math.sin(math.radians(swing))
    return math.sqrt(dl**2 + dc**2 + dh**2 + rotation * dc * dh)


def closest(colors: list[Any], eye: Floats) -> float:
    return min(ciede2000(lab(a, eye), lab(b, eye)) for a, b in combinations(colors, 2))


def test_the_difference_is_that_of_the_published_pairs() -> None:
    for a, b, expected in (
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ):
        assert ciede2000(a, b) == pytest.approx(expected, abs=1e-4)
    assert closest(["C2", "C3"], DEUTERANOPIA) < 12  # what the figures had before


def many(n: int) -> Study:
    return Study(
        tuple(row(f"M{i}()", 1, k, rmse=(i + 1) / (99 * k)) for i in range(n) for k in (4, 8))
    )


def lines(figure: Figure) -> list[Any]:
    return [x for x in figure.axes[0].lines if str(x.get_label())[0] != "_"]


@pytest.mark.parametrize("eye", [np.eye(3), DEUTERANOPIA], ids=["usual", "deuteranopia"])
def test_the_lines_of_a_figure_differ_in_colour(eye: Floats) -> None:
    drawn = [x.get_color() for x in lines(plot.error_vs_nfe(many(7)))]
    assert len(drawn) == 7
    assert closest(drawn, eye) >= 12
    assert closest(drawn[:5], eye) >= 20  # as many as the commands compare


def test_every_line_has_a_marker_of_its_own_and_later_ones_other_dashes() -> None:
    drawn = lines(plot.error_vs_nfe(many(11)))
    assert len({x.get_marker() for x in drawn}) == 11
    assert {x.get_linestyle() for x in drawn[:7]} == {"-"}
    assert {x.get_linestyle() for x in drawn[7:]} == {"--"}
    every = [tuple(stroke.values()) for stroke in islice(strokes(), 77)]
    assert len({*every}) == 77


# --- error bars -----------------------------------------------------------------------------------


def bars(axes: Axes) -> list[Floats]:
    """The (low, high) of every point of every line."""
    return [
        np.array([part[:, 1] for part in container.lines[2][-1].get_segments()])
        for container in axes.containers
    ]


def test_every_point_has_its_standard_error() -> None:
    axes = plot.error_vs_nfe(made_up(stderr=1e-4)).axes[0]
    assert len(bars(axes)) == 3
    for found, order in zip(bars(axes), (1, 2, 3), strict=True):
        y = np.array([4, 8, 16, 32.0]) ** -order
        assert np.allclose(found, np.stack([y - 1e-4, y + 1e-4], 1), atol=1e-12)
    pooled = Study(tuple(
        row("Euler()", 1, 4, rmse=0.1, stderr=0.02, seeds=seeds, samples=8, geometric=0.1)
        for seeds in ("0-7", "8-15")
    ))  # fmt: skip
    assert np.allclose(
        bars(plot.error_vs_nfe(pooled).axes[0]), 0.1 + np.array([-1, 1]) * 0.02 / 2**0.5
    )


@pytest.mark.parametrize(
    ("draw", "lines"),
    [
        (lambda: plot.convergence(made_up(stderr=1e-6)), [3]),
        (lambda: plot.table1(made_quality()), [3]),
        (lambda: plot.quality_vs_nfe([replace(r, stderr=0.01) for r in made_quality()]), [3, 3]),
        (lambda: plot.consistency_vs_steps(made_consistency()), [3]),
        (lambda: plot.likelihood_vs_nfe(made_likelihood()), [3]),
        (lambda: plot.along_interpolation(
            [replace(r, deviation_error=0.01) for r in made_interpolation()]), [2, 2]),
        (lambda: plot.round_trips_vs_steps(
            [replace(r, mse_error=1e-4) for r in made_round_trips()]), [6]),
    ],
    ids=["convergence", "table1", "quality", "consistency", "likelihood", "interpolation", "round trips"],
)  # fmt: skip
def test_all_lines_of_all_figures_have_bars(draw: Callable[[], Figure], lines: list[int]) -> None:
    for axes, count in zip(draw().axes, lines, strict=True):
        found = bars(axes)
        assert len(found) == count
        assert all(len(b) == 3 or len(b) == 4 for b in found)
        assert all((high > low).all() for low, high in (b.T for b in found))


DRAWN: dict[str, tuple[Callable[..., Figure], int]] = {
    # the figure, and how many panels it has
    "error_vs_nfe": (lambda **look: plot.error_vs_nfe(made_up(), **look), 1),
    "error_by_perturbation": (lambda **look: plot.error_by_perturbation(perturbed(), **look), 3),
    "convergence": (lambda **look: plot.convergence(made_up(), **look), 1),
    "grid_levels": (lambda **look: plot.grid_levels(karras(4, 10, 1), **look), 1),
    "coefficients": (lambda **look: plot.coefficients(tabulate(Heun(), karras(2, 9, 1)), **look), 1),
    "table1": (lambda **look: plot.table1(made_quality(), **look), 1),
    "quality_vs_nfe": (lambda **look: plot.quality_vs_nfe(made_quality(), **look), 2),
    "consistency_vs_steps": (lambda **look: plot.consistency_vs_steps(made_consistency(), **look), 1),
    "round_trips_vs_steps": (lambda **look: plot.round_trips_vs_steps(made_round_trips(), **look), 1),
    "along_interpolation": (lambda **look: plot.along_interpolation(made_interpolation(), **look), 2),
    "likelihood_vs_nfe": (lambda **look: plot.likelihood_vs_nfe(made_likelihood(), **look), 1),
    "work_precision_by_side": (lambda **look: plot.work_precision_by_side(made_places(), **look), 4),
    "images": (lambda **look: plot.images(torch.zeros(2, 1, 4, 4), **look), 1),
    "sheet": (lambda **look: plot.sheet(torch.zeros(1, 2, 1, 4, 4), "a", "bc", **look), 1),
    "signals": (lambda **look: plot.signals(torch.rand(2, 3, 4), **look), 1),
    "scatter": (lambda **look: plot.scatter(torch.rand(9, 2), **look), 1),
    "edits": (lambda **look: plot.edits({"a": torch.zeros(3, 1, 4, 4)}, **look), 3),
    "along_path": (lambda **look: plot.along_path(digit_path(), columns=2, **look), 6),
    "paths_1d": (lambda **look: plot.paths_1d(*path(Mixture1D()), **look), 2),
    "paths_2d": (lambda **look: plot.paths_2d(*path(Mixture()), **look), 2),
    "field_2d": (lambda **look: plot.field_2d(*path(Mixture()), [1.0, 0.1], **look), 2),
}  # fmt: skip


def perturbed() -> Study:
    rows = made_up().rows
    kinds = ("", "int8", "reuse:2")
    return Study(
        tuple(
            replace(r, perturb=kind, rmse=(i + 1) * r.rmse)
            for i, kind in enumerate(kinds)
            for r in rows
        )
    )


def path(problem: Any) -> tuple[Any, Any]:
    x = problem.start(range(2), torch.float64)
    return problem, solve(problem, x, GRID, Heun(), keep=1)


def digit_path() -> Any:
    from tests.plot.test_figures import Blank

    return solve(Blank(), torch.ones(1, 1, 4, 4), karras(2, 10, 1), Heun(), keep=1)


def test_every_figure_is_here() -> None:
    named = {name for name, thing in vars(plot).items() if inspect.isfunction(thing)}
    assert {*DRAWN} == named - {"save"}


# --- ax, labels, style ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_drawn_into_given_axes(name: str) -> None:
    draw, panels = DRAWN[name]
    mine = Figure(figsize=(9, 9))
    axes = [*mine.subplots(1, panels + 1, squeeze=False).flat]
    given: Any = axes[0] if panels == 1 else np.array(axes[:panels])
    assert draw(ax=given) is mine
    assert mine.axes == axes
    assert all(a.has_data() for a in axes[:panels])
    assert not axes[-1].has_data()
    assert mine.get_suptitle() == ""
    assert tuple(mine.get_size_inches()) == (9, 9)
    if name in ("quality_vs_nfe", "error_vs_nfe"):
        assert draw(ax=[*axes[:panels]]) is mine
        count = f"this figure has {panels} panels, but ax holds {panels + 1} Axes."
        says(ValueError, count, lambda: draw(ax=axes))
        refused(lambda: draw(ax=mine))


def test_a_subfigure_takes_figures_side_by_side() -> None:
    whole = Figure()
    left, right = whole.subfigures(1, 2)
    assert plot.error_vs_nfe(made_up(), ax=left.subplots()) is whole
    assert plot.quality_vs_nfe(made_quality(), ax=right.subplots(2)) is whole


@pytest.mark.parametrize("name", DRAWN)
def test_slides_are_larger_in_all(name: str) -> None:
    draw, _ = DRAWN[name]
    paper, slides = draw(), draw(style="slides")
    assert slides.get_size_inches() == pytest.approx(paper.get_size_inches() * LARGER["slides"])
    for figure, style in ((paper, "paper"), (slides, "slides")):
        for axes in figure.axes:
            assert axes.xaxis.label.get_size() == STYLES[style]["axes.labelsize"]
            assert axes.title.get_size() >= STYLES[style]["font.size"] * 0.8
            ticks = [t.label1.get_size() for t in axes.xaxis.get_major_ticks()]
            assert {*ticks} <= {STYLES[style]["xtick.labelsize"]}


def test_lines_are_called_as_they_are_told() -> None:
    def names(figure: Figure) -> list[str]:
        legend = figure.axes[0].get_legend()
        assert legend is not None
        return [t.get_text() for t in legend.get_texts()][:3]

    mapped = {"Euler()": "DDIM", "Heun": "EDM's"}
    for draw in (
        lambda labels: plot.error_vs_nfe(made_up(), labels=labels),
        lambda labels: plot.consistency_vs_steps(made_consistency(), labels=labels),
        lambda labels: plot.likelihood_vs_nfe(made_likelihood(), labels=labels),
        lambda labels: plot.round_trips_vs_steps(made_round_trips(), labels=labels),
        lambda labels: plot.quality_vs_nfe(made_quality(), labels=labels),
        lambda labels: plot.table1(made_quality(), labels=labels),
    ):
        assert names(draw(mapped)) == ["DDIM", "EDM's", "DPMSolver3"]
        assert names(draw(["a", "b", "c"])) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("count", "long"), [(1, ""), (3, "(points=3, chart=DATA, start=Heun())"), (20, "")]
)
def test_the_legend_covers_nothing_and_is_within_the_figure(count: int, long: str) -> None:
    study = Study(tuple(
        row(f"Solver{i}{long or '()'}", 1, k, rmse=(i + 1) / (99 * k)) for i in range(count) for k in (4, 8)
    ))  # fmt: skip
    figure = plot.error_vs_nfe(study)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert legend is not None
    box, inside = legend.get_window_extent(), axes.get_window_extent()
    assert 0 < box.x0 < box.x1 < figure.bbox.x1
    assert 0 < box.y0 < box.y1 < axes.xaxis.label.get_window_extent().y0
    assert inside.height > 0.5 * figure.bbox.y1


def test_options_that_cannot_be_are_said() -> None:
    study: Any = made_up()
    text = "there is no option 'axes'. The options are ax, labels, style."
    says(TypeError, text, lambda: plot.error_vs_nfe(study, axes=1))  # type: ignore[call-arg]
    text = 'style must be "paper" or "slides", but got \'poster\'.'
    says(ValueError, text, lambda: plot.error_vs_nfe(study, style="poster"))  # type: ignore[arg-type]
    text = "ax must be an Axes of matplotlib, not 3."
    says(StateError, text, lambda: plot.error_vs_nfe(study, ax=3))  # type: ignore[arg-type]
    text = "ax must be a sequence of 2 Axes of matplotlib, not 3."
    says(StateError, text, lambda: plot.quality_vs_nfe([], ax=3))  # type: ignore[arg-type]
    text = "labels must name 3 lines, but are 2. The lines: Euler; Heun; DPMSolver3."
    says(ValueError, text, lambda: plot.error_vs_nfe(study, labels=["a", "b"]))
    text = "groups must part 2 columns evenly, but are 3: ['x', 'y', 'z']."
    x = torch.zeros(1, 2, 1, 4, 4)
    says(ValueError, text, lambda: plot.sheet(x, "a", "bc", groups=[*"xyz"]))


def test_every_group_of_a_sheet_has_its_title_above_it() -> None:
    figure = plot.sheet(torch.zeros(2, 6, 1, 8, 8), "ab", "123123", groups=["left", "right"])
    figure.draw_without_rendering()
    (axes,) = figure.axes
    ticks = [t.get_window_extent() for t in axes.get_xticklabels()]
    for k, text in enumerate(axes.texts):
        box, below = text.get_window_extent(), ticks[3 * k : 3 * k + 3]
        assert box.x0 + box.x1 == pytest.approx(below[0].x0 + below[-1].x1, abs=4)
        assert all(box.y0 >= tick.y1 for tick in below)
    assert [t.get_text() for t in axes.texts] == ["left", "right"]


# --- notebooks and files --------------------------------------------------------------------------


def test_a_figure_shows_itself() -> None:
    import sys

    made = plot.grid_levels(karras(4, 10, 1))
    png = made._repr_png_()  # type: ignore[attr-defined]
    assert png.startswith(b"\x89PNG\r\n")
    assert len(png) > 2000
    assert "matplotlib.pyplot" not in sys.modules or "pyplot" not in Path(plot.__file__).read_text()


def test_ipython_shows_it() -> None:
    from IPython.core import formatters

    formats, _ = formatters.DisplayFormatter().format(plot.grid_levels(karras(4, 10, 1)))
    assert formats["image/png"].startswith(b"\x89PNG\r\n")
    formats, _ = formatters.DisplayFormatter().format(karras(4, 10, 1))
    assert formats["text/html"].startswith("<table>")
    assert formats["text/plain"].startswith("Grid(karras, 4 steps")


def test_a_pdf_is_twice_the_same(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.PDF"):
        plot.save(plot.grid_levels(karras(4, 10, 1)), tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.pdf", "b.PDF"))
    assert first.startswith(b"%PDF")
    assert first == second
