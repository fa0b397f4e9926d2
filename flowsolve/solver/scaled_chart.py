"""ScaledChart: z is x̄ over a number r(σ), and F is made of x̄ and of ε or x₀."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowsolve.solver.chart import Chart

if TYPE_CHECKING:
    from torch import Tensor


class ScaledChart(Chart):
    """z = x̄/r(σ),  F = a x̄ + b ε = a' x̄ + b' x₀."""

    @abstractmethod
    def r(self, sigma: float) -> float:
        """x̄/z at a finite σ."""

    @abstractmethod
    def from_eps(self, sigma: float) -> tuple[float, float]:
        """(a, b) with F = a x̄ + b ε."""

    @abstractmethod
    def from_x0(self, sigma: float) -> tuple[float, float]:
        """(a, b) with F = a x̄ + b x₀; at σ = ∞ with the unit noise for x̄."""

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
