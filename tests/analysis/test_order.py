"""Observed orders: where a slope is read, where it is none, and how sure it is."""

from __future__ import annotations

import math

import pytest

from flowsolve.analysis.order import observed_order

STEPS = (10, 20, 40, 80, 160, 320)


@pytest.mark.parametrize("p", [1, 2, 3.5, 8])
def test_the_slope_of_a_pure_power_is_its_exponent(p: float) -> None:
    s = observed_order(STEPS, [7 * n**-p for n in STEPS])
    assert s.order == pytest.approx(p, abs=1e-10)
    assert s.settled
    assert s.steps == STEPS[-4:]  # at most four points


def test_points_may_come_in_any_order() -> None:
    shuffled = [STEPS[i] for i in (3, 0, 5, 1, 4, 2)]
    assert observed_order(shuffled, [n**-2 for n in shuffled]).order == pytest.approx(2)


def power(n: float) -> float:
    return float(n) ** -2


CASES = {
    # name: errors, floor, order, settled, steps used
    "pre-asymptotic bump": ([9, 3e-3, 8e-3, *map(power, STEPS[3:])], 0, 2, True, STEPS[3:]),
    "round-off that rises": ([*map(power, STEPS[:4]), 3e-4, 9e-4], 0, 2, True, STEPS[:4]),
    "round-off plateau": ([*map(power, STEPS[:4]), power(80), power(80)], 0, 2, True, STEPS[:4]),
    "reference floor": ([power(n) + 1e-4 for n in STEPS], 1.5e-4, None, False, STEPS[:4]),
    "higher order first": ([n**-4 + 1e-3 * n**-2 for n in STEPS], 0, 2, True, STEPS[2:]),
    "never settled": ([n ** -(1 + n / 200) for n in STEPS], 0, None, False, STEPS[-2:]),
    "failures": ([*map(power, STEPS[:4]), math.nan, math.inf], 0, 2, True, STEPS[:4]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_slope_is_read_where_it_can_be(name: str) -> None:
    errors, floor, order, settled, used = CASES[name]
    s = observed_order(STEPS, errors, floor)
    if order is not None:
        assert s.order == pytest.approx(order, abs=0.1)
    if settled is not None:
        assert s.settled is settled
    assert set(s.steps) <= set(used)
    assert len(s.steps) >= 2
    assert ("not settled" in str(s)) is not s.settled


def test_a_line_through_noise_is_fitted_and_not_joined_up() -> None:
    factors = (1.0, 1.02, 0.98, 1.01, 0.99, 1.02)
    s = observed_order(STEPS, [f * n**-2 for f, n in zip(factors, STEPS, strict=True)])
    assert s.settled
    assert s.order == pytest.approx(2, abs=0.04)
    last = math.log(factors[-2] / factors[-1] * 4, 2)
    assert abs(s.order - 2) < abs(last - 2)  # better than the last pair alone


@pytest.mark.parametrize("errors", [[], [1.0], [1.0, 2.0], [math.nan, 1.0], [1e-9, 1e-10]])
def test_too_few_clean_points_give_no_slope(errors: list[float]) -> None:
    s = observed_order(STEPS[: len(errors)], errors, floor=1e-8)
    assert math.isnan(s.order)
    assert not s.settled
    assert "no slope" in str(s)
