"""Charts: coordinates (z, u) in which the ODE is dz/du = F.

    NOISE      z = x̄             u = σ           F = ε
    DATA       z = x̄/σ           u = 1/σ         F = x₀
    VELOCITY   z = x̄/√(c²+σ²)    u = atan(σ/c)   F = (c ε - σ x₀/c)/√(c²+σ²)      (bounded_charts.py)
    FLOW       z = x̄/(c+σ)       u = σ/(c+σ)     F = ε - x₀/c

Euler's step is DDIM in NOISE, DATA and FLOW, and exact for data N(0, c² I) in VELOCITY. A sampler is a chart, a
variable τ(σ) in which F is taken for a polynomial (schedule/variable.py), and a classical method. At σ = ∞ the
state is the unit noise, which is z there in the last three.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE
    from flowsolve.solver.dense_output import Point


class Chart(ABC):
    """Coordinates (z, u) with dz/du = F.

    has_zero      whether z and u are finite at σ = 0, so that a step may end there
    has_infinity  whether they are finite at σ = ∞, so that a step may begin there
    """

    has_zero: ClassVar[bool]
    has_infinity: ClassVar[bool]

    def value(self, ode: ODE, x: Tensor, sigma: float) -> Tensor:
        """F at (x̄, σ): one evaluation."""
        known = ode.x0(x, sigma) if self.takes_x0(sigma) else ode.eps(x, sigma)
        return self.of(x, known, sigma)

    @abstractmethod
    def takes_x0(self, sigma: float) -> bool:
        """Whether F at σ is made of x₀, otherwise of ε."""

    @abstractmethod
    def of(self, x: Tensor, known: Tensor, sigma: float) -> Tensor:
        """F at (x̄, σ), where `known` is the x₀ or the ε that it is made of."""

    @abstractmethod
    def eps(self, x: Tensor, value: Tensor, sigma: float) -> Tensor:
        """ε at (x̄, σ), where F = value."""

    @abstractmethod
    def x0(self, x: Tensor, value: Tensor, sigma: float) -> Tensor:
        """x₀ at (x̄, σ), where F = value."""

    @abstractmethod
    def u(self, sigma: float) -> float:
        """u at σ."""

    @abstractmethod
    def kept(self, s: float, t: float) -> float:
        """What x̄ is multiplied by from s to t where F = 0:  z_t = z_s."""

    @abstractmethod
    def du_dlog(self, sigma: float) -> float:
        """du/d(log σ)."""

    @abstractmethod
    def advance(
        self, x: Tensor, s: float, t: float, weights: Sequence[float], values: Sequence[Tensor]
    ) -> Tensor:
        """x̄ at t, from x̄ at s and z_t = z_s + Σ weights·values."""

    def line(self, a: Point, b: Point, sigma: float) -> Tensor:
        """x̄ at σ between two nodes of a path, z linear in u."""
        part = (self.u(sigma) - self.u(a.sigma)) / (self.u(b.sigma) - self.u(a.sigma))
        kept = self.kept(a.sigma, sigma) * (1 - part)
        return (a.x * kept).add_(b.x, alpha=self.kept(b.sigma, sigma) * part)


@dataclass(frozen=True, repr=False)
class NoiseChart(Chart):
    """z = x̄, u = σ:  x_t = x_s + ∫ ε dσ."""

    has_zero = True
    has_infinity = False

    def __repr__(self) -> str:
        return "NOISE"

    def takes_x0(self, sigma: float) -> bool:
        return False

    def of(self, x: Tensor, known: Tensor, sigma: float) -> Tensor:
        return known

    def eps(self, x: Tensor, value: Tensor, sigma: float) -> Tensor:
        return value

    def x0(self, x: Tensor, value: Tensor, sigma: float) -> Tensor:
        return x.add(value, alpha=-sigma)

    def u(self, sigma: float) -> float:
        return sigma

    def kept(self, s: float, t: float) -> float:
        return 1.0

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

    has_zero = False
    has_infinity = True

    def __repr__(self) -> str:
        return "DATA"

    def takes_x0(self, sigma: float) -> bool:
        return True

    def of(self, x: Tensor, known: Tensor, sigma: float) -> Tensor:
        return known

    def eps(self, x: Tensor, value: Tensor, sigma: float) -> Tensor:
        return (x - value) / sigma

    def x0(self, x: Tensor, value: Tensor, sigma: float) -> Tensor:
        return value

    def u(self, sigma: float) -> float:
        return 1 / sigma

    def kept(self, s: float, t: float) -> float:
        return t if math.isinf(s) else t / s

    def du_dlog(self, sigma: float) -> float:
        """d(1/σ)/d(log σ) = -1/σ."""
        return -1 / sigma

    def advance(
        self, x: Tensor, s: float, t: float, weights: Sequence[float], values: Sequence[Tensor]
    ) -> Tensor:
        """(t/s) x_s + t Σ w x₀."""
        out = (values[0] * (t * weights[0])).add_(x, alpha=self.kept(s, t))
        for w, x0 in zip(weights[1:], values[1:], strict=True):
            out.add_(x0, alpha=t * w)
        return out


NOISE: Chart = NoiseChart()
DATA: Chart = DataChart()
