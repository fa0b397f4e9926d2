"""Pipelines of diffusers as they are, from tiny random parts: their own scheduler, and solvers in its place.

Texts come as embeddings and latents go out, so that no tokenizer, text encoder or VAE is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from PIL import Image
from torch import Tensor

import flowsolve as fs
from flowsolve import Solver
from flowsolve_solvers import DPMSolverPP2M, Euler, UniPC
from tests.parity.pipelines import SD15, difference, diffusers

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
SMALL = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1}
STEPS = 6


def words(*shape: int, seed: int = 5) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def model(name: str, seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    made = getattr(diffusers, name)(**options).eval()
    for p in made.parameters():  # outer layers may begin at zero
        if not p.abs().any():
            torch.nn.init.normal_(p, std=0.1)
    return made


def wan(scheduler: Any) -> Any:
    """Two experts by timestep, as Wan 2.2."""
    options = {
        **SMALL,
        "in_channels": 4,
        "out_channels": 4,
        "text_dim": 8,
        "freq_dim": 8,
        "ffn_dim": 16,
    }
    return diffusers.WanPipeline(
        None, None, None, scheduler, model("WanTransformer3DModel", **options),
        model("WanTransformer3DModel", 1, **options), boundary_ratio=0.7,
    )  # fmt: skip


def sd3(scheduler: Any) -> Any:
    transformer = model(
        "SD3Transformer2DModel", sample_size=8, patch_size=2, in_channels=4, num_layers=1,
        attention_head_dim=8, num_attention_heads=2, joint_attention_dim=8, caption_projection_dim=16,
        pooled_projection_dim=8, out_channels=4, pos_embed_max_size=8,
    )  # fmt: skip
    return diffusers.StableDiffusion3Pipeline(
        transformer, scheduler, None, None, None, None, None, None, None
    )


def flux(scheduler: Any) -> Any:
    transformer = model(
        "FluxTransformer2DModel", patch_size=1, in_channels=16, num_layers=1, num_single_layers=1,
        attention_head_dim=16, num_attention_heads=2, joint_attention_dim=8, pooled_projection_dim=8,
        axes_dims_rope=(4, 4, 8), guidance_embeds=True,
    )  # fmt: skip
    return diffusers.FluxPipeline(scheduler, None, None, None, None, None, transformer)


def ltx(scheduler: Any) -> Any:
    transformer = model(
        "LTXVideoTransformer3DModel", **SMALL, in_channels=4, out_channels=4, cross_attention_dim=16,
        caption_channels=8,
    )  # fmt: skip
    return diffusers.LTXPipeline(scheduler, None, None, None, transformer)


def sana(scheduler: Any) -> Any:
    transformer = model(
        "SanaTransformer2DModel", **SMALL, in_channels=4, out_channels=4, num_cross_attention_heads=2,
        cross_attention_head_dim=8, cross_attention_dim=16, caption_channels=8, sample_size=4,
    )  # fmt: skip
    return diffusers.SanaPipeline(None, None, None, transformer, scheduler)


def aura(scheduler: Any) -> Any:
    transformer = model(
        "AuraFlowTransformer2DModel", sample_size=4, num_mmdit_layers=1, num_single_dit_layers=1,
        attention_head_dim=8, num_attention_heads=2, joint_attention_dim=8, caption_projection_dim=16,
        pos_embed_max_size=16,
    )  # fmt: skip
    return diffusers.AuraFlowPipeline(None, None, None, transformer, scheduler)


def cogvideox(scheduler: Any) -> Any:
    transformer = model(
        "CogVideoXTransformer3DModel", **SMALL, in_channels=4, out_channels=4, time_embed_dim=4,
        text_embed_dim=8, sample_width=4, sample_height=4, sample_frames=5, max_text_seq_length=5,
    )  # fmt: skip
    return diffusers.CogVideoXPipeline(None, None, None, transformer, scheduler)


def text_unet(**more: Any) -> Any:
    """A U-Net that is given a text, as Stable Diffusion's."""
    usual = {"block_out_channels": (8, 16), "attention_head_dim": 4}
    return model(
        "UNet2DConditionModel", **usual | more, sample_size=8, layers_per_block=1, norm_num_groups=4,
        cross_attention_dim=8, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip


def deep_floyd(scheduler: Any) -> Any:
    """IF: pixels, and a variance of its own beside ε."""
    net = text_unet(in_channels=3, out_channels=6)
    return diffusers.IFPipeline(
        None, None, net, scheduler, None, None, None, requires_safety_checker=False
    )


def pixart(scheduler: Any) -> Any:
    transformer = model(
        "PixArtTransformer2DModel", **SMALL, in_channels=4, out_channels=8, cross_attention_dim=16,
        sample_size=8, caption_channels=8,
    )  # fmt: skip
    return diffusers.PixArtAlphaPipeline(None, None, None, transformer, scheduler)


def sdxl(scheduler: Any) -> Any:
    net = text_unet(
        attention_head_dim=2, addition_embed_type="text_time", addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=32,
    )  # fmt: skip
    return diffusers.StableDiffusionXLPipeline(
        None, None, None, None, None, net, scheduler, add_watermarker=False
    )


def inpainting(scheduler: Any) -> Any:
    """Stable Diffusion's network of nine channels: the state, the mask, the masked picture."""
    net = text_unet(block_out_channels=(8, 8), in_channels=9, out_channels=4)
    vae = model(
        "AutoencoderKL", block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    return diffusers.StableDiffusionInpaintPipeline(
        vae, None, None, net, scheduler, None, None, requires_safety_checker=False
    )


def video(scheduler: Any) -> Any:
    """Stable Video Diffusion: v at the label ln(σ)/4, a picture beside the state, a scale for each frame."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    seen = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_attention_heads=2, num_hidden_layers=1, image_size=224,
        patch_size=112, projection_dim=8,
    )  # fmt: skip
    net = model(
        "UNetSpatioTemporalConditionModel", sample_size=8, in_channels=8, out_channels=4,
        block_out_channels=(32, 32), layers_per_block=1, num_attention_heads=(2, 2), cross_attention_dim=8,
        addition_time_embed_dim=8, projection_class_embeddings_input_dim=24,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    )  # fmt: skip
    vae = model(
        "AutoencoderKLTemporalDecoder", block_out_channels=(32, 32), latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
    )  # fmt: skip
    encoder = transformers.CLIPVisionModelWithProjection(seen).eval()
    processor = transformers.CLIPImageProcessor()
    return diffusers.StableVideoDiffusionPipeline(vae, encoder, net, scheduler, processor)


class Case(NamedTuple):
    """A pipeline, its scheduler, the arguments of its call, and the solver that is its scheduler's method."""

    make: Callable[[Any], Any]
    scheduler: Callable[[], Any]
    call: dict[str, Any]
    output: str = "images"
    solver: Solver = Euler()


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
    "Wan 2.2": Case(wan, flow(shift=3.0), {**TWO, "height": 32, "width": 32, "num_frames": 5}, "frames"),
    "Stable Diffusion 3": Case(sd3, flow(shift=3.0), {**TWO, **POOLED, "height": 64, "width": 64}),
    "Flux": Case(
        flux, flow(use_dynamic_shifting=True),
        {"prompt_embeds": words(1, 5, 8), "pooled_prompt_embeds": words(1, 8), "height": 64, "width": 64},
    ),
    "LTX": Case(
        ltx, flow(use_dynamic_shifting=True, shift_terminal=0.1, base_shift=0.95, max_shift=2.05),
        {**TWO, **SEEN, "height": 64, "width": 64, "num_frames": 9}, "frames",
    ),
    "Sana": Case(
        sana, flow(shift=3.0),
        {**TWO, **SEEN, "negative_prompt": None, "height": 128, "width": 128,
         "use_resolution_binning": False},
    ),
    "AuraFlow": Case(aura, flow(shift=1.73), {**TWO, **SEEN, "height": 32, "width": 32}),
    "CogVideoX": Case(
        cogvideox, lambda: diffusers.CogVideoXDDIMScheduler(prediction_type="v_prediction"),
        {**TWO, "height": 32, "width": 32, "num_frames": 5}, "frames",
    ),
    "PixArt": Case(
        pixart, lambda: diffusers.DDIMScheduler(**SD15, clip_sample=False),
        {**TWO, **SEEN, "negative_prompt": None, "height": 64, "width": 64, "use_resolution_binning": False},
    ),
    "Stable Diffusion XL": Case(
        sdxl, lambda: diffusers.EulerDiscreteScheduler(**SD15), {**TWO, **POOLED, "height": 64, "width": 64},
    ),
    "Stable Diffusion, inpainting": Case(
        inpainting, lambda: diffusers.DDIMScheduler(**SD15, clip_sample=False),
        {**TWO, "image": words(1, 3, 16, 16).sigmoid(), "height": 16, "width": 16,
         "mask_image": (torch.arange(16) < 8).float().expand(1, 1, 16, 16)},
    ),
    "Stable Video Diffusion": Case(
        video,
        lambda: diffusers.EulerDiscreteScheduler(
            use_karras_sigmas=True, sigma_min=0.002, sigma_max=700.0, timestep_type="continuous",
            prediction_type="v_prediction",
        ),
        {"image": Image.new("RGB", (16, 16), (200, 90, 30)), "height": 16, "width": 16, "num_frames": 2},
        "frames",
    ),
    "IF": Case(
        deep_floyd,
        lambda: diffusers.DPMSolverMultistepScheduler(
            **SD15, variance_type="learned_range", lower_order_final=False
        ),
        {**TWO, "height": 8, "width": 8}, "images", DPMSolverPP2M(guard=None),
    ),
}  # fmt: skip


def run(case: Case, pipe: Any) -> Tensor:
    pipe.set_progress_bar_config(disable=True)
    kind = "pt" if case.make is deep_floyd else "latent"
    generator = torch.Generator().manual_seed(0)
    out = pipe(**case.call, num_inference_steps=STEPS, generator=generator, output_type=kind)
    found: Tensor = getattr(out, case.output)
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_pipeline_as_it_is(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    scheduler = case.scheduler()
    want = run(case, case.make(scheduler))
    mine = run(case, case.make(fs.as_scheduler(case.solver, scheduler, as_shipped=True)))
    assert difference(mine, want, f"{name}, unmodified") < 1e-5
    others = []
    for solver in (DPMSolverPP2M(), UniPC(3)):
        pipe = case.make(fs.as_scheduler(solver, scheduler))
        others.append(run(case, pipe))
        assert others[-1].isfinite().all()
    assert max(difference(other, want, "") for other in others) > 1e-4
    pipe.scheduler.save_pretrained(tmp_path)
    again = type(pipe.scheduler).from_pretrained(tmp_path)
    assert again.solver == UniPC(3)
    assert torch.equal(run(case, case.make(again)), others[-1])
