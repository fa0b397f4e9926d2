"""diffusers' models and schedulers read by flowsolve, against diffusers' own loop on the same noise.

The networks are tiny. Those that predict ε are trained for a second, since an untrained one ends far
outside of any image. Differences are relative to the largest value of diffusers' result.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve import Grid, Solver
from flowsolve.errors import NetworkError
from flowsolve.interop.diffusers import Imported, Reading, from_diffusers, load, read_config
from flowsolve.schedule.labels import whole
from flowsolve_solvers import (
    LMS,
    PLMS,
    PNDM,
    Adams,
    DPMSolver2,
    DPMSolverPP2M,
    Euler,
    FlowHeun,
    Heun,
    PseudoRK4,
    PublishedDPMSolver,
    UniPC,
)

diffusers = pytest.importorskip(
    "diffusers", reason="diffusers is not installed: make parity, or pip install flowsolve[parity]"
)

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

worst: dict[str, float] = {}
SD15 = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
SD21 = {**SD15, "prediction_type": "v_prediction"}
CIFAR = {"beta_schedule": "linear", "timestep_spacing": "leading"}
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


@pytest.fixture(scope="module")
def pixel() -> Any:
    """An ε-network that has seen stripes for a hundred steps, at the labels of DDPM."""
    model = unet()
    clock = fs.linear_beta()
    bar = torch.tensor(clock.alphas_cumprod)
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    stripes = torch.sin(torch.arange(8) * 0.8)[None, None, None].expand(16, 3, 8, 8)
    for _ in range(100):
        t = torch.randint(0, 1000, (16,), generator=generator)
        a = bar[t][:, None, None, None]
        noise = torch.randn(16, 3, 8, 8, generator=generator)
        x = a.sqrt() * stripes + (1 - a).sqrt() * noise
        loss = (model(x, t).sample - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.5
    return model.eval()


def theirs(
    scheduler: Any, n: int, model: Any, label: float = 1.0, noise: Tensor = NOISE, **given: Any
) -> Tensor:
    """The loop of a pipeline."""
    mu = given.pop("mu", None)
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
            x = scheduler.step(answer, t, x, return_dict=False)[0]
    return x


def difference(mine: Tensor, peer: Tensor, title: str) -> float:
    value = float((mine - peer).abs().max() / peer.abs().max())
    worst[title] = max(worst.get(title, 0.0), value)
    return value


def published(n: int) -> Solver:
    return PublishedDPMSolver(2, fs.DATA, lower_order_final=n < 15)


SOLVERS: dict[str, Solver] = {
    "DDIMScheduler": Euler(),
    "PNDMScheduler": PLMS(),
    "DPMSolverMultistepScheduler": published(20),
    "UniPCMultistepScheduler": UniPC(2, variant="bh2", lower_order_final=True),
    "HeunDiscreteScheduler": Heun(),
    "EulerDiscreteScheduler": Euler(),
    "LMSDiscreteScheduler": LMS(4),
    "KDPM2DiscreteScheduler": DPMSolver2(),
}
ENDS: dict[str, dict[str, Any]] = {
    "DDIMScheduler": {"set_alpha_to_one": False, "clip_sample": False},
    "PNDMScheduler": {"skip_prk_steps": True},
}


CONFIGS = {"sd15": SD15, "sd21-v": SD21, "cifar": CIFAR}
TWENTY = [(c, n) for c in CONFIGS for n in SOLVERS if (c, n) != ("sd21-v", "PNDMScheduler")]


@pytest.mark.parametrize(("which", "name"), TWENTY)
def test_twenty_steps(which: str, name: str, pixel: Any) -> None:
    config = CONFIGS[which]
    scheduler = getattr(diffusers, name)(**config, **ENDS.get(name, {}))
    model = unet() if config is SD21 else pixel
    m = from_diffusers(model, scheduler)
    assert m.reading.suggested == name
    mine = fs.sample(m.ode, NOISE, m.spacing(20), SOLVERS[name], start=m.start)
    peer = theirs(scheduler, 20, model)
    assert difference(mine.x_t, peer, name) < 1e-5


@pytest.mark.parametrize(
    ("name", "config", "solver"),
    [
        ("DPMSolverMultistepScheduler", SD21, DPMSolverPP2M()),
        ("DPMSolverMultistepScheduler", {**SD21, "use_karras_sigmas": True}, DPMSolverPP2M()),
        ("DEISMultistepScheduler", SD21, Adams(2, fs.NOISE, fs.LOG_SIGMA)),
        ("PNDMScheduler", CIFAR, PNDM(start=PseudoRK4(fs.ClockTime(fs.linear_beta())))),
    ],
)
def test_the_rest_of_the_page_s_table(name: str, config: dict[str, Any], solver: Solver) -> None:
    scheduler = getattr(diffusers, name)(**config)
    m = from_diffusers(unet(), read_config(scheduler, as_shipped=True))
    mine = fs.sample(m.ode, NOISE, m.spacing(20), solver, start=m.start)
    assert difference(mine.x_t, theirs(scheduler, 20, unet()), f"{name}, as named") < 1e-5


def test_pndm_extrapolates_v() -> None:
    """By design: theirs combines v of several levels, ours ε."""
    scheduler = diffusers.PNDMScheduler(**SD21, skip_prk_steps=True)
    m = from_diffusers(unet(), scheduler)
    mine = fs.sample(m.ode, NOISE, m.spacing(20), PLMS(), start=m.start)
    assert 1e-3 < difference(mine.x_t, theirs(scheduler, 20, unet()), "PNDM of v, by design") < 0.5


def test_ddim_pipeline_with_its_clipping(pixel: Any) -> None:
    """DDPM-CIFAR's: clip_sample, and the network's ε kept beside the clipped x₀."""
    scheduler = diffusers.DDIMScheduler(**CIFAR)
    pipeline = diffusers.DDIMPipeline(pixel, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(3)
    images = pipeline(
        batch_size=2, generator=generator, num_inference_steps=20, output_type="np"
    ).images
    m = from_diffusers(pixel, scheduler)
    grid = m.spacing(20)
    mine = fs.sample(m.limited(m.network, keep_eps=grid), NOISE, grid, Euler(), start=m.start)
    peer = torch.from_numpy(images).permute(0, 3, 1, 2)
    assert difference((mine.x / 2 + 0.5).clamp(0, 1), peer, "DDIMPipeline, clipped") < 1e-5
    other = fs.sample(m.ode, NOISE, grid, Euler(), start=m.start)  # ε follows x₀
    assert float((other.x / 2 + 0.5 - peer).abs().max()) > 1e-3


# ------------------------------------------------------------------------------ every class's levels

spacings = [{"timestep_spacing": t} for t in ("trailing", "linspace")]
spacings.append({"timestep_spacing": "leading", "steps_offset": 1})
off_table: list[dict[str, Any]] = [
    {},
    *({f"use_{k}_sigmas": True} for k in ("karras", "exponential", "beta")),
]
TABLED = ("DPMSolverMultistep", "UniPCMultistep", "DEISMultistep")
FREE = ("EulerDiscrete", "HeunDiscrete", "LMSDiscrete", "KDPM2Discrete")
flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}
shift3 = {"shift": 3.0}
v = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
LEVELS: list[tuple[str, dict[str, Any]]] = [
    *((n, {**SD15, **s}) for n in ("DDIM", "DDPM", "EulerAncestralDiscrete") for s in spacings),
    *(("PNDM", {**SD15, **s, "skip_prk_steps": True}) for s in spacings),
    *((n, {**SD15, **s, **k}) for n in (*TABLED, *FREE) for s in spacings for k in off_table),
    *(("DPMSolverSinglestep", k) for k in off_table),
    ("KDPM2AncestralDiscrete", SD15),
    ("DPMSolverMultistep", {**SD15, "use_lu_lambdas": True}),
    *(
        (n, {**SD15, **s, "final_sigmas_type": "sigma_min"})
        for n in ("DPMSolverMultistep", "EulerDiscrete")
        for s in spacings
    ),
    *(
        ("DPMSolverMultistep", {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1, **s})
        for s in spacings
    ),
    ("EulerDiscrete", {"use_karras_sigmas": True, "sigma_min": 0.002, "sigma_max": 700.0,
                       "timestep_type": "continuous", "prediction_type": "v_prediction"}),
    *((n, {**SD15, **spacings[0], **v}) for n in ("DDIM", "DDPM", "EulerDiscrete", "UniPCMultistep")),
    *((n, flow) for n in (*TABLED, "DPMSolverSinglestep")),
    ("UniPCMultistep", {**flow, "use_karras_sigmas": True}),
    ("UniPCMultistep", {**flow, "shift_terminal": 0.1}),
    *(("FlowMatchEulerDiscrete", {**shift3, **k}) for k in off_table),
    ("FlowMatchEulerDiscrete", {**shift3, "shift_terminal": 0.1}),
    ("FlowMatchHeunDiscrete", shift3),
    *(("DDPM", {"beta_schedule": b}) for b in ("sigmoid", "laplace", "squaredcos_cap_v2")),
    ("HeunDiscrete", {"beta_schedule": "exp"}),
]  # fmt: skip


def sigmas_of(scheduler: Any) -> list[float]:
    """Its levels as σ = s/α, without repetitions."""
    if hasattr(scheduler, "sigmas"):
        s = list(dict.fromkeys(scheduler.sigmas.double().tolist()))
        is_flow = "FlowMatch" in type(scheduler).__name__ or scheduler.config.get("use_flow_sigmas")
        return [math.inf if u == 1 else u / (1 - u) for u in s] if is_flow else s
    bar = scheduler.alphas_cumprod.double()
    labels = sorted(set(scheduler.timesteps.tolist()), reverse=True)
    levels = [float(((1 - bar[t]) / bar[t]).sqrt()) for t in labels]
    final = float(getattr(scheduler, "final_alpha_cumprod", 1.0))
    last = math.sqrt((1 - final) / final)
    return [*levels, last] if last < levels[-1] else levels


@pytest.mark.parametrize(
    ("name", "config"),
    LEVELS,
    ids=lambda x: x if isinstance(x, str) else "-".join(map(str, x.values())),
)
def test_levels_labels_and_start(name: str, config: dict[str, Any]) -> None:
    """σ to float32, the labels where they are not rounded, and what unit noise is multiplied by."""
    scheduler = getattr(diffusers, f"{name}Scheduler")(**config)
    for n in (2, 5, 7, 20):
        scheduler.set_timesteps(n)
        reading = read_config(scheduler, as_shipped=True)
        grid, peer = reading.spacing(n), sigmas_of(scheduler)
        assert len(grid) == len(peer)
        assert list(grid) == pytest.approx(peer, rel=1e-3 if grid[0] > 1e5 else 3e-4)
        if name != "KDPM2AncestralDiscrete":  # its second stages lie elsewhere
            _check_labels(reading, grid, [float(t) for t in scheduler.timesteps], name)
    if math.isfinite(grid[0]):
        unit = float(getattr(scheduler, "init_noise_sigma", 1.0))
        alpha = 1.0 if name in FREE or "Euler" in name else reading.precondition.alpha(grid[0])
        if not name.startswith("KDPM2A"):
            assert reading.start(grid[0]) == pytest.approx(unit / alpha, rel=1e-3)


def _check_labels(reading: Reading, grid: Grid, labels: list[float], name: str) -> None:
    mine = [reading.clock.t(s) for s in grid if s > 0]
    peer = list(dict.fromkeys(labels))
    if name.startswith("KDPM2"):  # with those of second stages in between
        peer = peer[::2]
    # where theirs truncates 998.9999 and 999.0001, one label's noise
    slack = 1.0 if getattr(reading.clock, "rule", None) is whole else 2e-3
    for a, b in itertools.zip_longest(mine[: len(peer)], peer):
        assert a == pytest.approx(b, abs=slack, rel=1e-5)


# -------------------------------------------------------------------------------------- flow matching


def test_flow_euler_twice_shifted_and_once() -> None:
    """As shipped to float32; and right by default, which ends at another level."""
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(**shift3)
    peer = theirs(scheduler, 20, unet())
    m = from_diffusers(unet(), read_config(scheduler, as_shipped=True))
    mine = fs.sample(m.ode, NOISE, m.spacing(20), Euler(), start=m.start)
    assert m.spacing(20)[0] == math.inf
    assert difference(mine.x_t, peer, "FlowMatchEuler, as shipped") < 1e-5
    right = from_diffusers(unet(), scheduler)
    once = fs.sample(right.ode, NOISE, right.spacing(20), Euler())
    assert 1e-4 < difference(once.x, peer, "FlowMatchEuler, shifted once, by design") < 0.1
    # set_shift() does shift once
    plain = diffusers.FlowMatchEulerDiscreteScheduler()
    plain.set_shift(3.0)
    assert difference(once.x, theirs(plain, 20, unet()), "FlowMatchEuler, set_shift") < 1e-5


def test_flow_heun() -> None:
    """From the second level on; its first step, which begins at σ = ∞, is Heun's too and ours DDIM's."""
    scheduler = diffusers.FlowMatchHeunDiscreteScheduler(**shift3)
    m = from_diffusers(unet(), read_config(scheduler, as_shipped=True))
    grid = m.spacing(20)
    u = m.network.network(NOISE, torch.full((2,), 1000.0)).detach()
    t = grid[1] / (1 + grid[1])
    guess = NOISE + (t - 1) * u
    x_bar = guess * (1 + grid[1])
    v = (m.ode.eps(x_bar, grid[1]) * (1 + grid[1]) - x_bar).detach()  # ε - x₀
    first = (NOISE + (t - 1) * (u + v) / 2) * (1 + grid[1])
    rest = fs.solve(m.ode, first, Grid(grid[1:-1]), FlowHeun())
    end = m.ode.x0(rest.x, grid[-2]).detach()
    peer = theirs(scheduler, 20, unet())
    assert difference(end, peer, "FlowMatchHeun, as shipped") < 1e-5
    mine = fs.sample(m.ode, NOISE, grid, FlowHeun())
    assert mine.nfe == 38  # theirs 39
    assert 1e-4 < difference(mine.x, peer, "FlowMatchHeun, from σ = ∞, by design") < 0.2


# ------------------------------------------------------------------------------------- kinds of models


@pytest.fixture(scope="module")
def xl() -> Any:
    return unet(
        "UNet2DConditionModel",
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=2,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=32,
    )


def test_sdxl_with_guidance(xl: Any) -> None:
    """Text, pooled text and sizes; two conditions, in one call of twice the rows as the pipeline does."""
    torch.manual_seed(5)
    text, pooled = torch.randn(2, 5, 8), torch.randn(2, 8)
    empty, none = torch.zeros(2, 5, 8), torch.zeros(2, 8)
    ids = torch.tensor([[8.0, 8, 0, 0, 8, 8]]).repeat(2, 1)
    cond = {
        "encoder_hidden_states": text,
        "added_cond_kwargs": {"text_embeds": pooled, "time_ids": ids},
    }
    bare = {
        "encoder_hidden_states": empty,
        "added_cond_kwargs": {"text_embeds": none, "time_ids": ids},
    }

    def guided(x: Tensor, timestep: Tensor, return_dict: bool) -> tuple[Tensor]:
        both = {"text_embeds": torch.cat([none, pooled]), "time_ids": torch.cat([ids, ids])}
        out = xl(
            torch.cat([x, x]), timestep[0], torch.cat([empty, text]), added_cond_kwargs=both
        ).sample
        low, high = out.chunk(2)
        return (low + 5 * (high - low),)

    scheduler = diffusers.EulerDiscreteScheduler(**SD15)
    m = from_diffusers(xl, scheduler, condition=cond)
    ode = fs.Guided(m.network, m.network.given(bare), 5.0, batched=True)
    mine = fs.sample(m.limited(ode), NOISE, m.spacing, Euler(), nfe=20, start=m.start)
    assert (mine.nfe, mine.forwards) == (20, 40)
    assert difference(mine.x_t, theirs(scheduler, 20, guided), "SDXL, guided") < 1e-5


def test_sd3() -> None:
    torch.manual_seed(0)
    model = diffusers.SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_layers=1, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=8, caption_projection_dim=16,
        pooled_projection_dim=8, out_channels=4, pos_embed_max_size=8,
    ).eval()  # fmt: skip
    noise = torch.randn(2, 4, 8, 8)
    given = {"encoder_hidden_states": torch.randn(2, 5, 8), "pooled_projections": torch.randn(2, 8)}
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    m = from_diffusers(model, read_config(scheduler, as_shipped=True), condition=given)
    mine = fs.sample(m.ode, noise, m.spacing, Euler(), nfe=20)
    assert difference(mine.x, theirs(scheduler, 20, model, noise=noise, **given), "SD3") < 1e-5
    with pytest.raises(NetworkError, match="predicts a flow, but DDIMScheduler"):
        from_diffusers(model, diffusers.DDIMScheduler())


def flux(**more: Any) -> Any:
    torch.manual_seed(0)
    return diffusers.FluxTransformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=8, pooled_projection_dim=8,
        axes_dims_rope=(4, 4, 8), **more,
    ).eval()  # fmt: skip


def test_flux_with_dynamic_shifting() -> None:
    """t/1000, guidance as an input, μ from the number of tokens, and even levels that end at 1/n."""
    model = flux(guidance_embeds=True)
    noise = torch.randn(2, 16, 4)
    given = {
        "encoder_hidden_states": torch.randn(2, 5, 8),
        "pooled_projections": torch.randn(2, 8),
        "guidance": torch.full((2,), 3.5),
    }
    shared = {"img_ids": torch.zeros(16, 3), "txt_ids": torch.zeros(5, 3)}
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
    reading = read_config(scheduler, image_seq_len=1024, ends_at="1/n")
    m = from_diffusers(model, reading, condition=given, shared=shared)
    mine = fs.sample(m.ode, noise, m.spacing, Euler(), nfe=20)
    slope = (1.15 - 0.5) / (4096 - 256)  # calculate_shift of its pipeline
    mu = 1024 * slope + (0.5 - slope * 256)
    scheduler.set_timesteps(sigmas=[1 - i / 20 for i in range(20)], mu=mu)
    x = noise
    with torch.no_grad():
        for t in scheduler.timesteps:
            out = model(x, timestep=(t / 1000).expand(2), return_dict=False, **given, **shared)[0]
            x = scheduler.step(out, t, x, return_dict=False)[0]
    assert difference(mine.x, x, "Flux") < 1e-5
    with pytest.raises(NetworkError, match=r"guidance scale as an input \(guidance_embeds\)"):
        from_diffusers(model, reading, shared=shared)


def test_dit_with_classes_and_a_learned_variance() -> None:
    torch.manual_seed(0)
    model = diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=3, out_channels=6, num_layers=1,
        sample_size=8, patch_size=2, num_embeds_ada_norm=10, norm_num_groups=4,
    ).eval()  # fmt: skip
    for name, p in model.named_parameters():  # its outer layers begin at zero
        if "proj_out" in name or "norm1.linear" in name:
            torch.nn.init.normal_(p, std=0.05)
    scheduler = diffusers.DDIMScheduler(clip_sample=False, prediction_type="v_prediction")
    labels = torch.tensor([1, 7])
    with pytest.raises(NetworkError, match="6 channels to 3: a prediction and a learned variance"):
        from_diffusers(model, scheduler)
    m = from_diffusers(model, scheduler, condition={"class_labels": labels}, learned_variance=True)
    mine = fs.sample(m.ode, NOISE, m.spacing, Euler(), nfe=20, start=m.start)

    def first_half(x: Tensor, **given: Any) -> tuple[Tensor]:
        return (model(x, **given)[0][:, :3],)

    assert difference(mine.x, theirs(scheduler, 20, first_half, class_labels=labels), "DiT") < 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_model_may_have_another_dtype_than_the_state(dtype: torch.dtype) -> None:
    m = from_diffusers(unet().to(dtype), diffusers.DDIMScheduler(**SD21, clip_sample=False))
    reference = from_diffusers(unet(), m.reading)
    mine = fs.sample(m.ode, NOISE, m.spacing(5), Euler(), start=m.start).x
    assert mine.dtype == torch.float32
    other = fs.sample(reference.ode, NOISE, m.spacing(5), Euler(), start=m.start).x
    torch.testing.assert_close(mine, other, rtol=0.05, atol=0.05)


# ------------------------------------------------------------------------------------------- loading


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    pipeline = diffusers.DDIMPipeline(unet(), diffusers.DDIMScheduler(**SD21, clip_sample=False))
    pipeline.save_pretrained(tmp_path)
    return tmp_path


def test_load_is_what_was_saved(saved: Path) -> None:
    m = load(saved)
    scheduler = diffusers.DDIMScheduler.from_pretrained(saved, subfolder="scheduler")
    mine = fs.sample(m.ode, NOISE, m.spacing, Euler(), nfe=10, start=m.start)
    assert difference(mine.x_t, theirs(scheduler, 10, unet()), "load") < 1e-5
    other = load(saved, subfolder="unet", scheduler=diffusers.EulerDiscreteScheduler(**SD21))
    assert other.reading.suggested == "EulerDiscreteScheduler"
    assert not other.network.network.model.training


def test_load_refuses_pickles_unless_asked(saved: Path) -> None:
    (saved / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(unet().state_dict(), saved / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(NetworkError, match="has no safetensors"):
        load(saved)
    assert load(saved, allow_pickle=True).reading.suggested == "DDIMScheduler"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (["my_code", "MyUNet"], "not a class of this diffusers. Code that comes"),
        (["diffusers", "NoSuchModel"], "not a class of this diffusers"),
        (["diffusers", "DDIMScheduler"], "is a DDIMScheduler, which is not a model of diffusers"),
        ([None, None], "not a class of this diffusers"),
    ],
)
def test_load_takes_classes_from_diffusers_alone(saved: Path, entry: list[Any], text: str) -> None:
    import json

    path = saved / "model_index.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, "unet": entry}))
    (saved / "my_code.py").write_text("raise RuntimeError('code from the checkpoint ran')")
    with pytest.raises(NetworkError, match=text):
        load(saved)


def test_load_says_what_is_missing(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(
        NetworkError, match=r"has no vae: its model_index\.json lists scheduler, unet"
    ):
        load(saved, subfolder="vae")
    with pytest.raises(NetworkError, match="is not a saved pipeline"):
        load(saved / "unet")


def test_the_blocks_of_the_page_that_need_diffusers(saved: Path) -> None:
    """docs/diffusers.md marks them as not run, for they need what is given here."""
    page = Path(__file__).parents[2] / "docs" / "diffusers.md"
    blocks = re.findall(
        r"<!-- not run -->\n```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL
    )
    text_unet = unet(
        "UNet2DConditionModel", down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=8,
    )  # fmt: skip
    scheduler = diffusers.DPMSolverMultistepScheduler(**SD21)
    space: dict[str, Any] = {
        "pipeline": SimpleNamespace(unet=unet(), scheduler=scheduler),
        "folder": saved,
        "text_unet": text_unet,
        "scheduler": scheduler,
        "prompt": torch.randn(4, 5, 8),
        "empty": torch.zeros(4, 5, 8),
    }
    assert len(blocks) == 3
    for block in blocks:
        exec(block, space)
        assert isinstance(space["m"], Imported)
    assert (space["result"].nfe, space["result"].forwards) == (20, 40)


@pytest.mark.parametrize("name", ["DPMSolverMultistep", "UniPCMultistep"])
def test_flows_of_the_dpm_solver_family(name: str) -> None:
    scheduler = getattr(diffusers, f"{name}Scheduler")(**flow)
    m = from_diffusers(unet(), read_config(scheduler, as_shipped=True))
    mine = fs.sample(m.ode, NOISE, m.spacing(20), SOLVERS[f"{name}Scheduler"], start=m.start)
    assert difference(mine.x, theirs(scheduler, 20, unet()), f"{name}, flow") < 1e-5


@pytest.fixture(scope="module", autouse=True)
def _print() -> Iterator[None]:
    yield
    for name, value in worst.items():
        print(f"{value:9.1e}  {name}")
