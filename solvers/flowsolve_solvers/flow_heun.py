"""Heun's method in the time and the state of a flow, which flow-matching codes call Heun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.solver import OneStep

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE

__all__ = ["FlowHeun"]


@dataclass(frozen=True, repr=False)
class FlowHeun(OneStep):
    """y_t = y_s + Δτ/2 (u(y_s) + u(y_e)), y = x̄/(1+σ), τ = σ/(1+σ), u = ε - x₀.    Lipman et al. 2023.

    y_e is Euler's. 2 evaluations a step, order 2: diffusers' FlowMatchHeunDiscreteScheduler. Euler on
    the same ODE is DDIM; this is not Heun(), which is the trapezoid on x̄ and σ.
    """

    order = 2

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        dt = (t - s) / ((1 + t) * (1 + s))
        y, first = x / (1 + s), _velocity(ode, x, s)
        second = _velocity(ode, y.add(first, alpha=dt) * (1 + t), t)
        return y.add(first, alpha=dt / 2).add_(second, alpha=dt / 2) * (1 + t)


def _velocity(ode: ODE, x: Tensor, s: float) -> Tensor:
    """u = ε - x₀, from ε where σ < 1 and from x₀ elsewhere, so that no digits are lost."""
    if s < 1:
        return (ode.eps(x, s) * (1 + s)).sub_(x)
    x0 = ode.x0(x, s)
    return (x - x0) / s - x0
