"""Twenty steps of diffusers' pipelines, and the same by from_diffusers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import flowsolve as fs
from flowsolve import Solver
from flowsolve.interop.diffusers import from_diffusers, read_config
from flowsolve_solvers import (
    PLMS,
    PNDM,
    Adams,
    DPMSolverPP2M,
    Euler,
    PseudoRK4,
)
from tests.parity.pipelines import (
    NOISE,
    SD15,
    SD21,
    SOLVERS,
    difference,
    diffusers,
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
CIFAR = {"beta_schedule": "linear", "timestep_spacing": "leading"}


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
        ("DPMSolverMultistepScheduler", SD21, DPMSolverPP2M(guard=None)),
        (
            "DPMSolverMultistepScheduler",
            {**SD21, "use_karras_sigmas": True},
            DPMSolverPP2M(guard=None),
        ),
        ("DEISMultistepScheduler", SD21, Adams(2, fs.NOISE, fs.LOG_SIGMA, guard=None)),
        ("PNDMScheduler", CIFAR, PNDM(start=PseudoRK4(fs.ClockTime(fs.linear_beta())), guard=None)),
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
    mine = fs.sample(m.ode, NOISE, m.spacing(20), PLMS(guard=None), start=m.start)
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


@pytest.fixture(scope="module", autouse=True)
def _print() -> Iterator[None]:
    yield
    for name, value in worst.items():
        print(f"{value:9.1e}  {name}")
