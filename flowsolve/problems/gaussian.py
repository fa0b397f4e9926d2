"""Gaussian data, the only data whose diffusion ODE is linear."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from flowsolve.ode.base import Scales
from flowsolve.problems.base import Problem, numbers, scales_of, seeded

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Gaussian(Problem):
    """Data N(m, C), C = QΛQᵀ:  ε = σ (C + σ²)⁻¹ (x̄ - m),  x̄_t = m + Q √((Λ+t²)/(Λ+s²)) Qᵀ (x̄_s - m).

    x₀ is affine in x̄, so terms of a method's error that hold second derivatives in x̄ vanish: measure orders
    on a mixture.
    """

    mean: tuple[float, ...] = (0.5, -0.3)
    covariance: tuple[tuple[float, ...], ...] = ((0.5, 0.3), (0.3, 0.4))
    sigma_max: float = 10.0
    sigma_min: float = 0.05

    name = "gaussian"
    summary = "N(m, C), any covariance; closed-form flow, linear"
    exact = True

    def __post_init__(self) -> None:
        for name, depth in (("mean", 1), ("covariance", 2)):
            object.__setattr__(self, name, numbers(name, getattr(self, name), depth))
        check_covariance(self.covariance, len(self.mean))
        self.check_ends()

    @property  # type: ignore[misc]  # known, unless it is measured
    def scales(self) -> Scales:
        import torch

        return self._scales or scales_of(
            torch.tensor(self.covariance, dtype=torch.float64, device="cpu")
        )

    @property
    def event(self) -> tuple[int, ...]:
        return (len(self.mean),)

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        """σ Q (Λ + σ²)⁻¹ Qᵀ (x̄ - m)."""
        m, q, lam = _eigen(self.mean, self.covariance, x.dtype, x.device)
        return ((x - m) @ q * (sigma / (lam + sigma * sigma))) @ q.T

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        """The posterior mean m + Q Λ/(Λ + σ²) Qᵀ (x̄ - m); m at σ = ∞."""
        m, q, lam = _eigen(self.mean, self.covariance, x.dtype, x.device)
        if math.isinf(sigma):
            return m.expand_as(x).clone()
        return m + ((x - m) @ q * (lam / (lam + sigma * sigma))) @ q.T

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """log N(x̄; m, C + σ²), (B,)."""
        m, q, lam = _eigen(self.mean, self.covariance, x.dtype, x.device)
        z, total = (x - m) @ q, lam + sigma * sigma
        return -(z * z / total + (2 * math.pi * total).log()).sum(-1) / 2

    def flow(self, x: Tensor, s: float, t: float) -> Tensor:
        x = x.double()
        m, q, lam = _eigen(self.mean, self.covariance, x.dtype, x.device)
        return m + ((x - m) @ q * ((lam + t * t) / (lam + s * s)).sqrt()) @ q.T

    def data(self) -> Tensor:
        """2000 draws m + Q √Λ z, always the same, (2000, d) in float64."""
        import torch

        m, q, lam = _eigen(self.mean, self.covariance, torch.float64, torch.device("cpu"))
        z = torch.randn(2000, *self.event, dtype=torch.float64, generator=seeded(), device="cpu")
        return m + (z * lam.sqrt()) @ q.T


def check_covariance(covariance: tuple[tuple[float, ...], ...], d: int) -> None:
    """Raise ValueError unless it is a symmetric d by d matrix without negative eigenvalues."""
    import numpy as np

    even = all(len(row) == d for row in covariance)
    c = np.array(covariance, dtype=float) if even else np.zeros(0)
    if c.shape != (d, d) or not np.allclose(c, c.T) or np.linalg.eigvalsh(c).min() < 0:
        raise ValueError(
            f"a covariance must be a symmetric, non-negative {d} by {d} matrix, but got {covariance}."
        )


@lru_cache(maxsize=64)
def _eigen(
    mean: tuple[float, ...],
    covariance: tuple[tuple[float, ...], ...],
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tensor, Tensor, Tensor]:
    """m (d,), Q (d, d) and Λ (d,), computed in float64 and then cast."""
    import torch

    lam, q = torch.linalg.eigh(torch.tensor(covariance, dtype=torch.float64, device="cpu"))
    m = torch.tensor(mean, dtype=torch.float64, device="cpu")
    return m.to(device, dtype), q.to(device, dtype), lam.clamp(min=0).to(device, dtype)
