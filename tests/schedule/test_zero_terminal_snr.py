"""Zero terminal SNR: tables rescaled so that the last label is σ = ∞, and grids from there."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

import flowsolve as fs
from flowsolve.errors import ScheduleError
from flowsolve.problems import Mixture1D, exact_network
from flowsolve_solvers import Euler, Heun

SCALED = fs.scaled_linear_beta()
ZERO = fs.zero_terminal_snr(SCALED)


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


REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
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
