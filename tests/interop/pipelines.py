"""A small model, and diffusers or a reason to skip."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from flowsolve import Solver
from flowsolve.interop.diffusers.scheduler import as_scheduler

diffusers = pytest.importorskip(
    "diffusers", reason="diffusers is not installed: make parity, or pip install flowsolve[parity]"
)
CLOSE = 1e-5


@cache
def unet() -> Any:
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=8, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), attention_head_dim=4,
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    ).eval()  # fmt: skip


def made(solver: Solver, name: str, config: dict[str, Any]) -> Any:
    return as_scheduler(solver, getattr(diffusers, name)(**config))
