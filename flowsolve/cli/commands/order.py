"""measure the order of convergence of solvers"""

from __future__ import annotations

import argparse

from flowsolve.cli import options


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("solvers", nargs="+", metavar="SOLVER")
    c.add_argument("--problem", default="mixture_1d")
    c.add_argument("--steps", nargs="+", type=int, default=[20, 40, 80, 160, 320, 640], metavar="N")
    c.add_argument("--seeds", type=int, default=16, metavar="N")
    options.add_spacing(c, "karras")
    options.add_dtype(c, "float64")
    options.add_output(c, None)


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli import tables
    from flowsolve.cli.output import Folder
    from flowsolve.cli.spacings import find_spacing
    from flowsolve.solver.plugins import make_solver

    options.positive(args, "steps", "seeds")
    solvers = [make_solver(text) for text in args.solvers]
    problem = options.find_problem(args)
    spacings = [find_spacing(text, problem.clock) for text in args.spacing]
    settings = options.find_settings(args, seeds=range(args.seeds))
    folder = Folder(args, args.problem) if args.out else None

    from flowsolve.study.studies import convergence

    out, studies, summary = tables.console(), [], []
    for solver in solvers:
        for spacing in spacings:
            with tables.progress(out, f"{problem!r}: reference") as on_row:
                study = convergence(
                    solver, problem, steps=args.steps, spacing=spacing,
                    on_row=on_row if out.is_terminal else None, **settings,
                )  # fmt: skip
            studies.append(study)
            out.print(str(study), markup=False)
            summary.append(
                [repr(solver), study.rows[0].spacing, str(solver.order), str(study.slope())]
            )
    out.print(tables.plain(["solver", "grid", "declared", "measured"], summary))
    if folder:
        from flowsolve.plot import error

        folder.figure("convergence", error.convergence(studies, f"convergence on {problem.name}"))
    return 0
