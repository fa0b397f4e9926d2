"""A small model of diffusers, its schedulers' configs, and the loop of a pipeline."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve import Solver
from flowsolve_solvers import (
    LMS,
    PLMS,
    DPMSolver2,
    Euler,
    Heun,
    PublishedDPMSolver,
    UniPC,
)

diffusers = pytest.importorskip(
    "diffusers", reason="diffusers is not installed: make parity, or pip install flowsolve[parity]"
)
worst: dict[str, float] = {}
SD15 = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
SD21 = {**SD15, "prediction_type": "v_prediction"}
NOISE = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))


def unet(kind: str = "UNet2DModel", **more: Any) -> Any:
    torch.manual_seed(0)
    blocks = {
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    }
    options = {
        "sample_size": 8,
        "in_channels": 3,
        "out_channels": 3,
        "layers_per_block": 1,
        "block_out_channels": (8, 16),
        "norm_num_groups": 4,
        "attention_head_dim": 8,
        **(blocks if kind == "UNet2DModel" else {}),
        **more,
    }
    return getattr(diffusers, kind)(**options).eval()


def theirs(
    scheduler: Any, n: int, model: Any, label: float = 1.0, noise: Tensor = NOISE, **given: Any
) -> Tensor:
    """The loop of a pipeline."""
    mu, generator = given.pop("mu", None), given.pop("generator", None)
    drawn = {} if generator is None else {"generator": generator}
    scheduler.set_timesteps(n, **({} if mu is None else {"mu": mu}))
    x = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    with torch.no_grad():
        for t in scheduler.timesteps:
            inside = (
                scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
            )
            answer = model(inside, timestep=(t * label).expand(len(x)), return_dict=False, **given)[
                0
            ]
            x = scheduler.step(answer, t, x, return_dict=False, **drawn)[0]
    return x


def difference(mine: Tensor, peer: Tensor, title: str) -> float:
    value = float((mine - peer).abs().max() / peer.abs().max())
    worst[title] = max(worst.get(title, 0.0), value)
    return value


def published(n: int) -> Solver:
    return PublishedDPMSolver(2, fs.DATA, lower_order_final=n < 15)


SOLVERS: dict[str, Solver] = {
    "DDIMScheduler": Euler(),
    "PNDMScheduler": PLMS(guard=None),
    "DPMSolverMultistepScheduler": published(20),
    "UniPCMultistepScheduler": UniPC(2, variant="bh2", lower_order_final=True, guard=None),
    "HeunDiscreteScheduler": Heun(),
    "EulerDiscreteScheduler": Euler(),
    "LMSDiscreteScheduler": LMS(4, guard=None),
    "KDPM2DiscreteScheduler": DPMSolver2(),
}
flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}
shift3 = {"shift": 3.0}
v = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
