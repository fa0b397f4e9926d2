"""The two charts that are bounded at both ends: σ = ∞ and σ = 0 are ordinary points of them.

c is the scale of the data: in VELOCITY z stays where it is for data N(0, c² I). With c = 1 the F are the v of
Salimans and Ho (2022) and the u of flow matching (Lipman et al. 2023); F of VELOCITY is minus the F of EDM's
network with σ_data = c (Karras et al. 2022, Table 1).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve._arguments import check_scale
from flowsolve.solver.chart import Chart

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, repr=False)
class BoundedChart(Chart):
    """z = x̄/r, r(σ) ~ σ at ∞ and r(0) = c.  Raises ValueError unless the scale c is above 0 and finite.

    F is taken from ε where σ <= c and from x₀ above, so that no difference of near numbers is divided by σ.
    """

    scale: float = 1.0

    has_zero = True
    has_infinity = True

    def __post_init__(self) -> None:
        check_scale(self)

    def __repr__(self) -> str:
        name = type(self).__name__
        return name.upper() if self.scale == 1 else f"{name}({self.scale!r})"

    @abstractmethod
    def r(self, sigma: float) -> float:
        """x̄/z at a finite σ."""

    @abstractmethod
    def from_eps(self, sigma: float) -> tuple[float, float]:
        """(a, b) with F = a x̄ + b ε."""

    @abstractmethod
    def from_x0(self, sigma: float) -> tuple[float, float]:
        """(a, b) with F = a x̄ + b x₀; at σ = ∞ with the unit noise for x̄."""

    def takes_x0(self, sigma: float) -> bool:
        return sigma > self.scale

    def of(self, x: Tensor, known: Tensor, sigma: float) -> Tensor:
        a, b = self.from_x0(sigma) if self.takes_x0(sigma) else self.from_eps(sigma)
        return (known * b).add_(x, alpha=a) if a else known * b

    def eps(self, x: Tensor, value: Tensor, sigma: float) -> Tensor:
        if math.isinf(sigma):
            return x
        a, b = self.from_eps(sigma)
        return (value / b).add_(x, alpha=-a / b)

    def x0(self, x: Tensor, value: Tensor, sigma: float) -> Tensor:
        if sigma == 0:
            return x
        a, b = self.from_x0(sigma)
        return (value / b).add_(x, alpha=-a / b)

    def advance(
        self, x: Tensor, s: float, t: float, weights: Sequence[float], values: Sequence[Tensor]
    ) -> Tensor:
        """(r_t/r_s) x_s + r_t Σ w F."""
        r = self._r(t)
        out = (values[0] * (r * weights[0])).add_(x, alpha=self.kept(s, t))
        for w, value in zip(weights[1:], values[1:], strict=True):
            out.add_(value, alpha=r * w)
        return out

    def kept(self, s: float, t: float) -> float:
        return self._r(t) / self._r(s)

    def _r(self, sigma: float) -> float:
        """x̄/z, where x̄ at σ = ∞ is the unit noise."""
        return 1.0 if math.isinf(sigma) else self.r(sigma)


class Velocity(BoundedChart):
    """z = x̄/r, u = atan(σ/c), F = (c ε - σ x₀/c)/r,  r = √(c²+σ²).          EDM's -F; v if c = 1."""

    def r(self, sigma: float) -> float:
        return math.hypot(self.scale, sigma)

    def from_eps(self, sigma: float) -> tuple[float, float]:
        """F = (r ε - (σ/r) x̄)/c."""
        r = self.r(sigma)
        return -sigma / (r * self.scale), r / self.scale

    def from_x0(self, sigma: float) -> tuple[float, float]:
        """F = c/(rσ) x̄ - r/(cσ) x₀."""
        if math.isinf(sigma):
            return 0.0, -1 / self.scale
        r = self.r(sigma)
        return self.scale / r / sigma, -r / sigma / self.scale

    def u(self, sigma: float) -> float:
        return math.atan2(sigma, self.scale)

    def du_dlog(self, sigma: float) -> float:
        """cσ/(c²+σ²)."""
        r = self.r(sigma)
        return self.scale / r * (sigma / r)


class Flow(BoundedChart):
    """z = x̄/r, u = σ/r, F = ε - x₀/c,  r = c+σ.                    Flow matching's velocity if c = 1."""

    def r(self, sigma: float) -> float:
        return self.scale + sigma

    def from_eps(self, sigma: float) -> tuple[float, float]:
        """F = (r ε - x̄)/c."""
        return -1 / self.scale, 1 + sigma / self.scale

    def from_x0(self, sigma: float) -> tuple[float, float]:
        """F = x̄/σ - (1/σ + 1/c) x₀."""
        if math.isinf(sigma):
            return 1.0, -1 / self.scale
        return 1 / sigma, -1 / sigma - 1 / self.scale

    def u(self, sigma: float) -> float:
        return 1.0 if math.isinf(sigma) else sigma / self.r(sigma)

    def du_dlog(self, sigma: float) -> float:
        """cσ/(c+σ)²."""
        r = self.r(sigma)
        return self.scale / r * (sigma / r)


VELOCITY: Chart = Velocity()
FLOW: Chart = Flow()
