"""The weights of exponential methods: integrals of polynomials (multistep) and of e^z (one-step)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

from flowsolve.schedule.quadrature import on
from flowsolve.schedule.tracing import outside_the_trace
from flowsolve.schedule.variable import Variable


class Measure(Protocol):
    """The u of an integral ∫ · du: that of a chart, or of an SDE's kernel."""

    def du_dlog(self, sigma: float) -> float:
        """du/d(log σ)."""


@lru_cache(maxsize=4096)
def adams_weights(
    chart: Measure, variable: Variable, nodes: tuple[float, ...], s: float, t: float
) -> tuple[float, ...]:
    """w_j = ∫_s^t ℓ_j(τ(σ)) du(σ),  ℓ_j the Lagrange polynomials in τ on τ(nodes).

    With them z_t = z_s + Σ w_j F(node_j) is exact whenever F is a polynomial in τ of degree below
    len(nodes). Nodes at or before s: Adams-Bashforth (LMS, DEIS, DPM-Solver); t among the nodes:
    Adams-Moulton (the UniPC corrector). 24-point Gauss-Legendre in log σ: to round-off for steps
    with |log(s/t)| up to about 10. Nodes d apart in log σ cost 1e-15/d of a weight: 1e-10 where one
    step is 1e-4 of another of length 0.1.              Hochbruck and Ostermann 2010, Section 2.
    """
    quadrature = [(sigma, w * chart.du_dlog(sigma)) for sigma, w in _quadrature(s, t)]
    at = [variable.tau(n) for n in nodes]
    where = [(variable.tau(sigma), w) for sigma, w in quadrature]
    return tuple(
        math.fsum(
            w * math.prod((tau - b) / (at[j] - b) for k, b in enumerate(at) if k != j)
            for tau, w in where
        )
        for j in range(len(at))
    )


@lru_cache(maxsize=4096)
def moments(
    chart: Measure, variable: Variable, step: tuple[float, float], end: float, count: int
) -> tuple[float, ...]:
    """M_k = ∫_s^end θ^(k-1)/(k-1)! du,  θ = (τ(σ) - τ(s))/(τ(t) - τ(s)),  (s, t) = step,  k = 1, ..., count.

    What exponential Runge-Kutta methods are made of: in log σ, where h is the length of the step and c is θ at
    the end, it is h c^k φ_k(±ch) up to a factor. By quadrature, as `adams_weights`.
    """
    s, t = step
    first = variable.tau(s)
    h = variable.tau(t) - first
    at = [
        ((variable.tau(sigma) - first) / h, w * chart.du_dlog(sigma))
        for sigma, w in _quadrature(s, end)
    ]
    return tuple(
        math.fsum(w * theta ** (k - 1) for theta, w in at) / math.factorial(k - 1)
        for k in range(1, count + 1)
    )


GUARD = 2.1


def guarded(
    weights: Callable[[tuple[float, ...]], Sequence[float]],
    nodes: tuple[float, ...],
    s: float,
    t: float,
    guard: float | None,
) -> Sequence[float]:
    """weights(the k newest nodes), k the most that is `within` the guard; all nodes if guard is None.

    So a step that is long against those before it takes fewer points, down to one, which is Euler's.
    """
    reach = 1 - min(s, t) / max(s, t)
    found = weights(nodes)
    while guard is not None and len(nodes) > 1 and not within(found, reach, guard):
        nodes = nodes[:-1]
        found = weights(nodes)
    return found


def within(weights: Sequence[float], reach: float, guard: float) -> bool:
    """Λ <= guard^min(k-1, 2) or ρ^p Λ <= guard,  Λ = Σ|w|/|Σ w|,  k = len(weights),  ρ = reach = 1 - t/s.

    p = 1, and 5/4 from four points on. A step takes the mean Σ w F/Σ w for F, and Λ is what it makes of errors
    in the F: 2 and 11/3 for two and three equal steps, and the more the longer a step is than those before
    it, as the (k-1)st power of their ratio. The polynomial is used further out there than its nodes
    support. The step replaces the part `reach` of the state by that mean, in the noise chart and in the
    data chart; so short steps, whose reach is small, may have any number of points, and orders stay.
    GUARD and p are measured: docs/solvers.md.
    """
    k, total, whole = len(weights), sum(map(abs, weights)), abs(sum(weights))
    return total <= max(guard ** min(k - 1, 2), guard / reach ** (1 if k < 4 else 1.25)) * whole


def span(measure: Measure, s: float, t: float) -> tuple[float, float]:
    """(q, c) with ∫_s^t du = c (e^q - 1) = c q φ₁(q): q = log(u_s/u_t), c = -u_t, for u = σ and u = 1/σ.

    Methods with φ-functions use q and c: the weight of a slope in log σ is c q φ₂(q).
    """
    u_s, u_t = abs(measure.du_dlog(s)), abs(measure.du_dlog(t))
    return math.log(u_s / u_t), -u_t


@outside_the_trace
def phi(k: int, z: float) -> float:
    """φ_k(z) = Σ z^j/(j+k)!, that is φ₀ = e^z and φ_{k+1} = (φ_k - 1/k!)/z, to round-off at any z.

    The weights of exponential Runge-Kutta methods.        Hochbruck and Ostermann 2010, Section 2.
    """
    if abs(z) < 2:
        total = 1.0  # the recurrence cancels here; the series' 25th term is below 1e-17
        for j in range(25, 0, -1):
            total = 1 + z / (k + j) * total
        return total / math.factorial(k)
    value = math.expm1(z) / z if k else math.exp(z)
    for j in range(1, k):
        value = (value - 1 / math.factorial(j)) / z
    return value


def _quadrature(s: float, t: float) -> list[tuple[float, float]]:
    """Levels σ between s and t, with the weights of ∫ · dlog σ. e^62 from the other is 0 or ∞."""
    low, high = sorted((s, t))
    if low == 0 and math.isinf(high):
        return [*_quadrature(s, 1.0), *_quadrature(1.0, t)]
    if low > 0 and not math.isinf(high):
        parts = [(math.log(s), math.log(t))]
    else:  # an integrand that is an exponential far out, on panels that double
        near = math.log(high) if low == 0 else math.log(low)
        away = -1 if low == 0 else 1
        edges = [near + away * d for d in (0, 2, 6, 14, 30, 62)]
        edges = edges[::-1] if s in (0, math.inf) else edges
        parts = list(pairwise(edges))
    return [(math.exp(y), w) for part in parts for y, w in on(*part)]
