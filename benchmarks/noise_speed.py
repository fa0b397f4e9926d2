"""What noise by seed costs: a draw beside torch.randn, and a step of DDPM beside diffusers' scheduler.

µs      CPU time of one thread, on a GPU wall time until it is idle; the median, all in turn in random order
ns      of a draw, for each value
/ randn a draw's time over that of torch.randn;  / DDPM: a step's over that of diffusers' DDPMScheduler

A step is that of `solve` with DDIMEta(1.0), the network x ↦ 0.1 x in it, a 20th of a run. `as it was`: one
generator for each sample, float64, stacked and cast.
"""

from __future__ import annotations

import argparse
import importlib
import random
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from step_cost import clock, network
from torch import Tensor

from flowsolve import (
    VPSDE,
    CounterNoise,
    DiffusionODE,
    EpsPrediction,
    SeededNoise,
    WithNoise,
    log_snr,
    solve,
)
from flowsolve_solvers import DDIMEta

SHAPES = ((64, 3, 32, 32), (4, 3, 256, 256), (1, 4, 64, 64))
STEPS = 20
Runs = dict[str, Callable[[], Any]]


def as_it_was(x: Tensor) -> Tensor:
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(x))]
    drawn = [torch.randn(x.shape[1:], dtype=torch.float64, generator=g) for g in generators]
    z = torch.stack(drawn).to(x.dtype)
    return z.pin_memory().to(x.device, non_blocking=True) if x.is_cuda else z


def sources(x: Tensor, compiled: bool) -> dict[str, SeededNoise]:
    seeds = range(len(x))
    found = {"SeededNoise": SeededNoise(seeds), "CounterNoise": CounterNoise(seeds)}
    if compiled:
        found["CounterNoise, compiled"] = CounterNoise(seeds, compiled=True)
    return found


def draws(x: Tensor, compiled: bool) -> Runs:
    found: Runs = {"torch.randn": partial(torch.randn, x.shape, device=x.device)}
    found["as it was"] = partial(as_it_was, x)
    return found | {n: partial(source, x, 2.0, 1.0) for n, source in sources(x, compiled).items()}


def steps(x: Tensor, compiled: bool) -> Runs:
    """Of `STEPS` steps each."""
    ode, grid = DiffusionODE(network, EpsPrediction(VPSDE())), log_snr(STEPS, 80.0, 0.01)
    found: Runs = {"no noise, DDIMEta(0.0)": partial(solve, ode, x, grid, DDIMEta(0.0))}
    for name, source in sources(x, compiled).items():
        found[name] = partial(solve, WithNoise(ode, source), x, grid, DDIMEta(1.0))
    try:
        made = importlib.import_module("diffusers").DDPMScheduler(clip_sample=False)
    except ImportError:
        return found
    made.set_timesteps(STEPS)
    each = [torch.Generator().manual_seed(seed) for seed in range(len(x))]

    def run(generator: Any) -> None:
        y = x
        for t in made.timesteps:
            y = made.step(network(y, t), t, y, generator=generator, return_dict=False)[0]

    peer = "diffusers DDPMScheduler"
    return found | {peer: partial(run, each[0]), f"{peer}, a generator each": partial(run, each)}


def times(runs: Runs, device: torch.device, repeat: int) -> dict[str, float]:
    """Median µs of each."""
    now, order = clock(device), random.Random(0)
    found: dict[str, list[float]] = {name: [] for name in runs}
    for k in range(repeat + 2):  # the first two are not kept: kernels are loaded, or compiled
        for name in order.sample(list(runs), len(runs)):
            start = now()
            runs[name]()
            if k > 1:
                found[name].append(1e6 * (now() - start))
    return {name: median(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=30, help="timed runs of each")
    parser.add_argument("--device", type=torch.device, default="cpu", help="cpu, cuda, cuda:1")
    parser.add_argument("--compiled", action="store_true", help="CounterNoise(compiled=True) too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    where = (
        torch.cuda.get_device_name(args.device) if args.device.type == "cuda" else "CPU, 1 thread"
    )
    for shape in SHAPES:
        x = torch.randn(shape).to(args.device)
        drawn = times(draws(x, args.compiled), args.device, args.repeat)
        table = Table(title=f"{shape} float32, torch {torch.__version__}, {where}")
        for i, column in enumerate(("", "µs", "ns", "/ randn", "/ DDPM")):
            table.add_column(column, justify="right" if i else "left")
        for name, t in drawn.items():
            table.add_row(
                name, f"{t:.0f}", f"{1e3 * t / x.numel():.2f}", f"{t / drawn['torch.randn']:.2f}"
            )
        table.add_section()
        stepped = times(steps(x, args.compiled), args.device, max(3, args.repeat // 3))
        peer = stepped.get("diffusers DDPMScheduler", float("nan"))
        for name, t in stepped.items():
            table.add_row(f"a step: {name}", f"{t / STEPS:.0f}", "", "", f"{t / peer:.2f}")
        Console(width=110).print(table)


if __name__ == "__main__":
    main()
