"""the coefficient table of a solver: what it is as a linear map"""

from __future__ import annotations

import argparse

from flowsolve.cli import options


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("solver")
    c.add_argument("--steps", type=int, default=6, metavar="N")
    c.add_argument("--spacing", default="karras")
    c.add_argument("--sigma-max", type=float, default=10.0, metavar="S")
    c.add_argument("--sigma-min", type=float, default=0.05, metavar="S")
    options.add_output(c, None)


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli import tables
    from flowsolve.cli.output import Folder
    from flowsolve.cli.spacings import find_spacing
    from flowsolve.schedule.clock import VPSDE
    from flowsolve.solver.plugins import make_solver

    options.positive(args, "steps")
    solver = make_solver(args.solver)
    grid = find_spacing(args.spacing, VPSDE())(args.steps, args.sigma_max, args.sigma_min)

    from flowsolve.analysis.table import tabulate

    made = tabulate(solver, grid)
    tables.console().print(tables.coefficients(made))
    if args.out:
        from flowsolve.plot import grids as figures

        folder = Folder(args)
        made.save(folder.path / "table.json")
        folder.figure("table", figures.coefficients(made))
    return 0
