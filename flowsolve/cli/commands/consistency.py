"""one x_T at many S: Section 5.2 of the DDIM paper"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from flowsolve.cli import options
from flowsolve.cli.methods import find_names, find_solvers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flowsolve.cli.output import Folder


def add(c: argparse.ArgumentParser) -> None:
    solvers = ["ddim", "dpmsolverpp2m", "ddpm"]
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--solvers", nargs="+", default=solvers, metavar="SOLVER")
    c.add_argument("--samples", type=int, default=64, metavar="N", help="x_T (default 64)")
    options.add_block(c)
    c.add_argument("--shown", type=int, default=8, metavar="N", help="x_T in the figure of images")
    options.add_steps(c)
    options.add_dtype(c)
    options.add_step_noise(c)
    options.add_shared(c, "results/consistency-PROBLEM")


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder

    options.positive(args, "steps", "samples", "block", "shown")
    with Folder(args, args.problem, grows=("solvers", "steps"), free=("shown",)) as folder:
        return _study(args, folder)


def _study(args: argparse.Namespace, folder: Folder) -> int:
    from flowsolve.cli.experiment import finish, measured, print_table
    from flowsolve.integrate.starting import vp_start

    solvers = find_solvers(args.solvers)
    problem = options.find_problem(args)
    grids = options.find_grids(args, problem)
    settings = options.find_settings(args, seeds=range(args.samples), start=vp_start)

    import torch

    from flowsolve.metrics.estimate import Estimate
    from flowsolve.plot.consistency import consistency_vs_steps
    from flowsolve.plot.samples import sheet
    from flowsolve.study.consistency import consistency
    from flowsolve.study.samples import draw
    from flowsolve.study.settings import Setup

    kept, names = folder.path / "samples", find_names(args.solvers)

    def images() -> Figure:
        columns = [(s, n) for s in shown for n in sorted(args.steps)]
        drawn = [
            draw(problem, s, grids(n), Setup.of(settings), kept).x[: args.shown] for s, n in columns
        ]
        return sheet(
            torch.stack(drawn, 1), [f"x_T {i}" for i in range(len(drawn[0]))],
            [str(n) for _, n in columns], groups=[f"{names[repr(s)]} in S steps" for s in shown],
        )  # fmt: skip

    tasks = consistency(solvers, problem, args.steps, grids, folder=kept, **settings)
    rows = measured(folder, tasks, f"{problem!r}: the most steps")
    folder.figure("consistency", partial(consistency_vs_steps, labels=names), rows)
    files = ["consistency.png", ".svg", ".pdf"]
    shown = [s for s in solvers if repr(s) not in {r.solver for r in rows if r.error}]
    if len(problem.event) == 3 and shown:
        folder.figure("images", images)
        files = ["images.png", *files]
    with folder.part("the table"):
        order = [*map(repr, solvers)]
        body = [
            [r.solver, str(r.S), str(Estimate(r.own, r.own_error, 0)),
             str(Estimate(r.first, r.first_error, 0)), f"{r.identified * r.samples:.0f} of {r.samples}"]
            for r in sorted(rows, key=lambda r: (order.index(r.solver), r.S))
            if not r.error
        ]  # fmt: skip
        most = f"to its own S = {max(args.steps)}"
        print_table(
            args,
            "distance between images of one x_T, over that between images of different x_T",
            ["solver", "S", most, f"to {solvers[0]!r}'s", "identified"],
            body,
        )
    return finish(folder, rows, *files, "samples/")
