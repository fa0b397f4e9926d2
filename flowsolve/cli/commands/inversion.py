"""The experiments on inversion: table2, edit. torch is imported inside them."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from flowsolve.cli.commands.experiments import steps_of
from flowsolve.cli.experiment import finish, measured, show
from flowsolve.cli.options import find_device, find_problem, positive
from flowsolve.cli.output import Folder
from flowsolve.cli.spacings import find_steps
from flowsolve.solver.plugins import make_solver

if TYPE_CHECKING:
    from flowsolve.study.round_trip import Way

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
    from flowsolve.study.round_trip import round_trips as tasks

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


def edit(args: argparse.Namespace) -> int:
    """Digits made into others."""
    positive(args, "samples", "shown", "steps")
    solver = make_solver(args.solver)

    from flowsolve.problems import Digits

    problem = Digits()
    ends = problem.sigma_max, problem.sigma_min
    grid = find_steps(args.grid, problem.clock, *ends)(args.steps)
    folder = Folder(args)

    import torch

    from flowsolve import plot
    from flowsolve.study.editing import SETTINGS, Originals, edits

    originals = Originals(args.samples, grid, solver, getattr(torch, args.dtype))
    rows = measured(folder, edits(originals), "edits")
    few = Originals(args.shown, grid, solver, getattr(torch, args.dtype))
    shown = [s for s, row in zip(SETTINGS, rows, strict=True) if not row.error]
    arrows = [f"{a} → {b}" for a, b in zip(few.classes.tolist(), few.targets.tolist(), strict=True)]
    sheet = {"original": few.images} | {str(s): s(few).x for s in shown}
    folder.figure(
        "edits", plot.edits(sheet, arrows, f"{solver!r}, {grid.name}, {grid.steps} steps")
    )
    body = [
        [r.edit, str(r.nfe), f"{r.forwards:g}", str(r.kept),
         f"{r.correlation:.3f} ± {r.correlation_error:.3f}", r.right_share]
        for r in rows
        if not r.error
    ]  # fmt: skip
    head = ["edit", "NFE", "passes", "distance", "correlation", "new class"]
    show(f"{args.samples} digits, each made into another: what is kept of them", head, body)
    return finish(folder, rows, "edits.png", ".svg")


def _way(text: str) -> Way:
    """DOWN, UP/DOWN or invert/DOWN."""
    from flowsolve.study.round_trip import Way

    up, _, down = text.rpartition("/")
    if up == INVERT:
        return Way(make_solver(down), inverted=True)
    return Way(make_solver(down), make_solver(up) if up else None)
