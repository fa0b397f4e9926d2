"""Clocks: both directions, slopes, published values, and orders on a network that knows σ by its label."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

from flowsolve import (
    LOG_SIGMA,
    VESDE,
    VPSDE,
    DiffusionODE,
    EDMClock,
    EDMPrediction,
    EpsPrediction,
    FlowClock,
    linear_beta,
    log_snr,
    scaled_linear_beta,
    sigmoid_beta,
    solve,
    squared_cosine,
)
from flowsolve.errors import FlowsolveError, ScheduleError
from flowsolve.problems import Mixture1D, exact_network
from flowsolve.schedule.clock import Clock
from flowsolve.schedule.labels import AngleClock, Labels, LogClock, ve_index
from flowsolve_solvers import RK4, Heun
from tests.schedule.tables import CURVES, LENGTHS, TABLES, times

CONTINUOUS: list[tuple[Clock, float, float]] = [  # with the times to look at
    (VPSDE(), 1e-5, 1.0),
    (VPSDE(beta_min=0.2, beta_max=12.0, scale=999.0), 1e-2, 999.0),
    (EDMClock(), -2.0, 2.0),
    (VESDE(), 0.0, 1.0),
    (VESDE(sigma_min=0.1, sigma_max=300.0), 0.0, 1.0),
    (FlowClock(), 1e-4, 0.9999),
    (FlowClock(shift=3.0), 1e-4, 0.9999),
    (FlowClock(shift=7.0, scale=1000.0), 0.1, 999.9),
]

CLOCKS = [
    *CONTINUOUS,
    *((make(T, between=b), 0.0, T - 1.0) for make in TABLES for T in LENGTHS for b in CURVES),
]

each_clock = pytest.mark.parametrize(("clock", "low", "high"), CLOCKS, ids=repr)


@each_clock
def test_both_directions(clock: Clock, low: float, high: float) -> None:
    for t in times(low, high):
        sigma = clock.sigma(t)
        assert clock.t(sigma) == pytest.approx(t, rel=1e-12, abs=1e-12)
    first, last = clock.sigma(low), clock.sigma(high)
    for sigma in np.geomspace(first, last, 500).clip(first, last).tolist():
        t = clock.t(sigma)
        ulps = (
            4 * math.ulp(t) * clock.rate(t)
        )  # what rounding of t alone does to σ near flow's t = 1
        assert clock.sigma(t) == pytest.approx(sigma, rel=1e-12, abs=ulps)


@each_clock
def test_strictly_rising(clock: Clock, low: float, high: float) -> None:
    levels = [clock.sigma(t) for t in times(low, high)]
    assert all(a < b for a, b in pairwise(levels))
    assert all(type(s) is float for s in levels)
    labels = [clock.t(s) for s in levels]
    assert all(a < b for a, b in pairwise(labels))
    assert all(type(t) is float for t in labels)


@each_clock
def test_rate_is_the_derivative(clock: Clock, low: float, high: float) -> None:
    for t in times(low, high, 97)[1:-1]:
        if clock in [c for c, *_ in CONTINUOUS]:
            # as wide as the curvature allows, which at VPSDE's small t is √t's
            h = 1e-4 * min(1.0, t - low + 1e-6, high - t + 1e-6) * max(1.0, high / 100)
        else:
            h = 1e-4
            if min(t % 1, -t % 1) < 2 * h:
                continue  # a kink has no derivative
        central = (clock.sigma(t + h) - clock.sigma(t - h)) / (2 * h)
        assert clock.rate(t) == pytest.approx(central, rel=1e-5)


def test_scales_and_shifts() -> None:
    assert VPSDE(scale=999.0).sigma(999 * 0.3) == pytest.approx(VPSDE().sigma(0.3), rel=1e-13)
    assert VPSDE(scale=999.0).t(5.0) == pytest.approx(999 * VPSDE().t(5.0), rel=1e-13)
    assert VPSDE(scale=999.0).rate(300.0) == pytest.approx(VPSDE().rate(300 / 999) / 999, rel=1e-12)
    assert FlowClock(shift=3.0).sigma(0.4) == pytest.approx(3 * FlowClock().sigma(0.4), rel=1e-15)
    # Stable Diffusion 3's timestep shift
    for t in (0.1, 0.5, 0.9):
        shifted = 3 * t / (1 + 2 * t)
        assert FlowClock(shift=3.0).sigma(t) == pytest.approx(FlowClock().sigma(shifted), rel=1e-13)
    assert FlowClock(scale=1000.0).t(1.0) == 500.0


def test_published_values() -> None:
    assert EDMClock().t(80.0) == math.log(80) / 4
    assert VESDE().sigma(0.0) == 0.01
    assert VESDE().sigma(1.0) == pytest.approx(50.0, rel=1e-15)
    assert VESDE().sigma(0.5) == pytest.approx(math.sqrt(0.01 * 50), rel=1e-15)
    # score_sde's VPSDE: log_mean_coeff = -t²/4 (b1 - b0) - t b0/2, std = √(1 - e^(2 lmc))
    for t in (1e-3, 0.1, 0.5, 1.0):
        alpha = math.exp(-(t**2) / 4 * (20 - 0.1) - t * 0.1 / 2)
        assert VPSDE().sigma(t) == pytest.approx(math.sqrt(1 - alpha**2) / alpha, rel=1e-10)
    assert FlowClock().sigma(1.0) == math.inf
    assert FlowClock().t(math.inf) == 1.0
    assert FlowClock(shift=3.0, scale=1000.0).t(math.inf) == 1000.0


PROBLEM = Mixture1D()


@pytest.mark.parametrize(
    "precondition",
    [
        EpsPrediction(VPSDE()),
        EDMPrediction(),
        EpsPrediction(EDMClock()),
        EpsPrediction(linear_beta()),
        EpsPrediction(squared_cosine(100)),
    ],
    ids=lambda p: f"{type(p).__name__}-{p.clock}",
)
def test_order_through_the_label(precondition) -> None:
    # the exact network knows σ only by its label, so a wrong or rough label shows in the order
    ode = DiffusionODE(exact_network(PROBLEM, precondition), precondition)
    x = PROBLEM.start(range(6), torch.float64)
    exact = PROBLEM.flow(x, 10.0, 0.05)
    for solver, ns in ((Heun(), (60, 120, 240)), (RK4(LOG_SIGMA), (20, 40, 80))):
        ends = [solve(ode, x, log_snr(n, 10.0, 0.05), solver).x for n in ns]
        errors = [float((end - exact).square().mean().sqrt()) for end in ends]
        slope = -float(np.polyfit(np.log(ns), np.log(errors), 1)[0])
        assert abs(slope - solver.order) < 0.2, errors


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "VPSDE beyond 1": (
        lambda: VPSDE().sigma(1.5),
        "VPSDE() knows times from 0 to 1, not t = 1.5.",
    ),
    "VPSDE before 0": (
        lambda: VPSDE().sigma(-0.1),
        "VPSDE() knows times from 0 to 1, not t = -0.1.",
    ),
    "VPSDE at NaN": (
        lambda: VPSDE().sigma(math.nan),
        "VPSDE() knows times from 0 to 1, not t = nan.",
    ),
    "VPSDE rate at 0": (
        lambda: VPSDE().rate(0.0),
        "VPSDE(): σ(t) has no derivative at t = 0, where σ rises like √t.",
    ),
    "VPSDE at σ = 0": (
        lambda: VPSDE().t(0.0),
        "VPSDE() has no time for σ = 0.0: give 0 < σ < ∞.",
    ),
    "VPSDE at σ = ∞": (
        lambda: VPSDE().t(math.inf),
        "VPSDE() has no time for σ = inf: give 0 < σ < ∞.",
    ),
    "EDM at σ < 0": (
        lambda: EDMClock().t(-1.0),
        "EDMClock() has no time for σ = -1.0: give 0 < σ < ∞.",
    ),
    "VE at NaN": (
        lambda: VESDE().t(math.nan),
        "VESDE() has no time for σ = nan: give 0 < σ < ∞.",
    ),
    "flow beyond 1": (
        lambda: FlowClock(shift=3.0).sigma(1.5),
        "FlowClock(shift=3.0) knows times from 0 to 1, not t = 1.5.",
    ),
    "flow at σ = 0": (
        lambda: FlowClock().t(0.0),
        "FlowClock() has no time for σ = 0.0: give 0 < σ < ∞.",
    ),
    "flow rate at 1": (
        lambda: FlowClock().rate(1.0),
        "FlowClock(): σ(t) has no derivative at t = 1.0, where σ = ∞.",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    call, text = REFUSED[what]
    with pytest.raises(ScheduleError) as error:
        call()
    assert str(error.value) == text
    assert isinstance(error.value, FlowsolveError)


# a clock of these would give other labels, or fall, without a word
MISTAKEN: dict[str, tuple[Callable[[], object], str]] = {
    "VE, swapped": (
        lambda: VESDE(50, 0.01),
        "VESDE: σ rises from a positive number to a larger, but got 50 and 0.01: the smaller comes first.",
    ),
    "VP with NaN": (
        lambda: VPSDE(math.nan, 20),
        "VPSDE: β rises from beta_min to beta_max, 0 <= beta_min <= beta_max < ∞, but got beta_min = nan,",
    ),
    "VP below 0": (lambda: VPSDE(-1, -2), "but got beta_min = -1, beta_max = -2."),
    "VP, swapped": (lambda: VPSDE(20, 0.1), "but got beta_min = 20, beta_max = 0.1."),
    "VP, endless": (lambda: VPSDE(0.1, math.inf), "but got beta_min = 0.1, beta_max = inf."),
    "VP that never moves": (lambda: VPSDE(0, 0), "but got beta_min = 0, beta_max = 0."),
    "VP's labels": (
        lambda: VPSDE(scale=-999),
        "VPSDE: scale must be positive and finite, but got -999.",
    ),
    "flow's shift": (
        lambda: FlowClock(shift=0),
        "FlowClock: shift must be positive and finite, but got 0.",
    ),
    "angle's labels": (lambda: AngleClock(math.nan), "AngleClock: scale must be positive"),
    "log σ in no unit": (lambda: LogClock(250, 0), "LogClock: unit must be positive"),
    "log σ without a scale": (lambda: LogClock(0), "LogClock: scale must be finite and not 0"),
    "labels' ends, swapped": (
        lambda: Labels(VPSDE(), ends=(80, 0.01)),
        "Labels: σ of the ends rises from a positive number to a larger, but got 80 and 0.01",
    ),
    "NCSN, swapped": (lambda: ve_index(10, 50, 0.01), "ve_index: σ rises from a positive number"),
    "β, swapped": (
        lambda: linear_beta(10, 0.02, 1e-4),
        "β rises from a positive number to a larger",
    ),
    "√β below 0": (lambda: scaled_linear_beta(10, -1, 0.02), "but got -1.0 and 0.02"),
    "β on a sigmoid, swapped": (lambda: sigmoid_beta(10, 0.02, 1e-4), "but got 0.02 and 0.0001"),
}


@pytest.mark.parametrize("what", MISTAKEN)
def test_clocks_that_do_not_rise_are_refused(what: str) -> None:
    call, text = MISTAKEN[what]
    with pytest.raises(ScheduleError) as error:
        call()
    assert text in str(error.value)


def test_a_constant_beta_is_none_of_them() -> None:
    assert VPSDE(2.0, 2.0).sigma(0.5) == pytest.approx(math.sqrt(math.expm1(1.0)))
    assert len(linear_beta(10, 0.02, 0.02).alphas_cumprod) == 10
