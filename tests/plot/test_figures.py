from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.quiver import Quiver
from torch import Tensor

from flowsolve import ODE, plot, unit_noise
from flowsolve.analysis.table import tabulate
from flowsolve.errors import StateError
from flowsolve.integrate.driver import sample, solve
from flowsolve.ode.noise import SeededNoise, WithNoise
from flowsolve.plot.trajectories import PIECES
from flowsolve.problems import Digits, Mixture, Mixture1D
from flowsolve.schedule.spacings import karras, log_snr, uniform
from flowsolve.study import ErrorRow, Study
from flowsolve.study.consistency import ConsistencyRow
from flowsolve.study.interpolation import InterpolationRow
from flowsolve.study.likelihood import LikelihoodRow
from flowsolve.study.quality import QualityRow
from flowsolve.study.ranking import Place
from flowsolve.study.round_trip import RoundTripRow
from flowsolve.study.settings import Setup
from flowsolve_solvers import DDIMEta, DPMSolver3, DPMSolverPP2M, Euler, Heun

GRID = karras(9, 10.0, 0.05)
COMMON = Setup.of({"dtype": torch.float32}).stamp(Mixture())


def made_quality() -> list[QualityRow]:
    rows = [QualityRow(**COMMON, solver="real data", spacing="", asked="", start="", seeds="",
                       samples=9, real=99, features="values", frechet=0.5, frechet_error=0.1)]  # fmt: skip
    return rows + [
        replace(rows[0], solver=s, asked=f"S={n}", steps=n, nfe=n, frechet=5 / n, rmse=1 / n)
        for s in NAMES
        for n in (10, 20, 50)
    ]


def made_round_trips() -> list[RoundTripRow]:
    return [
        RoundTripRow(**Setup.of({"dtype": dtype}).stamp(Mixture()), way=way, grid="karras", S=n, samples=9,
                     mse=1 / n**2)
        for dtype in (torch.float64, torch.float32)
        for way in NAMES
        for n in (10, 20, 50)
    ]  # fmt: skip


def made_interpolation() -> list[InterpolationRow]:
    return [
        InterpolationRow(**COMMON, solver="Euler()", grid="", path=path,
                         t=t, seeds="", pairs=9, deviation=1 - t * (1 - t), energy=0.1, energy_error=0.02)
        for path in ("slerp", "line")
        for t in (0.0, 0.5, 1.0)
    ]  # fmt: skip


def made_likelihood() -> list[LikelihoodRow]:
    return [
        LikelihoodRow(**COMMON, solver=s, spacing="", asked=f"nfe={n}",
                      sigma_max=9.0, sigma_min=0.1, samples=9, probes=2, levels=17, nfe=n, bits=2 + 1 / n,
                      bits_error=0.1)
        for s in NAMES
        for n in (10, 20, 50)
    ]  # fmt: skip


def made_consistency() -> list[ConsistencyRow]:
    return [
        ConsistencyRow(**COMMON, solver=s, first_solver="Euler()", spacing="", S=n, most=50, seeds="",
                       samples=9, first=1 / n, first_error=0.01)
        for s in NAMES
        for n in (10, 20, 50)
    ]  # fmt: skip


NAMES = {"Euler()": 1, "Heun()": 2, "DPMSolver3()": 3}
READ = ["Euler", "Heun", "DPMSolver3"]


def row(solver: str, order: int, n: int, **options: Any) -> ErrorRow:
    """A row as a method of that order would leave it."""
    made = ErrorRow(
        problem="made_up", problem_digest="0" * 12, dtype="float64", device="cpu", flowsolve="", torch="",
        python="", solver=solver, order=order, spacing="karras", asked=f"nfe={n}", steps=n, nfe=n,
        samples=8, rmse=float(n) ** -order, median=1.0, p90=1.0, max=1.0, scale=1.0, ref_err=1e-12,
        certified=True, seconds=0.1, seeds="0-7",
    )  # fmt: skip
    return replace(made, **options)


def made_up(**options: Any) -> Study:
    many = [row(name, p, n, **options) for name, p in NAMES.items() for n in (4, 8, 16, 32)]
    return Study(tuple(many))


def adaptive(n: int, tol: str) -> ErrorRow:
    return row("Torchdiffeq()", 5, n, spacing="adaptive", asked=f"tol={tol}", rmse=1e-3 / n)


def path_1d() -> Figure:
    problem = Mixture1D()
    x = problem.start(range(6), torch.float64)
    return plot.paths_1d(problem, solve(problem, x, GRID, Heun(), keep=1))


def path_2d() -> Figure:
    problem = Mixture()
    x = problem.start(range(6), torch.float64)
    return plot.paths_2d(problem, solve(problem, x, GRID, Heun(), keep=1))


def field(keep: int = 1) -> Figure:
    problem = Mixture()
    x = problem.start(range(6), torch.float64)
    done = solve(problem, x, GRID, Heun(), keep=keep)
    return plot.field_2d(problem, done, (4.0, 0.3))


def digit(keep: int = 1) -> Figure:
    problem = Digits()
    noise = unit_noise(range(2), problem.event, torch.float32)
    grid = karras(6, problem.sigma_max, problem.sigma_min).to_zero()
    return plot.along_path(sample(problem, noise, grid, Euler(), keep=keep), 1, 4)


def made_places(sides: Sequence[str] = ("open", "held", "a", "b")) -> list[Place]:
    """Of three methods, one of which is worse than no solution."""
    return [
        Place(side, n, method, score, 0.1, 1, 0, 3, score, "ring12", score / n**2)
        for side in sides for n in (4, 8, 16)
        for method, score in (("mine", 1.0), ("diffusers DDIM", 9.0), ("default, scales measured", 99.0))
    ]  # fmt: skip


FIGURES: dict[str, Callable[[], Figure]] = {
    "error_vs_nfe": lambda: plot.error_vs_nfe(made_up()),
    "error_vs_nfe, one point": lambda: plot.error_vs_nfe(Study((row("Euler()", 1, 4),))),
    "error_vs_nfe, nothing": lambda: plot.error_vs_nfe(Study(())),
    "error_vs_nfe, adaptive alone": lambda: plot.error_vs_nfe(Study((adaptive(40, "0.1"),))),
    "convergence": lambda: plot.convergence([made_up(), made_up(spacing="log_snr")]),
    "grids": lambda: plot.grid_levels([karras(9, 10, 0.1), uniform(5, 10, 0.1).to_zero()]),
    "table": lambda: plot.coefficients(tabulate(Heun(), karras(4, 10, 0.1))),
    "paths_1d": path_1d,
    "paths_2d": path_2d,
    "table1": lambda: plot.table1(made_quality(), labels={"Heun()": "η = 0"}),
    "quality": lambda: plot.quality_vs_nfe(made_quality()),
    "quality, nothing": lambda: plot.quality_vs_nfe(()),
    "consistency": lambda: plot.consistency_vs_steps(made_consistency()),
    "round_trips": lambda: plot.round_trips_vs_steps(made_round_trips()),
    "round_trips, nothing": lambda: plot.round_trips_vs_steps(()),
    "interpolation": lambda: plot.along_interpolation(made_interpolation()),
    "likelihood": lambda: plot.likelihood_vs_nfe(made_likelihood()),
    "benchmark": lambda: plot.work_precision_by_side(made_places()),
    "benchmark, one side": lambda: plot.work_precision_by_side(made_places(["held"]), ["mine"]),
    "benchmark, nothing": lambda: plot.work_precision_by_side(()),
    "sheet": lambda: plot.sheet(torch.zeros(2, 4, 1, 8, 8), ["a", "b"], [*"1212"], "S", 2),
    "field_2d": field,
    "along_path": digit,
    "images": lambda: plot.images(torch.zeros(5, 1, 8, 8), title="zeros"),
    "signals": lambda: plot.signals(torch.zeros(5, 1, 8), title="zeros"),
    "scatter of one": lambda: plot.scatter(torch.arange(9.0), "one"),
    "scatter of two": lambda: plot.scatter(torch.arange(8.0).reshape(4, 2)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_written_and_twice_the_same(name: str, tmp_path: Path) -> None:
    """In SVG, which holds every number; those of odd rows ("figure, how") are written once."""
    written = []
    for _ in range(1 if "," in name else 2):
        figure = FIGURES[name]()
        assert isinstance(figure, Figure)
        plot.save(figure, tmp_path / "f.svg")
        written.append((tmp_path / "f.svg").read_bytes())
    assert written[0].startswith(b"<?xml")
    assert written[0].count(b"<path") + written[0].count(b"<image") > 3  # something is drawn
    assert written[0] == written[-1]


def test_pixels_are_twice_the_same(tmp_path: Path) -> None:
    """Of the figure that has all that figures have."""
    for i in range(2):
        plot.save(plot.error_vs_nfe(made_up(stderr=1e-3)), tmp_path / f"{i}.png")
    first, second = ((tmp_path / f"{i}.png").read_bytes() for i in range(2))
    assert first == second
    pixels = imread(tmp_path / "0.png")
    assert pixels.shape[:2] == (698, 975)
    assert len(np.unique(pixels[..., :3])) > 20


def test_only_plot_needs_matplotlib_and_opens_no_window() -> None:
    import sys

    assert "matplotlib.pyplot" not in sys.modules or "pyplot" not in Path(plot.__file__).read_text()


# --- error against evaluations ------------------------------------------------------------------


def series(axes: Axes) -> dict[str, Any]:
    """The lines with a name, by it."""
    return {str(x.get_label()): x for x in axes.lines if not str(x.get_label()).startswith("_")}


def triangles(axes: Axes) -> list[tuple[Any, Any]]:
    closed = [x.get_data() for x in axes.lines if len(np.asarray(x.get_xdata())) == 4]
    return [d for d in closed if d[0][0] == d[0][-1] and d[1][0] == d[1][-1]]


@pytest.mark.parametrize("draw", [plot.error_vs_nfe, lambda s: plot.convergence([s])])
def test_a_line_is_a_series_with_its_numbers_and_its_name(
    draw: Callable[[Study], Figure],
) -> None:
    study = made_up()
    axes = draw(study).axes[0]
    lines = series(axes)
    assert [*lines] == READ
    for name, p in zip(READ, NAMES.values(), strict=True):
        x, y = lines[name].get_data()
        assert [*x] == [4, 8, 16, 32]
        assert np.allclose(y, np.array([4, 8, 16, 32.0]) ** -p, rtol=1e-14)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    legend = axes.get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == READ
    assert len({line.get_marker() for line in lines.values()}) == 3
    assert len({line.get_color() for line in lines.values()}) == 3


def test_the_axes_say_what_they_hold() -> None:
    axes = plot.error_vs_nfe(made_up()).axes[0]
    assert "NFE" in axes.get_xlabel()
    assert "RMS error" in axes.get_ylabel()
    assert axes.get_title() == "made_up, 8 samples"
    assert plot.error_vs_nfe(made_up(), "mine").axes[0].get_title() == "mine"
    assert plot.convergence([made_up()]).axes[0].get_xlabel() == "steps"


def test_evaluations_and_steps_are_not_confused() -> None:
    study = Study(tuple(replace(r, nfe=2 * r.steps) for r in made_up().rows))
    x = [*series(plot.error_vs_nfe(study).axes[0])["Heun"].get_xdata()]
    assert x == [8, 16, 32, 64]
    assert [*series(plot.convergence([study]).axes[0])["Heun"].get_xdata()] == [4, 8, 16, 32]


def test_triangles_have_the_slope_of_the_declared_order_and_stand_clear_of_the_lines() -> None:
    axes = plot.error_vs_nfe(made_up()).axes[0]
    found = triangles(axes)
    assert len(found) == 3
    labels = {t.get_text(): t.get_position() for t in axes.texts}
    assert {*labels} == {"1", "2", "3"}
    slopes = []
    for x, y in found:
        (left, top), (right, bottom) = (x[0], y[0]), (x[1], y[1])
        assert left > 32
        slopes.append(-math.log(bottom / top) / math.log(right / left))
        order = round(slopes[-1])
        assert top == pytest.approx(32.0**-order)  # at the height where its line ends
        at = labels[str(order)]
        assert right < at[0]
        assert bottom < at[1] < top
    assert slopes == pytest.approx([1, 2, 3], abs=1e-9)


def test_one_triangle_an_order_and_none_for_what_has_no_line_or_adapts() -> None:
    twice = [row("Other()", 2, n, rmse=1.0 / n) for n in (4, 8)]
    study = Study((*made_up().rows, *twice, row("Lone()", 4, 4), adaptive(99, "0.1"),
                   adaptive(199, "0.01")))  # fmt: skip
    axes = plot.error_vs_nfe(study).axes[0]
    assert {*series(axes)} == {*READ, "Other", "Lone", "Torchdiffeq"}
    assert [t.get_text() for t in axes.texts] == ["1", "2", "3"]
    assert all(x[0] < 50 for x, _ in triangles(axes))


def test_spacings_are_named_where_there_are_several_and_not_for_adaptive_methods() -> None:
    rows = (*made_up().rows, *made_up(spacing="log_snr").rows, adaptive(99, "0.1"))
    assert {*series(plot.error_vs_nfe(Study(rows)).axes[0])} == {
        *(f"{n}, {g}" for n in READ for g in ("karras", "log_snr")), "Torchdiffeq",
    }  # fmt: skip
    only = Study((*made_up().rows, adaptive(99, "0.1")))
    assert {*series(plot.error_vs_nfe(only).axes[0])} == {*READ, "Torchdiffeq"}


def test_failed_rows_are_not_drawn() -> None:
    failed = row("Euler()", 1, 64, rmse=math.nan, error="it fell")
    lines = series(plot.error_vs_nfe(Study((*made_up().rows, failed))).axes[0])
    assert [*lines["Euler"].get_xdata()] == [4, 8, 16, 32]


def test_the_reference_is_shown_where_it_is_reached_and_only_there() -> None:
    label = "10 × reference error"
    assert label not in series(plot.error_vs_nfe(made_up()).axes[0])
    axes = plot.error_vs_nfe(made_up(ref_err=1e-4)).axes[0]
    assert series(axes)[label].get_ydata()[0] == pytest.approx(1e-3)
    (band,) = axes.patches  # shaded from the bottom of the axes to the line
    bottom, top = band.get_extents().transformed(axes.transData.inverted()).intervaly
    assert top == pytest.approx(1e-3)
    assert bottom == pytest.approx(axes.get_ylim()[0])
    assert bottom < 32.0**-3
    assert [t.get_text() for t in axes.texts] == ["1"]  # no triangle where a line ends in it
    assert not plot.error_vs_nfe(made_up()).axes[0].patches


def test_the_floor_is_that_of_the_rows_that_reach_it() -> None:
    loose = [row("Euler()", 1, n, ref_err=1e-3) for n in (4, 8)]
    fine = [row("Heun()", 2, n, ref_err=2e-4) for n in (16, 32)]
    axes = plot.convergence([Study((*loose, *fine))]).axes[0]
    assert series(axes)["10 × reference error"].get_ydata()[0] == pytest.approx(2e-3)


@pytest.mark.parametrize("top", [6, 50, 1000, 100_000])
def test_the_ticks_are_plain_numbers_in_view_and_not_crowded(top: int) -> None:
    figure = plot.error_vs_nfe(Study(tuple(row("Euler()", 1, n) for n in (3, top))))
    axes = figure.axes[0]
    figure.draw_without_rendering()
    low, high = axes.get_xlim()
    ticks = [t for t in axes.get_xticks() if low <= t <= high]
    assert 2 <= len(ticks) <= 12
    assert {f"{t:g}" for t in ticks if t < 1e5} <= {t.get_text() for t in axes.get_xticklabels()}


# --- grids, tables, paths, samples ---------------------------------------------------------------


def test_grids_are_rows_of_levels_from_noise_to_data() -> None:
    made = [karras(9, 10, 0.1), log_snr(5, 10, 0.1).to_zero().from_infinity()]
    axes = plot.grid_levels(made).axes[0]
    assert [*np.asarray(axes.lines[0].get_xdata())] == [*made[0]]
    assert [*np.asarray(axes.lines[1].get_xdata())] == [*made[1]][1:-1]  # no 0 and no ∞ on a log
    assert [t.get_text() for t in axes.get_yticklabels()] == ["karras (9)", "log_snr (7)"]
    assert axes.get_xscale() == "log"
    assert axes.xaxis_inverted()
    assert axes.get_ylim()[0] > 1
    assert axes.get_ylim()[1] < 0  # no row on the frame, the first on top


@pytest.mark.parametrize("solver", [Heun(), DPMSolverPP2M(), DPMSolver3()], ids=repr)
def test_a_table_is_drawn_with_its_numbers_in_their_cells(solver: Any) -> None:
    made = tabulate(solver, karras(4, 10.0, 0.1))
    axes = plot.coefficients(made).axes[0]
    m = made.matrix[:, 1:]
    shown = {(round(t.get_position()[1]), round(t.get_position()[0])): t for t in axes.texts}
    assert {*shown} == {(i, j) for i, j in np.ndindex(m.shape) if m[i, j]}
    for (i, j), text in shown.items():
        assert float(text.get_text()) == pytest.approx(m[i, j], rel=0.06)
    image = axes.images[0].get_array()
    assert image is not None
    drawn = np.ma.filled(image, 0.0)
    assert np.allclose(np.sign(drawn) * drawn**2, m)
    low, high = axes.images[0].get_clim()
    assert low == -high == -np.abs(drawn).max()  # 0 is the middle of the colours
    rows = [t.get_text() for t in axes.get_yticklabels()]
    assert rows[-1] == "answer"
    assert rows[0] == "probe 1: σ = 10"
    assert len(rows) == len(made.sigmas) + 1
    assert axes.get_title() == f"{type(solver).__name__}: weights on the ε"


def test_large_tables_leave_the_numbers_out() -> None:
    assert not plot.coefficients(tabulate(Euler(), karras(40, 10.0, 0.1))).axes[0].texts


@pytest.mark.parametrize("figure", [path_1d, path_2d])
def test_paths_are_drawn_in_both_scales(figure: Callable[[], Figure]) -> None:
    made = figure()
    scaled, unscaled = made.axes
    assert len(scaled.lines) == len(unscaled.lines) == 6
    sigma = np.array([*GRID])
    for a, b in zip(scaled.lines, unscaled.lines, strict=True):
        assert a.get_markevery() == b.get_markevery() == PIECES
        states, plain = np.stack(a.get_data()), np.stack(b.get_data())
        assert len(plain[-1]) == 9 * PIECES + 1
        nodes = slice(None, None, PIECES)
        if figure is path_1d:
            assert np.allclose(states[0][nodes], sigma)
            alpha = 1 / np.hypot(1, states[0])
            assert np.allclose(states[-1], plain[-1] * alpha)
        assert np.allclose(states[-1][nodes], plain[-1][nodes] / np.hypot(1, sigma))
    assert made.get_suptitle() == "Heun, 18 evaluations"
    if figure is path_1d:
        assert (scaled.get_xscale(), scaled.xaxis_inverted()) == ("log", True)
        assert scaled.get_xlabel() == "σ"


def test_paths_are_drawn_through_what_lies_between_the_nodes() -> None:
    problem = Mixture1D()
    done = solve(problem, problem.start(range(3), torch.float64), GRID, Heun(), keep=1)
    for i, line in enumerate(plot.paths_1d(problem, done).axes[1].lines):
        levels, drawn = (np.asarray(v, float) for v in line.get_data())
        assert np.array_equal(drawn, done.at(levels)[:, i])


def test_paths_without_what_lies_between_have_their_nodes() -> None:
    problem = Mixture1D()
    ode, grid = WithNoise(problem, SeededNoise(range(3))), karras(8, 10.0, 0.05)
    x = problem.start(range(3), torch.float64)
    for solver, keep, count in ((DDIMEta(), 1, 9), (Heun(), 4, 3)):
        done = solve(ode, x, grid, solver, keep=keep)
        line = plot.paths_1d(problem, done).axes[0].lines[0]
        assert len(np.asarray(line.get_xdata())) == count
        assert line.get_markevery() == 1
    with pytest.raises(ValueError, match="kept no path: solve with keep=1"):
        plot.paths_1d(problem, solve(ode, x, grid, Heun()))


def test_paths_from_infinity_to_zero_are_drawn_between() -> None:
    grid = karras(4, 10.0, 0.05).to_zero().from_infinity()
    one, two = (
        sample(p, unit_noise(range(3), p.event, torch.float64), grid, Heun(), keep=1)
        for p in (Mixture1D(), Mixture())
    )
    drawn = np.asarray(plot.paths_1d(Mixture1D(), one).axes[0].lines[0].get_xdata())
    assert [*drawn[::PIECES]] == [*grid][1:-1]
    end = plot.paths_2d(Mixture(), two).axes[1].lines[2].get_data()
    assert np.allclose([float(v[-1]) for v in end], two.x[2])


def test_a_field_has_its_arrows_and_the_states_there() -> None:
    problem = Mixture()
    x = problem.start(range(6), torch.float64)
    down = solve(problem, x, GRID, Heun(), keep=1)
    up = solve(problem, down.x, GRID.reversed(), Heun(), keep=1)
    for done in (down, up):
        made = plot.field_2d(problem, done, (4.0, 0.3))
        assert [a.get_title() for a in made.axes] == ["σ = 4", "σ = 0.3"]
        for axes, sigma in zip(made.axes, (4.0, 0.3), strict=True):
            arrows = next(c for c in axes.collections if isinstance(c, Quiver))
            at = torch.tensor(np.asarray(arrows.XY))
            slope = np.stack([np.asarray(arrows.U), np.asarray(arrows.V)], 1)
            assert np.allclose(slope, -problem.eps(at, sigma))
            assert len(axes.lines) == 6
            now = np.array([[float(v[-1]) for v in line.get_data()] for line in axes.lines])
            assert np.allclose(now, done.at(sigma))
            first = np.array([[float(v[0]) for v in line.get_data()] for line in axes.lines])
            assert np.allclose(first, done.path[0].x)
    with pytest.raises(StateError, match="keep=1"):
        field(keep=3)


class Blank(ODE):
    """Images whose data are N(0, 1) in every pixel."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return x * (sigma / (1 + sigma * sigma))

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return x * (0.0 if math.isinf(sigma) else 1 / (1 + sigma * sigma))


def test_a_sample_on_its_way_has_three_rows() -> None:
    grid = karras(6, 10.0, 0.1).to_zero().from_infinity()
    done = sample(Blank(), unit_noise(range(2), (1, 8, 8)), grid, Euler(), keep=1)
    cells = np.array(plot.along_path(done, 1, 4).axes).reshape(3, 4)
    nodes = [done.path[k] for k in (0, 3, 5, 8)]
    sigmas = [f"σ = {p.sigma:.3g}" for p in nodes[1:]]
    assert [a.get_title() for a in cells[0]] == ["σ = ∞", *sigmas]
    assert [a.get_ylabel() for a in cells[:, 0]] == ["x_t", "x̂₀", "ε"]
    for p, column in zip(nodes, cells.T, strict=True):
        for axes, x in zip(column, (p.x_t, p.x0, p.eps), strict=True):
            assert len(axes.images) == (x is not None)
            if x is not None:
                assert np.array_equal(axes.images[0].get_array(), x[1, 0].numpy())
    assert nodes[-1].eps is None
    assert [a.images[0].get_clim() for a in cells[:, 0]] == [(-2, 2), (-1, 1), (-2, 2)]
    assert cells[0, -1].images[0].get_clim() == (-1, 1)
    assert len(plot.along_path(done, 0, 50).axes) == 3 * len(done.path)
    assert len(plot.along_path(done, 0, 1).axes) == 3


def test_a_sheet_of_a_path_needs_images_and_a_path() -> None:
    with pytest.raises(ValueError, match=r"of images \(B, 1, H, W\), but got no path"):
        digit(keep=0)
    x = Mixture().start(range(2))
    with pytest.raises(ValueError, match=r"but got \(2, 2\)"):
        plot.along_path(solve(Mixture(), x, karras(3, 10.0, 0.05), Euler(), keep=1))


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (16, 16), (18, 16), (40, 16)])
def test_a_sheet_holds_every_image_once(count: int, columns: int) -> None:
    x = torch.linspace(-1, 1, count).reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    axes = plot.images(x, title="t").axes[0]
    sheet = np.ma.filled(np.ma.masked_invalid(axes.images[0].get_array()), np.nan)  # type: ignore[no-untyped-call]
    assert sheet.shape == (9 * math.ceil(count / columns) - 1, 9 * columns - 1)
    for i in range(count):
        r, c = divmod(i, columns)
        assert np.allclose(sheet[9 * r : 9 * r + 8, 9 * c : 9 * c + 8], float(x[i, 0, 0, 0]))
    assert int(np.isfinite(sheet).sum()) == 64 * count
    assert axes.images[0].get_clim() == (-1, 1)
    assert axes.get_title() == "t"


def test_images_of_three_channels_are_in_colour_and_others_are_refused() -> None:
    x = torch.tensor([-1.0, 0.0, 3.0]).reshape(1, 3, 1, 1).expand(2, 3, 4, 4)
    for figure in (plot.images(x), plot.sheet(x[None], ["r"], ["1", "2"])):
        page = np.asarray(figure.axes[0].images[0].get_array())
        assert page.shape == (4, 9, 3)
        assert np.allclose(page[:, :4], [0, 0.5, 1])  # clipped at 1
        assert np.allclose(page[:, 4], 1)
    with pytest.raises(StateError, match=r"of 1 or 3 channels, not \(2, 2, 4, 4\)"):
        plot.images(x[:, :2])


def test_a_sheet_of_signals_holds_every_curve_once_on_one_scale() -> None:
    x = torch.arange(20.0).reshape(5, 2, 2)
    lines = plot.signals(x, 3).axes[0].lines
    assert len(lines) == 10
    for i, line in enumerate(lines):
        across, up = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert np.allclose(np.diff(across), 1)
        assert np.allclose(np.diff(up), 1)
        row, column = divmod(i // 2, 3)
        assert np.allclose(up - x[i // 2, i % 2].numpy(), -1.1 * 19 * row)
        assert across[0] == pytest.approx(2.3 * column)
    with pytest.raises(StateError, match=r"a tensor \(N, C, L\), not \(5, 2\)"):
        plot.signals(x[:, 0])


def test_samples_in_one_dimension_are_a_density_and_in_two_are_points() -> None:
    problem = Mixture1D()
    noise = problem.start(range(64), torch.float64) / problem.sigma_max
    done = sample(problem, noise, karras(20, 10.0, 0.05).to_zero(), Heun())
    axes = plot.scatter(done.x, "title").axes[0]
    bars = [p for p in axes.patches if hasattr(p, "get_width")]
    assert sum(b.get_width() * b.get_height() for b in bars) == pytest.approx(1)
    assert axes.get_xlabel()
    assert axes.get_ylabel() == "density"
    x = Mixture().start(range(5), torch.float64)
    axes = plot.scatter(x).axes[0]
    assert np.array_equal(np.stack(axes.lines[0].get_data(), 1), x.numpy())
    assert axes.get_aspect() == 1
