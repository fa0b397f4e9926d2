"""Pipelines as they are, each with its scheduler, the arguments of its call, and its scheduler's method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from PIL import Image

from flowsolve import Solver
from flowsolve_solvers import DDPM, DPMSolverPP2M, Euler
from tests.parity import tiny
from tests.parity.pipelines import SD15, diffusers
from tests.parity.tiny import words


class Case(NamedTuple):
    """A pipeline, its scheduler, the arguments of its call, and the solver that is its scheduler's method."""

    make: Callable[[Any], Any]
    scheduler: Callable[[], Any]
    call: dict[str, Any]
    output: str = "images"
    solver: Solver = Euler()
    kind: str = "latent"  # of what comes out


def flow(**options: Any) -> Callable[[], Any]:
    return lambda: diffusers.FlowMatchEulerDiscreteScheduler(**options)


TWO = {"prompt_embeds": words(1, 5, 8), "negative_prompt_embeds": words(1, 5, 8, seed=6)}
SEEN = {
    "prompt_attention_mask": torch.ones(1, 5),
    "negative_prompt_attention_mask": torch.ones(1, 5),
}
POOLED = {
    "pooled_prompt_embeds": words(1, 8),
    "negative_pooled_prompt_embeds": words(1, 8, seed=6),
}
CASES = {
    "Wan 2.2": Case(tiny.wan, flow(shift=3.0), {**TWO, "height": 32, "width": 32, "num_frames": 5}, "frames"),
    "Stable Diffusion 3": Case(tiny.sd3, flow(shift=3.0), {**TWO, **POOLED, "height": 64, "width": 64}),
    "Flux": Case(
        tiny.flux, flow(use_dynamic_shifting=True),
        {"prompt_embeds": words(1, 5, 8), "pooled_prompt_embeds": words(1, 8), "height": 64, "width": 64},
    ),
    "LTX": Case(
        tiny.ltx, flow(use_dynamic_shifting=True, shift_terminal=0.1, base_shift=0.95, max_shift=2.05),
        {**TWO, **SEEN, "height": 64, "width": 64, "num_frames": 9}, "frames",
    ),
    "Sana": Case(
        tiny.sana, flow(shift=3.0),
        {**TWO, **SEEN, "negative_prompt": None, "height": 128, "width": 128,
         "use_resolution_binning": False},
    ),
    "AuraFlow": Case(tiny.aura, flow(shift=1.73), {**TWO, **SEEN, "height": 32, "width": 32}),
    "CogVideoX": Case(
        tiny.cogvideox, lambda: diffusers.CogVideoXDDIMScheduler(prediction_type="v_prediction"),
        {**TWO, "height": 32, "width": 32, "num_frames": 5}, "frames",
    ),
    "PixArt": Case(
        tiny.pixart, lambda: diffusers.DDIMScheduler(**SD15, clip_sample=False),
        {**TWO, **SEEN, "negative_prompt": None, "height": 64, "width": 64, "use_resolution_binning": False},
    ),
    "Stable Diffusion XL": Case(
        tiny.sdxl, lambda: diffusers.EulerDiscreteScheduler(**SD15),
        {**TWO, **POOLED, "height": 64, "width": 64},
    ),
    "DDPM": Case(tiny.ddpm, lambda: diffusers.DDPMScheduler(clip_sample=False), {"batch_size": 2},
                 solver=DDPM(), kind="np"),
    "DDIM": Case(tiny.ddim, lambda: diffusers.DDIMScheduler(clip_sample=False), {"batch_size": 2}, kind="np"),
    "Stable Diffusion": Case(
        tiny.stable_diffusion, lambda: diffusers.DDIMScheduler(**SD15, clip_sample=False),
        {**TWO, "height": 16, "width": 16},
    ),
    "Stable Diffusion, image to image": Case(
        tiny.image_to_image, lambda: diffusers.DDIMScheduler(**SD15, clip_sample=False),
        {**TWO, "image": words(1, 3, 16, 16).sigmoid(), "strength": 0.7},
    ),
    "Stable Diffusion, inpainting": Case(
        tiny.inpainting, lambda: diffusers.DDIMScheduler(**SD15, clip_sample=False),
        {**TWO, "image": words(1, 3, 16, 16).sigmoid(), "height": 16, "width": 16,
         "mask_image": (torch.arange(16) < 8).float().expand(1, 1, 16, 16)},
    ),
    "Stable Video Diffusion": Case(
        tiny.video,
        lambda: diffusers.EulerDiscreteScheduler(
            use_karras_sigmas=True, sigma_min=0.002, sigma_max=700.0, timestep_type="continuous",
            prediction_type="v_prediction",
        ),
        {"image": Image.new("RGB", (16, 16), (200, 90, 30)), "height": 16, "width": 16, "num_frames": 2},
        "frames",
    ),
    "IF": Case(
        tiny.deep_floyd,
        lambda: diffusers.DPMSolverMultistepScheduler(
            **SD15, variance_type="learned_range", lower_order_final=False
        ),
        {**TWO, "height": 8, "width": 8}, "images", DPMSolverPP2M(guard=None), "pt",
    ),
}  # fmt: skip
