"""What a scheduler's config wants done to x₀, as an ODE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowsolve.interop.diffusers_reading import Limits
from flowsolve.ode import ODE, Wrapped

if TYPE_CHECKING:
    from torch import Tensor


class Limited(Wrapped):
    """x₀ clipped to ±clip, or to its quantile and divided by it, and ε = (x̄ - x₀)/σ from that x₀.

    The dynamic thresholding of Saharia et al. 2022, Section 2.3, where `threshold_ratio` is given.
    """

    def __init__(self, ode: ODE, limits: Limits) -> None:
        super().__init__(ode)
        self.limits = limits

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        """The inner x₀, limited."""
        x0, limits = self.ode.x0(x, sigma), self.limits
        if limits.threshold_ratio is not None:
            rows = x0.abs().flatten(1).float()
            bound = rows.quantile(limits.threshold_ratio, 1).clamp(1, limits.threshold_max).to(x0)
            bound = bound.reshape(-1, *(1 for _ in x0.shape[1:]))
            return x0.clamp(-bound, bound) / bound
        return x0 if limits.clip is None else x0.clamp(-limits.clip, limits.clip)

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        """(x̄ - x₀)/σ."""
        return (x - self.x0(x, sigma)) / sigma
