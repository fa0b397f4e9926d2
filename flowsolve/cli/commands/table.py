"""the coefficient table of a solver: what it is as a linear map"""

from __future__ import annotations

import argparse
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from flowsolve.cli import options

if TYPE_CHECKING:
    from flowsolve.analysis.table import Table


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("solver")
    c.add_argument("--steps", type=int, default=6, metavar="N")
    c.add_argument("--spacing", default="karras")
    c.add_argument("--sigma-max", type=float, default=10.0, metavar="S")
    c.add_argument("--sigma-min", type=float, default=0.05, metavar="S")
    options.add_results(c, None)


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli import show
    from flowsolve.cli.output import Folder
    from flowsolve.cli.progress import busy
    from flowsolve.cli.spacings import find_spacing
    from flowsolve.schedule.clock import VPSDE
    from flowsolve.solver.plugins import make_solver

    options.positive(args, "steps")
    solver = make_solver(args.solver)
    grid = find_spacing(args.spacing, VPSDE())(args.steps, args.sigma_max, args.sigma_min)

    from flowsolve.analysis.table import tabulate

    with busy(f"the table of {solver!r}, {args.steps} steps", args.quiet):
        made = tabulate(solver, grid)
    show.listing(args, _rows(made), number="+.4f", title=made.solver)
    if not args.out:
        return 0
    from flowsolve.plot import grids as figures

    with Folder(args) as folder:
        folder.begin()
        folder.file("table.json", made.save)
        folder.figure("table", figures.coefficients, made)
        return folder.code()


def _rows(t: Table) -> list[dict[str, Any]]:
    """A row for each evaluation and one for the answer."""
    names = ["x̄_T", *(f"ε{k}" for k in range(1, len(t.sigmas) + 1))]
    levels = [*(f"{s:.4g}" for s in t.sigmas), "answer"]
    return [
        {"at σ": level} | dict(zip_longest(names, weights)) | {"Σ ε": total}
        for level, weights, total in zip(levels, (*t.probes, t.answer), t.row_sums, strict=True)
    ]
