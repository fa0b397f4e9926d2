"""Flow matching and kinds of diffusers' models: SDXL, SD3, Flux, DiT; other dtypes; saved pipelines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve import Grid
from flowsolve.errors import NetworkError, StateError
from flowsolve.interop.diffusers import from_diffusers, read_config
from flowsolve_solvers import (
    Euler,
    FlowHeun,
)
from tests.parity.pipelines import (
    NOISE,
    SD15,
    SD21,
    SOLVERS,
    difference,
    diffusers,
    flow,
    shift3,
    theirs,
    unet,
    worst,
)

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


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


@pytest.mark.parametrize("lists", [("timesteps",), ("timesteps", "sigmas"), ("sigmas",)])
@pytest.mark.parametrize("dynamic", [False, True])
def test_levels_that_a_pipeline_passes(lists: tuple[str, ...], dynamic: bool) -> None:
    """As CogView 4 does: labels as given, levels shifted, by μ too."""
    t = [1.0, 0.7, 0.4, 0.1]
    passed = {"timesteps": [1000 * u for u in t], "sigmas": t}
    options: dict[str, Any] = {key: passed[key] for key in lists}
    if dynamic:
        options["mu"] = 0.8
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=dynamic)
    ends = []
    for s in (scheduler, fs.as_scheduler(Euler(), scheduler)):
        s.set_timesteps(**options)
        x = NOISE
        with torch.no_grad():
            for label in s.timesteps:
                out = unet()(x, timestep=label.expand(2), return_dict=False)[0]
                x = s.step(out, label, x, return_dict=False)[0]
        ends.append((x, s.timesteps, s.sigmas))
    (x, labels, levels), (mine, my_labels, my_levels) = ends
    assert my_labels.tolist() == pytest.approx(labels.tolist(), rel=1e-5)
    assert my_levels.tolist() == pytest.approx(levels.tolist(), abs=1e-6)
    assert difference(mine, x, "levels passed") < 1e-5


def test_levels_that_disagree_are_refused() -> None:
    mine = fs.as_scheduler(Euler(), diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0))
    with pytest.raises(
        StateError, match=r"the first of them are 900 and 1, where 1000 times the second"
    ):
        mine.set_timesteps(timesteps=[900.0, 500.0], sigmas=[1.0, 0.5])


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
