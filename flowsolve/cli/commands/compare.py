"""error against evaluations: table, figure, rows and measured orders"""

from __future__ import annotations

import argparse
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve.cli import options
from flowsolve.cli.comparison import NFE, SOLVERS
from flowsolve.cli.methods import check_methods, find_methods, find_names
from flowsolve.errors import WrongUse

if TYPE_CHECKING:
    from flowsolve.cli.output import Folder
    from flowsolve.study.series import Study

GROWS = ("solvers", "nfe", "tolerances", "spacing", "seeds", "perturb")


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("problem", nargs="?", default="digits", help="default: digits, a real network")
    c.add_argument("--solvers", nargs="+", default=SOLVERS.split(), metavar="SOLVER")
    c.add_argument("--nfe", nargs="+", type=int, default=[*NFE], metavar="N", help="budgets")
    tolerances = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    c.add_argument("--tolerances", nargs="+", type=float, default=tolerances, metavar="TOL",
                   help="of adaptive solvers")  # fmt: skip
    c.add_argument("--seeds", type=int, default=256, metavar="N", help="samples (default 256)")
    options.add_block(c)
    options.add_spacing(c, "own")
    c.add_argument("--perturb", nargs="+", default=[], metavar="KIND",
                   help="the network disturbed, beside the one as it is: gaussian:0.01, constant:0.01, "
                        "bfloat16, float16, int8, reuse:2; commas may stand between them")  # fmt: skip
    options.add_dtype(c)
    options.add_shared(c, "results/compare-PROBLEM")


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder
    from flowsolve.cli.perturbations import find_perturbations, split

    options.positive(args, "nfe", "seeds", "block")
    if not all(0 < tol < math.inf for tol in args.tolerances):
        raise WrongUse(f"--tolerances must be positive, but got {args.tolerances}.")
    check_methods(args.solvers)
    args.perturb = split(args.perturb)
    find_perturbations(args.perturb)
    with Folder(args, args.problem, GROWS) as folder:
        return _study(args, folder)


def _study(args: argparse.Namespace, folder: Folder) -> int:
    from flowsolve.cli import show
    from flowsolve.cli.experiment import finish, measured
    from flowsolve.cli.perturbations import find_perturbations

    problem = options.find_problem(args)
    methods = find_methods(args.solvers, args.spacing, problem)

    from flowsolve.cli.comparison import Comparison, with_perturbations
    from flowsolve.study.series import Study
    from flowsolve.study.studies import work_precision_tasks

    problems = with_perturbations(problem, find_perturbations(args.perturb))

    ends = [0, *folder.cuts, args.seeds]
    tasks = [
        task
        for seeds in map(range, ends, ends[1:])
        for one in problems
        for task in work_precision_tasks(
            methods, one, args.nfe, tolerances=args.tolerances,
            **options.find_settings(args, seeds=seeds),
        )
    ]  # fmt: skip
    study = Study(measured(folder, tasks, f"{problem!r}: reference"))
    made = Comparison(study, find_names(args.solvers))
    with folder.part("orders.csv"):
        folder.file("orders.csv", partial(_write_orders, study))
    folder.figure("error_vs_nfe", made.draw)
    notes: list[str] = []
    with folder.part("the table"):
        notes += made.table.notes
        if args.format == "table":
            for table in made.table.tables:
                show.table(table)
    return finish(folder, study.rows, "error_vs_nfe.png", ".svg", ".pdf", "orders.csv", notes=notes)


def _write_orders(study: Study, path: Path) -> None:
    import csv

    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["solver", "spacing", "declared", "measured", "settled", "steps", "perturb"]
        )
        for name, part in study.perturbations.items():
            for (solver, spacing), rows in part.series.items():
                s = part.slope(solver, spacing)
                used = " ".join(map(str, s.steps))
                writer.writerow([solver, spacing, rows[0].order, s.order, s.settled, used, name])
