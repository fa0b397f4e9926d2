"""draw samples: a sheet of images or a scatter plot, and the values"""

from __future__ import annotations

import argparse
from functools import partial

from flowsolve.cli import options
from flowsolve.errors import WrongUse


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--solver", default="default",
                   help="default chooses a solver and a grid; the others take --spacing")  # fmt: skip
    c.add_argument("--nfe", type=int, metavar="N", help="20; with --tol the most to spend, 1000")
    c.add_argument(
        "--tol", type=float, help="the RMS error to reach, instead of a budget; the default only"
    )
    c.add_argument(
        "--tuned", metavar="FILE", help="take the solver and the grid that `flowsolve tune` saved"
    )
    c.add_argument("--samples", type=int, default=64, metavar="N")
    c.add_argument("--first-seed", type=int, default=0, metavar="SEED")
    options.add_spacing(c, "karras")
    options.add_dtype(c)
    options.add_shared(c, "results/sample-PROBLEM")


def run(args: argparse.Namespace) -> int:
    from safetensors.torch import save

    from flowsolve.cli import show
    from flowsolve.cli.output import Folder
    from flowsolve.cli.progress import Counted, busy
    from flowsolve.cli.spacings import find_spacing
    from flowsolve.solver.plugins import make_solver

    options.positive(args, "nfe", "samples")
    solver = None if args.solver == "default" else make_solver(args.solver)
    if args.tol is not None and solver is not None:
        raise WrongUse("--tol is for the default; a solver has its tolerance in its own brackets.")
    if args.tuned is not None and (solver is not None or args.nfe or args.tol is not None):
        raise WrongUse(
            "--tuned brings its solver, grid and budget: leave --solver, --nfe and --tol out."
        )
    if args.nfe is None and args.tol is None and args.tuned is None:
        args.nfe = 20
    problem = options.find_problem(args)
    spacing = find_spacing(args.spacing[0], problem.clock)
    settings = options.find_settings(args)

    from flowsolve.integrate import driver
    from flowsolve.plot.samples import images, scatter, signals
    from flowsolve.schedule.grid import Grid
    from flowsolve.study.door import meet
    from flowsolve.study.settings import Setup
    from flowsolve.study.tuned import Tuned

    tuned = None if args.tuned is None else Tuned.load(args.tuned)

    seeds = range(args.first_seed, args.first_seed + args.samples)
    at = Setup.of(settings, seeds=seeds, block=args.samples)
    meet(problem, at)
    noise = problem.start(seeds, at.dtype, at.device) / problem.sigma_max

    def grid(n: int) -> Grid:
        return spacing(n, problem.sigma_max, problem.sigma_min).to_zero()

    with Folder(args, args.problem) as folder:
        with busy(f"{args.samples} samples of {problem!r}", args.quiet) as now:
            ode = Counted(problem.for_seeds(seeds, at.device), now)
            if tuned is not None:
                done = tuned.sample(ode, noise)
            elif solver is None:
                done = driver.sample(ode, noise, nfe=args.nfe, tol=args.tol)
            elif solver.adaptive:
                done = driver.sample(ode, noise, grid(1), solver)
            else:
                done = driver.sample(ode, noise, grid, solver, nfe=args.nfe)
        folder.begin()
        values = save({"x": done.x.cpu().contiguous()})
        folder.file("samples.safetensors", lambda path: path.write_bytes(values))
        name = done.grid.name if solver is None else repr(solver)
        kind = {4: images, 3: signals}.get(done.x.ndim, scatter)
        draw = partial(kind, title=f"{name}, {done.nfe} evaluations")
        folder.figure("samples", draw, done.x)
        files = "samples.png, .svg, .pdf, .safetensors"
        if args.format == "table":
            print(f"{folder.path}: {files} ({done.nfe} evaluations, {done.grid})")
        else:
            row = {
                "solver": repr(done.solver),
                "nfe": done.nfe,
                "steps": done.grid.steps,
                "grid": done.grid.name,
            }
            show.records(args.format, [row | {"samples": args.samples, "folder": str(folder.path)}])
        return folder.code()
