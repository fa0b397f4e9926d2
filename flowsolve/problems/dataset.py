"""The exact denoiser of a finite data set: what a network trained to perfection on it would be."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from flowsolve.problems.base import Problem

if TYPE_CHECKING:
    from torch import Tensor


class Dataset(Problem):
    """x₀ = Σ r_i x_i,  r = softmax(-|x̄ - x_i|²/(2σ²)) over the data x_i.

    points     the data, (n, *event); the default is a spiral of 64 points in the plane
    sigma_min  keep it above the distance of neighbours: below it the flow falls into single points,
               and becomes as stiff as 1/σ
    """

    name = "dataset"
    summary = "exact denoiser of a finite data set (a spiral of 64 points); stiff at small σ"

    def __init__(
        self, points: Tensor | None = None, sigma_max: float = 10.0, sigma_min: float = 0.1
    ) -> None:
        points = _spiral() if points is None else points
        good = points.numel() > 0 and points.is_floating_point()
        if points.ndim < 1 or not good or not bool(points.isfinite().all()):
            raise ValueError(
                f"points must be finite and floating, (n, *event), not {tuple(points.shape)} "
                f"of {points.dtype}."
            )
        self.points, self.sigma_max, self.sigma_min = points, sigma_max, sigma_min
        self.check_ends()

    def __repr__(self) -> str:
        return f"Dataset({len(self.points)} points, {self.digest})"

    @property
    def event(self) -> tuple[int, ...]:
        """The shape of one point."""
        return tuple(self.points.shape[1:])

    @property
    def digest(self) -> str:
        """Of the points and the ends."""
        data = self.points.double().cpu().contiguous().numpy().tobytes()
        ends = f"{tuple(self.points.shape)} {self.sigma_max!r} {self.sigma_min!r}".encode()
        return hashlib.sha256(data + ends).hexdigest()[:12]

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        """(x̄ - x₀)/σ."""
        return (x - self.x0(x, sigma)) / sigma

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        """The posterior mean over the data; their mean at σ = ∞."""
        import torch

        data = self.points.to(x.device, x.dtype)
        if math.isinf(sigma):
            return data.mean(0).expand_as(x).clone()
        flat, points = x.flatten(1), data.flatten(1)
        # |x - x_i|² up to |x|², which softmax does not see
        logits = (flat @ points.T - (points * points).sum(1) / 2) / (sigma * sigma)
        return (torch.softmax(logits, 1) @ points).reshape(x.shape)

    def data(self) -> Tensor:
        """The points."""
        return self.points


def _spiral(n: int = 64) -> Tensor:
    import torch

    angle = torch.linspace(0.5, 3 * math.pi, n, dtype=torch.float64)
    return torch.stack([angle * angle.cos(), angle * angle.sin()], 1) / (2 * math.pi)
