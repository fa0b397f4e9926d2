"""The scheduler that as_scheduler makes: stored, loaded, stepped, refused. Flows and inversion.

The classes of tests are those of diffusers' tests/schedulers/test_schedulers.py (SchedulerCommonTest)
that apply, written anew.
"""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import Solver, karras
from flowsolve.errors import NameUnknown, ScheduleError, StateError, TableError
from flowsolve.interop.diffusers.scheduler import as_scheduler
from flowsolve_solvers import (
    Adams,
    Ancestral,
    DPMSolverPP2M,
    Euler,
    Heun,
    Scipy,
    UniPC,
)
from tests.interop.pipelines import CLOSE, diffusers, made, unet

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # theirs, of many kinds
]
KINDS = [
    (Euler(), "DDIMScheduler", {}),
    (DPMSolverPP2M(), "DPMSolverMultistepScheduler", {"timestep_spacing": "trailing"}),
    (Heun(), "EulerDiscreteScheduler", {"timestep_spacing": "leading"}),
    (Adams(3, start=Heun()), "PNDMScheduler", {}),
    (Ancestral(), "DDPMScheduler", {"clip_sample": False}),
    (UniPC(3), "FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
]
common = pytest.mark.parametrize(("solver", "name", "config"), KINDS, ids=str)


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
    index = tmp_path / "model_index.json"
    now, before = '"flowsolve.interop.diffusers.scheduler"', '"flowsolve.interop.scheduler"'
    assert now in index.read_text()
    # a pipeline that was saved before the module moved
    index.write_text(index.read_text().replace(now, before))
    old = diffusers.DDPMPipeline.from_pretrained(tmp_path)
    assert before in index.read_text()
    assert (type(old.scheduler), old.scheduler.solver) == (type(again.scheduler), UniPC(3))


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


def test_refusals(tmp_path: Path) -> None:
    theirs = diffusers.DDIMScheduler()
    with pytest.raises(TableError, match="no list of timesteps"):
        as_scheduler(Scipy(), theirs)
    with pytest.raises(StateError, match="neither a diffusers scheduler nor its config"):
        as_scheduler(Euler(), 3)
    with pytest.raises(ScheduleError, match="_class_name"):
        as_scheduler(Euler(), theirs.config)
    with pytest.raises(ScheduleError, match="LCMScheduler is not read: its network is distilled"):
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
