"""Grids: every spacing against an independent formula, and every grid that no solver can walk."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowsolve import (
    VPSDE,
    EDMClock,
    FlowClock,
    Grid,
    exponential,
    karras,
    linear_beta,
    log_snr,
    quadratic_t,
    uniform,
    uniform_t,
)
from flowsolve.errors import FlowsolveError, GridError, ScheduleError
from flowsolve.schedule import Spacing

inf, nan = math.inf, math.nan
HIGH, LOW = 80.0, 0.002
CLOCK = VPSDE()


# --- independent formulas: EDM's Eq. 5 and k-diffusion's get_sigmas_*, in numpy ------------------


def np_karras(n: int, rho: float) -> np.ndarray:
    i = np.arange(n)  # EDM, Eq. 5, with n levels
    a, b = HIGH ** (1 / rho), LOW ** (1 / rho)
    return (a + i / (n - 1) * (b - a)) ** rho


def np_exponential(n: int) -> np.ndarray:
    return np.exp(np.linspace(np.log(HIGH), np.log(LOW), n))


def np_polyexponential(n: int, rho: float) -> np.ndarray:
    ramp = np.linspace(1, 0, n) ** rho
    return np.exp(ramp * (np.log(HIGH) - np.log(LOW)) + np.log(LOW))


def np_vpsde(n: int, power: float) -> np.ndarray:
    b0, b1 = 0.1, 20.0

    def time(sigma: float) -> float:
        return float(max(np.roots([(b1 - b0) / 2, b0, -np.log1p(sigma**2)])))

    t = np.linspace(time(HIGH) ** (1 / power), time(LOW) ** (1 / power), n) ** power
    return np.sqrt(np.expm1(b0 * t + (b1 - b0) * t * t / 2))


SPACINGS: dict[str, tuple[Spacing, Callable[[int], np.ndarray]]] = {
    "karras": (karras, lambda n: np_karras(n, 7)),
    "karras(rho=3)": (lambda *a: karras(*a, rho=3), lambda n: np_karras(n, 3)),
    "karras(rho=1)": (lambda *a: karras(*a, rho=1), lambda n: np_karras(n, 1)),
    "log_snr": (log_snr, np_exponential),
    "exponential": (exponential, np_exponential),
    "exponential(rho=2)": (
        lambda *a: exponential(*a, rho=2),
        lambda n: np_polyexponential(n, 2),
    ),
    "exponential(rho=0.5)": (
        lambda *a: exponential(*a, rho=0.5),
        lambda n: np_polyexponential(n, 0.5),
    ),
    "uniform": (uniform, lambda n: np.linspace(HIGH, LOW, n)),
    "uniform_t[VPSDE()]": (lambda *a: uniform_t(*a, clock=CLOCK), lambda n: np_vpsde(n, 1)),
    "quadratic_t[VPSDE()]": (lambda *a: quadratic_t(*a, clock=CLOCK), lambda n: np_vpsde(n, 2)),
    "uniform_t(power=3)[VPSDE()]": (
        lambda *a: uniform_t(*a, clock=CLOCK, power=3),
        lambda n: np_vpsde(n, 3),
    ),
}
each_spacing = pytest.mark.parametrize("name", SPACINGS)


@each_spacing
@pytest.mark.parametrize("n", [1, 2, 7, 50])
def test_formula_ends_length_and_name(name: str, n: int) -> None:
    spacing, formula = SPACINGS[name]
    grid = spacing(n, HIGH, LOW)
    assert (len(grid), grid.steps, grid.name) == (n + 1, n, name)
    assert (grid[0], grid[-1]) == (HIGH, LOW)  # to the bit
    np.testing.assert_allclose(grid, formula(n + 1), rtol=1e-10)
    assert all(type(s) is float for s in grid)
    assert grid == spacing(n, HIGH, LOW)


@each_spacing
@given(
    n=st.integers(1, 200),
    log_low=st.floats(-6, 2),
    log_width=st.floats(0.01, 5),
)
@settings(max_examples=60, deadline=None)
def test_any_spacing_falls(name: str, n: int, log_low: float, log_width: float) -> None:
    low = 10**log_low
    high = low * 10**log_width
    if "VPSDE" in name and high > CLOCK.sigma(1.0):
        low, high = low / high * 100, 100.0
    grid = SPACINGS[name][0](n, high, low)
    assert all(s > t > 0 for s, t in pairwise(grid))
    assert (len(grid), grid[0], grid[-1]) == (n + 1, high, low)


def test_karras_of_the_edm_paper() -> None:
    # "18 steps, the last to zero" of EDM's generate.py: 18 levels, then 0
    grid = karras(17, 80, 0.002).to_zero()
    step = np.arange(18)
    a, b = 80 ** (1 / 7), 0.002 ** (1 / 7)
    np.testing.assert_allclose(grid, [*(a + step / 17 * (b - a)) ** 7, 0.0], rtol=1e-12)
    assert grid.steps == 18


def test_karras_and_uniform_may_end_at_zero() -> None:
    assert karras(5, 80, 0.0)[-1] == 0
    assert uniform(4, 4, 0.0)[:] == (4.0, 3.0, 2.0, 1.0, 0.0)


@pytest.mark.parametrize(
    "clock",
    [EDMClock(), FlowClock(), FlowClock(shift=3), linear_beta(), VPSDE(scale=999)],
    ids=repr,
)
def test_uniform_t_on_every_clock(clock) -> None:
    grid = uniform_t(9, 50.0, 0.02, clock=clock)
    np.testing.assert_allclose(np.diff([clock.t(s) for s in grid], 2), 0, atol=1e-9)
    assert grid.name == f"uniform_t[{clock}]"


def test_flow_clock_shift_multiplies_sigma() -> None:
    shifted = uniform_t(8, 30.0, 0.3, clock=FlowClock(shift=3))
    plain = uniform_t(8, 10.0, 0.1, clock=FlowClock())
    np.testing.assert_allclose(shifted, [3 * s for s in plain], rtol=1e-13)


# --- a grid as a value ---------------------------------------------------------------------------


def test_immutable() -> None:
    grid = Grid([3, 2, 1])
    with pytest.raises(FrozenInstanceError):
        grid.levels = (1.0, 0.5)  # type: ignore[misc]
    with pytest.raises(TypeError):
        grid[0] = 9.0  # type: ignore[index]


def test_equal_if_the_levels_are() -> None:
    a, b = Grid([3, 2, 1]), Grid((3.0, 2.0, 1.0), name="another name")
    assert a == b
    assert hash(a) == hash(b)
    assert {a: "found"}[b] == "found"
    assert a != Grid([3, 2, 1.0000000000000002])
    assert a != a.reversed()
    assert pickle.loads(pickle.dumps(a)) == a


def test_digest_sees_every_bit() -> None:
    a = Grid([3, 2, 1])
    assert re.fullmatch("[0-9a-f]{12}", a.digest)
    assert a.digest == Grid([3, 2, 1], "other name").digest
    others = [Grid([3, 2, 1 + 2**-52]), Grid([3, 2]), Grid([3, 2, 1]).to_zero(), a.reversed()]
    assert len({g.digest for g in (a, *others)}) == 5


def test_reversed_twice_is_itself() -> None:
    grid = karras(5, 80, 0.002).to_zero()
    up = grid.reversed()
    assert up.rising
    assert not grid.rising
    assert up[:] == grid[::-1]
    assert up.reversed() == grid
    assert up.reversed().name == grid.name
    assert not up.reversed().rising


def test_ends() -> None:
    grid = log_snr(3, 10, 0.1)
    assert grid.to_zero()[:] == (*grid, 0.0)
    assert grid.from_infinity()[:] == (math.inf, *grid)
    both = grid.from_infinity().to_zero()
    assert both == grid.to_zero().from_infinity()
    assert (both.steps, both.name) == (5, "log_snr")


def test_part_keeps_the_name_and_the_direction() -> None:
    grid = Grid([4, 3, 2, 1], "four")
    part = grid.part(1, 2)
    assert (part[:], part.name, part.rising) == ((3.0, 2.0), "four", False)
    assert part == Grid([3, 2])
    assert grid.part(0, 3) == grid
    assert grid.part(3, 3)[:] == (1.0,)
    up = grid.reversed().part(1, 3)
    assert (up[:], up.name, up.rising) == ((2.0, 3.0, 4.0), "four", True)
    assert up == Grid([4, 3, 2]).reversed()
    ends = grid.from_infinity().to_zero()
    assert ends.part(0, 2)[:] == (inf, 4.0, 3.0)
    assert ends.part(4, 5)[:] == (1.0, 0.0)


@pytest.mark.parametrize(("first", "last"), [(-1, 2), (2, 1), (0, 4), (4, 4)])
def test_part_outside_the_grid(first: int, last: int) -> None:
    with pytest.raises(GridError) as error:
        Grid([4, 3, 2, 1]).part(first, last)
    assert str(error.value) == (
        "this grid (custom, 3 steps, σ 4 to 1) has levels 0 to 3, but the part asked for goes from "
        f"{first} to {last}."
    )


def test_named_changes_the_name_alone() -> None:
    grid = Grid([4, 3, 2]).reversed()
    other = grid.named("other")
    assert (other, other.name, grid.name) == (grid, "other", "custom")


def test_gain_is_s_over_the_length_of_the_step() -> None:
    grid = Grid([8, 4, 3, 1])
    assert [grid.gain(s) for s in grid[:-1]] == pytest.approx([8 / 4, 4 / 1, 3 / 2], rel=1e-15)
    assert grid.from_infinity().gain(inf) == 1
    assert grid.reversed().gain(3.0) == pytest.approx(3 / (3 - 4), rel=1e-15)


def test_gain_after_the_last_level_is_of_the_step_to_zero() -> None:
    grid = Grid([8, 4, 3])
    assert grid.gain(3.0) == grid.to_zero().gain(3.0) == 1
    assert grid.reversed().gain(8.0) == 1


def test_is_a_sequence() -> None:
    grid = Grid([4, 3, 2, 1])
    assert grid[1:3] == (3.0, 2.0)
    assert grid[-1] == 1.0
    assert grid.index(2.0) == 2
    assert 3 in grid
    assert list(grid) == [4.0, 3.0, 2.0, 1.0]
    assert str(grid) == "custom, 3 steps, σ 4 to 1"
    with pytest.raises(IndexError):
        grid[4]


# --- grids that no solver can walk: the whole text -----------------------------------------------

REVERSE = "To encode data into noise, "
BAD_LEVELS = {
    "rising": (
        [1, 2, 3],
        "σ must fall, but this grid rises from 1.0 to 3.0. "
        + REVERSE
        + "give the falling levels and call .reversed().",
    ),
    "rising from zero": (
        [0, 1, 2],
        "σ must fall, but this grid rises from 0.0 to 2.0. "
        + REVERSE
        + "give the falling levels and call .reversed().",
    ),
    "repeated level": ([3, 2, 2, 1], "σ must fall at every step, but grid[1] = grid[2] = 2.0."),
    "zigzag": (
        [3, 1, 2],
        "σ must fall at every step, but grid[1] = 1.0 and grid[2] = 2.0. "
        + REVERSE
        + "reverse the whole grid with .reversed().",
    ),
    "zero in the middle": (
        [3, 0, 1],
        "σ = 0 is reached before the end (grid[1]). Only the last may be 0.",
    ),
    "zero twice": (
        [3, 0, 0],
        "σ = 0 is reached before the end (grid[1]). Only the last may be 0.",
    ),
    "zero at the start": (
        [0, 0],
        "σ = 0 is reached before the end (grid[0]). Only the last may be 0.",
    ),
    "infinity in the middle": (
        [3, inf, 1],
        "σ = ∞ after the start (grid[1]). Only the first may be ∞.",
    ),
    "infinity twice": (
        [inf, inf, 1],
        "σ = ∞ after the start (grid[1]). Only the first may be ∞.",
    ),
    "negative": ([3, 1, -1], "grid[2] = -1.0 is negative. σ = s/α is at least 0."),
    "minus infinity": ([3, 1, -inf], "grid[2] = -inf is negative. σ = s/α is at least 0."),
    "NaN": ([3, nan, 1], "grid[1] is NaN. Every noise level must be a number."),
    "empty": ([], "a grid needs at least two noise levels, but got []."),
    "one level": ([3], "a grid needs at least two noise levels, but got [3.0]."),
}


@pytest.mark.parametrize("what", BAD_LEVELS)
def test_levels_that_cannot_be_walked(what: str) -> None:
    levels, text = BAD_LEVELS[what]
    with pytest.raises(GridError) as error:
        Grid(levels)
    assert str(error.value) == text
    assert isinstance(error.value, FlowsolveError)
    assert isinstance(error.value, ValueError)


def test_an_end_cannot_be_added_twice() -> None:
    grid = log_snr(3, 10, 0.1)
    with pytest.raises(GridError, match="σ = 0 is reached before the end"):
        grid.to_zero().to_zero()
    with pytest.raises(GridError, match="σ = ∞ after the start"):
        grid.from_infinity().from_infinity()
    with pytest.raises(GridError, match="σ must fall at every step"):
        grid.reversed().to_zero()


@each_spacing
@pytest.mark.parametrize("n", [0, -3])
def test_no_steps(name: str, n: int) -> None:
    short = re.escape(re.split(r"\W", name)[0])
    with pytest.raises(GridError) as error:
        SPACINGS[name][0](n, HIGH, LOW)
    assert re.fullmatch(
        rf"({short}|uniform_t): a grid needs at least one step, but got n = {n}\.",
        str(error.value),
    )


@each_spacing
@pytest.mark.parametrize(
    ("high", "low"), [(1.0, 1.0), (1.0, 2.0), (1.0, -0.5), (inf, 1.0), (nan, 1.0), (1.0, nan)]
)
def test_ends_in_the_wrong_order(name: str, high: float, low: float) -> None:
    with pytest.raises(GridError) as error:
        SPACINGS[name][0](5, high, low)
    assert str(error.value).endswith(
        f"need 0 <= sigma_min < sigma_max < inf, but got sigma_max = {high!r}, "
        f"sigma_min = {low!r}. "
        "Add the ends ∞ and 0 with .from_infinity(), .to_zero()."
    )


@pytest.mark.parametrize("spacing", [log_snr, exponential])
def test_log_grid_to_zero(spacing: Spacing) -> None:
    with pytest.raises(GridError) as error:
        spacing(5, 1.0, 0.0)
    assert str(error.value) == (
        "a grid uniform in log σ cannot end at 0: give sigma_min > 0, then .to_zero()."
    )


def test_time_grids_outside_the_clock() -> None:
    with pytest.raises(ScheduleError, match=r"has no time for σ = 0\.0"):
        uniform_t(5, 1.0, 0.0, clock=CLOCK)
    with pytest.raises(ScheduleError, match=r"σ = 1000\.0 is outside linear_beta\(T=1000\)"):
        uniform_t(5, 1000.0, 1.0, clock=linear_beta())
    with pytest.raises(GridError) as error:
        quadratic_t(5, 80, 0.002, clock=EDMClock())
    assert str(error.value) == (
        "EDMClock() gives negative times (t = -1.554), which have no power 2."
    )
