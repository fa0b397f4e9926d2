"""Exponential Runge-Kutta in the data chart: RES 2S and 3S.    Hochbruck, Ostermann 2005; Zhang et al. 2023.

In λ = -log σ the ODE is dx̄/dλ = -x̄ + D, D = x₀(x̄, σ), whose linear part is taken exactly:

    x̄_i = e^(-c_i h) x̄_s + h Σ_j a_ij D_j      x̄_t = e^(-h) x̄_s + h Σ b_i D_i      h = log(s/t)

with stages at s e^(-c_i h), and a, b functions of h. The order conditions, at every h ("stiff"), φ at -h:

    Σ_j a_ij = c_i φ₁(-c_i h)     Σ b_i = φ₁     Σ b_i c_i = φ₂     Σ b_i (c_i² φ₂(-c_i h) - Σ_j a_ij c_j) = 0

and Σ b_i c_i²/2 = φ₃, which order 3 needs as h -> 0 only. DPM-Solver-2 and DPM-Solver++(2S) have
φ₁/2 in the place of φ₂. DPM-Solver-3 meets the same conditions as RES 3S, in the noise chart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.solver import OneStep, phi

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE

__all__ = ["RES2S", "RES3S"]


@dataclass(frozen=True, repr=False)
class RES2S(OneStep):
    """x_t = (t/s) x_s + h ((φ₁ - φ₂/c₂) D_s + φ₂/c₂ D₂), φ at -h.    Hochbruck, Ostermann 2005; RES.

    2 evaluations a step, order 2; D₂ at s e^(-c₂h) after a DDIM step. It has Σ b c = φ₂ at every h,
    where DPM-Solver++(2S) has φ₁/2, which agrees as h -> 0.
    """

    c2: float = 0.5

    order = 2

    def __post_init__(self) -> None:
        if not 0 < self.c2 <= 1:
            raise ValueError(f"RES2S needs 0 < c2 <= 1, but got c2 = {self.c2!r}.")

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        h = math.log(s / t)
        m = s * math.exp(-self.c2 * h)
        b2 = phi(2, -h) / self.c2
        D = ode.x0(x, s)
        D_m = ode.x0(D.lerp(x, m / s), m)
        # h φ₁(-h) is 1 - t/s
        return D.lerp(x, t / s).add_(D_m - D, alpha=h * b2)


@dataclass(frozen=True, repr=False)
class RES3S(OneStep):
    """x_t = (t/s) x_s + h Σ b D, b₃ = φ₂/(γc₂ + c₃), b₂ = γb₃.      Hochbruck, Ostermann 2005; RES.

    3 evaluations a step, order 3; γ = c₃(3c₃ - 2)/(c₂(2 - 3c₂)), a₃₂ = γc₂φ₂(-c₂h) + c₃²/c₂ φ₂(-c₃h).
    With c₃ = 2/3, where γ = 0, it is DPM-Solver-3 carried over to the data chart: DPM-Solver++(3S).
    """

    c2: float = 1 / 3
    c3: float = 2 / 3

    order = 3

    def __post_init__(self) -> None:
        if not 0 < self.c2 < self.c3 <= 1 or self.c3 < 2 / 3 - 1e-12 or self.c2 >= 2 / 3:
            raise ValueError(
                "RES3S needs 0 < c2 < 2/3 <= c3 <= 1, so that no weight changes its sign, but got "
                f"c2 = {self.c2!r}, c3 = {self.c3!r}."
            )

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        c2, c3, h = self.c2, self.c3, math.log(s / t)
        s2, s3 = s * math.exp(-c2 * h), t if c3 == 1 else s * math.exp(-c3 * h)
        gamma = c3 * (3 * c3 - 2) / (c2 * (2 - 3 * c2))
        a32 = gamma * c2 * phi(2, -c2 * h) + c3 * c3 / c2 * phi(2, -c3 * h)
        b3 = phi(2, -h) / (gamma * c2 + c3)
        D = ode.x0(x, s)
        d2 = ode.x0(D.lerp(x, s2 / s), s2) - D
        d3 = ode.x0(D.lerp(x, s3 / s).add_(d2, alpha=h * a32), s3) - D
        return D.lerp(x, t / s).add_(d2, alpha=h * gamma * b3).add_(d3, alpha=h * b3)
