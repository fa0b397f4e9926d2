"""Fitted: the chart of DPM-Solver-v3, whose coordinates are statistics of one network.

All charts are of its form, with λ = -log σ: DATA has l = 1, NOISE l = 0, VELOCITY l = σ²/(c²+σ²) and FLOW
l = σ/(c+σ), and each of them has s = l - 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from flowsolve.errors import StateError
from flowsolve.schedule.quadrature import on
from flowsolve.schedule.tracing import outside_the_trace
from flowsolve.solver.scaled_chart import ScaledChart

Series = tuple[float, ...]


@dataclass(frozen=True, repr=False)
class Fitted(ScaledChart):
    """z = e^L x̄, dz/dλ = -e^(L+S) F, F = e^-S (σ ε - l x̄),  λ = -log σ.    DPM-Solver-v3: Zheng et al. 2023.

    L = ∫ l dλ and S = ∫ s dλ from σ = high. l takes away what is linear in x̄, s what grows or falls as e^S, so
    that F hardly changes where they fit; whatever they are, dz/du = F is the ODE. The paper has an l, an s and
    a shift b for each dimension. Here l and s are the same for all of them and b is 0: methods have tables.

    l, s       Chebyshev series in the y that runs linearly in log σ, from -1 at low to 1 at high: Σ l_k T_k(y).
               Outside of these levels they stay what they are at the nearer one
    high, low  the levels between which they were measured

    `flowsolve.study.model_statistics` measures them. Raises StateError for series or levels that are none.
    """

    l: Series  # noqa: E741 (the paper's name)
    s: Series
    high: float
    low: float

    has_zero = False
    has_infinity = False
    wrong = StateError

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise StateError(
                f"Fitted: need 0 < low < high < inf, but got high = {self.high!r}, low = {self.low!r}."
            )
        for name in ("l", "s"):
            series: object = getattr(self, name)
            if not (
                isinstance(series, tuple)
                and series
                and all(isinstance(c, float | int) and math.isfinite(c) for c in series)
            ):
                raise StateError(
                    f"Fitted: {name} is a tuple of finite numbers, the coefficients of a Chebyshev series, not "
                    f"{series!r}."
                )

    def __repr__(self) -> str:
        return f"Fitted(l={self.l!r}, s={self.s!r}, high={self.high!r}, low={self.low!r})"

    def takes_x0(self, sigma: float) -> bool:
        """Where l is nearer to 1 than to 0, so that no difference of near numbers is divided."""
        return self._of(self.l, sigma) > 0.5

    @outside_the_trace
    def r(self, sigma: float) -> float:
        """e^-L."""
        return math.exp(-self._integral(self.l, sigma))

    @outside_the_trace
    def from_eps(self, sigma: float) -> tuple[float, float]:
        """F = e^-S (σ ε - l x̄)."""
        e = math.exp(-self._integral(self.s, sigma))
        return -e * self._of(self.l, sigma), e * sigma

    @outside_the_trace
    def from_x0(self, sigma: float) -> tuple[float, float]:
        """F = e^-S ((1 - l) x̄ - x₀)."""
        e = math.exp(-self._integral(self.s, sigma))
        return e * (1 - self._of(self.l, sigma)), -e

    @outside_the_trace
    def u(self, sigma: float) -> float:
        """∫ e^(L+S) dlog σ from high, on panels of at most 2."""
        start, end = math.log(self.high), math.log(sigma)
        panels = max(1, math.ceil(abs(end - start) / 2))
        edges = [start + (end - start) * i / panels for i in range(panels + 1)]
        return math.fsum(
            w * self.du_dlog(math.exp(q)) for a, b in pairwise(edges) for q, w in on(a, b)
        )

    @outside_the_trace
    def du_dlog(self, sigma: float) -> float:
        """e^(L+S)."""
        return math.exp(self._integral(self.l, sigma) + self._integral(self.s, sigma))

    def _y(self, sigma: float) -> float:
        top, half = math.log(self.high), math.log(self.high / self.low) / 2
        return (math.log(sigma) - top) / half + 1

    def _of(self, series: Series, sigma: float) -> float:
        """Σ c_k T_k(y)."""
        return clenshaw(series, min(max(self._y(sigma), -1.0), 1.0))

    def _integral(self, series: Series, sigma: float) -> float:
        """∫ Σ c_k T_k dλ from high to σ."""
        y, whole = self._y(sigma), primitive(series)
        near = min(max(y, -1.0), 1.0)
        inside = clenshaw(whole, near) - clenshaw(whole, 1.0)
        outside = (y - near) * clenshaw(series, near)
        return -(inside + outside) * math.log(self.high / self.low) / 2


def clenshaw(series: Series, y: float) -> float:
    """Σ c_k T_k(y), by Clenshaw's recurrence."""
    b = c = 0.0
    for a in reversed(series[1:]):
        b, c = a + 2 * y * b - c, b
    return series[0] + y * b - c


def primitive(series: Series) -> Series:
    """A series whose derivative is Σ c_k T_k:  ∫ T_k = T_{k+1}/2(k+1) - T_{k-1}/2(k-1)."""
    c = (*series, 0.0, 0.0)
    first = c[0] - c[2] / 2
    return (0.0, first, *((c[k - 1] - c[k + 1]) / (2 * k) for k in range(2, len(series) + 1)))
