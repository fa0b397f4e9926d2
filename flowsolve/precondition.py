"""What the network predicts: four scalars and a label for each σ (Karras et al. 2022, Eq. 7).

    D(x̄, σ) = c_skip x̄ + c_out F(c_in x̄, t)          D estimates x₀,  ε = (x̄ - D)/σ

| F predicts       | c_in         | c_skip         | c_out          |
|------------------|--------------|----------------|----------------|
| ε (VP)           | 1/√(1+σ²)    | 1              | -σ             |
| v = αε - s x₀    | 1/√(1+σ²)    | 1/(1+σ²)       | -σ/√(1+σ²)     |
| x₀ (VP)          | 1/√(1+σ²)    | 0              | 1              |
| EDM              | 1/√(σ²+σ_d²) | σ_d²/(σ²+σ_d²) | σσ_d/√(σ²+σ_d²) |
| flow u = ε - x₀  | 1/(1+σ)      | 1/(1+σ)        | -σ/(1+σ)       |

At σ = ∞ there is no x̄: there the coefficients apply to the unit noise x̄/σ.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from flowsolve.errors import ScheduleError
from flowsolve.schedule import Clock, EDMClock, FlowClock


class Coefs(NamedTuple):
    """D = c_skip x̄ + c_out F(c_in x̄, t) and, by the same network answer, ε = e_skip x̄ + e_out F."""

    c_in: float
    c_skip: float
    c_out: float
    e_skip: float
    e_out: float
    t: float


@dataclass(frozen=True)
class Precondition(ABC):
    """σ -> Coefs, for a network that predicts one of the quantities above."""

    clock: Clock

    @abstractmethod
    def __call__(self, sigma: float) -> Coefs: ...

    def alpha(self, sigma: float) -> float:
        """The signal scale α of x_t = α x̄: 1/√(1+σ²) on a variance-preserving path."""
        return 1 / math.hypot(1, sigma)


class EpsPrediction(Precondition):
    """F = ε: DDPM, LDM, Stable Diffusion 1.  Blind at σ = ∞, where x₀ = x̄ - σε has no value."""

    def __call__(self, sigma: float) -> Coefs:
        if math.isinf(sigma):
            raise ScheduleError(
                "an ε-network says nothing about x₀ at σ = ∞ (zero terminal SNR). "
                "Start at a finite σ, or use a network that predicts v, x₀ or a flow."
            )
        return Coefs(self.alpha(sigma), 1.0, -sigma, 0.0, 1.0, self.clock.t(sigma))


class VPrediction(Precondition):
    """F = v = α ε - s x₀.                                          Salimans and Ho 2022, Appendix D."""

    def __call__(self, sigma: float) -> Coefs:
        t = self.clock.t(sigma)
        if math.isinf(sigma):
            return Coefs(1.0, 0.0, -1.0, 1.0, 0.0, t)
        alpha = self.alpha(sigma)
        s = sigma * alpha
        return Coefs(alpha, alpha * alpha, -s, s * alpha, alpha, t)


class X0Prediction(Precondition):
    """F = x₀, for a network that sees x_t = α x̄ on a variance-preserving path."""

    def __call__(self, sigma: float) -> Coefs:
        t = self.clock.t(sigma)
        if math.isinf(sigma):
            return Coefs(1.0, 0.0, 1.0, 1.0, 0.0, t)
        return Coefs(self.alpha(sigma), 0.0, 1.0, 1 / sigma, -1 / sigma, t)


@dataclass(frozen=True)
class EDMPrediction(Precondition):
    """F of Karras et al. 2022, Table 1, column EDM.  α = 1, and the data have deviation σ_d."""

    clock: Clock = EDMClock()
    sigma_data: float = 0.5

    def alpha(self, sigma: float) -> float:
        """x_t = x̄."""
        return 1.0

    def __call__(self, sigma: float) -> Coefs:
        t, d = self.clock.t(sigma), self.sigma_data
        if math.isinf(sigma):
            return Coefs(1.0, 0.0, d, 1.0, 0.0, t)
        norm = math.hypot(sigma, d)
        return Coefs(1 / norm, (d / norm) ** 2, sigma * d / norm, sigma / norm**2, -d / norm, t)


@dataclass(frozen=True)
class FlowPrediction(Precondition):
    """F = u = ε - x₀ on x_t = (1 - t) x₀ + t ε.     Lipman et al. 2023; Liu, Gong and Liu 2023.

    σ = t/(1-t), α = 1 - t = 1/(1+σ); t = 1 is σ = ∞.
    """

    clock: Clock = FlowClock()

    def alpha(self, sigma: float) -> float:
        """α = 1/(1+σ)."""
        return 1 / (1 + sigma)

    def __call__(self, sigma: float) -> Coefs:
        t = self.clock.t(sigma)
        if math.isinf(sigma):
            return Coefs(1.0, 1.0, -1.0, 1.0, 0.0, t)
        alpha = self.alpha(sigma)
        return Coefs(alpha, alpha, -sigma * alpha, alpha, alpha, t)
