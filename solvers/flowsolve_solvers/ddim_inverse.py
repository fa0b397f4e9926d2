"""The step with which diffusers inverts DDIM: the label of the level stepped to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.solver.base import OneStep

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE

__all__ = ["DDIMInverse"]


@dataclass(frozen=True, repr=False)
class DDIMInverse(OneStep):
    """x_t = x_s + (t - s) ε(x_s α_s/α_t, t).                    diffusers' DDIMInverseScheduler.

    1 evaluation a step, order 1. To encode, with t > s: the network sees the state x_s α_s as it is
    at s, under the label of t. Euler's step up, DDIM reversed, has the label of s. A network of v or
    x₀ is asked for its ε at t; diffusers converts its answer at s, which for v is not the same.
    """

    order = 1

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        """The state of s under the label of t."""
        seen = x * (ode.alpha(s) / ode.alpha(t))
        return x.add(ode.eps(seen, t), alpha=t - s)
