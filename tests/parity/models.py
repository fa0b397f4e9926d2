"""Tiny models of diffusers' classes, called as their pipelines call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

import flowsolve as fs
from flowsolve.interop.diffusers import from_diffusers, read_config
from flowsolve.interop.diffusers.model import Imported
from tests.parity.pipelines import SD15, diffusers

TEXT = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(5))
SEEN = torch.ones(2, 5)


class Model(NamedTuple):
    """options and inputs of a class; label and sign as in the loop of its pipeline."""

    name: str
    options: dict[str, Any]
    event: tuple[int, ...]
    given: dict[str, Any]
    label: Callable[[Tensor], Tensor] = lambda t: t
    sign: float = 1.0
    flow: bool = True
    shared: dict[str, Any] = {}  # noqa: RUF012
    learned_variance: bool = False
    frames: int = 1


SMALL = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1}
MODELS = [
    Model("WanTransformer3DModel",
          {**SMALL, "in_channels": 4, "out_channels": 4, "text_dim": 8, "freq_dim": 8, "ffn_dim": 16},
          (4, 2, 4, 4), {"encoder_hidden_states": TEXT}),
    Model("LTXVideoTransformer3DModel",
          {**SMALL, "in_channels": 4, "out_channels": 4, "cross_attention_dim": 16, "caption_channels": 8},
          (8, 4), {"encoder_hidden_states": TEXT, "encoder_attention_mask": SEEN},
          shared={"num_frames": 2, "height": 2, "width": 2}),
    Model("SanaTransformer2DModel",
          {**SMALL, "in_channels": 4, "out_channels": 4, "num_cross_attention_heads": 2,
           "cross_attention_head_dim": 8, "cross_attention_dim": 16, "caption_channels": 8,
           "sample_size": 4, "timestep_scale": 0.01},
          (4, 4, 4), {"encoder_hidden_states": TEXT, "encoder_attention_mask": SEEN}, lambda t: t * 0.01),
    Model("HunyuanVideoTransformer3DModel",
          {**SMALL, "in_channels": 4, "out_channels": 4, "num_single_layers": 1, "num_refiner_layers": 1,
           "text_embed_dim": 8, "pooled_projection_dim": 8, "rope_axes_dim": (2, 2, 4),
           "guidance_embeds": False},
          (4, 2, 4, 4), {"encoder_hidden_states": TEXT, "encoder_attention_mask": SEEN,
                         "pooled_projections": TEXT[:, 0]}),
    Model("AuraFlowTransformer2DModel",
          {"sample_size": 4, "num_mmdit_layers": 1, "num_single_dit_layers": 1, "attention_head_dim": 8,
           "num_attention_heads": 2, "joint_attention_dim": 8, "caption_projection_dim": 16,
           "pos_embed_max_size": 16},
          (4, 4, 4), {"encoder_hidden_states": TEXT}, lambda t: t / 1000),
    Model("Lumina2Transformer2DModel",
          {"sample_size": 4, "in_channels": 4, "hidden_size": 24, "num_layers": 1, "num_refiner_layers": 1,
           "num_attention_heads": 2, "num_kv_heads": 1, "multiple_of": 8, "axes_dim_rope": (4, 4, 4),
           "axes_lens": (20, 20, 20), "cap_feat_dim": 8},
          (4, 4, 4), {"encoder_hidden_states": TEXT, "encoder_attention_mask": SEEN.bool()},
          lambda t: 1 - t / 1000, -1.0),
    Model("CogVideoXTransformer3DModel",
          {**SMALL, "in_channels": 4, "out_channels": 4, "time_embed_dim": 4, "text_embed_dim": 8,
           "sample_width": 4, "sample_height": 4, "sample_frames": 5, "max_text_seq_length": 5},
          (2, 4, 4, 4), {"encoder_hidden_states": TEXT}, flow=False),
    Model("PixArtTransformer2DModel",
          {**SMALL, "in_channels": 4, "out_channels": 8, "cross_attention_dim": 16, "sample_size": 4,
           "caption_channels": 8, "use_additional_conditions": False},
          (4, 4, 4), {"encoder_hidden_states": TEXT}, flow=False, learned_variance=True,
          shared={"added_cond_kwargs": {"resolution": None, "aspect_ratio": None}}),
    Model("UNetMotionModel",
          {"in_channels": 4, "out_channels": 4, "norm_num_groups": 4, "cross_attention_dim": 8,
           "down_block_types": ("CrossAttnDownBlockMotion", "DownBlockMotion"),
           "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion"), "block_out_channels": (8, 16),
           "num_attention_heads": 2, "motion_num_attention_heads": 2, "layers_per_block": 1},
          (4, 2, 4, 4), {"encoder_hidden_states": TEXT}, flow=False, frames=2),
]  # fmt: skip
NOISE = {m.event: fs.unit_noise(range(2), m.event) for m in MODELS}


def made(m: Model) -> Any:
    torch.manual_seed(0)
    model = getattr(diffusers, m.name)(**m.options).eval()
    for name, p in model.named_parameters():  # outer layers may begin at zero
        if not p.abs().any() or "proj_out" in name:
            torch.nn.init.normal_(p, std=0.1)
    return model


def scheduler_of(m: Model) -> Any:
    """A flow's with its shift, or Stable Diffusion's table with v."""
    if m.flow:
        return diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    return diffusers.DDIMScheduler(**SD15, clip_sample=False, prediction_type="v_prediction")


def their_loop(m: Model, model: Any, n: int) -> Tensor:
    """As the pipeline of this class has it."""
    scheduler, x = scheduler_of(m), NOISE[m.event]
    scheduler.set_timesteps(n)
    given = {**m.given, "encoder_hidden_states": TEXT.repeat_interleave(m.frames, 0)}
    with torch.no_grad():
        for t in scheduler.timesteps:
            label = m.label(t.expand(2))
            out = model(x, timestep=label, return_dict=False, **given, **m.shared)[0]
            x = scheduler.step(m.sign * out[:, : x.shape[1]], t, x, return_dict=False)[0]
    return x


def ours(m: Model, model: Any, **options: Any) -> Imported:
    """The same, read."""
    reading = read_config(scheduler_of(m), as_shipped=True)
    more = {"condition": m.given, "shared": m.shared, "learned_variance": m.learned_variance}
    return from_diffusers(model, reading, **more, **options)
