"""measure the order of convergence of solvers"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from flowsolve.cli import options
from flowsolve.cli.methods import find_names, find_solvers

if TYPE_CHECKING:
    from flowsolve.cli.output import Folder
    from flowsolve.study.series import Study

GROWS = ("solvers", "steps", "spacing")


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("solvers", nargs="+", metavar="SOLVER")
    c.add_argument("--problem", default="mixture_1d")
    c.add_argument("--steps", nargs="+", type=int, default=[20, 40, 80, 160, 320, 640], metavar="N")
    c.add_argument("--seeds", type=int, default=16, metavar="N")
    options.add_spacing(c, "karras")
    options.add_dtype(c, "float64")
    options.add_results(c, None)


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder

    options.positive(args, "steps", "seeds")
    find_solvers(args.solvers)
    if not args.out:
        return _study(args, None)
    with Folder(args, args.problem, GROWS) as folder:
        return _study(args, folder)


def _study(args: argparse.Namespace, folder: Folder | None) -> int:
    from flowsolve.cli import row_progress, show
    from flowsolve.cli.spacings import find_spacing

    solvers = find_solvers(args.solvers)
    problem = options.find_problem(args)
    spacings = [find_spacing(text, problem.clock) for text in args.spacing]
    settings = options.find_settings(args, seeds=range(args.seeds))

    from flowsolve.study.error import ErrorRow
    from flowsolve.study.results import write_csv
    from flowsolve.study.studies import convergence

    if folder:
        folder.begin()
    path = folder.path / "rows.jsonl" if folder else None
    pairs = [(solver, spacing) for solver in solvers for spacing in spacings]
    out = row_progress.console(stderr=True)
    studies: list[Study] = []

    def on_row(row: ErrorRow, done: int, total: int) -> None:
        told.row(row, total * len(studies) + done, total * len(pairs))

    with row_progress.progress(out, f"{problem!r}: reference", args.quiet) as told:
        for solver, spacing in pairs:
            study = convergence(
                solver, problem, steps=args.steps, spacing=spacing, path=path, on_row=on_row, **settings
            )  # fmt: skip
            studies.append(study)
            if args.format == "table":
                print(study, flush=True)
    show.listing(args, [_summary(study, args.format == "table") for study in studies])
    if folder is None:
        return 0
    from flowsolve.plot import error

    with folder.part("rows.csv"):
        rows = [row for study in studies for row in study.rows]
        write_csv(rows, folder.path / "rows.csv", ErrorRow)
    draw = partial(error.convergence, labels=find_names(args.solvers))
    folder.figure("convergence", draw, studies, f"convergence on {problem.name}")
    return folder.code()


def _summary(study: Study, read: bool) -> dict[str, Any]:
    """The slope beside the order, as it is to be read or as numbers."""
    slope, row = study.slope(), study.rows[0]
    values = {"measured": slope.order, "settled": slope.settled}
    measured = {"measured": str(slope)} if read else values
    return {"solver": row.solver, "grid": row.spacing, "declared": row.order, **measured}
