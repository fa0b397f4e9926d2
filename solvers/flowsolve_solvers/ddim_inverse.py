"""The step with which diffusers inverts DDIM: the network is asked at the level stepped to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.solver import OneStep

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE

__all__ = ["DDIMInverse"]


@dataclass(frozen=True, repr=False)
class DDIMInverse(OneStep):
    """x_t = x_s + (t - s) ε(x_s α_s/α_t, t).                    diffusers' DDIMInverseScheduler.

    1 evaluation a step, order 1. To encode, with t > s: the network sees the state of level s, α_s x_s,
    with the label of t. (Euler's step up, DDIM reversed, has the label of s.) The answer of a network
    of v or x₀ is converted to ε at t; diffusers converts it at s, which for v is not the same.
    """

    order = 1

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        seen = x * (ode.alpha(s) / ode.alpha(t))
        return x.add(ode.eps(seen, t), alpha=t - s)
