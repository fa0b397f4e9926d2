"""The two charts that are bounded at both ends: σ = ∞ and σ = 0 are ordinary points of them.

c is the scale of the data: in VELOCITY z stays where it is for data N(0, c² I). With c = 1 the F are the v of
Salimans and Ho (2022) and the u of flow matching (Lipman et al. 2023); F of VELOCITY is minus the F of EDM's
network with σ_data = c (Karras et al. 2022, Table 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from flowsolve._arguments import check_scale
from flowsolve.solver.chart import Chart
from flowsolve.solver.scaled_chart import ScaledChart


@dataclass(frozen=True, repr=False)
class BoundedChart(ScaledChart):
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

    def takes_x0(self, sigma: float) -> bool:
        return sigma > self.scale


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
