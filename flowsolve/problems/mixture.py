"""Gaussian mixtures: nonlinear ODEs with ε in closed form. In one dimension the flow is known exactly too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from flowsolve.ode.base import Scales
from flowsolve.problems.base import Problem, numbers, scales_of, seeded
from flowsolve.problems.gaussian import check_covariance

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]


@dataclass(frozen=True)
class Mixture1D(Problem):
    """Data Σ w N(m, v):  ε = σ Σ r (x̄ - m)/(v + σ²), r the posterior weights of the components.

    Solutions in one dimension never cross, so quantiles move with the flow: F_t(x̄_t) = F_s(x̄_s), with F_σ
    the distribution function at level σ. This gives the exact flow without any solver.
    """

    weights: Vector = (0.3, 0.7)
    means: Vector = (-1.0, 0.8)
    deviations: Vector = (0.3, 0.2)
    sigma_max: float = 10.0
    sigma_min: float = 0.05

    name = "mixture_1d"
    summary = "1-D Gaussian mixture; exact flow by quantiles, nonlinear"
    exact = True

    def __post_init__(self) -> None:
        for name in ("weights", "means", "deviations"):
            object.__setattr__(self, name, numbers(name, getattr(self, name), 1))
        _check_weights(self.weights, len(self.means), len(self.deviations))
        if min(self.deviations) < 0:
            raise ValueError(f"deviations must not be negative, but got {self.deviations}.")
        self.check_ends()

    @property
    def event(self) -> tuple[int, ...]:
        return ()

    @property  # type: ignore[misc]  # known, unless it is measured
    def scales(self) -> Scales:
        mean = sum(w * m for w, m in zip(self.weights, self.means, strict=True))
        parts = zip(self.weights, self.means, self.deviations, strict=True)
        std = math.sqrt(sum(w * (d * d + (m - mean) ** 2) for w, m, d in parts))
        return self._scales or Scales(std, std)

    def _posterior(self, x: Tensor, sigma: float) -> tuple[Tensor, ...]:
        """r, z = x̄ - m, m, v and v + σ², each with the components along its first axis."""
        import torch

        log_w, m, v = _components_1d(self, x.dtype, x.device, x.ndim)
        z, total = x - m, v + sigma * sigma
        r = torch.softmax(log_w - (z * z / total + total.log()) / 2, 0)
        return r, z, m, v, total

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        """σ Σ r (x̄ - m)/(v + σ²)."""
        r, z, _, _, total = self._posterior(x, sigma)
        return (r * z * (sigma / total)).sum(0)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        """Σ r (m + v (x̄ - m)/(v + σ²)), the posterior mean; at σ = ∞ the mean of the data."""
        if math.isinf(sigma):
            mean = math.fsum(w * m for w, m in zip(self.weights, self.means, strict=True))
            return x.new_full(x.shape, mean)
        r, z, m, v, total = self._posterior(x, sigma)
        return (r * (m + z * (v / total))).sum(0)

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """log p(x̄) at level σ, like x."""
        import torch

        log_w, m, v = _components_1d(self, x.dtype, x.device, x.ndim)
        z, total = x - m, v + sigma * sigma
        return torch.logsumexp(log_w - (z * z / total + (2 * math.pi * total).log()) / 2, 0)

    def flow(self, x: Tensor, s: float, t: float) -> Tensor:
        """The y with F_t(y) = F_s(x), by root finding; in the log of F or of 1 - F, whichever is smaller."""
        import numpy as np
        from scipy.optimize import brentq
        from scipy.special import log_ndtr

        w, m, d = (np.array(a) for a in (self.weights, self.means, self.deviations))
        log_w = np.log(w)

        def log_tail(y: float, sigma: float, side: float) -> float:
            return float(np.logaddexp.reduce(log_w + log_ndtr(side * (y - m) / np.hypot(d, sigma))))

        def move(y: float) -> float:
            side = -1.0 if log_tail(y, s, 1) > log_tail(y, s, -1) else 1.0
            target = log_tail(y, s, side)
            reach = 10 + abs(y) * max(1.0, t / s) * 4
            root = brentq(
                lambda q: log_tail(q, t, side) - target, -reach, reach, xtol=1e-15, rtol=1e-15
            )
            return float(root)

        return x.new_tensor([move(float(y)) for y in x.ravel()]).double().reshape(x.shape)

    def data(self) -> Tensor:
        """2000 draws, always the same, (2000,) in float64."""
        import torch

        w, m, d = (
            torch.tensor(a, dtype=torch.float64, device="cpu")
            for a in (self.weights, self.means, self.deviations)
        )
        i = torch.multinomial(w, 2000, replacement=True, generator=(g := seeded()))
        return m[i] + d[i] * torch.randn(2000, dtype=torch.float64, generator=g, device="cpu")


@dataclass(frozen=True)
class Mixture(Problem):
    """Data Σ w N(m, C) in any dimension:  ε = σ Σ r (C + σ²)⁻¹ (x̄ - m), r the posterior weights, C = QΛQᵀ."""

    weights: Vector = (0.2, 0.5, 0.3)
    means: Matrix = ((-1.0, -0.6), (0.7, -0.4), (0.1, 1.0))
    covariances: tuple[Matrix, ...] = (
        ((0.09, 0.03), (0.03, 0.05)),
        ((0.04, -0.02), (-0.02, 0.12)),
        ((0.15, 0.0), (0.0, 0.06)),
    )
    sigma_max: float = 10.0
    sigma_min: float = 0.05

    name = "mixture"
    summary = "2-D anisotropic Gaussian mixture (any dimension from Python); exact ε"

    def __post_init__(self) -> None:
        for name, depth in (("weights", 1), ("means", 2), ("covariances", 3)):
            object.__setattr__(self, name, numbers(name, getattr(self, name), depth))
        _check_weights(self.weights, len(self.means), len(self.covariances))
        for c in self.covariances:
            check_covariance(c, len(self.means[0]))
        self.check_ends()

    @property
    def event(self) -> tuple[int, ...]:
        return (len(self.means[0]),)

    @property  # type: ignore[misc]  # known, unless it is measured
    def scales(self) -> Scales:
        import torch

        w, m, c = (
            torch.tensor(v, dtype=torch.float64, device="cpu")
            for v in (self.weights, self.means, self.covariances)
        )
        off = m - w @ m
        within, between = torch.einsum("i,ijk->jk", w, c), torch.einsum("i,ij,ik->jk", w, off, off)
        return self._scales or scales_of(within + between)

    def _posterior(self, x: Tensor, sigma: float) -> tuple[Tensor, ...]:
        """R (K, B, 1), z = Qᵀ(x̄ - m) (K, B, d), and m, Q, Λ, Λ + σ² (K, 1, d) of each component."""
        import torch

        log_w, m, q, lam = _components(self, x.dtype, x.device)
        z, total = (x - m) @ q, lam + sigma * sigma
        r = torch.softmax(log_w - (z * z / total + total.log()).sum(-1, keepdim=True) / 2, 0)
        return r, z, m, q, lam, total

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        """σ Σ r Q (Λ + σ²)⁻¹ Qᵀ (x̄ - m)."""
        r, z, _, q, _, total = self._posterior(x, sigma)
        return ((r * z) @ (q * (sigma / total)).mT).sum(0)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        """Σ r (m + Q Λ/(Λ + σ²) Qᵀ (x̄ - m)), the posterior mean; at σ = ∞ the mean of the data."""
        if math.isinf(sigma):
            log_w, m, *_ = _components(self, x.dtype, x.device)
            return (log_w.exp() * m).sum(0).expand_as(x).clone()
        r, z, m, q, lam, total = self._posterior(x, sigma)
        return (r * (m + z @ (q * (lam / total)).mT)).sum(0)

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """log p(x̄) at level σ, (B,)."""
        import torch

        log_w, m, q, lam = _components(self, x.dtype, x.device)
        z, total = (x - m) @ q, lam + sigma * sigma
        parts = (z * z / total + (2 * math.pi * total).log()).sum(-1) / 2
        return torch.logsumexp(log_w[..., 0] - parts, 0)

    def data(self) -> Tensor:
        """2000 draws, always the same, (2000, d) in float64."""
        import torch

        log_w, m, q, lam = _components(self, torch.float64, torch.device("cpu"))
        log_w, m, lam = log_w.ravel(), m[:, 0], lam[:, 0]
        i = torch.multinomial(log_w.exp(), 2000, replacement=True, generator=(g := seeded()))
        z = torch.randn(2000, *self.event, dtype=torch.float64, generator=g, device="cpu")
        return m[i] + torch.einsum("bij,bj->bi", q[i], lam[i].sqrt() * z)


def _check_weights(weights: Vector, *counts: int) -> None:
    good = all(w > 0 for w in weights) and math.isclose(math.fsum(weights), 1, abs_tol=1e-9)
    if not good or any(n != len(weights) for n in counts):
        raise ValueError(
            f"a mixture needs positive weights that sum to 1, one for each component, but got "
            f"{weights} for {counts[0]} means and {counts[1]} widths."
        )


@lru_cache(maxsize=64)
def _components_1d(
    p: Mixture1D, dtype: torch.dtype, device: torch.device, ndim: int
) -> tuple[Tensor, ...]:
    """log w, m and v, computed in float64 and then cast, (K, 1, ..., 1) so that they broadcast over x."""
    import torch

    # cached, and so perhaps used later where gradients are taken
    with torch.inference_mode(False):
        w, m, d = torch.tensor(
            (p.weights, p.means, p.deviations), dtype=torch.float64, device="cpu"
        )
        shape = (-1, *[1] * ndim)
        return tuple(a.reshape(shape).to(device, dtype) for a in (w.log(), m, d * d))


@lru_cache(maxsize=64)
def _components(p: Mixture, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    """log w (K, 1, 1), m (K, 1, d), Q (K, d, d) and Λ (K, 1, d), computed in float64 and then cast."""
    import torch

    with torch.inference_mode(False):
        lam, q = torch.linalg.eigh(torch.tensor(p.covariances, dtype=torch.float64, device="cpu"))
        log_w = torch.tensor(p.weights, dtype=torch.float64, device="cpu").log()[:, None, None]
        m = torch.tensor(p.means, dtype=torch.float64, device="cpu")[:, None]
        return tuple(a.to(device, dtype) for a in (log_w, m, q, lam.clamp(min=0)[:, None]))
