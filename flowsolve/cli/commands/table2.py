"""what is lost when data go up to noise and down again: Table 2"""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from flowsolve.cli import options

if TYPE_CHECKING:
    from flowsolve.cli.output import Folder
    from flowsolve.study.round_trip import Way

INVERT = "invert"
WAYS = ["ddim", "ddiminverse/ddim", "dpmsolverpp2m", "heun", "rk4:variable=log", "invert/ddim", "bdia",
        "obelm", "edict", "rex", "rex:method=heun"]  # fmt: skip


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--ways", nargs="+", default=WAYS, metavar="WAY",
                   help="DOWN, a solver for both ways, UP/DOWN for two, invert/DOWN, exact")  # fmt: skip
    c.add_argument("--samples", type=int, default=16, metavar="N", help="data (default 16)")
    options.add_block(c, 64, "data")
    options.add_steps(c, [10, 20, 50, 100])
    both = ["float64", "float32"]
    c.add_argument("--dtype", nargs="+", default=both, choices=options.DTYPES)
    options.add_ends(c)
    options.add_shared(c, "results/table2-PROBLEM")


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder

    options.positive(args, "steps", "samples", "block")
    with Folder(args, args.problem, grows=("ways", "steps", "dtype")) as folder:
        return _study(args, folder)


def _study(args: argparse.Namespace, folder: Folder) -> int:
    from flowsolve.cli.experiment import finish, measured, print_table

    ways = [*{repr(way): way for way in map(_way, args.ways)}.values()]
    problem = options.find_problem(args)
    grids = options.find_grids(args, problem)
    device = options.find_device(args)

    import torch

    from flowsolve.plot import round_trip as figures
    from flowsolve.study.round_trip import round_trips

    tasks = round_trips(
        ways, problem, args.steps, grids, samples=args.samples,
        dtypes=[getattr(torch, name) for name in args.dtype], block=args.block, device=device,
    )  # fmt: skip
    rows = measured(folder, tasks, repr(problem))
    folder.figure("table2", figures.round_trips_vs_steps, rows)
    with folder.part("the table"):
        most = f"S = {args.steps[-1]}"
        head = [
            "up and down",
            *(f"S = {n}" for n in args.steps),
            f"NFE, {most}",
            f"as a sampler, {most}",
        ]
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
            lost = f"mean squared error per dimension of {args.samples} of the data, up and down"
            print_table(args, f"{name}: {lost}", head, body)
        for r in rows:
            if 0 <= r.converged < r.samples and not r.error and args.format == "table":
                print(f"{r.name}: converged for {r.converged} of {r.samples}")
    return finish(folder, rows, "table2.png", ".svg", ".pdf")


def _way(text: str) -> Way:
    """DOWN, UP/DOWN or invert/DOWN."""
    from flowsolve.solver.plugins import make_solver
    from flowsolve.study.round_trip import Way

    up, _, down = text.rpartition("/")
    if up == INVERT:
        return Way(make_solver(down), inverted=True)
    return Way(make_solver(down), make_solver(up) if up else None)
