"""Clocks of tables: entries, conventions between them, kinks, and what these cost in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from flowsolve import (
    LOG_SIGMA,
    ODE,
    VPSDE,
    Solver,
    from_alphas_cumprod,
    from_betas,
    linear_beta,
    log_snr,
    scaled_linear_beta,
    solve,
    squared_cosine,
)
from flowsolve.errors import FlowsolveError, ScheduleError
from flowsolve.problems import Mixture1D
from flowsolve.schedule.clock import Clock
from flowsolve_solvers import RK4, Heun
from tests.schedule.tables import CURVES, LENGTHS, TABLES, times

each_table = pytest.mark.parametrize("make", TABLES)
each_length = pytest.mark.parametrize("T", LENGTHS)


# --- tables --------------------------------------------------------------------------------------


def np_betas(make: Callable[..., Clock], T: int) -> np.ndarray:
    if make is linear_beta:
        return np.linspace(1e-4, 0.02, T)
    if make is scaled_linear_beta:
        return np.linspace(0.00085**0.5, 0.012**0.5, T) ** 2

    def alpha_bar(u: float) -> float:  # as improved-diffusion writes it
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    return np.array([min(1 - alpha_bar((i + 1) / T) / alpha_bar(i / T), 0.999) for i in range(T)])


@each_table
@each_length
@pytest.mark.parametrize("between", [*CURVES, "nearest"])
def test_entries_are_the_cumulative_products(make, T: int, between: str) -> None:
    clock, bar = make(T, between=between), np.cumprod(1 - np_betas(make, T))
    expected = np.sqrt((1 - bar) / bar)
    np.testing.assert_allclose([clock.sigma(i) for i in range(T)], expected, rtol=1e-10)
    labels = [clock.t(s) for s in np.clip(expected, clock.sigma(0), clock.sigma(T - 1))]
    np.testing.assert_allclose(labels, np.arange(T), atol=1e-7)
    same = from_alphas_cumprod(clock.alphas_cumprod, between)
    assert same.sigma(T / 3) == clock.sigma(T / 3)


@pytest.mark.parametrize("T", LENGTHS)
def test_cosine_clip_keeps_it_rising(T: int) -> None:
    betas = np_betas(squared_cosine, T)
    assert betas[-1] == 0.999  # the clip is active
    clock = squared_cosine(T)
    assert clock.alphas_cumprod[-1] / clock.alphas_cumprod[-2] == pytest.approx(0.001, rel=1e-9)
    fine = [clock.sigma(t) for t in times(T - 3, T - 1)]
    assert all(a < b for a, b in pairwise(fine))
    assert squared_cosine(T, max_beta=0.9).sigma(T - 1) < clock.sigma(T - 1)


# conventions between the entries, written without the library

Formula = Callable[[float, np.ndarray], float]


def k_diffusion(t: float, bar: np.ndarray) -> float:  # t_to_sigma: linear in log σ
    log_sigmas = np.log(np.sqrt((1 - bar) / bar))
    low, high, w = math.floor(t), math.ceil(t), t % 1
    return float(np.exp((1 - w) * log_sigmas[low] + w * log_sigmas[high]))


def dpm_solver(t: float, bar: np.ndarray) -> float:  # marginal_log_mean_coeff: linear in log α
    log_alpha = np.interp(t, np.arange(len(bar)), 0.5 * np.log(bar))
    return float(np.sqrt(1 - np.exp(2 * log_alpha)) / np.exp(log_alpha))


def quantized(t: float, bar: np.ndarray) -> float:
    return float(np.sqrt((1 - bar) / bar)[round(t)])


@each_table
@pytest.mark.parametrize(
    ("between", "formula"),
    [("log_sigma", k_diffusion), ("log_alpha", dpm_solver), ("nearest", quantized)],
)
def test_conventions(make, between: str, formula: Formula) -> None:
    clock, bar = make(100, between=between), np.cumprod(1 - np_betas(make, 100))
    for t in np.random.default_rng(0).uniform(0, 99, 200):
        assert clock.sigma(float(t)) == pytest.approx(formula(float(t), bar), rel=1e-9)


@each_table
def test_nearest_is_in_log_sigma(make) -> None:
    clock, bar = make(100, between="nearest"), np.cumprod(1 - np_betas(make, 100))
    log_sigmas = 0.5 * np.log((1 - bar) / bar)
    for y in np.random.default_rng(0).uniform(log_sigmas[0], log_sigmas[-1], 200):
        assert clock.t(math.exp(y)) == np.abs(log_sigmas - y).argmin()  # k-diffusion's quantize
    with pytest.raises(ScheduleError, match="moves in jumps, so dσ/dt has no value"):
        clock.rate(3.0)


def test_linear_in_sigma_is_numpys_interp() -> None:
    clock = linear_beta(between="sigma")
    table = [clock.sigma(t) for t in range(1000)]
    for t in np.random.default_rng(0).uniform(0, 999, 100):
        assert clock.sigma(float(t)) == pytest.approx(np.interp(t, range(1000), table), rel=1e-12)
    assert clock.rate(10.5) == pytest.approx(table[11] - table[10], rel=1e-9)
    assert clock.t(table[-1] * (1 + 3e-16)) == 999.0


def test_smooth_recovers_what_the_table_was_cut_from() -> None:
    # entries of the VP-SDE's own curve: in between, the spline is far nearer to it than a chord
    truth, T = VPSDE(scale=100.0), 100
    table = [1 / (1 + truth.sigma(k + 1.0) ** 2) for k in range(T)]

    def worst(between: str) -> float:
        clock = from_alphas_cumprod(table, between)
        at = [k + 0.5 for k in range(10, T - 1)]
        return max(abs(clock.sigma(t) / truth.sigma(t + 1) - 1) for t in at)

    assert worst("smooth") < 1e-6
    assert worst("log_sigma") > 100 * worst("smooth")
    assert worst("log_alpha") > 100 * worst("smooth")


# --- kinks ---------------------------------------------------------------------------------------


def kinks(clock: Clock, T: int) -> float:
    """The largest jump of d(log σ)/dt at an entry, by one-sided differences of second order."""
    h, jumps = 1e-3, []
    for k in range(1, T - 1):
        y = [math.log(clock.sigma(k + i * h)) for i in (-2, -1, 0, 1, 2)]
        before, after = 3 * y[2] - 4 * y[1] + y[0], 4 * y[3] - 3 * y[2] - y[4]
        jumps.append(abs(after - before) / (2 * h))
    return max(jumps)


@each_table
@each_length
def test_only_the_default_has_no_kinks(make, T: int) -> None:
    assert kinks(make(T), T) < 5e-6
    for between in ("log_sigma", "log_alpha"):
        assert kinks(make(T, between=between), T) > 1e-3


def test_a_table_with_a_corner_still_rises() -> None:
    # a C² spline of this table would fall: the monotone one takes over
    levels = [0.1, 0.1001, 0.1002, 5.0, 5.001, 5.002]
    clock = from_alphas_cumprod([1 / (1 + s * s) for s in levels])
    fine = [clock.sigma(t) for t in times(0, 5)]
    assert all(a < b for a, b in pairwise(fine))
    assert kinks(clock, 6) < 1e-4 < kinks(from_alphas_cumprod(clock.alphas_cumprod, "log_sigma"), 6)


# --- what interpolation does to the order --------------------------------------------------------

PROBLEM = Mixture1D()


def measured_order(ode: ODE, high: float, low: float, solver: Solver, ns: Sequence[int]) -> float:
    """The slope of log error against log n, the error against the same ODE solved far finer."""
    x = PROBLEM.start(range(6), torch.float64) * (high / PROBLEM.sigma_max)
    best = solve(ode, x, log_snr(2001, high, low), RK4(LOG_SIGMA)).x
    ends = [solve(ode, x, log_snr(n, high, low), solver).x for n in ns]
    errors = [float((end - best).square().mean().sqrt()) for end in ends]
    return -float(np.polyfit(np.log(ns), np.log(errors), 1)[0])


class Mislabelled(ODE):
    """A network of the true clock, given labels by a table cut from it (a network's own view)."""

    def __init__(self, table: Clock, truth: VPSDE) -> None:
        self.table, self.truth = table, truth

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        label = self.table.t(sigma) + 1  # entry k is at time k + 1
        return PROBLEM.eps(x, self.truth.sigma(min(label, self.truth.scale)))


@pytest.mark.parametrize(
    ("between", "heun", "rk4"),
    [
        ("smooth", (1.9, 2.2), (3.8, 4.3)),
        ("log_sigma", (1.8, 2.3), (0, 3)),  # kinks: whatever the method, order 2
        ("log_alpha", (1.8, 2.3), (0, 3)),
        ("nearest", (-1, 1.5), (-1, 1.5)),  # jumps: order 1 at most
    ],
)
def test_order_on_a_coarse_table(between, heun, rk4) -> None:
    truth = VPSDE(scale=20.0)
    table = from_alphas_cumprod([1 / (1 + truth.sigma(k + 1.0) ** 2) for k in range(20)], between)
    ode, low = Mislabelled(table, truth), 1.01 * table.sigma(0)
    slope = measured_order(ode, 20.0, low, Heun(), (40, 80, 160))
    assert heun[0] < slope < heun[1]
    slope = measured_order(ode, 20.0, low, RK4(LOG_SIGMA), (20, 40, 80, 160))
    assert rk4[0] < slope < rk4[1]


# --- float32 tables ------------------------------------------------------------------------------


@each_length
@each_table
def test_float32_betas_still_rise(make, T: int) -> None:
    betas = np_betas(make, T).astype(np.float32)
    clock = from_betas(betas.tolist())
    fine = [clock.sigma(t) for t in times(0, T - 1, 4 * T)]
    assert all(a < b for a, b in pairwise(fine))
    bar = np.cumprod(1 - betas.astype(np.float64))
    assert clock.sigma(T - 1) == pytest.approx(float(np.sqrt((1 - bar) / bar)[-1]), rel=1e-9)


def test_float32_products_as_checkpoints_hold_them() -> None:
    for make in (linear_beta, scaled_linear_beta):
        betas = torch.tensor(np_betas(make, 1000), dtype=torch.float32)
        clock = from_alphas_cumprod((1 - betas).cumprod(0).tolist())
        fine = [clock.sigma(t) for t in times(0, 999, 4000)]
        assert all(a < b for a, b in pairwise(fine))
        assert clock.sigma(500) == pytest.approx(make().sigma(500), rel=1e-4)


# --- what is refused, with its text --------------------------------------------------------------

FALL = (
    "alphas_cumprod must fall strictly inside (0, 1), at least two of them (one more, 0, is zero "
    "terminal SNR), but got "
)

BETA = "every beta must lie strictly between 0 and 1."
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "table beyond T - 1": (
        lambda: linear_beta().sigma(999.5),
        "linear_beta(T=1000) knows times from 0 to 999, not t = 999.5.",
    ),
    "table before 0": (
        lambda: linear_beta(between="log_sigma").sigma(-1),
        "linear_beta(T=1000)[log_sigma] knows times from 0 to 999, not t = -1.",
    ),
    "σ above the table": (
        lambda: linear_beta().t(158.0),
        "σ = 158.0 is outside linear_beta(T=1000), which knows σ from 0.0100005 to 157.407. "
        "End the grid inside, or step to 0 from there.",
    ),
    "σ below the table": (
        lambda: linear_beta().t(0.01),
        "σ = 0.01 is outside linear_beta(T=1000), which knows σ from 0.0100005 to 157.407. "
        "End the grid inside, or step to 0 from there.",
    ),
    "unknown convention": (
        lambda: linear_beta(between="linear"),
        "between = 'linear' is not one of smooth, log_sigma, log_alpha, sigma, nearest.",
    ),
    "no table": (lambda: from_alphas_cumprod([]), FALL + "0 from None to None."),
    "one entry": (lambda: from_alphas_cumprod([0.5]), FALL + "1 from 0.5 to 0.5."),
    "one beta": (lambda: linear_beta(1), FALL + "1 from 0.9999 to 0.9999."),
    "rising table": (lambda: from_alphas_cumprod([0.5, 0.9]), FALL + "2 from 0.5 to 0.9."),
    "repeated entry": (
        lambda: from_alphas_cumprod([0.9, 0.5, 0.5]),
        FALL + "3 from 0.9 to 0.5.",
    ),
    "one entry before zero terminal SNR": (
        lambda: from_alphas_cumprod([0.9, 0.0]),
        FALL + "2 from 0.9 to 0.0.",
    ),
    "one at the start": (
        lambda: from_alphas_cumprod([1.0, 0.5]),
        FALL + "2 from 1.0 to 0.5.",
    ),
    "NaN entry": (
        lambda: from_alphas_cumprod([0.9, math.nan, 0.1]),
        FALL + "3 from 0.9 to 0.1.",
    ),
    "negative beta": (lambda: from_betas([0.1, -0.1]), BETA),
    "zero beta": (lambda: from_betas([0.1, 0.0]), BETA),
    "beta of 1": (lambda: from_betas([0.1, 1.0]), BETA),
    "NaN beta": (lambda: from_betas([0.1, math.nan]), BETA),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    call, text = REFUSED[what]
    with pytest.raises(ScheduleError) as error:
        call()
    assert str(error.value) == text
    assert isinstance(error.value, FlowsolveError)


@each_table
@pytest.mark.parametrize("between", CURVES)
def test_the_ends_forgive_rounding_and_no_more(make, between: str) -> None:
    clock = make(100, between=between)
    for sigma, label, out in ((clock.sigma(0), 0.0, -1), (clock.sigma(99), 99.0, 1)):
        assert clock.t(sigma * (1 + out * 3e-16)) == label
        with pytest.raises(ScheduleError, match="is outside"):
            clock.t(sigma * (1 + out * 1e-7))
