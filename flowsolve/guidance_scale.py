"""The scale w of guidance: a number, one for each sample, or a function of σ."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Union  # Tensor is a text here, and texts know no |

from flowsolve.errors import StateError

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.grid import Grid

Weight = Union[float, "Tensor"]
Scale = Weight | Callable[[float], Weight]


def interval(scale: Scale, low: float, high: float) -> Callable[[float], Weight]:
    """w(σ) = scale for low < σ <= high, else 1: cond alone.     Kynkäänniemi et al. 2024, Eq. 6."""
    if not 0 <= low < high:
        raise ValueError(
            f"an interval needs 0 <= low < high, but got low = {low!r}, high = {high!r}."
        )

    def weight(sigma: float) -> Weight:
        if not low < sigma <= high:
            return 1.0
        return scale(sigma) if callable(scale) else scale

    return weight


def cfgpp(grid: Grid, lam: float) -> Callable[[float], float]:
    """w(s) = λ s/(s - t), t the level after s:  Euler is then x_t = x₀_u + λ (x₀_c - x₀_u) + t ε_u.   CFG++.

    Chung et al. 2024, Algorithm 2, 0 <= λ <= 1: renoise with ε_u. For Euler() on this grid. w grows as the
    steps shrink, so with more steps the samples tend to no ODE's; in the step to 0, w = λ.
    """
    if not 0 <= lam <= 1:
        raise ValueError(f"CFG++ interpolates, 0 <= lam <= 1, but got lam = {lam!r}.")
    return lambda sigma: lam * grid.gain(sigma)


def check_weight(w: object) -> None:
    """Raise unless w is a finite number (ValueError) or has one dimension (StateError)."""
    import torch

    if isinstance(w, torch.Tensor):
        if w.ndim != 1:
            raise StateError(
                f"a scale for each sample has shape (B,), but is {tuple(w.shape)}. Give a number for all."
            )
    elif not isinstance(w, int | float) or not math.isfinite(w):
        raise ValueError(f"a guidance scale is a finite number, but got {w!r}.")


def weight_at(scale: Scale, x: Tensor, sigma: float) -> Weight:
    """The scale at σ: a float, or a tensor that broadcasts over x."""
    import torch

    w = scale(sigma) if callable(scale) else scale
    if callable(scale):
        check_weight(w)
    if not isinstance(w, torch.Tensor):
        return float(w)
    if len(w) != len(x) or w.device != x.device:
        raise StateError(
            f"the guidance scale has {len(w)} values on {w.device}, but there are {len(x)} samples on "
            f"{x.device}: give one for each, there."
        )
    return w.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
