"""print the levels of grids, and draw them with --out"""

from __future__ import annotations

import argparse

from flowsolve.cli import options


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("grids", nargs="*", metavar="SPACING", help="default: all of them")
    c.add_argument("--steps", type=int, default=10, metavar="N")
    c.add_argument("--problem", default="digits", help="whose ends and clock to use")
    c.add_argument("--sigma-max", type=float, metavar="S")
    c.add_argument("--sigma-min", type=float, metavar="S")
    options.add_output(c, None)


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli import tables
    from flowsolve.cli.output import Folder
    from flowsolve.cli.spacings import find_spacing

    options.positive(args, "steps")
    problem = options.find_problem(args)
    names = args.grids or ["karras", "log_snr", "uniform", "uniform_t", "quadratic_t"]
    ends = (problem.sigma_max, problem.sigma_min)
    made = [find_spacing(name, problem.clock)(args.steps, *ends) for name in names]
    rows = [[str(i), *(f"{g[i]:.6g}" for g in made)] for i in range(args.steps + 1)]
    tables.console().print(tables.plain(["i", *(g.name for g in made)], rows))
    if args.out:
        from flowsolve.plot.grids import grid_levels

        Folder(args, args.problem).figure("grids", grid_levels(made))
    return 0
