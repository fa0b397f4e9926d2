"""Preconditions: what a network predicts, as scalars and a label for each σ (Karras et al. 2022, Eq. 7).

    D(x̄, σ) = c_skip x̄ + c_out F(c_in x̄, t)          D estimates x₀,  ε = (x̄ - D)/σ

| F predicts       | c_in         | c_skip         | c_out          |
|------------------|--------------|----------------|----------------|
| ε                | α            | 1              | -σ             |
| v = αε - s x₀    | 1/√(1+σ²)    | 1/(1+σ²)       | -σ/√(1+σ²)     |
| x₀               | α            | 0              | 1              |
| EDM              | 1/√(σ²+σ_d²) | σ_d²/(σ²+σ_d²) | σσ_d/√(σ²+σ_d²) |
| flow u = ε - x₀  | 1/(1+σ)      | 1/(1+σ)        | -σ/(1+σ)       |

α is the signal scale of the path, 1/√(1+σ²) on VP, which is the path of ε and x₀ unless another is given. At
σ = ∞ x̄ has no value, and the coefficients apply to the unit noise x̄/σ.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from flowsolve._arguments import instance, real
from flowsolve.errors import ScheduleError
from flowsolve.schedule.clock import Clock, EDMClock, FlowClock
from flowsolve.schedule.tracing import outside_the_trace


class Coefs(NamedTuple):
    """D = c_skip x̄ + c_out F(c_in x̄, t) and, by the same network answer, ε = e_skip x̄ + e_out F."""

    c_in: float
    c_skip: float
    c_out: float
    e_skip: float
    e_out: float
    t: float


class Path(ABC):
    """A Gaussian path x_t = α x₀ + s ε = α x̄, as α for each σ = s/α: VP, SUB_VP, VE or FLOW."""

    @abstractmethod
    def alpha(self, sigma: float) -> float: ...


class _VP(Path):
    """α² + s² = 1."""

    def __repr__(self) -> str:
        return "VP"

    def alpha(self, sigma: float) -> float:
        return 1 / math.hypot(1, sigma)


class _SubVP(Path):
    """α² + s = 1.                                                         Song et al. 2021, Eq. 29."""

    def __repr__(self) -> str:
        return "SUB_VP"

    def alpha(self, sigma: float) -> float:
        """2/(σ + √(σ²+4)), the root of 1/α - α = σ."""
        return 2 / (sigma + math.hypot(sigma, 2))


class _VE(Path):
    """α = 1."""

    def __repr__(self) -> str:
        return "VE"

    def alpha(self, sigma: float) -> float:
        return 1.0


class _Flow(Path):
    """α + s = 1."""

    def __repr__(self) -> str:
        return "FLOW"

    def alpha(self, sigma: float) -> float:
        return 1 / (1 + sigma)


VP: Path = _VP()
SUB_VP: Path = _SubVP()
VE: Path = _VE()
FLOW: Path = _Flow()


@dataclass(frozen=True)
class Precondition(ABC):
    """σ -> Coefs, for a network that predicts one of the quantities above."""

    clock: Clock

    path = VP

    def __post_init__(self) -> None:
        instance("clock", self.clock, Clock, "linear_beta() or VPSDE()")
        instance("path", self.path, Path, "VP or VE")

    @abstractmethod
    def __call__(self, sigma: float) -> Coefs: ...

    @outside_the_trace
    def at(self, sigma: float) -> Coefs:
        """The same, for a network that is asked at σ."""
        return self(sigma)

    def alpha(self, sigma: float) -> float:
        """The signal scale α of x_t = α x̄."""
        return self.path.alpha(sigma)


@dataclass(frozen=True)
class EpsPrediction(Precondition):
    """F = ε: DDPM, LDM, Stable Diffusion 1.  Raises ScheduleError at σ = ∞, where x₀ = x̄ - σε has no value."""

    path: Path = VP

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


@dataclass(frozen=True)
class X0Prediction(Precondition):
    """F = x₀, for a network that sees x_t = α x̄.  On VE that is a denoiser D(x̄, σ)."""

    path: Path = VP

    def __call__(self, sigma: float) -> Coefs:
        t = self.clock.t(sigma)
        if math.isinf(sigma):
            return Coefs(1.0, 0.0, 1.0, 1.0, 0.0, t)
        return Coefs(self.alpha(sigma), 0.0, 1.0, 1 / sigma, -1 / sigma, t)


@dataclass(frozen=True)
class EDMPrediction(Precondition):
    """F of Karras et al. 2022, Table 1, column EDM.  α = 1, and σ_d is the standard deviation of the data."""

    clock: Clock = EDMClock()
    sigma_data: float = 0.5

    path = VE

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < real("EDMPrediction: sigma_data", self.sigma_data) < math.inf:
            raise ValueError(f"EDMPrediction needs sigma_data > 0, but got {self.sigma_data!r}.")

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

    path = FLOW

    def __call__(self, sigma: float) -> Coefs:
        t = self.clock.t(sigma)
        if math.isinf(sigma):
            return Coefs(1.0, 1.0, -1.0, 1.0, 0.0, t)
        alpha = self.alpha(sigma)
        return Coefs(alpha, alpha, -sigma * alpha, alpha, alpha, t)


def negated(inner: Precondition) -> Scaled:
    """F = -F', F' what `inner` predicts."""
    return Scaled(inner, _minus_one)


def _minus_one(sigma: float) -> float:
    return -1.0


@dataclass(frozen=True, init=False)
class Scaled(Precondition):
    """F = factor(σ) · F', F' what `inner` predicts: for example the score -ε/s, or the velocity -u."""

    inner: Precondition
    factor: Callable[[float], float]

    def __init__(self, inner: Precondition, factor: Callable[[float], float]) -> None:
        object.__setattr__(self, "clock", inner.clock)
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "factor", factor)

    def alpha(self, sigma: float) -> float:
        return self.inner.alpha(sigma)

    def __call__(self, sigma: float) -> Coefs:
        c, k = self.inner(sigma), self.factor(sigma)
        return c._replace(c_out=c.c_out / k, e_out=c.e_out / k)
