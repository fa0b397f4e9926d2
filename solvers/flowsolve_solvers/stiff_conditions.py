"""The order conditions of exponential Runge-Kutta methods at every h, if their linear part is a number.

ψ_k,i = M_k(c_i) - Σ_j a_ij c_j^(k-1)/(k-1)!, ψ_k the same of the step, both for w = z/u':

1  ψ₁ = ψ₁,i = 0     2  ψ₂ = 0     3  ψ₃ = 0, Σ b_i ψ₂,i = 0
4  ψ₄ = 0, Σ b_i ψ₃,i = 0, Σ b_i c_i ψ₂,i = 0, Σ b_i a_ij ψ₂,j = 0          Hochbruck, Ostermann 2005
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

from flowsolve.schedule import LOG_SIGMA
from flowsolve.solver import DATA, NOISE, Chart, moments
from flowsolve_solvers.exponential_tableau import ExponentialTableau
from flowsolve_solvers.tableau import Row

MOST = 4
LENGTHS = (0.3, 1.0, 3.0)  # of steps; what vanishes at three, in both charts, vanishes
ZERO = 1e-11


def stiff_order(tableau: ExponentialTableau) -> int:
    """The highest order whose conditions and those below it hold; the highest itself may take b_i of h = 0.

    That gives the order for steps of any length.               Hochbruck, Ostermann 2005.
    """
    limit = _Weights.at_zero(tableau)
    steps = [_Weights.of(tableau, chart, h) for chart, h in product((NOISE, DATA), LENGTHS)]
    order = 0
    while order < MOST:
        own = limit.defects(order + 1)[:1]
        stages = [x for step in steps for x in step.defects(order + 1, limit.b)[1:]]
        if not _vanish(own + stages):
            break
        order += 1
        if not _vanish([x for step in steps for x in step.defects(order)]):
            break
    return order


def _vanish(defects: Sequence[float]) -> bool:
    return all(abs(x) < ZERO for x in defects)


class _Weights:
    """a and b of one step, for w and over h, with M_k(c_i) and M_k(1)."""

    def __init__(
        self,
        tableau: ExponentialTableau,
        moment: dict[float, Row],
        slopes: dict[float, float],
        unit: float,
    ) -> None:
        ends = (*tableau.c, 1.0)
        rows = [(), *tableau.rows(moment, slopes)]
        self.c = tableau.c
        scaled = [unit / slopes[end] for end in ends]
        *self.a, self.b = (tuple(w * q for w in row) for row, q in zip(rows, scaled, strict=True))
        self.moment = {
            end: tuple(m * q for m in moment[end]) for end, q in zip(ends, scaled, strict=True)
        }

    @classmethod
    def at_zero(cls, tableau: ExponentialTableau) -> _Weights:
        """As h -> 0, where M_k(c) = h c^k/k!."""
        ends = {*tableau.c, 1.0}
        moment = {c: tuple(c**k / math.factorial(k) for k in range(1, MOST + 1)) for c in ends}
        return cls(tableau, moment, dict.fromkeys(ends, 1.0), 1.0)

    @classmethod
    def of(cls, tableau: ExponentialTableau, chart: Chart, h: float) -> _Weights:
        """Of the step from σ = 1 to e^-h."""
        ends = {c: math.exp(-c * h) for c in {*tableau.c, 1.0}}
        moment = {
            c: moments(chart, LOG_SIGMA, (1.0, ends[1.0]), end, MOST) if c else (0.0,) * MOST
            for c, end in ends.items()
        }
        slopes = {c: -chart.du_dlog(end) for c, end in ends.items()}
        return cls(tableau, moment, slopes, 1 / h)

    def defects(self, order: int, b: Row | None = None) -> list[float]:
        """What is left of each condition of this order: ψ of the step, then the others."""
        b, c = self.b if b is None else b, self.c

        def dot(row: Row, values: Sequence[float]) -> float:
            return math.fsum(w * v for w, v in zip(row, values, strict=False))

        def psi(k: int, row: Row, end: float) -> float:
            at = [x ** (k - 1) / math.factorial(k - 1) for x in c]
            return self.moment[end][k - 1] - dot(row, at)

        def inner(k: int) -> list[float]:
            return [psi(k, row, end) for row, end in zip(self.a, c, strict=True)]

        step = psi(order, b, 1.0)
        if order == 1:
            return [step, *inner(1)]
        if order == 3:
            return [step, dot(b, inner(2))]
        if order == 4:
            two = inner(2)
            mixed = [x * y for x, y in zip(c, two, strict=True)]
            return [
                step,
                dot(b, inner(3)),
                dot(b, mixed),
                dot(b, [dot(row, two) for row in self.a]),
            ]
        return [step]
