"""Wrappers of an ODE that limit x₀ to L(x₀): clipping to a range, and dynamic thresholding.

x₀ and ε of one ODE belong together, so ε changes with x₀: ε = (x̄ - L(x₀))/σ. diffusers' DDIM by default
combines L(x₀) with the network's unchanged ε instead, x_t = L(x₀) + t ε. That equals Euler's step from s to t
with

    x₀ + s/(s - t) (L(x₀) - x₀)      in place of L(x₀)

which depends on t, the level that is stepped to. `keep_eps=grid` does this for Euler() on that grid. The two
ways agree where L changes nothing, and in a step to t = 0.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowsolve._arguments import real
from flowsolve.errors import GridError
from flowsolve.ode.base import ODE
from flowsolve.ode.by_level import ByLevel
from flowsolve.schedule.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor


class Limited(ByLevel):
    """x₀ ← L(x₀) and ε ← (x̄ - L(x₀))/σ, with L given by the `limit` of a subclass.

    keep_eps  None, or the grid that Euler() steps over: its steps are then x_t = L(x₀) + t ε, ε the network's
    """

    def __init__(self, ode: ODE, *, keep_eps: Grid | None = None) -> None:
        super().__init__(ode)
        if keep_eps is not None and not isinstance(keep_eps, Grid):
            raise GridError(f"keep_eps is the Grid that is walked, or None, not {keep_eps!r:.80}.")
        self.keep_eps = keep_eps

    @abstractmethod
    def limit(self, x0: Tensor) -> Tensor:
        """L(x₀), shape and dtype of x₀."""

    def _x0(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        """L(x₀); with keep_eps x₀ + s/(s - t) (L(x₀) - x₀)."""
        gains = [1.0 if self.keep_eps is None else self.keep_eps.gain(sigma) for sigma in sigmas]
        # also at gain 1, where it is L(x₀): an infinite x₀ stays visible as NaN, which L would hide
        x0s = self.ode.x0_each(xs, sigmas)
        return [x0.lerp(self.limit(x0), gain) for x0, gain in zip(x0s, gains, strict=True)]

    def _eps(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        """(x̄ - x₀)/σ, x₀ as limited."""
        x0s = self.x0_each(xs, sigmas)
        return [(x - x0) / sigma for x, x0, sigma in zip(xs, x0s, sigmas, strict=True)]


class Clip(Limited):
    """x₀ ← min(max(x₀, low), high).                          Ho, Jain, Abbeel 2020; diffusers' clip_sample.

    Raises ValueError unless low < high.
    """

    def __init__(
        self, ode: ODE, low: float = -1.0, high: float = 1.0, *, keep_eps: Grid | None = None
    ) -> None:
        low, high = real("Clip: low", low), real("Clip: high", high)
        if not low < high:
            raise ValueError(f"Clip needs low < high, but got low = {low!r}, high = {high!r}.")
        super().__init__(ode, keep_eps=keep_eps)
        self.low, self.high = low, high

    def limit(self, x0: Tensor) -> Tensor:
        return x0.clamp(self.low, self.high)


class Threshold(Limited):
    """x₀ ← min(max(x₀, -s), s)/s,  s = min(max(q, 1), maximum),  q a quantile of |x₀|.   Saharia et al. 2022.

    ratio    q is this quantile of the absolute values of a sample, 0 < ratio <= 1, linear between two of them
    maximum  at least 1, and ∞ in the paper; diffusers' sample_max_value is 1 by default, which makes it Clip

    Each sample has its own s. Values in half precision are sorted in float32. Raises ValueError for another
    ratio or maximum.
    """

    def __init__(
        self,
        ode: ODE,
        ratio: float = 0.995,
        maximum: float = math.inf,
        *,
        keep_eps: Grid | None = None,
    ) -> None:
        ratio, maximum = real("Threshold: ratio", ratio), real("Threshold: maximum", maximum)
        if not 0 < ratio <= 1 or not maximum >= 1:
            raise ValueError(
                f"Threshold needs 0 < ratio <= 1 and maximum >= 1, but got ratio = {ratio!r}, maximum = "
                f"{maximum!r}."
            )
        super().__init__(ode, keep_eps=keep_eps)
        self.ratio, self.maximum = ratio, maximum

    def limit(self, x0: Tensor) -> Tensor:
        wide = x0.float() if x0.dtype.itemsize < 4 else x0
        s = self._quantile(wide.abs().flatten(1)).clamp(1, self.maximum)
        s = s.reshape(-1, *[1] * (x0.ndim - 1))
        return (wide.clamp(-s, s) / s).to(x0.dtype)

    def _quantile(self, a: Tensor) -> Tensor:
        """The quantile of each row of a, (B, n) -> (B,).

        Not by torch.quantile, which takes at most 16 million values and rounds the rank to float32.
        """
        rank = self.ratio * (a.shape[1] - 1)
        low = math.floor(rank)
        ordered = a.sort(dim=1).values
        return ordered[:, low].lerp(ordered[:, math.ceil(rank)], rank - low)
