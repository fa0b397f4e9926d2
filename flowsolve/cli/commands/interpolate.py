"""samples between noises, on the arc and on the line: Section 5.3"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flowsolve.cli import options
from flowsolve.errors import WrongUse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flowsolve.cli.output import Folder


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--solver", default="dpmsolverpp2m")
    c.add_argument("--nfe", type=int, default=20, metavar="N")
    c.add_argument("--pairs", type=int, default=128, metavar="N", help="of noises (default 128)")
    c.add_argument("--points", type=int, default=9, metavar="N", help="on each path (default 9)")
    options.add_block(c)
    c.add_argument("--shown", type=int, default=6, metavar="N", help="pairs in the figure")
    options.add_spacing(c, "karras")
    options.add_dtype(c)
    options.add_shared(c, "results/interpolate-PROBLEM")


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder

    options.positive(args, "nfe", "pairs", "shown", "block")
    if args.points < 2:
        raise WrongUse(f"--points must be at least 2, the two ends, but got {args.points}.")
    with Folder(args, args.problem, free=("shown",)) as folder:
        return _study(args, folder)


def _study(args: argparse.Namespace, folder: Folder) -> int:
    from flowsolve.cli.experiment import finish, measured, print_table
    from flowsolve.cli.spacings import find_spacing
    from flowsolve.integrate.cost import fit
    from flowsolve.solver.plugins import make_solver

    solver = make_solver(args.solver)
    problem = options.find_problem(args)
    spacing = find_spacing(args.spacing[0], problem.clock)
    settings = options.find_settings(args)
    ends = problem.sigma_max, problem.sigma_min
    grid = fit(solver, args.nfe, lambda n: spacing(n, *ends).to_zero())

    import torch

    from flowsolve.integrate.driver import sample
    from flowsolve.ode.noise_interpolation import square
    from flowsolve.plot.interpolation import along_interpolation
    from flowsolve.plot.samples import sheet
    from flowsolve.study.interpolation import PATHS, between, interpolation
    from flowsolve.study.settings import Setup

    def pairs() -> Figure:
        few = Setup.of(settings, seeds=range(2 * args.shown))
        parts = [(path, i / (args.points - 1)) for path in PATHS for i in range(args.points)]
        drawn = [between(problem, solver, grid, few, path=path, t=t)[1] for path, t in parts]
        return sheet(
            torch.stack(drawn, 1), [f"{2 * i}, {2 * i + 1}" for i in range(args.shown)],
            [f"{t:.2g}" for _, t in parts], groups=[f"{path}, at t" for path in PATHS],
        )  # fmt: skip

    def corners() -> Figure:
        made = square(Setup.of(settings, seeds=range(4)).noise(problem.event), args.points)
        ours = problem.for_seeds([0] * args.points**2, made.device)  # all of one condition
        x = sample(ours, made.flatten(0, 1), grid, solver).x
        at = [f"{i / (args.points - 1):.2g}" for i in range(args.points)]
        return sheet(x.reshape(made.shape), at, at, "slerp of four x_T")

    tasks = interpolation(problem, solver, grid, pairs=args.pairs, points=args.points, **settings)
    rows = measured(folder, tasks, repr(problem))
    folder.figure("interpolation", along_interpolation, rows)
    files = ["interpolation.png", ".svg", ".pdf"]
    if len(problem.event) == 3:
        folder.figure("pairs", pairs)
        folder.figure("square", corners)
        files += ["pairs.png", "square.png"]
    with folder.part("the table"):
        body = [
            [r.path, f"{r.t:.3g}", f"{r.deviation:.3f}", str(r.distance)]
            for r in rows
            if not r.error
        ]
        head = ["path", "t", "deviation of the noise", "energy distance"]
        print_table(args, "samples between noises, and their distance to the data", head, body)
    return finish(folder, rows, *files)
