"""Interpolation between noises along the sphere they lie close to.     Song, Meng, Ermon 2021, Section 5.3."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flowsolve._arguments import real, whole
from flowsolve.errors import StateError

if TYPE_CHECKING:
    from torch import Tensor


def slerp(x: Tensor, y: Tensor, t: float | Tensor) -> Tensor:
    """sin((1-t)θ)/sin θ x + sin(tθ)/sin θ y,  cos θ = x·y/(|x||y|).     Shoemake 1985; DDIM, Appendix D.5.

    x, y  (B, *event), floating; each sample is one point and has its own θ
    t     a number, or (B,): 0 gives x, 1 gives y

    Between points of equal norm it keeps the norm. For θ = 0 it is x + t (y - x). For θ = π every half circle
    is a shortest way; it takes the one through the coordinate axis that is most nearly orthogonal to x.
    Raises StateError unless x and y agree in shape, dtype and device.
    """
    import torch

    _check_alike(x, y)
    wide = torch.promote_types(x.dtype, torch.float32)
    a, b = (v.to(wide).flatten(1) for v in (x, y))
    if not isinstance(t, torch.Tensor):
        t = real("t", t, StateError)
    t = torch.as_tensor(t, dtype=wide, device=x.device).reshape(-1, 1)
    if len(t) not in (1, len(x)):
        raise StateError(
            f"t is a number or one for each of {len(x)} samples, but there are {len(t)}."
        )
    sizes = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    tiny = torch.finfo(wide).tiny
    u, v = (p / size.clamp_min(tiny) for p, size in zip((a, b), sizes, strict=True))
    # not by arccos, which loses its digits near 0 and π: |u - v| = 2 sin θ/2, |u + v| = 2 cos θ/2
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
    """A unit vector orthogonal to u: the axis along which u is smallest, minus its part along u."""
    import torch

    axis = torch.zeros_like(u).scatter_(1, u.abs().argmin(1, keepdim=True), 1.0)
    rest = axis - u * (axis * u).sum(1, keepdim=True)
    unit: Tensor = rest / rest.norm(dim=1, keepdim=True).clamp_min(torch.finfo(u.dtype).tiny)
    return unit


def arc(x: Tensor, y: Tensor, n: int) -> Tensor:
    """slerp(x, y, t) at t = 0, 1/(n-1), ..., 1: (n, B, *event). Raises StateError unless n >= 2."""
    import torch

    _check_count(n)
    return torch.stack([slerp(x, y, i / (n - 1)) for i in range(n)])


def square(corners: Tensor, n: int) -> Tensor:
    """slerp(slerp(c₀, c₂, i/(n-1)), slerp(c₁, c₃, i/(n-1)), j/(n-1)) at [i, j].      DDIM, Figure 12.

    corners  c, (4, *event), in reading order: c₀ and c₁ above, c₂ and c₃ below

    (n, n, *event), i the row and j the column. Raises StateError unless n >= 2.
    """
    import torch

    _check_count(n)
    if corners.shape[0] != 4:
        raise StateError(f"a square has 4 corners, but the state has {corners.shape[0]} samples.")
    left, right = arc(corners[:1], corners[2:3], n)[:, 0], arc(corners[1:2], corners[3:], n)[:, 0]
    return torch.stack([slerp(left, right, j / (n - 1)) for j in range(n)], 1)


def _check_count(n: int) -> None:
    if whole("n", n, error=StateError) < 2:
        raise StateError(f"an arc has both its ends, so n >= 2 points, but got n = {n}.")


def _check_alike(x: Tensor, y: Tensor) -> None:
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
