"""What an evaluation costs beside its network at three sizes, in times of one torch.add of the state.

eager, compiled, a CUDA graph; the same methods written by hand, in place; diffusers and k-diffusion. All in
one process, in turn, in random order. The time of as many calls of the network is taken off each but a graph.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from step_cost import MISSING, clock, diffusers, k_diffusion, network
from torch import Tensor

from flowsolve import VPSDE, DiffusionODE, EpsPrediction, Grid, Solver, log_snr, solve
from flowsolve.integrate import graphed
from flowsolve_solvers import DPMSolverPP2M, Euler, UniPC

SHAPES = ("1,4,64,64", "1,12,64,64", "4,4,128,128")  # 64 KB, 192 KB, 1 MB
METHODS: tuple[Solver, ...] = (Euler(), DPMSolverPP2M(), UniPC(3))
SPACING = partial(log_snr, sigma_max=80.0, sigma_min=0.01)
PRECONDITION = EpsPrediction(VPSDE())


def closed(x: Tensor, t: Tensor) -> Tensor:
    """The same network as one operation that a compiler cannot look into, as with a real network's."""
    out: Tensor = torch.ops.flowsolve_benchmark.network(x, t)
    return out


def define_closed() -> None:
    name = "flowsolve_benchmark::network"
    torch.library.define(name, "(Tensor x, Tensor t) -> Tensor")
    torch.library.impl(name, ("cpu", "cuda"), network)
    torch.library.register_fake(name, lambda x, t: torch.empty_like(x))


@dataclass
class Case:
    """A loop of nfe evaluations, the network that it calls, and what goes before."""

    name: str
    run: Callable[[], object]
    nfe: int
    network: Callable[[Tensor, Tensor], Tensor] | None = network
    prepare: Callable[[], object] = lambda: None
    micros: list[float] = field(default_factory=list)

    def time(self, x: Tensor) -> None:
        """One run, less as many networks, for each evaluation."""
        self.prepare()
        label, now = x.new_full((len(x),), 0.5), clock(x.device)
        start = now()
        self.run()
        middle = now()
        for _ in range(self.nfe if self.network else 0):
            self.network(x, label)  # type: ignore[misc]
        spent = now() - middle if self.network else 0.0
        self.micros.append(1e6 * (middle - start - spent) / self.nfe)


def by_hand(x: Tensor, grid: Grid) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Euler and DPM-Solver++(2M) as loops over buffers that are made once."""
    y, seen, labels, D, before = (torch.empty_like(v) for v in (x, x, x.flatten(1)[:, 0], x, x))
    levels = [(s, t, 1 / math.hypot(1, s), PRECONDITION.clock.t(s)) for s, t in pairwise(grid)]

    def euler() -> Tensor:
        y.copy_(x)
        for s, t, scale, label in levels:
            torch.mul(y, scale, out=seen)
            y.add_(network(seen, labels.fill_(label)), alpha=t - s)
        return y

    def two_m() -> Tensor:
        y.copy_(x)
        new, old, last = D, before, 0.0
        for s, t, scale, label in levels:
            torch.mul(y, scale, out=seen)
            torch.add(y, network(seen, labels.fill_(label)), alpha=-s, out=new)
            h = math.log(s / t)
            mean = new if not last else old.lerp_(new, 1 + h / (2 * last))
            torch.lerp(mean, y, t / s, out=y)
            new, old, last = old, new, h
        return y

    return euler, two_m


def additions(x: Tensor, n: int) -> None:
    """What everything is measured in."""
    for _ in range(n):
        torch.add(x, x)


def cases(x: Tensor, nfe: int, backend: str) -> list[Case]:
    """All loops on states like x."""
    grid, plain, shut = (
        SPACING(nfe), DiffusionODE(network, PRECONDITION), DiffusionODE(closed, PRECONDITION),
    )  # fmt: skip
    found = [Case("torch.add", lambda: additions(x, nfe), nfe, None)]
    for solver in METHODS:
        run = partial(solve, plain, x, grid, solver)
        compiled = torch.compile(
            lambda x, solver=solver: solve(shut, x, grid, solver).x,
            backend=backend, fullgraph=True, dynamic=False,
        )  # fmt: skip
        found.append(Case(f"{solver!r}, eager", run, nfe))
        found.append(Case(f"{solver!r}, compiled", partial(compiled, x), nfe, closed))
        if x.is_cuda:
            replay = graphed(plain, x, grid, solver, run=solve, check=False)
            name = f"{solver!r}, graph, with the network's"
            found.append(Case(name, partial(replay, x), nfe, None))
    for name, loop in zip(("Euler", "DPM-Solver++(2M)"), by_hand(x, grid), strict=True):
        found.append(Case(f"{name} by hand, in place", loop, nfe))
    peers: dict[str, Callable[[str], Any]] = {
        "DDIMScheduler": lambda n: diffusers(n, Euler(), x, nfe, clip_sample=False),
        "DPMSolverMultistepScheduler": lambda n: diffusers(n, DPMSolverPP2M(), x, nfe),
        "UniPCMultistepScheduler": lambda n: diffusers(n, UniPC(3), x, nfe, solver_order=3),
        "sample_dpmpp_2m": lambda n: k_diffusion(n, x, grid),
    }
    for name, peer in peers.items():
        try:
            theirs = peer(name)
        except ImportError:
            print(f"{name}: {MISSING}")
        else:
            found.append(Case(theirs.name, theirs.run, nfe, prepare=theirs.prepare))
    return found


def measure(x: Tensor, nfe: int, repeat: int, backend: str) -> dict[str, float]:
    """Median µs an evaluation, by name."""
    order, found = random.Random(0), cases(x, nfe, backend)
    for case in found:
        case.time(x)  # a first time, which is not kept: it compiles, and loads kernels
        case.time(x)
        case.micros.clear()
    for _ in range(repeat):
        for case in order.sample(found, len(found)):
            case.time(x)
    return {case.name: median(case.micros) for case in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nfe", type=int, default=20, help="evaluations a run")
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="of the float32 states")
    parser.add_argument("--repeat", type=int, default=100, help="timed runs of each")
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    parser.add_argument("--device", type=torch.device, default="cpu", help="cpu, cuda, cuda:1")
    parser.add_argument("--csv", type=Path, help="write the table here as well, size by size")
    args = parser.parse_args()

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    define_closed()
    columns: dict[str, dict[str, float]] = {}
    for shape in args.shapes:
        x = torch.randn([int(n) for n in shape.split(",")]).to(args.device)
        torch._dynamo.reset()  # it counts how often one function is compiled, and stops at eight
        columns[shape] = measure(x, args.nfe, args.repeat, args.backend)
        head = ["loop", *(f"{what} ({s})" for s in columns for what in ("µs/eval", "adds"))]
        rows = [
            [name, *(f"{v:.2f}" for c in columns.values() for v in (c[name], c[name] / c["torch.add"]))]
            for name in columns[shape]
        ]  # fmt: skip
        if args.csv:
            with args.csv.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([head, *rows])
    where = torch.cuda.get_device_name(args.device) if x.is_cuda else args.device
    table = Table(title=f"Beside the network, float32, torch {torch.__version__}, {where}")
    for i, column in enumerate(head):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
