"""Zero terminal SNR, more β schedules, σ linear between labels, and shifted flow grids."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

import flowsolve as fs
from flowsolve.errors import GridError, ScheduleError
from flowsolve.problems import Mixture1D, exact_network
from flowsolve.schedule.discrete import DiscreteClock
from flowsolve.schedule.labels import Labels, nearest, whole
from flowsolve_solvers import Euler, Heun

SCALED = fs.scaled_linear_beta()
ZERO = fs.zero_terminal_snr(SCALED)


# --- zero terminal SNR ---------------------------------------------------------------------------


def test_rescaled_as_in_the_paper() -> None:
    """Lin et al.'s Algorithm 1 in numpy, on its own betas."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    roots = np.sqrt(np.cumprod(1 - betas))
    first, last = roots[0], roots[-1]
    rescaled = (roots - last) * first / (first - last)
    np.testing.assert_allclose(ZERO.alphas_cumprod, rescaled**2, rtol=1e-10, atol=1e-18)
    assert ZERO.alphas_cumprod[-1] == 0
    assert ZERO.sigma(0) == pytest.approx(SCALED.sigma(0), rel=1e-12)
    assert repr(ZERO) == "zero_terminal_snr(scaled_linear_beta(T=1000))"


@pytest.mark.parametrize("between", ["smooth", "log_sigma", "log_alpha", "sigma"])
def test_the_last_label_is_infinity(between: str) -> None:
    clock = fs.zero_terminal_snr(fs.linear_beta(100, between=between))
    assert clock.sigma(99) == math.inf
    assert clock.t(math.inf) == 99.0
    for t in (97.3, 98.0, 98.001, 98.5, 98.999, 99 - 1e-9):
        assert clock.t(clock.sigma(t)) == pytest.approx(t, rel=1e-12)
    levels = [clock.sigma(t) for t in np.linspace(90, 98.999, 400).tolist()]
    assert all(a < b for a, b in pairwise(levels))
    assert clock.sigma(98.75) == pytest.approx(4 * clock.sigma(98), rel=1e-12)
    assert clock.rate(98.75) == pytest.approx(16 * clock.sigma(98), rel=1e-12)
    assert math.exp(clock.log_sigmas[98]) == pytest.approx(clock.sigma(98), rel=1e-12)
    assert clock.log_sigmas[99] == math.inf


def test_the_smooth_clock_has_no_kink_at_the_last_finite_label() -> None:
    clock = fs.zero_terminal_snr(fs.linear_beta(100))
    assert clock.rate(98 - 1e-7) == pytest.approx(clock.rate(98 + 1e-7), rel=1e-5)
    jagged = fs.zero_terminal_snr(fs.linear_beta(100, between="log_sigma"))
    assert jagged.rate(98 + 1e-7) / jagged.rate(98 - 1e-7) > 1.2


def test_nearest_of_a_zero_terminal_table() -> None:
    clock = fs.zero_terminal_snr(fs.linear_beta(100, between="nearest"))
    assert clock.t(1e9) == 98.0
    assert clock.t(math.inf) == 99.0
    assert clock.sigma(98.6) == math.inf


@pytest.mark.parametrize("prediction", [fs.VPrediction, fs.X0Prediction])
@pytest.mark.parametrize("solver", [Euler(), Heun()])
def test_a_grid_from_infinity_samples_the_law(prediction, solver) -> None:  # type: ignore[no-untyped-def]
    """trailing starts at σ = ∞, and the exact flow of unit noise from there is met."""
    problem = Mixture1D()
    ode = fs.DiffusionODE(exact_infinity(problem, prediction(ZERO)), prediction(ZERO))
    grid = fs.trailing(200, clock=ZERO, final="first")
    assert grid[0] == math.inf
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    result = fs.sample(ode, noise, grid, solver)
    assert result.nfe == (200 if isinstance(solver, Euler) else 399)  # one for the step from ∞
    exact = problem.flow(noise * 1e6, 1e6, grid[-1])
    error = float((result.x - exact).abs().max())
    assert error < (0.05 if isinstance(solver, Euler) else 0.002)


def exact_infinity(problem, precondition):  # type: ignore[no-untyped-def]
    """`exact_network`, and at σ = ∞ the mean of the data by which x₀ is known there."""
    inner = exact_network(problem, precondition)
    far = 1e7

    def network(x, t):  # type: ignore[no-untyped-def]
        if not math.isinf(precondition.clock.sigma(float(t[0]))):
            return inner(x, t)
        mean = problem.x0(x * far, far)
        c = precondition(math.inf)
        return (mean - c.c_skip * x) / c.c_out

    return network


def test_epsilon_is_blind_there() -> None:
    ode = fs.DiffusionODE(lambda x, t: x, fs.EpsPrediction(ZERO))
    with pytest.raises(ScheduleError, match=r"an ε-network says nothing about x₀ at σ = ∞"):
        fs.sample(ode, torch.zeros(1, 2), fs.trailing(5, clock=ZERO), Euler())


def test_rounding_keeps_infinity() -> None:
    grid = fs.karras(5, 20.0, 0.1).from_infinity()
    assert fs.round_to(grid, ZERO)[0] == math.inf


# --- more schedules ------------------------------------------------------------------------------


def test_sigmoid_by_numpy() -> None:
    betas = 1 / (1 + np.exp(-np.linspace(-6, 6, 1000))) * (0.02 - 1e-4) + 1e-4
    np.testing.assert_allclose(fs.sigmoid_beta().alphas_cumprod, np.cumprod(1 - betas), rtol=1e-10)


def test_the_exponential_one_has_one_beta() -> None:
    clock = fs.exponential_alpha_bar(50)
    for t, bar in enumerate(clock.alphas_cumprod):
        assert bar == pytest.approx(math.exp(-12 * (t + 1) / 50), rel=1e-12)
    assert repr(fs.exponential_alpha_bar(50, rate=5.0)) == "exponential_alpha_bar(T=50, 5)"


def test_laplace_is_symmetric_in_its_curve() -> None:
    """log r(u) = -log r(1-u) but for the 1e-6, and f = √(r/(1+r)) is √½ in the middle."""
    clock = fs.laplace(1000)
    at_0 = math.sqrt(1 / (1 + math.exp(0.5 * math.log(1e-6))))
    assert clock.alphas_cumprod[499] * at_0 == pytest.approx(math.sqrt(0.5), rel=1e-5)
    assert all(a > b for a, b in pairwise(clock.alphas_cumprod))


@pytest.mark.parametrize("make", [fs.sigmoid_beta, fs.laplace, fs.exponential_alpha_bar])
@pytest.mark.parametrize("between", ["smooth", "log_sigma", "sigma"])
def test_both_directions(make: Callable[..., DiscreteClock], between: str) -> None:
    clock = make(100, between=between)
    for t in np.linspace(0, 99, 199).tolist():
        assert clock.t(clock.sigma(t)) == pytest.approx(t, rel=1e-9, abs=1e-9)


def test_linear_in_sigma_is_numpys_interp() -> None:
    clock = fs.linear_beta(between="sigma")
    table = [clock.sigma(t) for t in range(1000)]
    for t in np.random.default_rng(0).uniform(0, 999, 100):
        assert clock.sigma(float(t)) == pytest.approx(np.interp(t, range(1000), table), rel=1e-12)
    assert clock.rate(10.5) == pytest.approx(table[11] - table[10], rel=1e-9)
    assert clock.t(table[-1] * (1 + 3e-16)) == 999.0


def test_whole_labels() -> None:
    clock = fs.linear_beta(between="log_sigma")
    rounded, cut = Labels(clock, nearest), Labels(clock, whole)
    sigma = clock.sigma(409.97)
    assert (rounded.t(sigma), cut.t(sigma)) == (410.0, 409.0)
    assert cut.t(clock.sigma(500.0)) == rounded.t(clock.sigma(500.0)) == 500.0
    assert rounded.sigma(409.97) == sigma


# --- flow ----------------------------------------------------------------------------------------


def test_shifted_times() -> None:
    """t' = shift t/(1 + (shift-1)t), from ∞ to shift/(999 + ...), then 0."""
    grid = fs.flow_uniform(5, shift=3.0)
    times = [1 + (0.001 - 1) * i / 4 for i in range(5)]
    shifted = [3 * t / (1 + 2 * t) for t in times]
    assert grid[0] == math.inf
    assert [s / (1 + s) for s in grid[1:-1]] == pytest.approx(shifted[1:], rel=1e-12)
    assert grid[-1] == 0
    assert (grid.steps, len(fs.flow_uniform(1))) == (5, 2)


def test_stretched_to_a_terminal() -> None:
    grid = fs.flow_uniform(8, shift=2.0, terminal=0.1)
    assert grid[-2] / (1 + grid[-2]) == pytest.approx(0.1, rel=1e-12)
    plain = fs.flow_uniform(8, shift=2.0)
    for a, b in zip(grid[1:-1], plain[1:-1], strict=True):  # 1 - t' by one factor
        assert (1 + b) / (1 + a) == pytest.approx((1 + plain[-2]) * 0.9, rel=1e-12)


def test_dynamic_shift() -> None:
    assert fs.dynamic_shift(256) == pytest.approx(math.exp(0.5))
    assert fs.dynamic_shift(4096) == pytest.approx(math.exp(1.15))
    assert fs.dynamic_shift(2176) == pytest.approx(math.exp(0.825))
    assert fs.dynamic_shift(2176, kind="linear") == pytest.approx(0.825)


REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "no step": (
        lambda: fs.flow_uniform(0),
        GridError,
        "flow_uniform: a grid needs at least one step, but got n = 0.",
    ),
    "beyond 1": (
        lambda: fs.flow_uniform(4, first=1.5),
        GridError,
        "flow_uniform: need 0 < last <= first <= 1 and shift > 0, but got first = 1.5, last = 0.001, "
        "shift = 1.0.",
    ),
    "one step to a terminal": (
        lambda: fs.flow_uniform(1, terminal=0.1),
        GridError,
        "flow_uniform: terminal = 0.1 must lie between 0 and 1, and needs n > 1.",
    ),
    "shift of nothing": (
        lambda: fs.dynamic_shift(256, base_shift=-1.0, kind="linear"),
        ScheduleError,
        "a flow's shift must be positive, but mu = -1.0 gives -1.0.",
    ),
    "unknown kind": (
        lambda: fs.dynamic_shift(256, kind="cubic"),  # type: ignore[arg-type]
        ScheduleError,
        'kind must be "exponential" or "linear", but got \'cubic\'.',
    ),
    "zero SNR twice": (
        lambda: fs.zero_terminal_snr(ZERO),
        ScheduleError,
        "zero_terminal_snr(scaled_linear_beta(T=1000)) ends at σ = ∞ already: it has zero terminal SNR.",
    ),
    "rate at ∞": (
        lambda: ZERO.rate(999.0),
        ScheduleError,
        "zero_terminal_snr(scaled_linear_beta(T=1000)): σ(t) has no derivative at t = 999.0, where σ = ∞.",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    call, kind, text = REFUSED[what]
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == text
