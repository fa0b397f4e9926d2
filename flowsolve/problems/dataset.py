"""The exact denoiser of a finite data set, which a network trained on it without error would be."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from flowsolve._arguments import shown
from flowsolve.errors import StateError
from flowsolve.ode.base import Scales
from flowsolve.problems.base import Problem, scales_of

if TYPE_CHECKING:
    from torch import Tensor


class Dataset(Problem):
    """x₀ = Σ r_i x_i,  r = softmax(-|x̄ - x_i|²/(2σ²)) over the data x_i.

    points     the data, (n, *event); the default is a spiral of 64 points in the plane
    sigma_min  best above the distance between neighbouring points: below it the flow contracts onto single
               points, and its stiffness grows as 1/σ

    Raises ValueError for points that are not floating or not finite.
    """

    name = "dataset"
    summary = "exact denoiser of a finite data set (a spiral of 64 points); stiff at small σ"

    def __init__(
        self, points: Tensor | None = None, sigma_max: float = 10.0, sigma_min: float = 0.1
    ) -> None:
        import torch

        points = _spiral() if points is None else points
        if not isinstance(points, torch.Tensor):
            raise StateError(
                f"points must be a tensor (n, *event), not {shown(points)}. Use torch.as_tensor(points)."
            )
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

    @property  # type: ignore[misc]  # known, unless it is measured; one point has none
    def scales(self) -> Scales | None:
        flat = self.points.flatten(1).double()
        known = len(flat) > 1 and bool((flat != flat[0]).any())
        return self._scales or (
            scales_of(flat.T.cov(correction=0).reshape(flat.shape[1], -1)) if known else None
        )

    @property
    def event(self) -> tuple[int, ...]:
        return tuple(self.points.shape[1:])

    @property
    def digest(self) -> str:
        data = self.points.double().cpu().contiguous().numpy().tobytes()
        ends = f"{tuple(self.points.shape)} {self.sigma_max!r} {self.sigma_min!r}".encode()
        return hashlib.sha256(data + ends).hexdigest()[:12]

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return (x - self.x0(x, sigma)) / sigma

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        """The mean of the data under the weights r; at σ = ∞ their plain mean."""
        import torch

        data = self.points.to(x.device, x.dtype)
        if math.isinf(sigma):
            return data.mean(0).expand_as(x).clone()
        flat, points = x.flatten(1), data.flatten(1)
        # -|x - x_i|²/(2σ²) without its term in |x|², which is the same for all i and cancels in softmax
        logits = (flat @ points.T - (points * points).sum(1) / 2) / (sigma * sigma)
        return (torch.softmax(logits, 1) @ points).reshape(x.shape)

    def data(self) -> Tensor:
        return self.points


def _spiral(n: int = 64) -> Tensor:
    import torch

    angle = torch.linspace(0.5, 3 * math.pi, n, dtype=torch.float64, device="cpu")
    return torch.stack([angle * angle.cos(), angle * angle.sin()], 1) / (2 * math.pi)
