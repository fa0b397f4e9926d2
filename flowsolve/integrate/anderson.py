"""Fixed points of a function of the state, for each sample by itself, with Anderson's acceleration."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Anderson:
    """x ← x + (y - Φ(x)), accelerated.                        Anderson 1965.

    With r = y - Φ(x), g = x + r and Δ their changes from iteration to iteration:

        x ← g - Σ γ Δg,  γ = argmin |r - Σ γ Δr|² for each sample, over the last `memory` changes

    The fields are described in `FixedPointOptions`.
    """

    tolerance: float
    iterations: int
    look: int
    memory: int

    def solve(
        self, phi: Callable[[Tensor], Tensor], y: Tensor, unit: float, floor: float
    ) -> tuple[Tensor, Tensor]:
        """The x found with the least residual of Φ(x) = y, and that residual relative to rms(y) + floor, (B,).

        unit  about the factor with which x enters Φ(x)
        """
        import torch

        scale = _rms(y) + floor
        x = best = y / unit
        least = torch.full_like(scale, math.inf)
        before: tuple[Tensor, Tensor] | None = None
        changes: list[tuple[Tensor, Tensor]] = []
        for k in range(1, self.iterations + 1):
            r = y - phi(x)
            size = _rms(r) / scale
            better = (size < least) & (least > self.tolerance)
            best = torch.where(_like(better, x), x, best)
            least = torch.where(better, size, least)
            looks = self.look and k % self.look == 0
            if k == self.iterations or (looks and bool((least <= self.tolerance).all())):
                break
            x = g = x + r / unit
            if self.memory and before is not None:
                changes.insert(0, (r - before[0], g - before[1]))
                del changes[self.memory :]
                basis: list[tuple[Tensor, Tensor]] = []
                for dr, dg in changes:  # the newest first: older ones lose what they share with it
                    basis.append(_orthogonal(dr, dg, basis))
                for q, h in basis:
                    x = x - _like(_dot(r, q), h) * h
            before = r, g
        return best, least


def _orthogonal(
    dr: Tensor, dg: Tensor, basis: list[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """(Δr, Δg) less their parts along the basis, with Δr of length 1; 0 where nothing is left."""
    import torch

    length = _dot(dr, dr)
    for q, h in basis:
        c = _like(_dot(dr, q), q)
        dr, dg = dr - c * q, dg - c * h
    rest = _dot(dr, dr)
    scale = torch.where(rest > 1e-12 * length, rest.rsqrt(), 0)
    return dr * _like(scale, dr), dg * _like(scale, dg)


def _rms(x: Tensor) -> Tensor:
    return (_dot(x, x) / (x.numel() // len(x))).sqrt()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """⟨a, b⟩ of each sample, (B,), at least in float32."""
    if a.dtype.itemsize < 4:
        a, b = a.float(), b.float()
    return (a * b).reshape(len(a), -1).sum(1)


def _like(per_sample: Tensor, x: Tensor) -> Tensor:
    """(B,) to be broadcast along x, in the dtype of x unless it is a mask."""
    import torch

    shaped = per_sample.reshape(-1, *[1] * (x.ndim - 1))
    return shaped if shaped.dtype == torch.bool else shaped.to(x.dtype)
