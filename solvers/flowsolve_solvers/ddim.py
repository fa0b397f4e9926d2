"""The DDIM family: one step with η, from the ODE step of DDIM (η = 0) to DDPM (η = 1), on any grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.solver import OneStep
from flowsolve_solvers.eta import DDIM_ETA

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE

__all__ = ["DDPM", "DDIMEta", "EulerAncestral"]


@dataclass(frozen=True, repr=False)
class DDIMEta(OneStep):
    """x_t = x₀ + d ε + v z, d² + v² = t², v² = η² t² (s² - t²)/s².    Song, Meng, Ermon 2021, Eq. 12 and 16.

    1 evaluation a step; η = 0 is Euler, η = 1 is DDPM's ancestral sampling with the posterior
    variance, k-diffusion's euler_ancestral(eta). In the paper's letters v = σ_τ/√ᾱ_τ. All members
    share the marginals of x_t given x₀ (`posterior`). larger_variance keeps the mean of η = 1 and
    draws with v̂² = (s² - t²)(1 + t²)/(1 + s²), the paper's σ̂ (DDPM's "fixed large").
    Weak order 1, strong order 1.
    """

    eta: float = 1.0
    larger_variance: bool = False

    order = 1

    @property
    def stochastic(self) -> bool:
        return self.eta > 0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1 or (self.larger_variance and self.eta != 1):
            raise ValueError(
                f"DDIMEta needs 0 <= eta <= 1, and eta = 1 with larger_variance, but got "
                f"eta = {self.eta!r}, larger_variance = {self.larger_variance!r}."
            )

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        """No noise is drawn at η = 0 or t = 0."""
        d, v = DDIM_ETA.split(s, t, self.eta)
        x_t = x.add(ode.eps(x, s), alpha=d - s)
        if self.larger_variance and t > 0:
            v = math.sqrt((s - t) * (s + t) * (1 + t * t) / (1 + s * s))
        return x_t.add(ode.noise(x, s, t), alpha=v) if v > 0 else x_t


EulerAncestral = DDIMEta


def DDPM(larger_variance: bool = False) -> DDIMEta:
    """x_t = x₀ + (t²/s) ε + v z, v² = t² (s² - t²)/s².    Ho, Jain, Abbeel 2020, as η = 1."""
    return DDIMEta(1.0, larger_variance)


def posterior(s: float, t: float, eta: float = 1.0) -> tuple[float, float, float]:
    """(a, b, v) of q(x̄_t | x̄_s, x₀) = N(a x̄_s + b x₀, v²).    Song, Meng, Ermon 2021, Eq. 7.

    The inference side of the family, for t < s: a = d/s, b = 1 - a. For every η, x̄_t given x₀ alone
    is N(x₀, t²) if x̄_s is N(x₀, s²); η = 1 is DDPM's posterior. Of x_t = α x̄_t the mean is
    (α_t a/α_s) x_s + α_t b x₀ and the deviation α_t v.
    """
    DDIM_ETA.check(eta, "posterior")
    if not 0 <= t < s:
        raise ValueError(f"posterior needs 0 <= t < s, but got s = {s!r}, t = {t!r}.")
    d, v = DDIM_ETA.split(s, t, eta)
    return d / s, (s - d) / s, v
