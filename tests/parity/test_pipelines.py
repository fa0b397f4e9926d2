"""Twenty steps of diffusers' pipelines, and the same by from_diffusers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import flowsolve as fs
from flowsolve import Solver
from flowsolve.interop.diffusers import from_diffusers, read_config
from flowsolve.interop.diffusers.families import FAMILIES
from flowsolve.interop.diffusers.refused import REFUSED
from flowsolve.problems import Mixture, exact_network
from flowsolve_solvers import (
    IPNDM,
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
from tests.parity.rows import published

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


@pytest.mark.parametrize("name", ["EDMEuler", "EDMDPMSolverMultistep"])
def test_as_scheduler_scales_what_an_edm_network_sees(name: str) -> None:
    theirs_ = getattr(diffusers, f"{name}Scheduler")()
    solver = Euler() if name == "EDMEuler" else DPMSolverPP2M(guard=None)
    mine = theirs(fs.as_scheduler(solver, theirs_), 8, unet())
    assert difference(mine, theirs(theirs_, 8, unet()), f"as_scheduler, {name}") < 1e-5


def test_edm_dpm_to_sigma_min_ends_with_a_step_of_no_length() -> None:
    """By design: theirs has σ_min twice, 1e-10 apart, which ours leaves out; at order 3 it is NaN."""
    config = {"final_sigmas_type": "sigma_min", "solver_order": 3}
    scheduler = diffusers.EDMDPMSolverMultistepScheduler(**config)
    m = from_diffusers(unet(), scheduler)
    assert m.spacing(20)[-1] == 0.002
    assert (
        fs.sample(m.ode, NOISE, m.spacing(20), published(3)(20), start=m.start).x.isfinite().all()
    )
    assert not theirs(scheduler, 20, unet()).isfinite().all()


def test_ipndm_forgets_the_first_answer() -> None:
    """By design: at σ = ∞ theirs takes x₀ = 0 whatever v is, ours x₀ = -v."""
    scheduler = diffusers.IPNDMScheduler()
    m = from_diffusers(unet(), scheduler)
    mine = fs.sample(m.ode, NOISE, m.spacing(20), IPNDM(4, guard=None), start=m.start)
    assert 1e-3 < difference(mine.x_t, theirs(scheduler, 20, unet()), "IPNDM, by design") < 0.1


def test_a_flow_that_points_to_the_data() -> None:
    scheduler = diffusers.MiniMaxH3Scheduler()
    reading = read_config(scheduler)
    f = exact_network(Mixture(), reading.precondition)
    noise = fs.unit_noise(range(4), (2,), torch.float64)
    ode = fs.DiffusionODE(f, reading.precondition)
    mine = fs.sample(ode, noise, reading.spacing(8), Euler(), start=reading.start)
    scheduler.set_timesteps(9)  # its levels, 0 among them
    x = noise
    for t in scheduler.timesteps:
        x = scheduler.step(f(x, t.double().expand(4)), t, x, return_dict=False)[0]
    assert difference(mine.x_t, x, "MiniMaxH3") < 1e-6


def test_every_scheduler_of_diffusers_is_read_or_refused_with_a_reason() -> None:
    # those that diffusers deprecated or that hold no method
    others = {"SchedulerMixin", "KarrasVeScheduler", "ScoreSdeVpScheduler", "FlaxScheduler"}
    names = {n for n in dir(diffusers) if n.endswith("Scheduler") and "Flax" not in n} - others
    assert not {*FAMILIES} - names
    assert names - {*FAMILIES} - {*REFUSED} == set()


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
