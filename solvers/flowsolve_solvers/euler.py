"""DDIM, which is Euler's method on dx̄/dσ = ε; and Euler's method in t and in σ², which is not DDIM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.schedule import VPSDE, Clock
from flowsolve.solver import DATA, NOISE, Chart, OneStep, check_option

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.solver import Point

__all__ = ["DDIM", "Euler", "EulerInT", "EulerInVariance"]


@dataclass(frozen=True, repr=False)
class Euler(OneStep):
    """x_t = x_s + (t - s) ε(x_s, s).                            DDIM: Song, Meng, Ermon 2021, Eq. 13.

    1 evaluation a step, order 1. Also DPM-Solver-1, DPM-Solver++(1), DEIS-0. In the charts DATA, which reads
    x_t = (t/s) x_s + (1 - t/s) x₀(x_s, s), and FLOW it is the same step. In VELOCITY it is another one, which
    is exact for data N(0, c² I). Not Euler in the time t: see EulerInT.
    """

    chart: Chart = NOISE

    order = 1
    reaches_zero = True

    def __post_init__(self) -> None:
        check_option(self, "chart", Chart)

    @property
    def leaves_infinity(self) -> bool:
        """In VELOCITY and FLOW. DATA's step is the head's."""
        return self.chart.has_infinity and self.chart != DATA

    @property
    def reaches_infinity(self) -> bool:
        return self.leaves_infinity

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        if self.chart == NOISE:
            return x.add(ode.eps(x, s), alpha=t - s)
        if self.chart == DATA:
            return ode.x0(x, s).lerp(x, t / s)
        rise = self.chart.u(t) - self.chart.u(s)
        return self.chart.advance(x, s, t, [rise], [self.chart.value(ode, x, s)])

    def dense(self, path: Sequence[Point], i: int, sigma: float) -> Tensor:
        """The same step, ended at σ: a straight line where it is DDIM's."""
        s = path[i]
        assert s.x0 is not None  # the step asked for it
        assert s.eps is not None
        if self.chart in (NOISE, DATA) and not math.isinf(s.sigma):
            return s.x0.lerp(s.x, sigma / s.sigma)
        known = s.x0 if self.chart.takes_x0(s.sigma) else s.eps
        rise = self.chart.u(sigma) - self.chart.u(s.sigma)
        return self.chart.advance(s.x, s.sigma, sigma, [rise], [self.chart.of(s.x, known, s.sigma)])


DDIM = Euler


@dataclass(frozen=True, repr=False)
class EulerInT(OneStep):
    """x_t ← x_t + Δt (f x_t + α σ' ε), f = α'/α.                Song et al. 2021, Eq. 13, in x_t = α x̄.

    1 evaluation a step, order 1. The probability-flow ODE of the score-SDE view, dx = (f x + g²/(2s) ε) dt
    with g²/(2s) = α σ', on a variance-preserving path. Differs from DDIM at every finite step,
    because it treats f x, which DDIM solves exactly, and dσ/dt as constant over the step.
    """

    clock: Clock = VPSDE()

    order = 1

    def __post_init__(self) -> None:
        check_option(self, "clock", Clock)

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        time = self.clock.t(s)
        dt, rate = self.clock.t(t) - time, self.clock.rate(time)
        variance = 1 + s * s
        f = -s * rate / variance
        # x̄_s to x_t by α_s = (1 + s²)^-½, and back to x̄_t by α_t
        scale = math.sqrt((1 + t * t) / variance)
        return (x * (scale * (1 + dt * f))).add(ode.eps(x, s), alpha=scale * dt * rate)


@dataclass(frozen=True, repr=False)
class EulerInVariance(OneStep):
    """x_t = x_s + (t² - s²)/(2s) ε(x_s, s).                    Song, Meng, Ermon 2021, Eq. 15.

    1 evaluation a step, order 1: Euler in σ², which the DDIM paper writes beside its own step as the
    discretisation of the variance-exploding SDE's probability-flow ODE. It has the same limit as DDIM
    and is a different method at every finite step: a step to 0 gets only half-way, x_s - s/2 ε.
    """

    order = 1

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        return x.add(ode.eps(x, s), alpha=(t - s) * (t + s) / (2 * s))
