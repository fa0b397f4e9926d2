"""Variables τ(σ), in which F is seen as a polynomial and Runge-Kutta methods step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowsolve.schedule.clock import Clock


class Variable(ABC):
    """A monotone function τ(σ): polynomials are polynomials in τ, and Runge-Kutta steps are in τ."""

    @abstractmethod
    def tau(self, sigma: float) -> float: ...

    @abstractmethod
    def sigma(self, tau: float) -> float: ...

    @abstractmethod
    def rate(self, sigma: float) -> float:
        """dσ/dτ at σ."""


@dataclass(frozen=True, repr=False)
class SigmaVariable(Variable):
    """τ = σ."""

    def __repr__(self) -> str:
        return "SIGMA"

    def tau(self, sigma: float) -> float:
        """σ."""
        return sigma

    def sigma(self, tau: float) -> float:
        """τ."""
        return tau

    def rate(self, sigma: float) -> float:
        """1."""
        return 1.0


@dataclass(frozen=True, repr=False)
class LogSigmaVariable(Variable):
    """τ = log σ = -λ, minus half the log-SNR."""

    def __repr__(self) -> str:
        return "LOG_SIGMA"

    def tau(self, sigma: float) -> float:
        """log σ."""
        return math.log(sigma)

    def sigma(self, tau: float) -> float:
        """e^τ."""
        return math.exp(tau)

    def rate(self, sigma: float) -> float:
        """σ."""
        return sigma


@dataclass(frozen=True)
class ClockTime(Variable):
    """τ = t(σ), the time of a clock: the variable of DEIS-tAB and of the score-SDE solvers."""

    clock: Clock

    def tau(self, sigma: float) -> float:
        """t(σ)."""
        return self.clock.t(sigma)

    def sigma(self, tau: float) -> float:
        """σ(t)."""
        return self.clock.sigma(tau)

    def rate(self, sigma: float) -> float:
        """dσ/dt."""
        return self.clock.rate(self.clock.t(sigma))


SIGMA: Variable = SigmaVariable()


LOG_SIGMA: Variable = LogSigmaVariable()
