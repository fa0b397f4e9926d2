"""Between noises: along the sphere that Gaussian noise lies on.     Song, Meng, Ermon 2021, Section 5.3."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flowsolve.errors import StateError

if TYPE_CHECKING:
    from torch import Tensor


def slerp(x: Tensor, y: Tensor, t: float | Tensor) -> Tensor:
    """sin((1-t)θ)/sin θ x + sin(tθ)/sin θ y,  cos θ = x·y/(|x||y|).     Shoemake 1985; DDIM, Appendix D.5.

    x, y  (B, *event), floating; every sample is a point with a θ of its own
    t     a number, or (B,): 0 at x, 1 at y

    Of two points of one norm it keeps the norm. It is x + t (y - x) where both point the same way.
    Where they are opposite no arc is the shortest, and it goes by way of the axis that is most nearly
    at right angles. Raises StateError for states of other shapes, dtypes or devices.
    """
    import torch

    _same(x, y)
    wide = torch.promote_types(x.dtype, torch.float32)
    a, b = (v.to(wide).flatten(1) for v in (x, y))
    t = torch.as_tensor(t, dtype=wide, device=x.device).reshape(-1, 1)
    if len(t) not in (1, len(x)):
        raise StateError(
            f"t is a number or one for each of {len(x)} samples, but there are {len(t)}."
        )
    sizes = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    tiny = torch.finfo(wide).tiny
    u, v = (p / size.clamp_min(tiny) for p, size in zip((a, b), sizes, strict=True))
    # arccos has no digits left near 0 and π: |u - v| = 2 sin θ/2, |u + v| = 2 cos θ/2
    far, near = (u - v).norm(dim=1, keepdim=True), (u + v).norm(dim=1, keepdim=True)
    theta, sine = 2 * torch.atan2(far, near), (far * near / 2).clamp_min(tiny)
    arc = (torch.sin((1 - t) * theta) * a + torch.sin(t * theta) * b) / sine
    half_turn = torch.cos(math.pi * t) * u + torch.sin(math.pi * t) * _across(u)
    size = torch.lerp(*sizes, t)
    close = torch.finfo(wide).eps ** 0.5
    out = torch.where(near < close, half_turn * size, arc)
    out = torch.where((far < close) | (sizes[0] * sizes[1] == 0), torch.lerp(a, b, t), out)
    return out.reshape(x.shape).to(x.dtype)


def _across(u: Tensor) -> Tensor:
    """A unit vector at right angles to u: the axis where u is least, less its part along u."""
    import torch

    axis = torch.zeros_like(u).scatter_(1, u.abs().argmin(1, keepdim=True), 1.0)
    rest = axis - u * (axis * u).sum(1, keepdim=True)
    unit: Tensor = rest / rest.norm(dim=1, keepdim=True).clamp_min(torch.finfo(u.dtype).tiny)
    return unit


def arc(x: Tensor, y: Tensor, n: int) -> Tensor:
    """(n, B, *event): slerp at n even t from 0 to 1, both ends included; n >= 2."""
    import torch

    _count(n)
    return torch.stack([slerp(x, y, i / (n - 1)) for i in range(n)])


def square(corners: Tensor, n: int) -> Tensor:
    """(n, n, *event): slerp across between slerps down, four corners (4, *event) in reading order.

    Row i, column j: from corners 0 and 2 on the left to 1 and 3 on the right.      DDIM, Figure 12.
    """
    import torch

    _count(n)
    if corners.shape[0] != 4:
        raise StateError(f"a square has 4 corners, but the state has {corners.shape[0]} samples.")
    left, right = arc(corners[:1], corners[2:3], n)[:, 0], arc(corners[1:2], corners[3:], n)[:, 0]
    return torch.stack([slerp(left, right, j / (n - 1)) for j in range(n)], 1)


def _count(n: int) -> None:
    if n < 2:
        raise StateError(f"an arc has both its ends, so n >= 2 points, but got n = {n}.")


def _same(x: Tensor, y: Tensor) -> None:
    import torch

    for state in (x, y):
        if not isinstance(state, torch.Tensor) or not state.is_floating_point() or state.ndim < 2:
            raise StateError(
                f"slerp takes floating-point states (B, *event), but got {state!r:.80}."
            )
    if x.shape != y.shape or x.dtype != y.dtype or x.device != y.device:
        raise StateError(
            f"slerp needs two states alike, but got {tuple(x.shape)} {x.dtype} on {x.device} and "
            f"{tuple(y.shape)} {y.dtype} on {y.device}."
        )
