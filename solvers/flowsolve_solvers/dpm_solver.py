"""DPM-Solver-2 and -3, singlestep: exponential Runge-Kutta in the noise chart.     Lu et al. 2022a."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.solver import OneStep, phi

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE

__all__ = ["DPMSolver2", "DPMSolver3"]


@dataclass(frozen=True, repr=False)
class DPMSolver2(OneStep):
    """x_t = x_s + (t - s) (ε_s + (ε_m - ε_s)/(2r)), m = s^(1-r) t^r.      DPM-Solver, Algorithm 1 and App. B.

    2 evaluations a step, order 2. With r = 1/2 it is the midpoint rule with the midpoint √(st),
    k-diffusion's dpm_2. Lu's h is log(s/t), and his σ(e^(rh) - 1) is s - m here.
    """

    r: float = 0.5

    order = 2

    def __post_init__(self) -> None:
        if not 0 < self.r <= 1:
            raise ValueError(f"DPMSolver2 needs 0 < r <= 1, but got r = {self.r!r}.")

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        m = s ** (1 - self.r) * t**self.r
        eps = ode.eps(x, s)
        eps_m = ode.eps(x.add(eps, alpha=m - s), m)
        bent = eps_m if self.r == 0.5 else eps.lerp(eps_m, 1 / (2 * self.r))
        return x.add(bent, alpha=t - s)


@dataclass(frozen=True, repr=False)
class DPMSolver3(OneStep):
    """x_t = x_s + (t - s) ε_s - (t/r₂) ((e^h - 1)/h - 1) (ε₂ - ε_s).       DPM-Solver, Algorithm 2 and App. B.

    3 evaluations a step, order 3 with r₂ = 2/3 and any r₁, else order 2: the step weighs only ε_s
    and ε₂. h = log(s/t), stages at s e^(-r₁h) and s e^(-r₂h). Not the multistep method that codes
    also call DPM-Solver-3: that one is Adams.
    """

    r1: float = 1 / 3
    r2: float = 2 / 3

    def __post_init__(self) -> None:
        if not 0 < self.r1 < self.r2 <= 1:
            raise ValueError(
                f"DPMSolver3 needs 0 < r1 < r2 <= 1, but got r1 = {self.r1!r}, r2 = {self.r2!r}."
            )

    @property
    def order(self) -> int:
        """3 if r₂ = 2/3: two nodes integrate quadratics only if r₂/2 = 1/3."""
        return 3 if math.isclose(self.r2, 2 / 3) else 2

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        r1, r2, h = self.r1, self.r2, math.log(s / t)
        s1, s2 = s * math.exp(-r1 * h), s * math.exp(-r2 * h)
        # h φ₂(h) is (e^h - 1)/h - 1
        eps = ode.eps(x, s)
        d1 = ode.eps(x.add(eps, alpha=s1 - s), s1) - eps
        x2 = x.add(eps, alpha=s2 - s).add(d1, alpha=-s2 * r2 / r1 * r2 * h * phi(2, r2 * h))
        d2 = ode.eps(x2, s2) - eps
        return x.add(eps, alpha=t - s).add(d2, alpha=-t / r2 * h * phi(2, h))
