"""real digits made into others, by inversion and from half-way"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flowsolve.cli import options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flowsolve.cli.output import Folder


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("--solver", default="ddim")
    c.add_argument("--steps", type=int, default=20, metavar="S")
    c.add_argument("--grid", default="tau_linear", metavar="GRID", help="as of table1")
    c.add_argument("--samples", type=int, default=360, metavar="N", help="digits (default 360)")
    c.add_argument("--shown", type=int, default=10, metavar="N", help="digits in the figure")
    c.add_argument("--dtype", default="float32", choices=options.DTYPES[:2])
    options.add_shared(c, "results/edit")


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder

    options.positive(args, "samples", "shown", "steps")
    with Folder(args, free=("shown",)) as folder:
        return _study(args, folder)


def _study(args: argparse.Namespace, folder: Folder) -> int:
    from flowsolve.cli.experiment import finish, measured, print_table
    from flowsolve.cli.spacings import find_family
    from flowsolve.problems.digits import Digits
    from flowsolve.solver.plugins import make_solver

    solver = make_solver(args.solver)
    problem = Digits()
    ends = problem.sigma_max, problem.sigma_min
    grid = find_family(args.grid, problem.clock, *ends)(args.steps)

    import torch

    from flowsolve.plot import editing as figures
    from flowsolve.study.editing import EDITS, edits
    from flowsolve.study.editing_methods import Originals

    def sheet() -> Figure:
        few = Originals(args.shown, grid, solver, getattr(torch, args.dtype))
        shown = [edit for edit, row in zip(EDITS, rows, strict=True) if not row.error]
        pairs = zip(few.classes.tolist(), few.targets.tolist(), strict=True)
        images = {"original": few.images} | {str(edit): edit(few).x for edit in shown}
        title = f"{solver!r}, {grid.name}, {grid.steps} steps"
        return figures.edits(images, [f"{a} → {b}" for a, b in pairs], title)

    originals = Originals(args.samples, grid, solver, getattr(torch, args.dtype))
    rows = measured(folder, edits(originals), "edits")
    folder.figure("edits", sheet)
    with folder.part("the table"):
        body = [
            [r.edit, str(r.nfe), f"{r.forwards:g}", str(r.kept),
             f"{r.correlation:.3f} ± {r.correlation_error:.3f}", r.right_share]
            for r in rows
            if not r.error
        ]  # fmt: skip
        head = ["edit", "NFE", "passes", "distance", "correlation", "new class"]
        title = f"{args.samples} digits, each made into another: what is kept of them"
        print_table(args, title, head, body)
    return finish(folder, rows, "edits.png", ".svg", ".pdf")
