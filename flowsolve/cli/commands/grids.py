"""print the levels of grids, and draw them with --out"""

from __future__ import annotations

import argparse

from flowsolve.cli import options
from flowsolve.errors import FlowsolveError

SHOWN = (
    "karras", "log_snr", "uniform", "uniform_t", "quadratic_t", "uniform_phi",
    "two_power:low=0.5,high=4,below=0.35,above=0.35",
)  # fmt: skip


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("grids", nargs="*", metavar="SPACING", help="default: seven of them")
    c.add_argument("--steps", type=int, default=10, metavar="N")
    c.add_argument("--problem", default="digits", help="whose ends and clock to use")
    c.add_argument("--sigma-max", type=float, metavar="S")
    c.add_argument("--sigma-min", type=float, metavar="S")
    options.add_output(c, None)
    options.add_printed(c)


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli import show
    from flowsolve.cli.output import Folder
    from flowsolve.cli.spacings import find_spacing

    options.positive(args, "steps")
    problem = options.find_problem(args)
    ends, made = (problem.sigma_max, problem.sigma_min), []
    for name in args.grids or SHOWN:
        try:
            made.append(find_spacing(name, problem.clock)(args.steps, *ends))
        except FlowsolveError:  # EDM's clock has negative times, which have no powers
            if args.grids:
                raise
    rows = [{"i": i} | {g.name: g[i] for g in made} for i in range(args.steps + 1)]
    show.listing(args, rows, number=".6g")
    if not args.out:
        return 0
    from flowsolve.plot.grids import grid_levels

    with Folder(args, args.problem) as folder:
        folder.figure("grids", grid_levels, made)
        return folder.code()
