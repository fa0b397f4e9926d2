"""What η means: how far a step goes without noise, and how much noise brings it back up.

Every stochastic step to t goes down to d without noise and then adds v z, where d² + v² = t². At η = 0
no noise is added, and at η = 1 DDIM_ETA and SDE_ETA are the same. At every other η they differ, and
papers and programs that say "η" do not say which they mean.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from flowsolve.solver import check_option

__all__ = ["DDIM_ETA", "ER_SDE", "SDE_ETA", "Eta", "NoiseScale"]


class Eta(ABC):
    """A rule for d and v of a step, given η."""

    @abstractmethod
    def split(self, s: float, t: float, eta: float) -> tuple[float, float]:
        """(d, v) of the step from s to t; v = 0 and d = t exactly if η = 0 or t = 0."""

    @abstractmethod
    def check(self, eta: float, name: str) -> None:
        """Raise ValueError for an η that this family does not have."""


@dataclass(frozen=True, repr=False)
class DDIMEtaFamily(Eta):
    """v² = η² t² (1 - t²/s²), 0 <= η <= 1.      Song, Meng, Ermon 2021, Eq. 16; k-diffusion's ancestral steps.

    k-diffusion also takes η > 1 and cuts v at t. That leaves d = 0, where its samplers disagree on
    whether noise is added at all; here it is an error.
    """

    def __repr__(self) -> str:
        return "DDIM_ETA"

    def split(self, s: float, t: float, eta: float) -> tuple[float, float]:
        """d = t √(1 - η² + η² t²/s²). √(t² - v²) would cancel where s >> t."""
        if eta == 0:
            return t, 0.0
        d = math.hypot(t * math.sqrt((1 - eta) * (1 + eta)), eta * t * t / s)
        return d, eta * t * math.sqrt((s - t) * (s + t)) / s

    def check(self, eta: float, name: str) -> None:
        if not 0 <= eta <= 1:
            raise ValueError(f"{name} needs 0 <= eta <= 1, but got eta = {eta!r}.")


class NoiseScale(Eta):
    """d = s φ(t)/φ(s), φ = σ g(σ)^η, η >= 0, g not falling: x̄/φ moves by x₀ d(1/φ) and noise.    Cui et al.

    Exact for a constant x₀: two steps with the same x₀ equal one.
    """

    @abstractmethod
    def log_ratio(self, s: float, t: float) -> float:
        """log(g(t)/g(s)), 0 < t < s."""

    @abstractmethod
    def slope(self, sigma: float) -> float:
        """d(log g)/d(log σ)."""

    def split(self, s: float, t: float, eta: float) -> tuple[float, float]:
        """d = t (g(t)/g(s))^η."""
        if eta == 0 or t == 0:
            return t, 0.0
        log = eta * self.log_ratio(s, t)
        return t * math.exp(log), t * math.sqrt(-math.expm1(2 * log))

    def check(self, eta: float, name: str) -> None:
        if not 0 <= eta < math.inf:
            raise ValueError(f"{name} needs eta >= 0, but got eta = {eta!r}.")


@dataclass(frozen=True, repr=False)
class SDEEtaFamily(NoiseScale):
    """v² = t² (1 - (t/s)^2η), η >= 0: the SDE dx̄ = (1+η)(x̄ - x₀)/σ dσ + √(2ησ) dW.    Xue et al. 2023, η = τ².

    φ = σ^(1+η). k-diffusion's 2M and 3M SDE.
    """

    def __repr__(self) -> str:
        return "SDE_ETA"

    def log_ratio(self, s: float, t: float) -> float:
        return math.log(t / s)

    def slope(self, sigma: float) -> float:
        return 1.0


@dataclass(frozen=True, repr=False)
class ERSDEFamily(NoiseScale):
    """φ = σ (e^(σ^0.3) + 10)^η, η >= 0.     Cui et al. 2023; η = 1 is their default, SDE_5.

    Less noise than SDE_ETA: at η = 1, in a step to t << s, v² = 0.95 t² from s = 80 and 0.25 t² from
    s = 1, where SDE_ETA has t².
    """

    def __repr__(self) -> str:
        return "ER_SDE"

    def log_ratio(self, s: float, t: float) -> float:
        """-δ + log(1 + 10 e^-b (1 - e^-δ)/(1 + 10 e^-a)), a = s^0.3, b = t^0.3, δ = a - b.

        Computed without g, which overflows at large s, and without subtracting b from a, which cancels
        where s and t are close.
        """
        a, b = math.pow(s, 0.3), math.pow(t, 0.3)
        delta = -a * math.expm1(0.3 * math.log(t / s))
        return -delta + math.log1p(
            -10 * math.exp(-b) * math.expm1(-delta) / (1 + 10 * math.exp(-a))
        )

    def slope(self, sigma: float) -> float:
        """0.3 σ^0.3 / (1 + 10 e^(-σ^0.3))."""
        a = math.pow(sigma, 0.3)
        return 0.3 * a / (1 + 10 * math.exp(-a))


DDIM_ETA: Eta = DDIMEtaFamily()
SDE_ETA: NoiseScale = SDEEtaFamily()
ER_SDE: NoiseScale = ERSDEFamily()


class HasEta(Protocol):
    """A solver with the options `eta` and `family`."""

    @property
    def eta(self) -> float: ...

    @property
    def family(self) -> Eta: ...


def check_eta(solver: HasEta) -> None:
    """Raise StateError for a family that is none, ValueError for an η that it does not have."""
    check_option(solver, "family", Eta)
    solver.family.check(solver.eta, type(solver).__name__)
