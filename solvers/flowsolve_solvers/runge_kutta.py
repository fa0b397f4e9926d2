"""Explicit Runge-Kutta methods on dx̄/dσ = ε."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.schedule import SIGMA, Variable
from flowsolve.solver import OneStep, check_option

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE

__all__ = ["RK4", "Heun", "Midpoint"]


@dataclass(frozen=True, repr=False)
class Heun(OneStep):
    """x_t = x_s + (t - s)/2 (ε(x_s, s) + ε(x_e, t)), x_e Euler's.      Karras et al. 2022, Algorithm 1.

    2 evaluations a step, order 2: the explicit trapezoid. Not Heun's third-order method. Karras's
    "18 steps, 35 evaluations" is 17 such steps and the Euler step to 0 that `sample` takes.
    """

    order = 2

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        f = ode.eps(x, s)
        g = ode.eps(x.add(f, alpha=t - s), t)
        return x.add(f, alpha=(t - s) / 2).add(g, alpha=(t - s) / 2)


@dataclass(frozen=True, repr=False)
class Midpoint(OneStep):
    """x_t = x_s + (t - s) ε(x_m, m), m = (s + t)/2, x_m Euler's.            Runge 1895.

    2 evaluations a step, order 2. The midpoint is in σ; in log σ this method is DPM-Solver-2.
    """

    order = 2

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        m = (s + t) / 2
        half = x.add(ode.eps(x, s), alpha=m - s)
        return x.add(ode.eps(half, m), alpha=t - s)


@dataclass(frozen=True, repr=False)
class RK4(OneStep):
    """x_t = x_s + h (k₁ + 2k₂ + 2k₃ + k₄)/6, k = dx̄/dτ.            Kutta 1901.

    4 evaluations a step, order 4: the classical method, with τ = σ or any other variable, such as
    log σ, where dx̄/dτ = σ ε. Not the 3/8 rule, which torchdiffeq calls rk4.
    """

    variable: Variable = SIGMA

    order = 4

    def __post_init__(self) -> None:
        check_option(self, "variable", Variable)

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        v = self.variable
        h = v.tau(t) - v.tau(s)
        m = v.sigma((v.tau(s) + v.tau(t)) / 2)
        at_s, at_m, at_t = (v.rate(level) * h for level in (s, m, t))  # h dσ/dτ
        k1 = ode.eps(x, s)
        out = x.add(k1, alpha=at_s / 6)
        k2 = ode.eps(x.add(k1, alpha=at_s / 2), m)
        out = out.add(k2, alpha=at_m / 3)
        k3 = ode.eps(x.add(k2, alpha=at_m / 2), m)
        out = out.add(k3, alpha=at_m / 3)
        k4 = ode.eps(x.add(k3, alpha=at_m), t)
        return out.add(k4, alpha=at_t / 6)
