"""Labels that networks of each family are given, above all at a σ between the entries of their table.

| family                        | label                                 | clock                          |
|-------------------------------|---------------------------------------|--------------------------------|
| diffusers, Karras levels      | the nearest, in the label             | Labels(clock, nearest)         |
| diffusers, beta, flow, ...    | cut to an integer                     | Labels(clock, whole)           |
| k-diffusion, over a table     | linear in log σ, or nearest; clamped  | k_diffusion_labels(ᾱ)          |
| DPM-Solver's code             | 1000 (t - 1/T), log α linear          | dpm_solver_labels(ᾱ)           |
| EDM's iDDPM networks          | the entry nearest in σ                | iddpm_labels()                 |
| EDM's VP, score-SDE's VP      | 999 t                                 | VPSDE(scale=999)               |
| EDM's VE                      | ln(σ/2)                               | LogClock(1, unit=2)            |
| EDM                           | ln(σ)/4                               | EDMClock()                     |
| score-SDE's VE, denoisers     | σ                                     | SigmaClock()                   |
| NCSN, score-SDE's discrete VE | index from the largest σ              | ve_index(N, σ_min, σ_max)      |
| v-diffusion                   | 2/π atan σ                            | AngleClock()                   |
| flows with data at t = 1      | 1 - t                                 | Reversed(FlowClock())          |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flowsolve._arguments import whole as number
from flowsolve.errors import ScheduleError
from flowsolve.schedule.betas import squared_cosine
from flowsolve.schedule.clock import Clock, positive, rising
from flowsolve.schedule.discrete import from_alphas_cumprod


@dataclass(frozen=True, repr=False)
class SigmaClock(Clock):
    """t = σ."""

    def sigma(self, t: float) -> float:
        return t

    def t(self, sigma: float) -> float:
        return self._positive(sigma)

    def rate(self, t: float) -> float:
        return 1.0


@dataclass(frozen=True, repr=False)
class LogClock(Clock):
    """t = scale · ln(σ/unit).           EDM's VE networks take ln(σ/2); consistency models 250 ln σ."""

    scale: float
    unit: float = 1.0

    def __post_init__(self) -> None:
        """`scale` is below 0 where labels fall as σ rises."""
        positive(self, "unit")
        if self.scale == 0 or not math.isfinite(self.scale):
            raise ScheduleError(
                f"LogClock: scale must be finite and not 0, but got {self.scale!r}."
            )

    def sigma(self, t: float) -> float:
        return self.unit * math.exp(t / self.scale)

    def t(self, sigma: float) -> float:
        return self.scale * math.log(self._positive(sigma) / self.unit)

    def rate(self, t: float) -> float:
        return self.sigma(t) / self.scale


@dataclass(frozen=True, repr=False)
class AngleClock(Clock):
    """t = scale · 2/π atan σ, so that α = cos(πt/2), s = sin(πt/2).     v-diffusion; GVP of Ma et al. 2024."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        positive(self, "scale")

    def sigma(self, t: float) -> float:
        u = self._inside(t, 0, self.scale) / self.scale
        return math.inf if u == 1 else math.tan(math.pi / 2 * u)

    def t(self, sigma: float) -> float:
        return (
            self.scale
            * math.atan(sigma if sigma == math.inf else self._positive(sigma))
            * (2 / math.pi)
        )

    def rate(self, t: float) -> float:
        return math.pi / 2 * (1 + self.sigma(t) ** 2) / self.scale


@dataclass(frozen=True, repr=False)
class Reversed(Clock):
    """t = end - t', t' the time of `clock`: noise at t = 0 and data at t = end, so that dσ/dt < 0."""

    clock: Clock
    end: float = 1.0

    @property
    def sigma_range(self) -> tuple[float, float] | None:
        return self.clock.sigma_range

    def sigma(self, t: float) -> float:
        return self.clock.sigma(self.end - t)

    def t(self, sigma: float) -> float:
        return self.end - self.clock.t(sigma)

    def rate(self, t: float) -> float:
        return -self.clock.rate(self.end - t)


Rule = Callable[[Clock, float], float]
"""(clock, σ) -> the label at σ, made from clock.t(σ)."""


def fractional(clock: Clock, sigma: float) -> float:
    """t(σ), not rounded."""
    return clock.t(sigma)


def nearest(clock: Clock, sigma: float) -> float:
    """The whole label nearest to t(σ)."""
    return float(round(clock.t(sigma)))


def nearest_sigma(clock: Clock, sigma: float) -> float:
    """The whole label whose σ is nearest."""
    low = whole(clock, sigma)
    near = [low] if clock.t(sigma) <= low else [low, low + 1]
    return min(near, key=lambda t: abs(clock.sigma(t) - sigma))


def whole(clock: Clock, sigma: float) -> float:
    """The whole label at or below t(σ), as a cast to an integer gives it."""
    return float(math.floor(clock.t(sigma) + 1e-6))  # rounding may make t(σ(7)) 7 - 1e-9


@dataclass(frozen=True, repr=False)
class Labels(Clock):
    """label = scale · rule(clock, σ), σ clamped to `ends`.

    rule   fractional, nearest (in the label), nearest_sigma, whole, or a function (clock, σ) -> label
    ends   (σ_min, σ_max) for codes that clamp σ; without, the clock may raise ScheduleError outside its range

    With a rule that rounds, the network changes in jumps, and no method has an order above one unless it
    evaluates the network at whole labels only. Raises ScheduleError for a scale that is not positive and ends
    that do not rise.
    """

    clock: Clock
    rule: Rule = fractional
    scale: float = 1.0
    ends: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        positive(self, "scale")
        if self.ends is not None:
            rising("Labels: σ of the ends", *self.ends)

    @property
    def sigma_range(self) -> tuple[float, float] | None:
        return self.clock.sigma_range if self.ends is None else self.ends[::-1]

    def sigma(self, t: float) -> float:
        return self.clock.sigma(t / self.scale)

    def t(self, sigma: float) -> float:
        if self.ends is not None:
            sigma = min(max(self._positive(sigma), self.ends[0]), self.ends[1])
        return self.scale * self.rule(self.clock, sigma)

    def rate(self, t: float) -> float:
        """dσ/dt of the clock, per unit of the label. Raises ScheduleError if labels are rounded."""
        if self.rule is not fractional:
            raise ScheduleError(f"{self} moves in jumps, so dσ/dt has no value.")
        return self.clock.rate(t / self.scale) / self.scale


def k_diffusion_labels(alphas_cumprod: Sequence[float], quantize: bool = False) -> Labels:
    """t linear in log σ, rounded if `quantize`; σ clamped to the table.       k-diffusion, sigma_to_t."""
    clock = from_alphas_cumprod(alphas_cumprod, "log_sigma")
    ends = (clock.sigma(0), clock.sigma(len(alphas_cumprod) - 1))
    return Labels(clock, nearest if quantize else fractional, ends=ends)


def dpm_solver_labels(alphas_cumprod: Sequence[float]) -> Labels:
    """1000 (t - 1/T), t = (i + 1)/T at entry i, log α linear.        Lu et al. 2022a, their code, discrete.

    The factor is 1000 for every T. As in their code, entries with log σ > 5.1 are dropped before T is counted:
    4 of the 1000 of the squared cosine, which multiplies the labels of the others by 1000/996.
    """
    kept = [a for a in alphas_cumprod if 0.5 * (math.log1p(-a) - math.log(a)) <= 5.1]
    return Labels(from_alphas_cumprod(kept, "log_alpha"), scale=1000 / len(kept))


def iddpm_labels(T: int = 1000, max_beta: float = 0.999) -> Labels:
    """M - 1 - j, u_j the level nearest in σ.       Karras et al. 2022, Table 1, column iDDPM; their code."""
    clock = squared_cosine(T, max_beta)
    return Labels(clock, nearest_sigma, ends=(clock.sigma(0), clock.sigma(T - 1)))


def ve_index(n: int, sigma_min: float, sigma_max: float) -> Labels:
    """round((N - 1) ln(σ_max/σ)/ln(σ_max/σ_min)), 0 at the largest of N levels.      Song and Ermon 2019."""
    rising("ve_index: σ", sigma_min, sigma_max)
    n = number("ve_index: n", n, 2, ScheduleError)
    return Labels(LogClock(-(n - 1) / math.log(sigma_max / sigma_min), sigma_max), nearest)
