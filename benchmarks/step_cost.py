"""What a step costs beside its network: flowsolve's methods, diffusers' schedulers, k-diffusion.

µs/eval   CPU time of one thread, (loop - NFE x network) / NFE; all methods in turn, in random order.
          On a GPU wall time, each loop timed from an idle device until it is idle again
ops/eval  aten calls of the same loop, views and the network's own left out
state     those of them that write a tensor of the state's size
/ same    a peer's time over that of the same method here
"""

from __future__ import annotations

import argparse
import csv
import importlib
import importlib.util
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

import torch
from peer_code import k_diffusion_sampling
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from flowsolve import ODE, VPSDE, DiffusionODE, EpsPrediction, Grid, Solver, log_snr, solve
from flowsolve.integrate import fit
from flowsolve_solvers import ALL, DEIS, LMS, Adams, DPMSolverM, DPMSolverPP2M, DPMSolverPPM, Euler

COLUMNS = ("method", "nfe", "µs/eval", "q25", "q75", "/ Euler", "ops/eval", "state", "/ same")
BARE = "DPMSolverPP2M(), bare denoiser"
MISSING = "not installed: pip install flowsolve[parity]"


def network(x: Tensor, t: Tensor) -> Tensor:
    return x * 0.1


class Denoiser(ODE):
    """The network as x₀ itself, which is what k-diffusion's samplers call: no preconditioning."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:  # noqa: D102
        return (x - self.x0(x, sigma)) / sigma

    def x0(self, x: Tensor, sigma: float) -> Tensor:  # noqa: D102
        return network(x, x.new_full(x.shape[:1], sigma))


class Operations(TorchDispatchMode):
    """Counts aten calls that are no views, and those that write `size` elements."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.all, self.state = size, 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            written = (v.numel() for v in tree_leaves(out) if isinstance(v, Tensor))
            self.all, self.state = self.all + 1, self.state + (self.size in written)
        return out


def clock(device: torch.device) -> Callable[[], float]:
    """Seconds of this thread's CPU time; on a GPU of wall time, read when the device has done its work."""
    if device.type != "cuda":
        return time.thread_time

    def now() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return now


@dataclass
class Case:
    """A loop that returns its NFE, the name of the same method here, and what goes before."""

    name: str
    run: Callable[[], int]
    same: str = ""
    prepare: Callable[[], object] = lambda: None
    micros: list[float] = field(default_factory=list)

    def count(self, x: Tensor) -> None:
        """One run under the counter, after one that fills what the method caches."""
        self.prepare()
        self.nfe = self.run()
        self.prepare()
        with Operations(x.numel()) as own:
            network(x, x)
        with Operations(x.numel()) as mode:
            self.run()
        self.ops, self.state = mode.all / self.nfe - own.all, mode.state / self.nfe - own.state

    def time(self, x: Tensor) -> None:
        """One run, less as many networks."""
        self.prepare()
        now = clock(x.device)
        start = now()
        self.run()
        middle = now()
        for _ in range(self.nfe):
            network(x, x)
        self.micros.append(1e6 * (2 * middle - start - now()) / self.nfe)


def ours(every: bool, x: Tensor, nfe: int, spacing: Callable[[int], Grid]) -> list[Case]:
    """Every certified configuration, or one of each class and the Adams methods that have names."""

    def case(ode: ODE, solver: Solver, name: str) -> Case:
        grid = fit(solver, nfe, spacing)
        return Case(name, lambda: solve(ode, x, grid, solver).nfe)

    first = {type(s): s for s in reversed(ALL) if not isinstance(s, Adams)}
    named = [LMS(4), DEIS(3), DPMSolverM(3), DPMSolverPPM(3)]
    solvers = ALL if every else [*reversed(first.values()), *named]
    ode = DiffusionODE(network, EpsPrediction(VPSDE()))
    return [*(case(ode, s, repr(s)) for s in solvers), case(Denoiser(), DPMSolverPP2M(), BARE)]


def diffusers(name: str, same: Solver, x: Tensor, nfe: int, **config: Any) -> Case:
    """The loop of a diffusers pipeline; `set_timesteps` is not timed."""
    scheduler = getattr(importlib.import_module("diffusers"), name)(**config)

    def run() -> int:
        y = x
        for t in scheduler.timesteps:
            y = scheduler.scale_model_input(y, t)
            y = scheduler.step(network(y, t), t, y, return_dict=False)[0]
        return len(scheduler.timesteps)

    return Case(f"diffusers {name}", run, repr(same), lambda: scheduler.set_timesteps(nfe))


def k_diffusion(name: str, x: Tensor, grid: Grid) -> Case:
    """A function of k_diffusion/sampling.py."""
    sampler = getattr(k_diffusion_sampling(), name)
    sigmas = torch.tensor(grid.levels, dtype=x.dtype, device=x.device)

    def run() -> int:
        sampler(network, x, sigmas, disable=True)
        return grid.steps

    return Case(f"k-diffusion {name}", run, BARE)


def measure(cases: list[Case], x: Tensor, repeat: int) -> list[list[str]]:
    """The rows of the table."""
    order = random.Random(0)
    for case in cases:
        case.count(x)
        case.time(x)  # a first time, which is not kept: kernels are loaded
        case.micros.clear()
    for _ in range(repeat):
        for case in order.sample(cases, len(cases)):
            case.time(x)
    times = {case.name: quantiles(case.micros, n=4, method="inclusive") for case in cases}
    rows = []
    for case in cases:
        low, middle, high = times[case.name]
        numbers = [middle, low, high, middle / times[repr(Euler())][1], case.ops, case.state]
        numbers += [middle / times[case.same][1]] if case.same else []
        rows.append([case.name, str(case.nfe), *(f"{v:.2f}" for v in numbers)])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--all", action="store_true", help="every configuration in ALL")
    parser.add_argument("--nfe", type=int, default=20, help="evaluations a run, at most")
    parser.add_argument("--shape", default="1,4,64,64", help="of the float32 state")
    parser.add_argument("--repeat", type=int, default=100, help="timed runs of each method, >= 2")
    parser.add_argument("--device", type=torch.device, default="cpu", help="cpu, cuda, cuda:1")
    parser.add_argument("--csv", type=Path, help="write the table here as well")
    args = parser.parse_args()

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    x = torch.randn([int(n) for n in args.shape.split(",")]).to(args.device)

    spacing = partial(log_snr, sigma_max=80.0, sigma_min=0.01)
    peers: dict[str, Callable[[str], Case]] = {
        "DDIMScheduler": lambda name: diffusers(name, Euler(), x, args.nfe, clip_sample=False),
        "DPMSolverMultistepScheduler": lambda name: diffusers(name, DPMSolverPP2M(), x, args.nfe),
        "sample_dpmpp_2m": lambda name: k_diffusion(name, x, spacing(args.nfe)),
    }
    cases, missing = ours(args.all, x, args.nfe, spacing), []
    for name, peer in peers.items():
        try:
            cases.append(peer(name))
        except ImportError:
            missing.append([f"{name}: {MISSING}"])
    rows = measure(cases, x, max(2, args.repeat)) + missing

    where = torch.cuda.get_device_name(args.device) if x.is_cuda else args.device
    title = f"Beside the network, {args.shape} float32, torch {torch.__version__}, {where}"
    table = Table(title=title)
    for i, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=160).print(table)
    if args.csv:
        with args.csv.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
