"""Noise by seed: sample i is the same whatever the batch, the dtype or the device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def unit_noise(
    seeds: Iterable[int],
    event: tuple[int, ...],
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """N(0, I) of shape (len(seeds), *event), each sample from its own seed.

    Drawn in float64 on the CPU and then cast, so float32 and float64 runs start at the same place.
    """
    import torch

    draws = [
        torch.randn(event, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        for seed in seeds
    ]
    return torch.stack(draws).to(device, dtype or torch.get_default_dtype())
