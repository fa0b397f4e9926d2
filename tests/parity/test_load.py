"""Saved pipelines, and live ones: what load and from_diffusers take of them, and what they refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import flowsolve as fs
from flowsolve.errors import NetworkError, StateError
from flowsolve.interop.diffusers import Imported, from_diffusers, load, read_config
from flowsolve_solvers import (
    Euler,
    UniPC,
)
from tests.parity.pipelines import (
    NOISE,
    SD15,
    SD21,
    difference,
    diffusers,
    flow,
    theirs,
    unet,
)
from tests.parity.tiny import picture_vae, text_unet
from tests.parity.unmodified import TWO

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


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


def test_a_step_that_asks_a_control_network_too(tmp_path: Path) -> None:
    net = text_unet(block_out_channels=(8, 8))
    torch.manual_seed(0)
    control = diffusers.ControlNetModel.from_unet(net, conditioning_embedding_out_channels=(8, 8))
    pipeline = diffusers.StableDiffusionControlNetPipeline(
        picture_vae(), None, None, net, control, diffusers.DDIMScheduler(**SD15, clip_sample=False),
        None, None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(tmp_path)
    for read in (lambda: load(tmp_path), lambda: from_diffusers(pipeline)):
        with pytest.raises(NetworkError, match=r"asks controlnet beside unet.*subfolder=\"unet\""):
            read()
    condition = {"encoder_hidden_states": TWO["prompt_embeds"]}
    alone = load(tmp_path, subfolder="unet", condition=condition)
    assert alone.ode.eps(torch.ones(1, 4, 8, 8), 1.0).shape == (1, 4, 8, 8)


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
