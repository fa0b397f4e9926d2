"""Tuned grids: tables as published, optima that are optima, and what the tuning buys here."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch

from flowsolve import (
    VPSDE,
    Grid,
    arctan,
    ays,
    beta,
    beta_t,
    dmn,
    karras,
    linear_beta,
    log_snr,
    resample,
    round_to,
    scaled_linear_beta,
    solve,
    uniform,
    uniform_t,
)
from flowsolve.cli.spacings import find_spacing
from flowsolve.errors import GridError, NameUnknown, StateError
from flowsolve.problems import Gaussian
from flowsolve.schedule.tuned import AYS
from flowsolve_solvers import Euler

EVERY: list[Callable[[int, float, float], Grid]] = [
    beta,
    partial(beta, a=0.5, b=0.8),
    partial(beta_t, clock=VPSDE()),
    ays,
    partial(ays, table="sdxl"),
    partial(ays, table="deepfloyd"),
    partial(ays, table="svd"),
    arctan,
    partial(arctan, c=2.0),
    dmn,
    partial(dmn, points=2, error="latent"),
]


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("spacing", EVERY, ids=lambda s: s(1, 2.0, 1.0).name)
def test_each_is_a_spacing(spacing: Callable[[int, float, float], Grid], n: int) -> None:
    grid = spacing(n, 10, 0.05)
    assert (grid.steps, grid[0], grid[-1]) == (n, 10, 0.05)
    assert spacing(n, 10, 0.05) == grid
    with pytest.raises(GridError, match="at least one step"):
        spacing(0, 10, 0.05)
    with pytest.raises(GridError, match="sigma_min < sigma_max"):
        spacing(n, 0.05, 10)


# ------------------------------------------------------------------------------------------- beta


def test_beta_is_diffusers() -> None:
    """_convert_to_beta of n = 8 steps, then 0; with SciPy's own distribution, which it calls."""
    from scipy.stats import beta as distribution

    high, low, n = 14.6146, 0.0292, 8
    places = [float(distribution.ppf(1 - i / (n - 1), 0.6, 0.6)) for i in range(n)]
    theirs = [low + (high - low) * p for p in places]
    assert beta(n - 1, high, low).levels == pytest.approx(theirs, rel=1e-12)
    assert beta(7, high, low).to_zero().steps == n
    uneven = low + (high - low) * float(distribution.ppf(0.75, 0.5, 0.8))
    assert beta(4, high, low, a=0.5, b=0.8)[1] == pytest.approx(uneven, rel=1e-12)


def test_beta_of_one_and_one_is_even() -> None:
    assert beta(9, 10, 0.05, 1, 1).levels == pytest.approx(uniform(9, 10, 0.05).levels, rel=1e-12)
    clock = scaled_linear_beta()
    even = uniform_t(9, 10, 0.05, clock=clock)
    assert beta_t(9, 10, 0.05, clock=clock, a=1, b=1).levels == pytest.approx(even.levels, rel=1e-9)
    with pytest.raises(GridError, match="a > 0"):
        beta(3, 10, 0.05, a=0)


def test_beta_t_in_comfy() -> None:
    """Labels rint(ppf(1 - i/n) · 999), its list but for the repeated ones."""
    from scipy.stats import beta as distribution

    clock, n = scaled_linear_beta(), 12
    grid = beta_t(n, clock.sigma(999), clock.sigma(0), clock=clock)
    labels = [round(999 * float(distribution.ppf(1 - i / n, 0.6, 0.6))) for i in range(n)]
    got = [clock.t(s) for s in round_to(grid, clock)]
    assert got[:-1] == pytest.approx(labels, abs=1.001)  # they round t, round_to rounds σ
    exact = [clock.t(s) for s in grid]
    assert [round(t) for t in exact[:-1]] == labels


# --------------------------------------------------------------------------------- align your steps


def numpy_loglinear(levels: tuple[float, ...], count: int) -> list[float]:
    """The function of the authors' page."""
    import numpy as np

    ys = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(levels)), np.log(levels[::-1]))
    return [*map(float, np.exp(ys)[::-1])]


@pytest.mark.parametrize("table", AYS)
def test_ays_resamples_as_its_authors_do(table: str) -> None:
    levels = AYS[table]
    assert ays(10, levels[0], levels[-1], table).levels == pytest.approx(levels, rel=1e-12)
    for n in (1, 5, 7, 20, 33):
        got = ays(n, levels[0], levels[-1], table)
        assert got.levels == pytest.approx(numpy_loglinear(levels, n + 1), rel=1e-12)


def test_ays_in_diffusers() -> None:
    """Its lists end ..., 0.152, 0; the labels beside them are the clock's, to their three digits."""
    grid = ays(9, 14.615, 0.152).to_zero()
    assert grid.levels == pytest.approx((*AYS["sd15"][:10], 0), rel=1e-12)
    clock = scaled_linear_beta()
    labels = [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]
    for sigma, t in zip(AYS["sd15"], labels, strict=False):
        assert clock.sigma(t) == pytest.approx(sigma, rel=0.006)
    assert clock.sigma(999) == pytest.approx(AYS["sd15"][0], rel=1e-4)
    assert clock.sigma(0) == pytest.approx(AYS["sd15"][-1], rel=1e-2)


@pytest.mark.parity
def test_ays_tables_are_those_of_diffusers() -> None:
    utils = pytest.importorskip("diffusers.schedulers.scheduling_utils")
    names = {"sd15": "StableDiffusion", "sdxl": "StableDiffusionXL", "svd": "StableDiffusionVideo"}
    for ours, theirs in names.items():
        assert [*AYS[ours][:10], 0.0] == utils.AysSchedules[f"{theirs}Sigmas"]


def test_ays_between_its_ends() -> None:
    """A part of the curve: every level lies on it, at even distances."""
    curve = ays(1000, 14.615, 0.029)
    grid = ays(7, 9.0, 0.1)
    place = [
        next(i + math.log(a / s) / math.log(a / b) for i, (a, b) in enumerate(pairwise(curve)) if s >= b)
        for s in grid
    ]  # fmt: skip
    gaps = [q - p for p, q in pairwise(place)]
    assert gaps == pytest.approx([gaps[0]] * 7, rel=1e-3)
    for ends in ((20, 0.05), (10, 0.01)):
        with pytest.raises(GridError, match=r"knows levels from 14\.615 to 0\.029"):
            ays(5, *ends)
    with pytest.raises(GridError, match="knows the tables sd15, sdxl"):
        ays(5, 10, 0.05, "sd3")


def test_resample() -> None:
    grid = karras(6, 10, 0.05)
    assert resample(grid, 6).levels == pytest.approx(grid.levels, rel=1e-12)
    fine = resample(grid, 12)
    assert fine[::2] == pytest.approx(grid[:], rel=1e-12)
    for i in range(6):
        assert fine[2 * i + 1] == pytest.approx(math.sqrt(grid[i] * grid[i + 1]), rel=1e-12)
    assert resample([8, 4, 2], 4).levels == pytest.approx([8, 32**0.5, 4, 8**0.5, 2])
    with pytest.raises(GridError, match="no ends 0 and ∞"):
        resample(grid.to_zero(), 5, 10, 0.05)


# ---------------------------------------------------------------------------------- Gaussian data


@pytest.mark.parametrize("c", [0.1, 0.5, 2.0])
def test_arctan_is_ddims_optimum(c: float) -> None:
    """A DDIM answer's deviation over the exact one is Π cos Δθ <= cosⁿ(Θ/n), with equality here."""
    problem = Gaussian(mean=(0.0,), covariance=((c * c,),))
    x = torch.ones(1, 1, dtype=torch.float64)

    def ratio(levels: Any) -> float:
        grid = Grid(levels)
        exact = problem.flow(x, grid[0], grid[-1])
        return float(solve(problem, x, grid, Euler()).x / exact)

    for n in (1, 4, 9):
        grid = arctan(n, 10, 0.05, c)
        angle = math.atan(10 / c) - math.atan(0.05 / c)
        best = ratio(grid)
        assert best == pytest.approx(math.cos(angle / n) ** n, rel=1e-12)
        for i in range(1, n):
            for factor in (0.97, 1.03):
                moved = [*grid.levels[:i], grid[i] * factor, *grid.levels[i + 1 :]]
                assert ratio(moved) < best
        for other in (karras, log_snr, uniform):
            assert n == 1 or ratio(other(n, 10, 0.05)) < best
    with pytest.raises(GridError, match="0 < c < ∞"):
        arctan(3, 10, 0.05, c=0)


# -------------------------------------------------------------------------------------- rounding


def test_round_to() -> None:
    clock = linear_beta()
    table = [clock.sigma(t) for t in range(1000)]
    grid = karras(9, 80, 0.02)
    got = round_to(grid, clock)
    for s, r in zip(grid, got, strict=True):
        assert min(abs(r - v) for v in table) < 1e-9 * r
        assert abs(r - s) <= min(abs(v - s) for v in table) + 1e-9
    assert [clock.t(s) for s in got] == pytest.approx([round(clock.t(s)) for s in got], abs=1e-6)
    assert round_to(got, clock).levels == pytest.approx(got.levels, rel=1e-12)


def test_round_to_is_nearest_in_sigma() -> None:
    """Just below the middle of a gap in σ, and above its middle in log σ."""
    clock = linear_beta()
    low, high = clock.sigma(998), clock.sigma(999)
    assert math.sqrt(low * high) < (between := (low + high) / 2 - 1e-5)
    assert round_to(Grid([between, 1]), clock)[0] == pytest.approx(low, rel=1e-12)


def test_round_to_keeps_ends_and_direction() -> None:
    clock = linear_beta()
    grid = karras(4, 10, 0.05).from_infinity().to_zero()
    got = round_to(grid, clock)
    assert (got[0], got[-1], got.steps) == (math.inf, 0, grid.steps)
    up = round_to(karras(4, 10, 0.05).reversed(), clock)
    assert up.rising
    assert up.levels == round_to(karras(4, 10, 0.05), clock).levels[::-1]
    with pytest.raises(GridError, match="round to one level"):
        round_to(log_snr(4000, 10, 0.05), clock)


# --------------------------------------------------------------------------------- command line


TEXTS: dict[str, Callable[[int, float, float], Grid]] = {
    "beta": beta,
    "beta:a=0.5,b=0.8": partial(beta, a=0.5, b=0.8),
    "beta_t": partial(beta_t, clock=VPSDE()),
    "ays": ays,
    "ays:table=sdxl": partial(ays, table="sdxl"),
    "arctan:c=1": partial(arctan, c=1),
    "dmn": dmn,
    "dmn:points=2,error=latent": partial(dmn, points=2, error="latent"),
}


@pytest.mark.parametrize("text", TEXTS)
def test_the_command_line_finds_them(text: str) -> None:
    found = find_spacing(text, VPSDE())(6, 10, 0.05)
    assert found == TEXTS[text](6, 10, 0.05)
    assert found.name == TEXTS[text](6, 10, 0.05).name
    with pytest.raises((NameUnknown, StateError)):
        find_spacing(text.split(":")[0] + ":nothing=1", VPSDE())
