"""Solvers in diffusers' own pipelines, beside diffusers' own schedulers.

The Stable Diffusion pipelines need transformers too.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import Clip, Solver
from flowsolve.errors import StateError
from flowsolve.interop.diffusers.scheduler import as_scheduler
from flowsolve_solvers import (
    DDIM,
    LMS,
    PLMS,
    DDIMEta,
    DPMSolverPP2M,
    Euler,
    Heun,
    UniPC,
)
from tests.interop.pipelines import CLOSE, diffusers, unet

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # theirs, of many kinds
]
SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
ONE = {**SD, "steps_offset": 1}


@cache
def double_unet() -> Any:
    return deepcopy(unet()).double()


def ddim_pipeline(scheduler: Any, n: int = 10, net: Any = None, **options: Any) -> Tensor:
    pipe = diffusers.DDIMPipeline(net or unet(), diffusers.DDIMScheduler())
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = scheduler
    generator = torch.Generator().manual_seed(0)
    made = pipe(
        batch_size=2, generator=generator, num_inference_steps=n, output_type="np", **options
    )
    return torch.from_numpy(made.images)


@pytest.mark.parametrize("n", [1, 4, 10])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"set_alpha_to_one": False, "steps_offset": 1},
        {"timestep_spacing": "trailing"},
        {"prediction_type": "v_prediction", "beta_schedule": "scaled_linear"},
        {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
    ],
    ids=str,
)  # fmt: skip
def test_ddim_pipeline(config: dict[str, Any], n: int) -> None:
    theirs = diffusers.DDIMScheduler(clip_sample=False, **config)
    expected = ddim_pipeline(theirs, n)
    torch.testing.assert_close(
        ddim_pipeline(as_scheduler(DDIM(), theirs), n), expected, rtol=0, atol=CLOSE
    )


@pytest.mark.parametrize("used", [None, False, True])
def test_clip_sample_is_theirs(used: bool | None) -> None:
    """Their default clips x₀ and keeps ε, which is no ODE: it needs to know the step that it is for."""
    theirs = diffusers.DDIMScheduler()
    mine = as_scheduler(DDIM(), theirs)
    images = [ddim_pipeline(s, use_clipped_model_output=used) for s in (mine, theirs)]
    # before it is clipped x₀ is hundreds large here, and float32 knows it to 1e-5
    torch.testing.assert_close(*images, rtol=0, atol=3 * CLOSE)
    far = ddim_pipeline(as_scheduler(DDIM(), theirs, wrap=lambda ode: ode))
    assert (far - images[1]).abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clip_sample": False},
        {"clip_sample_range": 0.5},
        {"thresholding": True, "sample_max_value": 1.5},
        {"set_alpha_to_one": False, "steps_offset": 1},
        {"timestep_spacing": "trailing"},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"prediction_type": "v_prediction"},
        {"prediction_type": "sample"},
        {
            "prediction_type": "v_prediction",
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
        },
    ],
    ids=lambda options: ", ".join(map(str, options.values())) or "default",
)
def test_ddim_in_ddim_s_place(options: dict[str, Any], dtype: torch.dtype) -> None:
    """Every kind of DDIM config but linspace, whose DDIM steps to labels that are not the next ones.

    In float32 x₀ is known to 1e-5 alone where it is hundreds large before it is clipped.
    """
    theirs = diffusers.DDIMScheduler(**options)
    net = unet() if dtype == torch.float32 else double_unet()
    images = [ddim_pipeline(s, net=net) for s in (as_scheduler(DDIM(), theirs), theirs)]
    atol = CLOSE if dtype == torch.float64 else 3 * CLOSE
    torch.testing.assert_close(*images, rtol=0, atol=atol)


def test_clip_sample_of_another_method_changes_eps_too() -> None:
    theirs = diffusers.DDIMScheduler()
    mine = ddim_pipeline(as_scheduler(DPMSolverPP2M(), theirs))
    same = ddim_pipeline(as_scheduler(DPMSolverPP2M(), theirs, wrap=Clip))
    torch.testing.assert_close(mine, same, rtol=0, atol=CLOSE)


def test_eta() -> None:
    """The same noise from the same generator, DDPM's too."""
    theirs = diffusers.DDIMScheduler(clip_sample=False)
    for eta in (0.5, 1.0):
        mine = ddim_pipeline(as_scheduler(DDIMEta(eta), theirs), eta=eta)
        torch.testing.assert_close(mine, ddim_pipeline(theirs, eta=eta), rtol=0, atol=CLOSE)
    with pytest.raises(StateError, match=r"eta = 0.5 is not Euler\(\)'s"):
        ddim_pipeline(as_scheduler(DDIM(), theirs), eta=0.5)


@cache
def parts() -> dict[str, Any]:
    transformers = pytest.importorskip(
        "transformers", reason="Stable Diffusion's pipelines need transformers"
    )
    torch.manual_seed(0)
    text = transformers.CLIPTextConfig(
        hidden_size=16, intermediate_size=16, num_attention_heads=2, num_hidden_layers=1,
        vocab_size=100, projection_dim=16,
    )  # fmt: skip
    return {
        "unet": diffusers.UNet2DConditionModel(
            sample_size=8, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
            cross_attention_dim=16, attention_head_dim=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        ).eval(),
        "vae": diffusers.AutoencoderKL(
            block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        ).eval(),
        "text_encoder": transformers.CLIPTextModel(text).eval(),
        "tokenizer": None, "safety_checker": None, "feature_extractor": None,
    }  # fmt: skip


def stable_diffusion(scheduler: Any, kind: str = "", n: int = 10, **options: Any) -> Tensor:
    pipe = getattr(diffusers, f"StableDiffusion{kind}Pipeline")(
        **parts(), scheduler=scheduler, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    words = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(1))
    if kind == "Img2Img":
        options["image"] = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    images = pipe(
        prompt_embeds=words[:1], negative_prompt_embeds=words[1:], num_inference_steps=n,
        generator=torch.Generator().manual_seed(0), output_type="np", **options,
    ).images  # fmt: skip
    return torch.from_numpy(images)


TRAILING = {**SD, "timestep_spacing": "trailing"}
PAIRS = [
    ("DDIMScheduler", {**ONE, "clip_sample": False, "set_alpha_to_one": False}, Euler()),
    ("PNDMScheduler", {**ONE, "skip_prk_steps": True}, PLMS(guard=None)),
    ("EulerDiscreteScheduler", {**ONE, "timestep_spacing": "leading"}, Euler()),
    ("EulerDiscreteScheduler", TRAILING, Euler()),
    ("HeunDiscreteScheduler", {**ONE, "timestep_spacing": "leading"}, Heun()),
    ("LMSDiscreteScheduler", TRAILING, LMS(4, guard=None)),
    ("DPMSolverMultistepScheduler", {**SD, "lower_order_final": False}, DPMSolverPP2M(guard=None)),
    ("DPMSolverMultistepScheduler", {**TRAILING, "lower_order_final": False}, DPMSolverPP2M(guard=None)),
    ("UniPCMultistepScheduler", {**SD, "lower_order_final": False, "final_sigmas_type": "sigma_min"},
     UniPC(2, variant="bh2", guard=None)),
    ("UniPCMultistepScheduler", SD, UniPC(2, variant="bh2", lower_order_final=True, guard=None)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "config", "solver"), PAIRS, ids=str)
@pytest.mark.parametrize("n", [4, 20])
def test_stable_diffusion(name: str, config: dict[str, Any], solver: Solver, n: int) -> None:
    theirs = getattr(diffusers, name)(**config)
    expected = stable_diffusion(theirs, n=n)
    mine = stable_diffusion(as_scheduler(solver, theirs), n=n)
    torch.testing.assert_close(mine, expected, rtol=0, atol=CLOSE)


NO_PAST = [pair for pair in PAIRS if pair[2] not in (PLMS(guard=None), LMS(4, guard=None))]


@pytest.mark.parametrize(("name", "config", "solver"), NO_PAST, ids=str)
def test_image_to_image(name: str, config: dict[str, Any], solver: Solver) -> None:
    theirs = getattr(diffusers, name)(**config)
    expected = stable_diffusion(theirs, "Img2Img", strength=0.6)
    mine = stable_diffusion(as_scheduler(solver, theirs), "Img2Img", strength=0.6)
    torch.testing.assert_close(mine, expected, rtol=0, atol=CLOSE)


def test_methods_that_begin_with_a_past() -> None:
    """Theirs take weights of a past that is not there; PLMS has a first step unlike the others."""
    lms = diffusers.LMSDiscreteScheduler(**TRAILING)
    mine = stable_diffusion(as_scheduler(LMS(4, guard=None), lms), "Img2Img", strength=0.6)
    assert (mine - stable_diffusion(lms, "Img2Img", strength=0.6)).abs().max() > 1e-3
    pndm = as_scheduler(PLMS(guard=None), diffusers.PNDMScheduler(**ONE, skip_prk_steps=True))
    with pytest.raises(
        StateError, match=r"PLMS\(guard=None\) cannot begin at timestep number 4 of 11"
    ):
        stable_diffusion(pndm, "Img2Img", strength=0.6)


def test_methods_make_different_images() -> None:
    """Or the agreement above would say little."""
    theirs = diffusers.DPMSolverMultistepScheduler(**SD)
    made = [stable_diffusion(as_scheduler(v, theirs)) for v in (Euler(), DPMSolverPP2M(), UniPC())]
    assert all((made[i] - made[j]).abs().max() > 100 * CLOSE for i, j in ((0, 1), (1, 2), (0, 2)))


def test_interrupted_by_a_callback() -> None:
    """The state after each evaluation is the pipeline's to read, and to stop at."""
    seen = []

    def look(pipe: Any, step: int, t: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.append((step, int(t), tensors["latents"].clone()))
        pipe._interrupt = step == 4
        return tensors

    theirs = diffusers.DDIMScheduler(**ONE, clip_sample=False)
    stable_diffusion(as_scheduler(Heun(), theirs), callback_on_step_end=look)
    assert [step for step, *_ in seen] == [0, 1, 2, 3, 4]
    assert [t for _, t, _ in seen] == [901, 801, 801, 701, 701]
