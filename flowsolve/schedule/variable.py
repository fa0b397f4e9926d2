"""Variables τ(σ), in which methods interpolate ε or x₀ by polynomials, and Runge-Kutta methods step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from flowsolve._arguments import instance
from flowsolve.schedule.clock import Clock


class Variable(ABC):
    """A monotone function τ(σ), its inverse and its derivative.

    has_zero      whether τ is finite at σ = 0
    has_infinity  whether it is finite at σ = ∞
    """

    @property
    def has_zero(self) -> bool:
        return False

    @property
    def has_infinity(self) -> bool:
        return False

    @abstractmethod
    def tau(self, sigma: float) -> float:
        """τ at σ."""

    @abstractmethod
    def sigma(self, tau: float) -> float:
        """σ at τ."""

    @abstractmethod
    def rate(self, sigma: float) -> float:
        """dσ/dτ at σ."""


@dataclass(frozen=True, repr=False)
class SigmaVariable(Variable):
    """τ = σ."""

    has_zero = True

    def __repr__(self) -> str:
        return "SIGMA"

    def tau(self, sigma: float) -> float:
        return sigma

    def sigma(self, tau: float) -> float:
        return tau

    def rate(self, sigma: float) -> float:
        return 1.0


@dataclass(frozen=True, repr=False)
class LogSigmaVariable(Variable):
    """τ = log σ = -λ, λ half the log-SNR."""

    def __repr__(self) -> str:
        return "LOG_SIGMA"

    def tau(self, sigma: float) -> float:
        return math.log(sigma)

    def sigma(self, tau: float) -> float:
        return math.exp(tau)

    def rate(self, sigma: float) -> float:
        return sigma


@dataclass(frozen=True)
class ClockTime(Variable):
    """τ = t(σ), the time of a clock: the variable of DEIS-tAB and of the score-SDE solvers."""

    clock: Clock

    def __post_init__(self) -> None:
        instance("clock", self.clock, Clock, "VPSDE()")

    def tau(self, sigma: float) -> float:
        return self.clock.t(sigma)

    def sigma(self, tau: float) -> float:
        return self.clock.sigma(tau)

    def rate(self, sigma: float) -> float:
        return self.clock.rate(self.clock.t(sigma))


SIGMA: Variable = SigmaVariable()

LOG_SIGMA: Variable = LogSigmaVariable()
