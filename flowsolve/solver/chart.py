"""Charts: coordinates (z, u) in which the ODE is dz/du = F.

    NOISE   z = x̄       u = σ      F = ε
    DATA    z = x̄/σ     u = 1/σ    F = x₀

Euler's step is DDIM in both. A sampler is a chart, a variable τ(σ) in which F is taken for a polynomial
(schedule/variable.py), and a classical method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE


class Chart(ABC):
    """Coordinates (z, u) with dz/du = F."""

    @abstractmethod
    def value(self, ode: ODE, x: Tensor, sigma: float) -> Tensor:
        """F at (x̄, σ): one evaluation."""

    @abstractmethod
    def du_dlog(self, sigma: float) -> float:
        """du/d(log σ)."""

    @abstractmethod
    def advance(
        self, x: Tensor, s: float, t: float, weights: Sequence[float], values: Sequence[Tensor]
    ) -> Tensor:
        """x̄ at t, from x̄ at s and z_t = z_s + Σ weights·values."""


@dataclass(frozen=True, repr=False)
class NoiseChart(Chart):
    """z = x̄, u = σ:  x_t = x_s + ∫ ε dσ."""

    def __repr__(self) -> str:
        return "NOISE"

    def value(self, ode: ODE, x: Tensor, sigma: float) -> Tensor:
        return ode.eps(x, sigma)

    def du_dlog(self, sigma: float) -> float:
        """dσ/d(log σ) = σ."""
        return sigma

    def advance(
        self, x: Tensor, s: float, t: float, weights: Sequence[float], values: Sequence[Tensor]
    ) -> Tensor:
        """x_s + Σ w ε."""
        out = x.add(values[0], alpha=weights[0])
        for w, eps in zip(weights[1:], values[1:], strict=True):
            out.add_(eps, alpha=w)
        return out


@dataclass(frozen=True, repr=False)
class DataChart(Chart):
    """z = x̄/σ, u = 1/σ:  x_t = (t/s) x_s + t ∫ x₀ d(1/σ)."""

    def __repr__(self) -> str:
        return "DATA"

    def value(self, ode: ODE, x: Tensor, sigma: float) -> Tensor:
        return ode.x0(x, sigma)

    def du_dlog(self, sigma: float) -> float:
        """d(1/σ)/d(log σ) = -1/σ."""
        return -1 / sigma

    def advance(
        self, x: Tensor, s: float, t: float, weights: Sequence[float], values: Sequence[Tensor]
    ) -> Tensor:
        """(t/s) x_s + t Σ w x₀."""
        out = (values[0] * (t * weights[0])).add_(x, alpha=t / s)
        for w, x0 in zip(weights[1:], values[1:], strict=True):
            out.add_(x0, alpha=t * w)
        return out


NOISE: Chart = NoiseChart()
DATA: Chart = DataChart()
