"""STORK: stabilised Runge-Kutta, its stages extrapolated instead of evaluated.      Tan et al., ICLR 2026."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from flowsolve.schedule import FlowTime
from flowsolve.solver import FLOW, OneStep, outside_the_trace
from flowsolve_solvers._multistep import Multistep

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE

__all__ = ["STORK"]

_TIME = FlowTime()


@dataclass(frozen=True, repr=False)
class HalfSteps(OneStep):
    """y_t = y_s + Δτ/4 (u_s + 3 u_m), y_m Euler's, m half-way in τ = σ/(1+σ).       STORK's first step."""

    order = 1

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        m = _TIME.sigma((_TIME.tau(s) + _TIME.tau(t)) / 2)
        first = FLOW.value(ode, x, s)
        x_m = FLOW.advance(x, s, m, [FLOW.u(m) - FLOW.u(s)], [first])
        quarter = (FLOW.u(t) - FLOW.u(s)) / 4
        return FLOW.advance(x, s, t, [quarter, 3 * quarter], [first, FLOW.value(ode, x_m, m)])


@dataclass(frozen=True, repr=False)
class STORK(Multistep):
    """y_t = y_s + h u + a h² u' + b h³ u''/2, y = x̄/(1+σ), τ = σ/(1+σ), h = Δτ.    STORK-2: Tan et al. 2025.

    u = ε - x₀ at s; u' and u'' are those of the parabola through its last three values, at which the stages of
    Runge-Kutta-Gegenbauer are read off; a and b are what the stages make of it: a = 1/2, b = 0.2494 with 50.
    So it is a linear method of three points; a = 1/2 and b = 1/3 would be Adams(3, FLOW, FlowTime()). The first
    step has two halves with an evaluation each, the second is Adams-Bashforth's of two points. N + 1
    evaluations for N steps, order 2.

    stages     how many; the authors take 50
    published  as in the authors' code for flows, order 1: it reads the stages off at the abscissae of another
               method, Runge-Kutta-Legendre, which makes a = 0.4896 with 50, and takes u' as if steps were equal

    STORK-4 and the authors' code for noise prediction are not here.
    """

    stages: int = 50
    published: bool = False

    points = 3
    chart = FLOW
    start = HalfSteps()
    start_steps = 1
    reaches_zero = True
    leaves_infinity = True
    reaches_infinity = True

    def __post_init__(self) -> None:
        stages: object = self.stages
        if isinstance(stages, bool) or not isinstance(stages, int) or not 2 <= stages <= 1000:
            raise ValueError(
                f"STORK needs 2 to 1000 stages, a whole number, but got stages = {stages!r}."
            )

    @property
    def order(self) -> int:
        return 1 if self.published else 2

    @outside_the_trace
    def weights(self, nodes: tuple[float, ...], s: float, t: float) -> tuple[float, ...]:
        tau = [FLOW.u(node) for node in nodes]
        h = FLOW.u(t) - tau[0]
        if len(nodes) == 1:  # a first step that goes to σ = 0
            return (h,)
        h1 = tau[0] - tau[1]
        if len(nodes) == 2:
            return h + h * h / (2 * h1), -h * h / (2 * h1)
        h2 = tau[1] - tau[2]
        curve = [2 / (h1 * (h1 + h2)), -2 / (h1 * h2), 2 / (h2 * (h1 + h2))]  # u''
        line = (1 / h1, -1 / h1, 0.0)
        slope = [first + h1 / 2 * second for first, second in zip(line, curve, strict=True)]  # u'
        if self.published:
            slope = [3 / (2 * h1), -4 / (2 * h1), 1 / (2 * h1)]
        a, b = gegenbauer(self.stages, self.published)
        w0, w1, w2 = (a * h * h * p + b * h**3 / 2 * q for p, q in zip(slope, curve, strict=True))
        return h + w0, w1, w2


@lru_cache
def gegenbauer(stages: int, published: bool) -> tuple[float, float]:
    """What the stages of Runge-Kutta-Gegenbauer, order 2, make of ∫ c dc and ∫ c² dc from 0 to 1, 1/2 and 1/3.

    Skaras, Saxton, Meyer and Aslam 2021. The abscissa c of a stage is what it makes of ∫ dc.
    """
    step = 6 / ((stages + 4) * (stages - 1))
    before, now = (0.0, 0.0, 0.0), (step, 0.0, 0.0)  # of ∫ dc, ∫ c dc, ∫ c² dc
    for j in range(2, stages + 1):
        mu = (2 * j + 1) * _b(j) / (j * _b(j - 1))
        nu = -(j + 1) * _b(j) / (j * _b(j - 2))
        weight = mu * step
        first = -weight * (1 - j * (j + 1) * _b(j - 1) / 2)
        c = _legendre(j - 1, stages) if published else now[0]
        asked = (weight + first, weight * c, weight * c * c)
        both = zip(now, before, asked, strict=True)
        before, now = now, tuple(mu * y1 + nu * y2 + w for y1, y2, w in both)  # type: ignore[assignment]
    return now[1], now[2]


def _b(j: int) -> float:
    if j < 2:
        return (1.0, 1 / 3)[j]
    return 4 * (j - 1) * (j + 4) / (3 * j * (j + 1) * (j + 2) * (j + 3))


def _legendre(j: int, stages: int) -> float:
    """The abscissa of stage j of Runge-Kutta-Legendre."""
    whole = stages * stages + stages - 2
    return 4 / (3 * whole) if j == 1 else (j * j + j - 2) / whole
