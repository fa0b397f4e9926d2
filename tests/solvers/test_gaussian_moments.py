"""Mean and variance on Gaussian data, where every method is an affine map of x_T and its noises."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from flowsolve import Grid, Solver, karras
from flowsolve_solvers import (
    EDM,
    DDIMEta,
    DPM2Ancestral,
    DPMSolverPP2MSDE,
    DPMSolverPP2SAncestral,
    DPMSolverPPSDE,
)
from tests.helpers import MEAN, VARIANCE, end_moments


def k(sigma: float) -> float:
    """D - m = k (x - m)."""
    return VARIANCE / (VARIANCE + sigma * sigma)


def e(sigma: float) -> float:
    """ε = e (x - m)."""
    return sigma / (VARIANCE + sigma * sigma)


Step = Iterator[tuple[float, float]]  # the factor of x - m, and the variance added


def euler_ancestral(grid: Grid, eta: float) -> Step:
    for s, t in pairwise(grid):
        v2 = eta**2 * t**2 * (s**2 - t**2) / s**2
        yield 1 + (math.sqrt(t**2 - v2) - s) * e(s), v2


def dpm_2_ancestral(grid: Grid, eta: float) -> Step:
    for s, t in pairwise(grid):
        v2 = eta**2 * t**2 * (s**2 - t**2) / s**2
        d = math.sqrt(t**2 - v2)
        m = math.sqrt(s * d)
        yield 1 + (d - s) * e(m) * (1 + (m - s) * e(s)), v2


def dpmpp_2s_ancestral(grid: Grid, eta: float) -> Step:
    for s, t in pairwise(grid):
        v2 = eta**2 * t**2 * (s**2 - t**2) / s**2
        d = math.sqrt(t**2 - v2)
        m = math.sqrt(s * d)
        yield d / s + (1 - d / s) * k(m) * (m / s + (1 - m / s) * k(s)), v2


def edm(grid: Grid, churn: float) -> Step:
    for s, t in pairwise(grid):
        h = s * (1 + min(churn / grid.steps, math.sqrt(2) - 1))
        down = 1 + (t - h) / 2 * (e(h) + e(t) * (1 + (t - h) * e(h)))
        yield down, down**2 * (h**2 - s**2)


def dpmpp_sde(grid: Grid, r: float) -> Step:
    """η = 1: v² = t² (1 - t²/s²), d = t²/s."""
    for s, t in pairwise(grid):
        m = math.exp((1 - r) * math.log(s) + r * math.log(t))
        f, down, half = 1 / (2 * r), t**2 / s**2, m**2 / s**2
        v, w = t * math.sqrt(1 - down), m * math.sqrt(1 - half)
        stage = (1 - down) * f * k(m)
        both = 2 * stage * w * v * math.sqrt((s - m) / (s - t))
        x = down + (1 - down) * (1 - f) * k(s) + stage * (half + (1 - half) * k(s))
        yield x, (stage * w) ** 2 + v**2 + both


RECURSIONS: list[tuple[Solver, Callable[[Grid], Step]]] = [
    (DDIMEta(), lambda g: euler_ancestral(g, 1.0)),
    (DDIMEta(0.5), lambda g: euler_ancestral(g, 0.5)),
    (DPM2Ancestral(), lambda g: dpm_2_ancestral(g, 1.0)),
    (DPM2Ancestral(0.5), lambda g: dpm_2_ancestral(g, 0.5)),
    (DPMSolverPP2SAncestral(0.8), lambda g: dpmpp_2s_ancestral(g, 0.8)),
    (EDM(), lambda g: edm(g, 40.0)),
    (EDM(3.0), lambda g: edm(g, 3.0)),
    (DPMSolverPPSDE(), lambda g: dpmpp_sde(g, 0.5)),
    (DPMSolverPPSDE(r=0.8), lambda g: dpmpp_sde(g, 0.8)),
]


@pytest.mark.parametrize("n", [1, 4, 40])
@pytest.mark.parametrize(
    ("solver", "steps"),
    RECURSIONS,
    ids=lambda v: repr(v)[:40] if isinstance(v, Solver) else "recursion",
)
def test_moments_are_those_of_the_recursion(
    solver: Solver, steps: Callable[[Grid], Step], n: int
) -> None:
    grid = karras(n, 10.0, 0.05)
    mean, variance = MEAN, VARIANCE + grid[0] ** 2
    for factor, added in steps(grid):
        variance = factor**2 * variance + added
    assert end_moments(solver, grid) == pytest.approx((mean, variance), rel=1e-10)


@pytest.mark.parametrize("heun", [False, True])
@pytest.mark.parametrize("eta", [0.5, 1.0, 2.0])
def test_moments_of_2m_sde(eta: float, heun: bool) -> None:
    """Two states, (x, the last D), and their covariance."""
    grid = karras(30, 10.0, 0.05)
    covariance = np.array([[VARIANCE + grid[0] ** 2, 0.0], [0.0, 0.0]])
    last = 0.0
    for s, t in pairwise(grid):
        h = math.log(s) - math.log(t)
        H = (1 + eta) * h
        whole = 1 - math.exp(-H)
        slope = (H - whole) / H if heun else whole / 2
        c = slope * h / last if last else 0.0
        step = np.array([[math.exp(-H) + (whole + c) * k(s), -c], [k(s), 0.0]])
        covariance = step @ covariance @ step.T
        covariance[0, 0] += t**2 * (1 - math.exp(-2 * eta * h))
        last = h
    got = end_moments(DPMSolverPP2MSDE(eta, heun), grid)
    assert got == pytest.approx((MEAN, covariance[0, 0]), rel=1e-10)
