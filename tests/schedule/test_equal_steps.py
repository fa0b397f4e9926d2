"""Grids without a clock, and the variables that are finite at both ends."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from flowsolve import (
    LOG_SIGMA,
    SIGMA,
    VPSDE,
    ClockTime,
    log_snr,
    two_power,
    uniform_in,
    uniform_phi,
    uniform_t,
)
from flowsolve.errors import GridError
from flowsolve.schedule import FlowTime, Phi, Theta, TwoPower, Variable
from tests.helpers import says

inf = math.inf
BOUNDED = [
    Theta(),
    Theta(0.3),
    Phi(),
    Phi(20.0),
    FlowTime(),
    FlowTime(2.0),
    TwoPower(0.5, 4.0, 0.35, 0.2),
]


@pytest.mark.parametrize("variable", BOUNDED, ids=repr)
def test_there_and_back(variable: Variable) -> None:
    for sigma in (1e-8, 1e-3, 0.7, 1.0, 30.0, 1e6):
        tau = variable.tau(sigma)
        assert variable.sigma(tau) == pytest.approx(sigma, rel=1e-8)
        h = 1e-5
        slope = (variable.tau(sigma * (1 + h)) - variable.tau(sigma * (1 - h))) / (2 * h * sigma)
        assert variable.rate(sigma) * slope == pytest.approx(1, rel=1e-4)
    assert variable.has_zero
    assert variable.has_infinity
    assert variable.tau(0.0) < variable.tau(1e-8) < variable.tau(1e8) < variable.tau(inf) < inf
    assert variable.sigma(variable.tau(0.0)) == pytest.approx(0, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 9), st.floats(0.1, 90), st.floats(0, 2), st.floats(0, 2))
def test_two_power_is_the_integral_of_its_density(
    low: float, high: float, below: float, above: float
) -> None:
    v = TwoPower(low, high, below, above)

    def density(y: float) -> float:
        sigma = math.exp(y)
        return float((sigma / (low + sigma)) ** below * (high / (high + sigma)) ** above)

    a, b = math.log(0.003), math.log(70.0)
    assert v.tau(70.0) - v.tau(0.003) == pytest.approx(
        quad(density, a, b, epsabs=1e-13)[0], rel=1e-11
    )


def test_two_power_members() -> None:
    """Powers 1/2 at one level are uniform in φ; powers 0 are log-SNR."""
    for c in (0.3, 1.0, 8.0):
        ours, phi = two_power(9, 80.0, 0.002, low=c, high=c), uniform_phi(9, 80.0, 0.002, scale=c)
        assert list(ours) == pytest.approx(list(phi), rel=1e-11)
        assert TwoPower(c, c).tau(inf) - TwoPower(c, c).tau(0.0) == pytest.approx(
            math.pi, rel=1e-13
        )
    assert list(two_power(9, 80.0, 0.002, below=0, above=0)) == pytest.approx(
        [*log_snr(9, 80.0, 0.002)], rel=1e-11
    )


def test_uniform_phi_from_infinity_to_zero() -> None:
    levels = [*uniform_phi(6, inf, 0.0)]
    assert levels == pytest.approx(
        [inf, 13.928203230275509, 3, 1, 1 / 3, 0.0717967697244908, 0], rel=1e-13
    )


def test_uniform_in_any_variable() -> None:
    clock = VPSDE()
    ours = uniform_in(7, 80.0, 0.01, variable=ClockTime(clock))
    assert list(ours) == pytest.approx([*uniform_t(7, 80.0, 0.01, clock=clock)], rel=1e-12)
    flow = [*uniform_in(4, inf, 0.0, variable=FlowTime())]
    assert flow == pytest.approx([inf, 3, 1, 1 / 3, 0], rel=1e-14)
    assert (
        str(uniform_in(2, 9.0, 1.0, variable=Theta())) == "uniform_in[Theta()], 2 steps, σ 9 to 1"
    )


def test_grids_say_their_options() -> None:
    assert two_power(4, 80.0, 0.01, low=0.5, high=6).name == "two_power(low=0.5, high=6)"
    assert two_power(4, 80.0, 0.01).name == "two_power"
    assert uniform_phi(4, 80.0, 0.01, scale=2).name == "uniform_phi(scale=2)"


def test_what_has_no_such_grid() -> None:
    log, one = (
        "uniform_in: LOG_SIGMA is infinite",
        "uniform_in: need 0 <= sigma_min < sigma_max < inf",
    )
    says(GridError, log, lambda: uniform_in(4, 80.0, 0.0, variable=LOG_SIGMA))
    says(GridError, one, lambda: uniform_in(4, inf, 0.1, variable=SIGMA))
    zero = "two_power: TwoPower(below=0) is infinite at σ = 0: give sigma_min > 0"
    says(GridError, zero, lambda: two_power(4, 80.0, 0.0, below=0))
    says(
        GridError, "uniform_phi: a grid needs at least one step", lambda: uniform_phi(0, 80.0, 0.1)
    )
    low = "TwoPower: low must be a level above 0, but got 0"
    says(ValueError, low, lambda: two_power(4, 80.0, 0.1, low=0))
    above = "TwoPower: above must be a power of at least 0, but got -1"
    says(ValueError, above, lambda: two_power(4, 80.0, 0.1, above=-1))
