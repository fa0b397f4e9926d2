"""The experiment on round trips: table2. torch is imported inside."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from flowsolve.arguments import find_device, find_problem, positive
from flowsolve.commands.experiments import steps_of
from flowsolve.commands.running import finish, measured, show
from flowsolve.discover import make_solver
from flowsolve.folder import Folder

if TYPE_CHECKING:
    from flowsolve.experiments.round_trip import Way

INVERT = "invert"


def table2(args: argparse.Namespace) -> int:
    """Round trips."""
    positive(args, "steps", "samples", "block")
    ways = [_way(text) for text in args.ways]
    problem = find_problem(args)
    spacing = steps_of(args, problem)
    device = find_device(args)
    folder = Folder(args, args.problem)

    import torch

    from flowsolve import plot
    from flowsolve.experiments.round_trip import round_trips as tasks

    dtypes = [getattr(torch, name) for name in args.dtype]
    rows = measured(folder, tasks(
        ways, problem, args.steps, spacing, samples=args.samples, block=args.block, dtypes=dtypes,
        device=device,
    ), repr(problem))  # fmt: skip
    folder.figure("table2", plot.round_trips(rows))
    for name in args.dtype:
        found = {(r.way, r.S): r for r in rows if r.dtype == name}
        body = []
        for way in map(repr, ways):
            some = [found[way, n] for n in args.steps]
            cells = ["failed" if r.error else f"{r.mse:.1e}" for r in some]
            last = next((r for r in reversed(some) if not r.error), None)
            cost = "-" if last is None else f"{last.nfe_up} + {last.nfe_down}"
            off = "-" if last is None or math.isnan(last.sampler) else f"{last.sampler:.1e}"
            body.append([way, *cells, cost, off])
        most = f"S = {args.steps[-1]}"
        head = [
            "up and down",
            *(f"S = {n}" for n in args.steps),
            f"NFE, {most}",
            f"as a sampler, {most}",
        ]
        show(
            f"{name}: mean squared error per dimension of {args.samples} of the data, up and down",
            head,
            body,
        )
    missed = [r for r in rows if 0 <= r.converged < r.samples and not r.error]
    for r in missed:
        print(f"{r.name}: converged for {r.converged} of {r.samples}")
    return finish(folder, rows, "table2.png", ".svg")


def _way(text: str) -> Way:
    """DOWN, UP/DOWN or invert/DOWN."""
    from flowsolve.experiments.round_trip import Way

    up, _, down = text.rpartition("/")
    if up == INVERT:
        return Way(make_solver(down), inverted=True)
    return Way(make_solver(down), make_solver(up) if up else None)
