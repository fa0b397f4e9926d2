"""Guidance and limits beside diffusers' own, on the digits network: its DDIM runs here in float64."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.peer_code import Double
from flowsolve import (
    ODE,
    Clip,
    DiffusionODE,
    EpsPrediction,
    Grid,
    Guided,
    Threshold,
    leading,
    sample,
    vp_start,
)
from flowsolve.problems import Digits
from flowsolve_solvers import Euler
from tests.parity.helpers import TIGHT, clock_of, difference, note

diffusers = pytest.importorskip(
    "diffusers", reason="diffusers is not installed: make parity, or pip install flowsolve[parity]"
)

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"),
]

CLASSES = torch.tensor([3, 1, 4, 1, 5, 9])
NONE = torch.full_like(CLASSES, 10)
NOISE = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1)).double()
NETWORK = Digits().network
W = 4.0


@pytest.fixture(autouse=True)
def in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("diffusers.schedulers.scheduling_ddim")
    for library in ("torch", "np"):
        monkeypatch.setattr(module, library, Double(getattr(module, library)))


def theirs(
    n: int, recompute: bool = False, rescale: float = 0.0, **config: object
) -> tuple[Tensor, ODE, ODE, Grid]:
    """A pipeline's loop with guidance; and the two sides and the grid of ours."""
    scheduler = diffusers.DDIMScheduler(timestep_spacing="leading", **config)
    scheduler.set_timesteps(n)
    guide = importlib.import_module("diffusers.guiders.guider_utils").rescale_noise_cfg
    x = NOISE
    for t in scheduler.timesteps:
        u, c = (NETWORK(x, t.double().expand(6), label) for label in (NONE, CLASSES))
        eps = u + W * (c - u)
        if rescale:
            eps = guide(eps, c, guidance_rescale=rescale)
        x = scheduler.step(eps, t, x, use_clipped_model_output=recompute).prev_sample
    clock = clock_of(tuple(scheduler.alphas_cumprod.double().tolist()))
    ode = DiffusionODE(NETWORK, EpsPrediction(clock))
    return x, ode.given(CLASSES), ode.given(NONE), leading(n, clock=clock)


def agree(what: str, ode: ODE, grid: Grid, peer: Tensor) -> None:
    mine = sample(ode, NOISE, grid, Euler(), start=vp_start).x
    assert note(what, difference(mine, peer)) <= TIGHT


@pytest.mark.parametrize("n", [2, 10, 25])
@pytest.mark.parametrize("rescale", [0.0, 0.7, 1.0])
def test_guidance_and_its_rescale(rescale: float, n: int) -> None:
    """Theirs rescales what the network predicts."""
    peer, cond, uncond, grid = theirs(n, rescale=rescale, clip_sample=False)
    assert isinstance(cond, DiffusionODE)
    for batched in (False, True):
        options = {"rescale": rescale, "quantity": cond.precondition, "batched": batched}
        agree(f"guidance, rescale {rescale}", Guided(cond, uncond, W, **options), grid, peer)


LIMITS: dict[str, tuple[dict[str, object], Callable[..., ODE]]] = {
    "clip": ({"clip_sample": True}, Clip),
    "clip to 0.7": (
        {"clip_sample": True, "clip_sample_range": 0.7},
        lambda ode, **k: Clip(ode, -0.7, 0.7, **k),
    ),
    "threshold": (
        {"thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 3.0},
        lambda ode, **k: Threshold(ode, 0.9, 3.0, **k),
    ),
    "threshold as shipped": (
        {"thresholding": True},
        lambda ode, **k: Threshold(ode, maximum=1.0, **k),
    ),
}


@pytest.mark.parametrize("n", [2, 10, 25])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("what", LIMITS)
def test_limits(what: str, recompute: bool, n: int) -> None:
    """use_clipped_model_output=False, their default, is keep_eps."""
    config, wrap = LIMITS[what]
    peer, cond, uncond, grid = theirs(n, recompute, **config)
    guided = Guided(cond, uncond, W)
    agree(
        f"{what}, recompute={recompute}",
        wrap(guided, keep_eps=None if recompute else grid),
        grid,
        peer,
    )
    wrong = sample(
        wrap(guided, keep_eps=grid if recompute else None), NOISE, grid, Euler(), start=vp_start
    )
    assert difference(wrong.x, peer) > 1e-3
