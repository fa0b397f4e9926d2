"""The commands that list, and measure nothing: solvers, problems, grids, table."""

from __future__ import annotations

import argparse

from flowsolve.cli import tables as report
from flowsolve.cli.options import find_problem, positive
from flowsolve.cli.output import Folder
from flowsolve.cli.spacings import find_spacing
from flowsolve.integrate.cost import per_step
from flowsolve.solver.base import formula_and_source
from flowsolve.solver.plugins import make_solver, provided


def solvers(args: argparse.Namespace) -> int:
    """List solvers."""
    rows = []
    for p in sorted(provided().values(), key=lambda p: p.name.lower()):
        solver = p.make()
        count = per_step(solver)
        each = "adaptive" if count is None else str(count)
        rows.append([p.name, str(solver.order), each, *formula_and_source(p.make)])
    columns = ["name", "order", "NFE a step", "formula", "source"]
    report.console().print(report.plain(columns, rows))
    return 0


def problems(args: argparse.Namespace) -> int:
    """List problems."""
    from flowsolve.problems.catalogue import PROBLEMS

    rows = [[name, p.summary] for name, p in PROBLEMS.items()]
    report.console().print(report.plain(["name", "what it is"], rows))
    return 0


def grids(args: argparse.Namespace) -> int:
    """Print grids."""
    positive(args, "steps")
    problem = find_problem(args)
    names = args.grids or ["karras", "log_snr", "uniform", "uniform_t", "quadratic_t"]
    ends = (problem.sigma_max, problem.sigma_min)
    made = [find_spacing(name, problem.clock)(args.steps, *ends) for name in names]
    rows = [[str(i), *(f"{g[i]:.6g}" for g in made)] for i in range(args.steps + 1)]
    report.console().print(report.plain(["i", *(g.name for g in made)], rows))
    if args.out:
        from flowsolve import plot

        Folder(args, args.problem).figure("grids", plot.grid_levels(made))
    return 0


def table(args: argparse.Namespace) -> int:
    """Print a coefficient table."""
    from flowsolve.schedule.clock import VPSDE

    positive(args, "steps")
    solver = make_solver(args.solver)
    grid = find_spacing(args.spacing, VPSDE())(args.steps, args.sigma_max, args.sigma_min)

    from flowsolve.analysis.table import tabulate

    made = tabulate(solver, grid)
    report.console().print(report.table(made))
    if args.out:
        from flowsolve import plot

        folder = Folder(args)
        made.save(folder.path / "table.json")
        folder.figure("table", plot.coefficients(made))
    return 0
