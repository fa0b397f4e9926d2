"""Clocks: the label t that a network was trained with, for each noise level σ = s/α, and back.

In x̄ = x/α and σ the ODE is the same for every β-schedule: the schedule decides the labels alone. On a
variance-preserving path ᾱ = α² = 1/(1+σ²), so a table of ᾱ_t is a table of σ_t. All scalars are Python floats.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from flowsolve._arguments import Values, real
from flowsolve.errors import ScheduleError


class Clock(Values, ABC):
    """A monotone map t -> σ(t), its inverse and its derivative.

    All three raise ScheduleError outside the clock's range.
    """

    wrong = ScheduleError

    @property
    def sigma_range(self) -> tuple[float, float] | None:
        """(σ_max, σ_min) that networks with this clock are trained on; None if it does not say."""
        return None

    @abstractmethod
    def sigma(self, t: float) -> float:
        """σ at time t."""

    @abstractmethod
    def t(self, sigma: float) -> float:
        """The time of σ."""

    @abstractmethod
    def rate(self, t: float) -> float:
        """dσ/dt at time t."""

    def _positive(self, sigma: float) -> float:
        if type(sigma) is not float:
            sigma = real(f"{self}: σ", sigma, ScheduleError)
        if not 0 < sigma < math.inf:
            raise ScheduleError(f"{self} has no time for σ = {sigma!r}: give 0 < σ < ∞.")
        return sigma

    def _inside(self, t: float, low: float, high: float) -> float:
        """t, moved into [low, high] if it is outside by rounding. Raises ScheduleError if by more."""
        t = real(f"{self}: t", t, ScheduleError)
        slack = 1e-12 * (high - low)
        if not low - slack <= t <= high + slack:
            raise ScheduleError(f"{self} knows times from {low:g} to {high:g}, not t = {t!r}.")
        return min(max(t, low), high)


def positive(clock: Clock, *names: str) -> None:
    """Raise ScheduleError unless these parameters of a clock are positive and finite."""
    for name in names:
        value = getattr(clock, name)
        if not 0 < value < math.inf:
            raise ScheduleError(
                f"{type(clock).__name__}: {name} must be positive and finite, but got {value!r}."
            )


def rising(what: str, low: float, high: float) -> None:
    """Raise ScheduleError unless 0 < low < high < ∞."""
    low, high = (real(what, value, ScheduleError) for value in (low, high))
    if not 0 < low < high < math.inf:
        raise ScheduleError(
            f"{what} rises from a positive number to a larger, but got {low!r} and {high!r}: the "
            "smaller comes first."
        )


def check_betas(start: float, end: float) -> None:
    """Raise ScheduleError for β that would fall, or reach 0: a swapped pair gives wrong labels silently."""
    if start != end:
        rising("β", start, end)


@dataclass(frozen=True, repr=False)
class VPSDE(Clock):
    """σ(t)² = exp(β_min t + (β_max - β_min) t²/2) - 1,  0 < t <= 1.   Song et al. 2021, App. C.

    scale  the label is scale · t: score-SDE networks take 999 t

    Raises ScheduleError unless 0 <= β_min <= β_max, 0 < β_max < ∞ and 0 < scale < ∞.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        low, high = self.beta_min, self.beta_max
        if not (0 <= low <= high and 0 < high < math.inf):
            raise ScheduleError(
                f"VPSDE: β rises from beta_min to beta_max, 0 <= beta_min <= beta_max < ∞, but got beta_min = "
                f"{low!r}, beta_max = {high!r}."
            )
        positive(self, "scale")

    @property
    def sigma_range(self) -> tuple[float, float]:
        """σ at t = 1 and at t = 0.001, where score-SDE codes end."""
        return self.sigma(self.scale), self.sigma(0.001 * self.scale)

    def _log_snr(self, t: float) -> float:
        return t * (self.beta_min + (self.beta_max - self.beta_min) * t / 2)

    def sigma(self, t: float) -> float:
        """√(e^B - 1), with B = β_min t + (β_max - β_min) t²/2."""
        return math.sqrt(math.expm1(self._log_snr(self._inside(t, 0, self.scale) / self.scale)))

    def t(self, sigma: float) -> float:
        """The root of B(t) = log(1 + σ²), in the form that does not cancel at small σ."""
        b, d = math.log1p(self._positive(sigma) ** 2), self.beta_max - self.beta_min
        return self.scale * 2 * b / (self.beta_min + math.sqrt(self.beta_min**2 + 2 * d * b))

    def rate(self, t: float) -> float:
        """β(t) (1 + σ²) / (2σ)."""
        sigma, u = self.sigma(t), t / self.scale
        if sigma == 0:
            raise ScheduleError(f"{self}: σ(t) has no derivative at t = 0, where σ rises like √t.")
        beta = self.beta_min + (self.beta_max - self.beta_min) * u
        return beta * (1 + sigma * sigma) / (2 * sigma) / self.scale


@dataclass(frozen=True, repr=False)
class EDMClock(Clock):
    """t = ln(σ)/4.                                                    Karras et al. 2022, Table 1."""

    sigma_range = (80.0, 0.002)

    def sigma(self, t: float) -> float:
        return math.exp(4 * real(f"{self}: t", t, ScheduleError))

    def t(self, sigma: float) -> float:
        return math.log(self._positive(sigma)) / 4

    def rate(self, t: float) -> float:
        return 4 * self.sigma(t)


@dataclass(frozen=True, repr=False)
class VESDE(Clock):
    """σ(t) = σ_min (σ_max/σ_min)^t,  0 <= t <= 1.                      Song et al. 2021, App. C.

    Raises ScheduleError unless 0 < σ_min < σ_max < ∞.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        rising("VESDE: σ", self.sigma_min, self.sigma_max)

    @property
    def sigma_range(self) -> tuple[float, float]:
        return self.sigma_max, self.sigma_min

    def sigma(self, t: float) -> float:
        t = real(f"{self}: t", t, ScheduleError)
        return self.sigma_min * math.exp(t * math.log(self.sigma_max / self.sigma_min))

    def t(self, sigma: float) -> float:
        """log(σ/σ_min) / log(σ_max/σ_min)."""
        width = math.log(self.sigma_max / self.sigma_min)
        return math.log(self._positive(sigma) / self.sigma_min) / width

    def rate(self, t: float) -> float:
        """σ log(σ_max/σ_min)."""
        return self.sigma(t) * math.log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True, repr=False)
class FlowClock(Clock):
    """σ(t) = shift · t/(1-t),  0 < t <= 1, with t = 1 at σ = ∞.     Flow matching, x_t = (1-t)x₀ + tε.

    shift  Stable Diffusion 3's timestep shift t' = shift t/(1 + (shift-1) t), which is σ' = shift σ: it places
           the levels of a grid, while the network keeps the unshifted clock for its label
    scale  the label is scale · t

    Raises ScheduleError unless both are positive and finite.
    """

    shift: float = 1.0
    scale: float = 1.0

    sigma_range = (math.inf, 0.0)

    def __post_init__(self) -> None:
        positive(self, "shift", "scale")

    def sigma(self, t: float) -> float:
        u = self._inside(t, 0, self.scale) / self.scale
        return math.inf if u == 1 else self.shift * u / (1 - u)

    def t(self, sigma: float) -> float:
        if sigma == math.inf:
            return self.scale
        sigma = self._positive(sigma)
        return self.scale * sigma / (self.shift + sigma)

    def rate(self, t: float) -> float:
        """shift/(1-t)²."""
        u = self._inside(t, 0, self.scale) / self.scale
        if u == 1:
            raise ScheduleError(f"{self}: σ(t) has no derivative at t = {t!r}, where σ = ∞.")
        return self.shift / (1 - u) ** 2 / self.scale
