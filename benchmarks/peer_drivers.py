"""How the samplers of each package are run on given levels with the exact ε: a function a package.

It takes a configuration's options, the package's module, a problem, x̄ at the first level and the grid, and
gives x̄ at the last. Where a package asks for σ at any time, log σ is linear in time from level to level.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peer_code import alone
from flowsolve import Grid
from flowsolve.problems import Problem

Options = dict[str, Any]


def level(grid: Grid, place: float) -> float:
    """σ between two levels, or past the last: log σ is linear in the index."""
    i = min(max(int(place), 0), grid.steps - 1)
    return grid[i] * (grid[i + 1] / grid[i]) ** (place - i)


def diffusers(
    options: Options, code: ModuleType, problem: Problem, x: Tensor, grid: Grid
) -> Tensor:
    """A scheduler whose sigmas are the levels: variance preserving, or as the option frame says."""
    call, frame = dict(options.pop("call", {})), options.pop("frame", "vp")
    scheduler = getattr(code, options.pop("cls"))(**options)
    scheduler.set_timesteps(grid.steps)
    levels = torch.tensor(grid.levels, dtype=x.dtype)
    twice = torch.cat([levels[:1], levels[1:].repeat_interleave(2)])
    if "Heun" in type(scheduler).__name__:
        levels = twice
    where = levels.tolist()
    scheduler.sigmas = levels / (1 + levels) if frame == "flow" else levels
    if "KDPM2" in type(scheduler).__name__:  # its second evaluation is half-way in log σ
        middle = (levels * levels.roll(1)).sqrt()
        scheduler.sigmas = twice
        scheduler.sigmas_interpol = torch.cat([middle[:1], middle[1:].repeat_interleave(2)])
        where = [*torch.stack([levels[:-1], middle[1:]], 1).flatten().tolist(), grid[-1]]
    if frame == "v":
        scheduler.alphas = (1 + levels * levels).rsqrt()
        scheduler.betas = levels * scheduler.alphas
    scheduler.set_begin_index(0)
    scale, answer = FRAMES[frame]
    event = x.shape
    x = (x / scale(grid[0])).reshape(len(x), -1)  # UniPC wants two axes at least
    for i, s in enumerate(where[:-1]):
        t = scheduler.timesteps[min(i, len(scheduler.timesteps) - 1)]
        scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else None
        y = (x * scale(s)).reshape(event)
        said = answer(y, problem.eps(y, s), s).reshape(x.shape)
        x = scheduler.step(said, t, x, return_dict=False, **call)[0]
    return x.reshape(event).double() * scale(grid[-1])


def _edm(x: Tensor, eps: Tensor, s: float, data: float = 0.5) -> Tensor:
    """The network F of EDM, σ_data = 0.5: x₀ = c_skip x + c_out F."""
    skip, out = data**2 / (s * s + data**2), s * data / math.hypot(s, data)
    return (x - s * eps - skip * x) / out


Frame = tuple[Callable[[float], float], Callable[[Tensor, Tensor, float], Tensor]]
FRAMES: dict[str, Frame] = {
    "vp": (lambda s: math.hypot(1, s), lambda x, eps, s: eps),
    "ve": (lambda s: 1.0, lambda x, eps, s: eps),
    "flow": (lambda s: 1 + s, lambda x, eps, s: eps - (x - s * eps)),
    "edm": (lambda s: 1.0, _edm),
    "v": (
        lambda s: math.hypot(1, s),
        lambda x, eps, s: (eps - s * (x - s * eps)) / math.hypot(1, s),
    ),
}
"""By what x̄ is divided, and what the network answers."""


def k_diffusion(
    options: Options, code: ModuleType, problem: Problem, x: Tensor, grid: Grid
) -> Tensor:
    """A sampler with the levels as sigmas."""
    sampler = getattr(code, options.pop("sampler"))
    sigmas = torch.tensor(grid.levels, dtype=x.dtype)
    end = sampler(lambda y, s: problem.x0(y, float(s[0])), x, sigmas, disable=True, **options)
    return torch.as_tensor(end)


def azula(options: Options, code: ModuleType, problem: Problem, x: Tensor, grid: Grid) -> Tensor:
    """A sampler on a variance-preserving schedule with the levels at even times."""

    def schedule(t: Tensor) -> tuple[Tensor, Tensor]:
        s = t.new_tensor([level(grid, (1 - u) * grid.steps) for u in t.reshape(-1).tolist()])
        alpha = (1 + s * s).rsqrt().reshape(t.shape)
        return alpha, s.reshape(t.shape) * alpha

    def denoiser(y: Tensor, t: Tensor) -> Any:
        alpha, sigma = (float(v) for v in schedule(t))
        return SimpleNamespace(mean=problem.x0(y / alpha, sigma / alpha))

    denoiser.schedule = schedule  # type: ignore[attr-defined]
    sampler = getattr(code, options.pop("cls"))(
        denoiser, steps=grid.steps, silent=True, dtype=torch.float64, **options
    )
    return sampler(x / math.hypot(1, grid[0])) * math.hypot(1, grid[-1])


BEYOND = 12
"""Levels after the last one that skrample's schedules have here: towards the end of one it lowers the order."""


def skrample(options: Options, code: ModuleType, problem: Problem, x: Tensor, grid: Grid) -> Tensor:
    """A sampler on a variance-preserving schedule with the levels at even times."""
    n = grid.steps + BEYOND
    models = code.models
    cls, chart = options.pop("cls"), options.pop("chart", "Data")
    scheduling = getattr(code, "scheduling", code)

    class Levels(scheduling.SkrampleSchedule):  # type: ignore[misc, valid-type]
        space = None

        def _points(self, t: Any) -> Any:
            s = np.array([level(grid, (1 - u) * n) for u in np.asarray(t, float).tolist()])
            return np.stack([s, s / np.hypot(1, s), 1 / np.hypot(1, s)], axis=1)

    provider = options.pop("tableau", None)
    if provider:
        family, _, name = provider.partition(".")
        tableau = getattr(getattr(code.tableaux, family), name)
        options |= {"providers": {1: tableau}}
    if cls != "Euler" and cls != "SPC":
        options |= {"derivative_transform": getattr(models, f"{chart}Model")()}
    sampler = getattr(code, cls)(**options)
    if not hasattr(sampler, "sample_model"):
        sampler = interface().StructuredFunctionalAdapter(sampler)
    end = sampler.sample_model(
        x / math.hypot(1, grid[0]),
        lambda y, t, s, a: problem.x0(y / a, s / a),
        models.DataModel(), Levels(), n, slice(0, grid.steps),
    )  # fmt: skip
    return torch.as_tensor(end) * math.hypot(1, grid[-1])


@cache
def interface() -> ModuleType:
    """The loop over skrample's structured samplers."""
    with alone("skrample"):
        return importlib.import_module("skrample.sampling.interface")


def flow_matching(
    options: Options, code: ModuleType, problem: Problem, x: Tensor, grid: Grid
) -> Tensor:
    """A solver on x_t = t x₀ + (1 - t) z, at t = 1/(1 + σ) of the levels."""
    times = 1 / (1 + torch.tensor(grid.levels, dtype=x.dtype))

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        t = float(t)
        y, s = x / t, (1 - t) / t
        eps = problem.eps(y, s)
        return y - s * eps - eps

    space: list[Any] = []
    if options["cls"] == "RiemannianODESolver":
        space = [SimpleNamespace(projx=lambda y: y, proju=lambda y, u: u)]
    solver = getattr(code, options.pop("cls"))(*space, velocity_model=velocity)
    end = solver.sample(x * float(times[0]), step_size=None, time_grid=times, **options)
    return end / float(times[-1])


def physicsnemo(
    options: Options, code: ModuleType, problem: Problem, x: Tensor, grid: Grid
) -> Tensor:
    """A solver's step from level to level, or the whole deterministic_sampler until its step to 0."""
    if options["cls"] == "deterministic_sampler":
        return _deterministic_sampler(code, problem, x, grid, **options)

    def slope(y: Tensor, t: Tensor) -> Tensor:
        return problem.eps(y, float(t[0]))

    solver = getattr(code, options.pop("cls"))(slope, **options)
    for s, t in zip(grid.levels, grid.levels[1:], strict=False):
        x = solver.step(x, x.new_full((len(x),), s), x.new_full((len(x),), t))
    return x


def _deterministic_sampler(
    code: ModuleType, problem: Problem, x: Tensor, grid: Grid, cls: str, **options: Any
) -> Tensor:
    """It rounds its levels to those of the network, which are the grid's here."""
    levels, seen = torch.tensor(grid.levels, dtype=x.dtype), []

    def net(y: Tensor, lr: Tensor, sigma: Any, labels: Any) -> Tensor:
        seen.append(y)
        return problem.x0(y, float(sigma))

    net.sigma_min, net.sigma_max = grid[-1], grid[0]  # type: ignore[attr-defined]
    net.round_sigma = lambda s: levels if s.ndim else s  # type: ignore[attr-defined]
    vp = {"sigma_min": grid[-1], "sigma_max": grid[0]}
    start = x / grid[0]
    code.deterministic_sampler(net, start, start, num_steps=grid.steps + 1, **vp, **options)
    return seen[-1]


def smalldiffusion(
    options: Options, code: ModuleType, problem: Problem, x: Tensor, grid: Grid
) -> Tensor:
    """samples() with the levels as sigmas."""
    model = SimpleNamespace(
        eval=lambda: None,
        rand_input=lambda n: torch.zeros_like(x),
        predict_eps_cfg=lambda y, s, cond, scale: problem.eps(y, float(s)),
    )
    device = SimpleNamespace(device="cpu")
    levels = torch.tensor(grid.levels, dtype=x.dtype)
    *_, end = code.samples(model, levels, xt=x, accelerator=device, **options)
    return end


def benchmarks(
    options: Options, code: ModuleType, problem: Problem, x: Tensor, grid: Grid
) -> Tensor:
    """A formula written down in peer_formulas.py."""
    del options["peer"]
    return getattr(code, options.pop("function"))(problem, x, grid, **options)


Driver = Callable[[Options, ModuleType, Problem, Tensor, Grid], Tensor]
DRIVERS: dict[str, Driver] = {
    f.__name__: f
    for f in (
        diffusers,
        k_diffusion,
        azula,
        skrample,
        flow_matching,
        physicsnemo,
        smalldiffusion,
        benchmarks,
    )
}
