"""Gauss-Legendre quadrature, in Python floats."""

from __future__ import annotations

import math
from functools import cache


@cache
def gauss_legendre(n: int = 24) -> tuple[tuple[float, float], ...]:
    """Nodes and weights on [-1, 1] by Newton's method on P_n, exact to degree 2n - 1.

    numpy has them too, but loading it would double the start-up of the command line.
    """
    rule = []
    for i in range(n):
        x = math.cos(math.pi * (i + 0.75) / (n + 0.5))
        for _ in range(10):
            below, p = 1.0, x
            for k in range(2, n + 1):
                below, p = p, ((2 * k - 1) * x * p - (k - 1) * below) / k
            slope = n * (x * p - below) / (x * x - 1)
            x -= p / slope
        rule.append((x, 2 / ((1 - x * x) * slope * slope)))
    return tuple(rule)


def on(a: float, b: float, n: int = 24) -> list[tuple[float, float]]:
    """n nodes and weights of ∫_a^b."""
    middle, half = (a + b) / 2, (b - a) / 2
    return [(middle + half * q, half * w) for q, w in gauss_legendre(n)]
