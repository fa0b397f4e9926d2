"""SEEDS: exponential Runge-Kutta for the SDE, its noise carried exactly.    Gonzalez et al. 2023.

The SDE of SDE_ETA, dx̄ = (1+η)(x̄ - x₀)/σ dσ + √(2ησ) dW, in λ = -log σ: dx̄ = -(1+η)(x̄ - x₀) dλ and noise.
Its linear part is that of RES with H = (1+η) h in the place of h = log(s/t). Noise v z at m is (d/m) v z at t,
with the d and v of SDE_ETA. SEEDS-1 is ERSDE(1, family=SDE_ETA).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flowsolve.solver import OneStep, phi
from flowsolve_solvers.eta import SDE_ETA

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE

__all__ = ["SEEDS2", "SEEDS3"]


@dataclass(frozen=True, repr=False)
class _SEEDS(OneStep):
    eta: float = 1.0

    @property
    def stochastic(self) -> bool:
        return self.eta > 0

    def _check(self, *nodes: float) -> None:
        SDE_ETA.check(self.eta, type(self).__name__)
        if not all(a < b for a, b in zip((0.0, *nodes), (*nodes, 1.0), strict=True)):
            raise ValueError(
                f"{type(self).__name__} needs stages in this order between 0 and 1, but got {nodes!r}."
            )

    def _carried(self, ode: ODE, x: Tensor, z: Tensor | None, s: float, t: float) -> Tensor | None:
        """The noise at t of a path with noise z at s: (d/s) z + v z'."""
        d, v = SDE_ETA.split(s, t, self.eta)
        if v == 0:
            return None
        new = ode.noise(x, s, t) * v
        return new if z is None else new.add_(z, alpha=d / s)


@dataclass(frozen=True, repr=False)
class SEEDS2(_SEEDS):
    """x_t = (d/s) x_s + (1 - d/s) D + b (D_m - D) + (d'/m) v z + v' z'.      SEEDS-2: Gonzalez et al. 2023.

    2 evaluations a step; D = x₀(x, σ), m = s^(1-r) t^r, x_m = (d_m/s) x_s + (1 - d_m/s) D + v z, and b is
    (1 - d/s)/(2r) (variant "a", as published first) or H φ₂(-H)/r ("b"), H = log(s/d). Weak order 2, strong
    order 1. η = 0 is DPM-Solver++(2S), and with "b" RES2S.
    """

    r: float = 0.5
    variant: Literal["a", "b"] = "a"

    order = 2

    def __post_init__(self) -> None:
        self._check(self.r)
        if self.variant not in ("a", "b"):
            raise ValueError(f"SEEDS2 has variants a and b, not {self.variant!r}.")

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        m = s ** (1 - self.r) * t**self.r
        D = ode.x0(x, s)
        z = self._carried(ode, x, None, s, m)
        x_m = D.lerp(x, SDE_ETA.split(s, m, self.eta)[0] / s)
        D_m = ode.x0(x_m if z is None else x_m.add_(z), m)
        d, _ = SDE_ETA.split(s, t, self.eta)
        H = (1 + self.eta) * math.log(s / t)
        b = H * phi(2, -H) / self.r if self.variant == "b" else (1 - d / s) / (2 * self.r)
        z = self._carried(ode, x, z, m, t)
        x_t = D.lerp(x, d / s).add_(D_m - D, alpha=b)
        return x_t if z is None else x_t.add_(z)


@dataclass(frozen=True, repr=False)
class SEEDS3(_SEEDS):
    """x_t = (d/s) x_s + (1 - d/s) D + H φ₂(-H)/r₂ (D₂ - D) + noise.        SEEDS-3: Gonzalez et al. 2023.

    3 evaluations a step; D₁ and D₂ at s^(1-r) t^r with r = r₁ and r₂, each with the noise of the path so far;
    H = log(s/d). Weak order 2, strong order 1; η = 0 is of order 3 with r₂ = 2/3: RES3S().
    """

    r1: float = 1 / 3
    r2: float = 2 / 3

    def __post_init__(self) -> None:
        self._check(self.r1, self.r2)

    @property
    def order(self) -> int:
        return 3 if self.eta == 0 and math.isclose(self.r2, 2 / 3) else 2

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        h = math.log(s / t)
        s1, s2 = s * math.exp(-self.r1 * h), s * math.exp(-self.r2 * h)
        d1, d2, d = (SDE_ETA.split(s, level, self.eta)[0] for level in (s1, s2, t))
        D = ode.x0(x, s)
        z = self._carried(ode, x, None, s, s1)
        x1 = D.lerp(x, d1 / s)
        D1 = ode.x0(x1 if z is None else x1.add_(z), s1) - D
        z = self._carried(ode, x, z, s1, s2)
        H = (1 + self.eta) * h
        a = self.r2 / self.r1 * self.r2 * H * phi(2, -self.r2 * H)
        x2 = D.lerp(x, d2 / s).add_(D1, alpha=a)
        D2 = ode.x0(x2 if z is None else x2.add_(z), s2) - D
        z = self._carried(ode, x, z, s2, t)
        x_t = D.lerp(x, d / s).add_(D2, alpha=H * phi(2, -H) / self.r2)
        return x_t if z is None else x_t.add_(z)
