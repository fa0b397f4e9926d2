"""Bits per dimension of data on whole levels, such as 256 of 8 bits, from the density of a continuous model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flowsolve._arguments import shown, whole
from flowsolve.errors import StateError
from flowsolve.integrate.driver import check_state
from flowsolve.ode.noise import check_event, check_seeds

if TYPE_CHECKING:
    from torch import Tensor


def dequantise(x: Tensor, levels: int, seeds: Iterable[int]) -> Tensor:
    """y = x + Δ (u - ½),  u uniform on [0, 1),  Δ = 2/(levels - 1).    Theis et al. 2016, Section 3.1.

    x       data on the levels -1, -1 + Δ, ..., 1, (B, *event): k/127.5 - 1 of 256 levels, k/8 - 1 of 17
    seeds   one for each sample, of its u

    Raises StateError for values that lie on no level, and ValueError for fewer than 2 levels.
    """
    import torch

    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        raise StateError(f"dequantise takes a floating tensor, not {shown(x)}.")
    delta = _delta(levels)
    k = (x + 1) / delta
    off = (k - k.round().clamp(0, levels - 1)).abs().max()
    if not bool(off < 1e-2):
        raise StateError(
            f"dequantise needs values on {levels} levels from -1 to 1, but one is {float(off):.3g} "
            f"of their distance away. Whole numbers k become 2 k/{levels - 1} - 1."
        )
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in check_seeds(seeds)]
    draws = [
        torch.rand(x.shape[1:], dtype=torch.float64, generator=g, device="cpu") for g in generators
    ]
    if len(draws) != len(x):
        raise StateError(f"there are {len(draws)} seeds for {len(x)} samples: give one for each.")
    return x.add(torch.stack(draws).to(x).sub(0.5), alpha=delta)


def bits_per_dim(log_p: Tensor, event: Sequence[int], levels: int) -> Tensor:
    """-(log p(y)/d + log Δ)/log 2,  y = dequantise(x), (B,): at least -log₂P(x)/d in the mean over u.

    Jensen's inequality: log P(x) = log ∫ p(y) dy over the cell of x, of volume Δ^d, >= E log p(y) + d log Δ.
    A standard error of log p becomes one of bits by the factor 1/(d log 2).
    """
    check_state(log_p, "log_p")
    d = math.prod(check_event(event))
    return -(log_p / d + math.log(_delta(levels))) / math.log(2)


def _delta(levels: int) -> float:
    if whole("levels", levels) < 2:
        raise ValueError(f"levels must be at least 2, such as 256 of 8 bits, but is {levels!r}.")
    return 2 / (levels - 1)
