"""The commands that list, and measure nothing: solvers, problems, grids, table."""

from __future__ import annotations

import argparse

from flowsolve import report
from flowsolve.arguments import find_problem, positive
from flowsolve.discover import find_spacing, make_solver, provided
from flowsolve.folder import Folder


def solvers(args: argparse.Namespace) -> int:
    """List solvers."""
    rows = []
    for p in sorted(provided().values(), key=lambda p: p.name.lower()):
        count = p.evaluations
        per_step = "adaptive" if count is None else str(count)
        rows.append([p.name, str(p.make().order), per_step, *p.docline])
    columns = ["name", "order", "NFE a step", "formula", "source"]
    report.console().print(report.plain(columns, rows))
    return 0


def problems(args: argparse.Namespace) -> int:
    """List problems."""
    from flowsolve.problems import PROBLEMS

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

        Folder(args, args.problem).figure("grids", plot.grids(made))
    return 0


def table(args: argparse.Namespace) -> int:
    """Print a coefficient table."""
    from flowsolve.schedule import VPSDE

    positive(args, "steps")
    solver = make_solver(args.solver)
    grid = find_spacing(args.spacing, VPSDE())(args.steps, args.sigma_max, args.sigma_min)

    from flowsolve.table import tabulate

    made = tabulate(solver, grid)
    report.console().print(report.table(made))
    if args.out:
        from flowsolve import plot

        folder = Folder(args)
        made.save(folder.path / "table.json")
        folder.figure("table", plot.table(made))
    return 0
