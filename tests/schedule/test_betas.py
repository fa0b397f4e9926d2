"""Sigmoid, Laplace and exponential schedules, by their formulas and in both directions."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

import flowsolve as fs
from flowsolve.schedule.discrete import DiscreteClock


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
