"""find the solver and the grid for one network and a few budgets, and save them"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from flowsolve.cli import options

if TYPE_CHECKING:
    from flowsolve.cli.output import Folder
    from flowsolve.study.tuned import Tuned


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--nfe", nargs="+", type=int, default=[5, 8, 12], metavar="N")
    c.add_argument("--noises", type=int, default=64, metavar="N",
                   help="half choose and fit, a quarter picks, a quarter judges (default 64)")  # fmt: skip
    options.add_dtype(c)
    options.add_shared(c, "results/tune-PROBLEM")


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder

    options.positive(args, "nfe", "noises")
    with Folder(args, args.problem, grows=("nfe",)) as folder:
        return _study(args, folder)


def _study(args: argparse.Namespace, folder: Folder) -> int:
    from flowsolve.cli.experiment import finish, measured, print_table

    problem = options.find_problem(args)
    settings = options.find_settings(args, seeds=range(args.noises))

    from flowsolve.study.tuning_rows import tunings

    rows = measured(
        folder, tunings(problem, args.nfe, partial(_save, folder), **settings), problem.name
    )
    with folder.part("the table"):
        body = [
            [str(r.nfe), f"{r.tuned_error:.2e} ±{100 * r.stderr:.0f} %", f"{r.default_error:.2e}",
             "-" if r.refused else f"{r.gain:.2f} ±{100 * r.gain_stderr:.0f} %",
             "the default" if r.refused else _short(r.solver), str(r.spent)]
            for r in rows if not r.error
        ]  # fmt: skip
        head = ["NFE", "error", "of the default", "times better", "solver", "cost"]
        title = f"tune: {problem.name}, {args.noises} noises; cost in evaluations of that batch"
        print_table(args, title, head, body)
    files = [f"tuned-{r.nfe}.json" for r in rows if not r.error]
    return finish(folder, rows, *files)


def _short(solver: str) -> str:
    """The method's class, with "started" after a start and "fitted" after a fit."""
    method = solver.removeprefix("Replay(").removeprefix("CorrectedStart(method=").split("(")[0]
    started = ", started" if "CorrectedStart(" in solver else ""
    return f"{method}{started}{', fitted' if solver.endswith(', fitted)') else ''}"


def _save(folder: Folder, found: Tuned) -> None:
    folder.file(f"tuned-{found.nfe}.json", found.save)
