"""Pipelines of diffusers from tiny random parts. Texts come as embeddings: no tokenizer or text encoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.parity.pipelines import diffusers, unet

SMALL = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1}


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


def picture_vae() -> Any:
    return model(
        "AutoencoderKL", block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip


def stable_diffusion(scheduler: Any, kind: str = "", **channels: int) -> Any:
    net = text_unet(block_out_channels=(8, 8), **channels)
    return getattr(diffusers, f"StableDiffusion{kind}Pipeline")(
        picture_vae(), None, None, net, scheduler, None, None, requires_safety_checker=False
    )


def image_to_image(scheduler: Any) -> Any:
    return stable_diffusion(scheduler, "Img2Img")


def inpainting(scheduler: Any) -> Any:
    """Stable Diffusion's network of nine channels: the state, the mask, the masked picture."""
    return stable_diffusion(scheduler, "Inpaint", in_channels=9, out_channels=4)


def ddpm(scheduler: Any) -> Any:
    return diffusers.DDPMPipeline(unet(), scheduler)


def ddim(scheduler: Any) -> Any:
    """It makes a DDIMScheduler of whatever it is given."""
    pipe = diffusers.DDIMPipeline(unet(), scheduler)
    pipe.scheduler = scheduler
    return pipe


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
