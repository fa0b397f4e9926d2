"""Formulas of programs that are not on PyPI, written down from their source: STORK and RES4LYF.

Each takes the problem, x̄ at the first level and the levels, and gives x̄ at the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from torch import Tensor

from flowsolve import Grid
from flowsolve.problems import Problem


def stork2(
    problem: Problem, x: Tensor, grid: Grid, s: int = 50, derivatives: int = 1, own: bool = True
) -> Tensor:
    """STORK-2 for flow matching: s stages of the Runge-Kutta-Gegenbauer method on extrapolated velocities.

    v(t) = v₀ + (t - t₀) v' (+ (t - t₀)²/2 v''), with v' and v'' of the last velocities; t = σ/(1 + σ).
    own    the abscissae as in the code; otherwise those of the weights, (j + 4)(j - 1)/((s + 4)(s - 1))
    """
    w = 6 / ((s + 4) * (s - 1))
    b = [
        1.0,
        1 / 3,
        *(4 * (j - 1) * (j + 4) / (3 * j * (j + 1) * (j + 2) * (j + 3)) for j in range(2, s + 1)),
    ]
    if own:  # those of Runge-Kutta-Legendre: b'₁ = 1/3 there, and b'₁ = 1 here
        at = [
            0.0,
            4 / (3 * (s * s + s - 2)),
            *((j * j + j - 2) / (s * s + s - 2) for j in range(2, s)),
        ]
    else:
        at = [0.0, w, *((j + 4) * (j - 1) / ((s + 4) * (s - 1)) for j in range(2, s))]
    times = [level / (1 + level) for level in grid.levels]
    x = x / (1 + grid[0])
    seen: list[Tensor] = []
    for i, (t, t_next) in enumerate(pairwise(times)):
        level, dt = grid[i], t - t_next
        eps = problem.eps(x * (1 + level), level)
        v = eps - (x * (1 + level) - level * eps)
        if i == 0:
            y = x - dt * v
        elif i < derivatives:
            y = x - 1.5 * dt * v + 0.5 * (times[i - 1] - t) * seen[-1]
        else:
            slope, curve = _derivatives(v, seen, times, i, derivatives)
            before, y = x, x - dt * w * v
            for j in range(2, s + 1):
                mu = (2 * j + 1) * b[j] / (j * b[j - 1])
                nu = -(j + 1) * b[j] / (j * b[j - 2])
                back = -at[j - 1] * dt
                stage = v + back * slope + back * back / 2 * curve
                gamma = -mu * w * (1 - j * (j + 1) * b[j - 1] / 2)
                before, y = y, (
                    mu * y + nu * before + (1 - mu - nu) * x - dt * mu * w * stage - dt * gamma * v
                )  # fmt: skip
        seen.append(v)
        x = y
    return x * (1 + grid[-1])


def _derivatives(
    v: Tensor, seen: list[Tensor], times: list[float], i: int, how_many: int
) -> tuple[Tensor, Tensor]:
    h = times[i - 1] - times[i]
    if how_many == 1:
        return (seen[-1] - v) / h, 0 * v
    k = times[i - 2] - times[i - 1]
    slope = (-seen[-2] + 4 * seen[-1] - 3 * v) / (2 * h)
    return slope, 2 / (h * k * (h + k)) * (seen[-2] * h - seen[-1] * (h + k) + v * k)


def phi(k: int, z: float) -> float:
    """φ_k(z) = (φ_{k-1}(z) - 1/(k-1)!)/z, φ₀ = exp: its series, as z is small."""
    return math.fsum(z**j / math.factorial(j + k) for j in range(30))


Weights = Callable[[float], tuple[float, float, float, float, float]]


def exponential(problem: Problem, x: Tensor, grid: Grid, weights: Weights) -> Tensor:
    """Three stages in h = log(σ/t) on x₀: x̄ ← e^-h x̄ + h Σ bᵢ x₀ᵢ, and so at c₂ and c₃.

    weights(h) = c₂, c₃, a₃₂, b₂, b₃; the others of a row add up to cᵢ φ₁(-cᵢ h), or φ₁(-h).
    """
    for sigma, t in pairwise(grid.levels):
        h = math.log(sigma / t)
        c2, c3, a32, b2, b3 = weights(h)
        first = problem.x0(x, sigma)

        def moved(
            c: float, rest: Tensor, x: Tensor = x, h: float = h, first: Tensor = first
        ) -> Tensor:
            return math.exp(-c * h) * x + h * (c * phi(1, -c * h) * first + rest)

        second = problem.x0(moved(c2, 0 * first), sigma * math.exp(-c2 * h))
        third = problem.x0(moved(c3, a32 * (second - first)), sigma * math.exp(-c3 * h))
        x = moved(1.0, b2 * (second - first) + b3 * (third - first))
    return x


def res_3s(
    problem: Problem, x: Tensor, grid: Grid, c2: float = 0.5, c3: float = 1.0, power: int = 3
) -> Tensor:
    """RES4LYF's res_3s: a₃₂ = γ c₂ φ₂(-c₂ h) + c₃²/c₂ φ₂(-c₃ h), b₃ = φ₂/(γ c₂ + c₃), b₂ = γ b₃.

    γ = (3 c₃^power - 2 c₃)/(c₂ (2 - 3 c₂)); power is 3 there, and 2 in Hochbruck and Ostermann 2005, (5.9).
    """
    gamma = (3 * c3**power - 2 * c3) / (c2 * (2 - 3 * c2))

    def weights(h: float) -> tuple[float, float, float, float, float]:
        b3 = phi(2, -h) / (gamma * c2 + c3)
        a32 = gamma * c2 * phi(2, -c2 * h) + c3**2 / c2 * phi(2, -c3 * h)
        return c2, c3, a32, gamma * b3, b3

    return exponential(problem, x, grid, weights)


def two_thirds(problem: Problem, x: Tensor, grid: Grid, c2: float = 1 / 3) -> Tensor:
    """Its res_3s_sunstar: c₃ = 2/3, a₃₂ = 8/9 φ₂(-c₃ h), b₂ = 0, b₃ = 3/2 φ₂(-h); order 3 asks for 4/(9 c₂)."""

    def weights(h: float) -> tuple[float, float, float, float, float]:
        return c2, 2 / 3, 8 / 9 * phi(2, -2 / 3 * h), 0.0, 1.5 * phi(2, -h)

    return exponential(problem, x, grid, weights)
