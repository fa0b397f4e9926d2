"""as_scheduler in diffusers' own pipelines, beside diffusers' own schedulers, and its scheduler tests.

The classes of tests are those of diffusers' tests/schedulers/test_schedulers.py (SchedulerCommonTest)
that apply, written anew. The Stable Diffusion pipelines need transformers too.
"""

from __future__ import annotations

import copy
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import Clip, Solver, karras, leading, linear_beta
from flowsolve.errors import NameUnknown, ScheduleError, StateError, TableError
from flowsolve.interop.diffusers.scheduler import as_scheduler
from flowsolve_solvers import (
    DDIM,
    LMS,
    PLMS,
    Adams,
    Ancestral,
    DDIMEta,
    DPMSolverPP2M,
    Euler,
    Heun,
    Scipy,
    UniPC,
)

diffusers = pytest.importorskip(
    "diffusers", reason="diffusers is not installed: make parity, or pip install flowsolve[parity]"
)

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # theirs, of many kinds
]

SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
ONE = {**SD, "steps_offset": 1}
CLOSE = 1e-5


@cache
def unet() -> Any:
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=8, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), attention_head_dim=4,
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    ).eval()  # fmt: skip


def ddim_pipeline(scheduler: Any, n: int = 10, **options: Any) -> Tensor:
    pipe = diffusers.DDIMPipeline(unet(), diffusers.DDIMScheduler())
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


def test_clip_sample_is_theirs_with_use_clipped_model_output() -> None:
    """Clipping x₀ and keeping ε, their default, is no ODE: it needs to know the step that it is for."""
    theirs = diffusers.DDIMScheduler()
    mine = ddim_pipeline(as_scheduler(DDIM(), theirs))
    clipped, default = (
        ddim_pipeline(theirs, use_clipped_model_output=use) for use in (True, False)
    )
    torch.testing.assert_close(mine, clipped, rtol=0, atol=CLOSE)
    assert (mine - default).abs().max() > 1e-3
    grid = leading(10, clock=linear_beta(between="log_sigma"))
    kept = as_scheduler(
        DDIM(), theirs, wrap=lambda ode: Clip(ode, keep_eps=grid), spacing=lambda n: grid
    )
    # what is clipped is hundreds large, and comes back by a difference
    torch.testing.assert_close(ddim_pipeline(kept), default, rtol=0, atol=10 * CLOSE)


def test_eta() -> None:
    """The same noise from the same generator, DDPM's too."""
    theirs = diffusers.DDIMScheduler(clip_sample=False)
    for eta in (0.5, 1.0):
        mine = ddim_pipeline(as_scheduler(DDIMEta(eta), theirs), eta=eta)
        torch.testing.assert_close(mine, ddim_pipeline(theirs, eta=eta), rtol=0, atol=CLOSE)
    with pytest.raises(StateError, match=r"eta = 0.5 is not Euler\(\)'s"):
        ddim_pipeline(as_scheduler(DDIM(), theirs), eta=0.5)


# ------------------------------------------------------------------------------ Stable Diffusion


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
    ("PNDMScheduler", {**ONE, "skip_prk_steps": True}, PLMS()),
    ("EulerDiscreteScheduler", {**ONE, "timestep_spacing": "leading"}, Euler()),
    ("EulerDiscreteScheduler", TRAILING, Euler()),
    ("HeunDiscreteScheduler", {**ONE, "timestep_spacing": "leading"}, Heun()),
    ("LMSDiscreteScheduler", TRAILING, LMS(4)),
    ("DPMSolverMultistepScheduler", {**SD, "lower_order_final": False}, DPMSolverPP2M()),
    ("DPMSolverMultistepScheduler", {**TRAILING, "lower_order_final": False}, DPMSolverPP2M()),
    ("UniPCMultistepScheduler", {**SD, "lower_order_final": False, "final_sigmas_type": "sigma_min"},
     UniPC(2, variant="bh2")),
    ("UniPCMultistepScheduler", SD, UniPC(2, variant="bh2", lower_order_final=True)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "config", "solver"), PAIRS, ids=str)
@pytest.mark.parametrize("n", [4, 20])
def test_stable_diffusion(name: str, config: dict[str, Any], solver: Solver, n: int) -> None:
    theirs = getattr(diffusers, name)(**config)
    expected = stable_diffusion(theirs, n=n)
    mine = stable_diffusion(as_scheduler(solver, theirs), n=n)
    torch.testing.assert_close(mine, expected, rtol=0, atol=CLOSE)


NO_PAST = [pair for pair in PAIRS if pair[2] not in (PLMS(), LMS(4))]


@pytest.mark.parametrize(("name", "config", "solver"), NO_PAST, ids=str)
def test_image_to_image(name: str, config: dict[str, Any], solver: Solver) -> None:
    theirs = getattr(diffusers, name)(**config)
    expected = stable_diffusion(theirs, "Img2Img", strength=0.6)
    mine = stable_diffusion(as_scheduler(solver, theirs), "Img2Img", strength=0.6)
    torch.testing.assert_close(mine, expected, rtol=0, atol=CLOSE)


def test_methods_that_begin_with_a_past() -> None:
    """Theirs take weights of a past that is not there; PLMS has a first step unlike the others."""
    lms = diffusers.LMSDiscreteScheduler(**TRAILING)
    mine = stable_diffusion(as_scheduler(LMS(4), lms), "Img2Img", strength=0.6)
    assert (mine - stable_diffusion(lms, "Img2Img", strength=0.6)).abs().max() > 1e-3
    pndm = as_scheduler(PLMS(), diffusers.PNDMScheduler(**ONE, skip_prk_steps=True))
    with pytest.raises(StateError, match=r"PLMS\(\) cannot begin at timestep number 4 of 11"):
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


# --------------------------------------------------------- as SchedulerCommonTest of diffusers has it

KINDS = [
    (Euler(), "DDIMScheduler", {}),
    (DPMSolverPP2M(), "DPMSolverMultistepScheduler", {"timestep_spacing": "trailing"}),
    (Heun(), "EulerDiscreteScheduler", {"timestep_spacing": "leading"}),
    (Adams(3, start=Heun()), "PNDMScheduler", {}),
    (Ancestral(), "DDPMScheduler", {"clip_sample": False}),
    (UniPC(3), "FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
]
common = pytest.mark.parametrize(("solver", "name", "config"), KINDS, ids=str)


def made(solver: Solver, name: str, config: dict[str, Any]) -> Any:
    return as_scheduler(solver, getattr(diffusers, name)(**config))


def loop(scheduler: Any, n: int = 6, **options: Any) -> Tensor:
    """A full loop with a network that any can have."""
    scheduler.set_timesteps(n)
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 3, 4, 4, generator=generator) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        answer = 0.7 * torch.tanh(scheduler.scale_model_input(x, t)) * (1 + t / 1000)
        x = scheduler.step(answer, t, x, generator=generator, **options)[0]
    return x


@common
def test_config_saved_and_loaded(solver: Solver, name: str, config: dict, tmp_path: Path) -> None:
    first = made(solver, name, config)
    first.save_pretrained(tmp_path)
    for again in (
        type(first).from_pretrained(tmp_path),
        type(first).from_config(first.config),
        as_scheduler(solver, first),
        copy.deepcopy(first),
        pickle.loads(pickle.dumps(first)),
    ):
        assert (again.solver, again.config["_flowsolve"]) == (solver, first.config["_flowsolve"])
        assert torch.equal(loop(again), loop(first))
    again = type(first).from_pretrained(tmp_path, solver=Euler(), num_train_timesteps=500)
    assert (again.solver, again.config.num_train_timesteps, len(again)) == (Euler(), 500, 500)


@common
def test_it_is_a_scheduler(solver: Solver, name: str, config: dict) -> None:
    scheduler = made(solver, name, config)
    assert isinstance(scheduler, diffusers.SchedulerMixin)
    assert isinstance(scheduler, diffusers.ConfigMixin)
    assert type(scheduler).__name__ == "FlowsolveScheduler"
    assert scheduler.config.num_train_timesteps == scheduler.config["num_train_timesteps"] == 1000
    assert diffusers.DDIMScheduler in scheduler.compatibles
    back = getattr(diffusers, name).from_config(scheduler.config)
    original = getattr(diffusers, name)(**config)
    ours = {"_flowsolve", "_use_default_values"}
    assert {k: v for k, v in back.config.items() if k not in ours} == {
        k: v for k, v in original.config.items() if k not in ours
    }
    assert torch.equal(loop(as_scheduler(solver, back)), loop(scheduler))


@common
def test_step_shape_and_outputs(solver: Solver, name: str, config: dict) -> None:
    x = torch.randn(2, 3, 4, 4)
    outs = []
    for return_dict in (True, False):
        scheduler = made(solver, name, config)
        scheduler.set_timesteps(6)
        outs.append(
            scheduler.step(
                x / 2, scheduler.timesteps[0], x, return_dict=return_dict,
                generator=torch.Generator().manual_seed(0),
            )
        )  # fmt: skip
    assert outs[0].prev_sample.shape == outs[0].pred_original_sample.shape == x.shape
    assert all(torch.equal(a, b) for a, b in zip(*outs, strict=True))
    assert torch.equal(loop(scheduler), loop(scheduler, return_dict=False))


@common
def test_timesteps_and_noise(solver: Solver, name: str, config: dict) -> None:
    scheduler = made(solver, name, config)
    scheduler.set_timesteps(20, device="cpu")
    steps = scheduler.timesteps
    assert steps.ndim == 1
    assert bool((steps.diff() <= 0).all())
    assert len(scheduler.sigmas) == len(steps) + 1
    for dtype in (torch.float32, torch.float16):
        x, z = torch.ones(2, 3, 4, 4, dtype=dtype), torch.zeros(2, 3, 4, 4, dtype=dtype)
        noisy = scheduler.add_noise(x, z, steps[-2:])
        assert (noisy.shape, noisy.dtype) == (x.shape, dtype)
        assert noisy.flatten(1)[:, 0].tolist() == sorted(noisy.flatten(1)[:, 0].tolist())


def test_add_noise_is_theirs() -> None:
    theirs = diffusers.DDIMScheduler()
    x, z = torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8)
    t = torch.tensor([0, 1, 500, 999])
    mine = as_scheduler(Euler(), theirs)
    torch.testing.assert_close(
        mine.add_noise(x, z, t), theirs.add_noise(x, z, t), rtol=0, atol=CLOSE
    )
    torch.testing.assert_close(mine.alphas_cumprod, theirs.alphas_cumprod, rtol=1e-5, atol=0)


def test_a_saved_pipeline_finds_its_scheduler(tmp_path: Path) -> None:
    theirs = diffusers.DDPMScheduler(clip_sample=False)
    pipe = diffusers.DDPMPipeline(unet(), as_scheduler(UniPC(3), theirs))
    pipe.save_pretrained(tmp_path)
    again = diffusers.DDPMPipeline.from_pretrained(tmp_path)
    assert again.scheduler.solver == UniPC(3)
    images = []
    for p in (pipe, again):
        p.set_progress_bar_config(disable=True)
        g = torch.Generator().manual_seed(0)
        images.append(p(num_inference_steps=5, generator=g, output_type="np").images)
    assert abs(images[0] - images[1]).max() < CLOSE  # their reloaded network rounds differently
    assert '"flowsolve.interop.diffusers.scheduler"' in (tmp_path / "model_index.json").read_text()


def test_two_pipelines() -> None:
    theirs = diffusers.DDIMScheduler(clip_sample=False)
    mine = as_scheduler(DPMSolverPP2M(), theirs)
    other = type(mine).from_config(mine.config)
    alone = loop(mine)
    for s in (mine, other):
        s.set_timesteps(6)
    xs = [torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(3))] * 2
    for t in mine.timesteps:
        for i, s in enumerate((mine, other)):
            answer = 0.7 * torch.tanh(xs[i]) * (1 + t / 1000)
            xs[i] = s.step(answer, t, xs[i]).prev_sample
    assert torch.equal(xs[0], alone)
    assert torch.equal(xs[1], alone)
    mine.set_timesteps(6)
    mine.step(xs[0], mine.timesteps[0], xs[0])
    with pytest.raises(StateError, match="every pipeline needs a scheduler of its own"):
        mine.step(xs[0], mine.timesteps[0], xs[0])  # the other pipeline's first


# -------------------------------------------------------------------------------------- flows


SIGMAS = [1.0, 0.8, 0.5, 0.1]


@pytest.mark.parametrize("terminal", [None, 0.05])
@pytest.mark.parametrize(
    "how", [{}, {"sigmas": SIGMAS}, {"mu": 0.9}, {"mu": 0.9, "sigmas": SIGMAS}], ids=str
)
def test_flow(how: dict[str, Any], terminal: float | None) -> None:
    """Flux's call too: sigmas and mu. By default their end is shifted twice, ours if asked."""
    config = {"use_dynamic_shifting": True} if "mu" in how else {"shift": 3.0}
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(**config, shift_terminal=terminal)
    mine = as_scheduler(Euler(), theirs, as_shipped=True)
    ends = []
    for s in (theirs, mine):
        s.set_timesteps(None if "sigmas" in how else 6, **how)
        x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(3))
        for t in s.timesteps:
            x = s.step(0.7 * torch.tanh(x) * (1 + t / 1000), t, x, return_dict=False)[0]
        ends.append(x)
    torch.testing.assert_close(mine.timesteps, theirs.timesteps, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(mine.sigmas, theirs.sigmas, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=CLOSE)
    if "mu" in how and "sigmas" not in how:
        with pytest.raises(StateError, match="set_timesteps needs mu="):
            as_scheduler(Euler(), theirs).set_timesteps(6)


# ----------------------------------------------------------------------------------- inverse


def test_inverse() -> None:
    """There and back; the labels rise, above σ = 0."""
    theirs = diffusers.DDIMScheduler(clip_sample=False)
    inverse = as_scheduler(Heun(), theirs, inverse=True)
    forward = as_scheduler(Heun(), theirs)
    x = torch.randn(2, 3, 4, 4) / 3
    inverse.set_timesteps(100)
    assert inverse.timesteps[0] == 0
    assert inverse.timesteps[-1] == 990
    y = x
    for t in inverse.timesteps:
        y = inverse.step(0.5 * torch.tanh(y), t, y).prev_sample
    forward.set_timesteps(100)
    for t in forward.timesteps:
        y = forward.step(0.5 * torch.tanh(y), t, y).prev_sample
    torch.testing.assert_close(y, x, rtol=0, atol=0.01)
    of_theirs = as_scheduler(Heun(), diffusers.DDIMInverseScheduler(clip_sample=False))
    of_theirs.set_timesteps(100)
    assert bool((of_theirs.timesteps.diff() >= 0).all())


# ----------------------------------------------------------------------------------- refusals


def test_refusals(tmp_path: Path) -> None:
    theirs = diffusers.DDIMScheduler()
    with pytest.raises(TableError, match="no list of timesteps"):
        as_scheduler(Scipy(), theirs)
    with pytest.raises(StateError, match="neither a diffusers scheduler nor its config"):
        as_scheduler(Euler(), 3)
    with pytest.raises(ScheduleError, match="_class_name"):
        as_scheduler(Euler(), theirs.config)
    with pytest.raises(ScheduleError, match="LCMScheduler cannot be read"):
        as_scheduler(Euler(), diffusers.LCMScheduler())
    mine = as_scheduler(Euler(), theirs, spacing=lambda n: karras(n - 1, 80, 0.02).to_zero())
    mine.set_timesteps(5)
    mine.save_pretrained(tmp_path)
    with pytest.raises(
        StateError, match=r"made with spacing, which a config cannot hold.*spacing="
    ):
        type(mine).from_pretrained(tmp_path)
    again = type(mine).from_pretrained(tmp_path, spacing=lambda n: karras(n, 80, 0.02))
    again.set_timesteps(5)
    with pytest.raises(NameUnknown):
        type(mine).from_config({"_class_name": "DDIMScheduler"})


def test_without_diffusers(monkeypatch: pytest.MonkeyPatch) -> None:
    from flowsolve.interop.diffusers import scheduler

    scheduler.scheduler_class.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(ImportError, match=r"pip install diffusers\. To sample without it"):
        as_scheduler(Euler(), {"_class_name": "DDIMScheduler"})
