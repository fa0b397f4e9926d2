"""Flow matching and kinds of diffusers' models: SDXL, SD3, Flux, DiT; other dtypes; saved pipelines."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve import Grid
from flowsolve.errors import NetworkError, StateError
from flowsolve.interop.diffusers import Imported, from_diffusers, load, read_config
from flowsolve_solvers import (
    Euler,
    FlowHeun,
    UniPC,
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


def test_half_precision_variants_and_shards(tmp_path: Path) -> None:
    pipeline = diffusers.DDIMPipeline(unet(), diffusers.DDIMScheduler(**SD21, clip_sample=False))
    pipeline.save_pretrained(tmp_path / "half", variant="fp16")
    pipeline.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert len([*(tmp_path / "parts" / "unet").glob("*.safetensors")]) > 2
    pipeline.unet.save_pretrained(
        tmp_path / "parts" / "unet", variant="ema"
    )  # beside the plain weights
    for name in ("half", "parts"):
        m = load(tmp_path / name)
        assert torch.equal(
            m.ode.eps(NOISE, 1.0), from_diffusers(unet(), m.reading).ode.eps(NOISE, 1.0)
        )
    pipeline.unet.save_pretrained(tmp_path / "half" / "unet", variant="ema")
    with pytest.raises(
        NetworkError, match=r"weights of several variants, ema, fp16: say variant=\."
    ):
        load(tmp_path / "half")
    assert load(tmp_path / "half", variant="ema").network is not None


def test_quantised_weights_are_refused_with_a_reason(saved: Path) -> None:
    import json

    path = saved / "unet" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "quantization_config": {"quant_method": "bitsandbytes"}}))
    with pytest.raises(
        NetworkError, match=r"quantised by bitsandbytes, .* give it to from_diffusers"
    ):
        load(saved)


def two_experts(**more: Any) -> Any:
    """A pipeline of Wan 2.2's kind, whose second transformer is for low noise."""

    def transformer(seed: int) -> Any:
        torch.manual_seed(seed)
        return diffusers.WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=4, text_dim=8,
            freq_dim=8, ffn_dim=16, num_layers=1,
        ).eval()  # fmt: skip

    return diffusers.WanPipeline(
        tokenizer=None, text_encoder=None, vae=None, transformer=transformer(0),
        transformer_2=transformer(1), scheduler=diffusers.UniPCMultistepScheduler(**flow), **more,
    )  # fmt: skip


def test_two_experts_by_timestep_are_one_ode(tmp_path: Path) -> None:
    pipeline = two_experts(boundary_ratio=0.875)
    pipeline.save_pretrained(tmp_path)
    text = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1))
    m = load(tmp_path, condition={"encoder_hidden_states": text})
    assert isinstance(m.network, fs.Experts)
    assert m.network.boundary == pytest.approx(7.0)  # t = 0.875
    noise = fs.unit_noise(range(2), (4, 1, 4, 4))
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    mine = fs.sample(m.ode, noise, read_config(scheduler, as_shipped=True).spacing(8), Euler())
    scheduler.set_timesteps(8)
    x, asked = noise, []
    with torch.no_grad():
        for t in scheduler.timesteps:
            asked.append("transformer" if t >= 875 else "transformer_2")
            model = getattr(pipeline, asked[-1])
            u = model(x, t.expand(2), text, return_dict=False)[0]
            x = scheduler.step(u, t, x, return_dict=False)[0]
    assert len({*asked}) == 2
    assert difference(mine.x, x, "two experts") < 1e-5
    alone = load(tmp_path, subfolder="transformer", condition={"encoder_hidden_states": text})
    other = fs.sample(alone.ode, noise, mine.grid, Euler())
    assert difference(other.x, x, "") > 1e-2


def test_two_experts_without_a_boundary(tmp_path: Path) -> None:
    two_experts().save_pretrained(tmp_path)
    for read in (lambda: load(tmp_path), lambda: from_diffusers(two_experts())):
        with pytest.raises(NetworkError, match=r"two networks by timestep, and no boundary_ratio"):
            read()


def test_a_pipeline_brings_its_model_and_scheduler(tmp_path: Path) -> None:
    """Also where the scheduler is one of ours, live or saved, and where there are two experts."""
    scheduler = diffusers.DDPMScheduler(**SD15, clip_sample=False)
    pipeline = diffusers.DDPMPipeline(unet(), scheduler)
    want = from_diffusers(unet(), scheduler)
    pipeline.scheduler = fs.as_scheduler(UniPC(3), scheduler)
    pipeline.save_pretrained(tmp_path)
    for m in (from_diffusers(pipeline), load(tmp_path)):
        assert m.reading.suggested == "DDPMScheduler"
        assert m.spacing(7) == want.spacing(7)
        assert torch.equal(m.ode.eps(NOISE, 1.0), want.ode.eps(NOISE, 1.0))
    both = from_diffusers(two_experts(boundary_ratio=0.5)).network
    assert isinstance(both, fs.Experts)
    assert both.boundary == pytest.approx(1.0)
    with pytest.raises(
        NetworkError, match="UNet2DModel is no pipeline, which would have a scheduler"
    ):
        from_diffusers(unet())


def test_a_pipeline_that_makes_its_own_scheduler_keeps_the_solver_in_its_config(
    tmp_path: Path,
) -> None:
    """DDIMPipeline turns whatever it is given into a DDIMScheduler."""
    pipeline = diffusers.DDIMPipeline(unet(), diffusers.DDIMScheduler(**SD15, clip_sample=False))
    pipeline.scheduler = fs.as_scheduler(UniPC(3), pipeline.scheduler)
    pipeline.save_pretrained(tmp_path)
    again = diffusers.DDIMPipeline.from_pretrained(tmp_path)
    assert type(again.scheduler) is diffusers.DDIMScheduler
    again.scheduler = fs.as_scheduler(None, again.scheduler)
    assert again.scheduler.solver == UniPC(3)
    with pytest.raises(StateError, match="no solver of flowsolve was saved with DDIMScheduler"):
        fs.as_scheduler(None, diffusers.DDIMScheduler())


def test_measured_scales_are_saved_and_loaded_with_the_scheduler(saved: Path) -> None:
    m = load(saved)
    found = fs.scales(m.network, fs.unit_noise(range(8), NOISE.shape[1:]))
    scheduler = diffusers.DDIMScheduler.from_pretrained(saved, subfolder="scheduler")
    scheduler.register_to_config(_data_scales=[found.std, found.top])
    scheduler.save_pretrained(saved / "scheduler")
    again = load(saved)
    assert again.network.scales == found
    chosen, guessed = (
        fs.sample(x.ode, NOISE, nfe=5).grid for x in (again, load(saved, scheduler=m.reading))
    )
    assert chosen.name == f"two_scales(std={found.std:.3g}, top={found.top:.3g})" != guessed.name


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
        "pipeline": diffusers.DDPMPipeline(unet(), scheduler),
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
