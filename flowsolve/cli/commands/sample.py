"""draw samples: a sheet of images or a scatter plot, and the values"""

from __future__ import annotations

import argparse

from flowsolve.cli import options


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--solver", default="dpmsolverpp2m")
    c.add_argument("--nfe", type=int, default=20, metavar="N")
    c.add_argument("--samples", type=int, default=64, metavar="N")
    c.add_argument("--first-seed", type=int, default=0, metavar="SEED")
    options.add_spacing(c, "karras")
    options.add_dtype(c)
    options.add_output(c, "results/sample-PROBLEM")


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder
    from flowsolve.cli.spacings import find_spacing
    from flowsolve.solver.plugins import make_solver

    options.positive(args, "nfe", "samples")
    solver = make_solver(args.solver)
    problem = options.find_problem(args)
    spacing = find_spacing(args.spacing[0], problem.clock)
    settings = options.find_settings(args)

    from flowsolve.integrate import driver
    from flowsolve.plot.samples import images, scatter
    from flowsolve.schedule.grid import Grid
    from flowsolve.study.door import meet
    from flowsolve.study.settings import Setup

    folder = Folder(args, args.problem)
    seeds = range(args.first_seed, args.first_seed + args.samples)
    at = Setup.of(settings, seeds=seeds, block=args.samples)
    meet(problem, at)
    noise = problem.start(seeds, at.dtype, at.device) / problem.sigma_max

    def grid(n: int) -> Grid:
        return spacing(n, problem.sigma_max, problem.sigma_min).to_zero()

    if solver.adaptive:
        done = driver.sample(problem, noise, grid(1), solver)
    else:
        done = driver.sample(problem, noise, grid, solver, nfe=args.nfe)
    title = f"{solver!r}, {done.nfe} evaluations"
    figure = images(done.x, title=title) if done.x.ndim == 4 else scatter(done.x, title)
    folder.figure("samples", figure)

    from safetensors.torch import save_file

    save_file({"x": done.x.cpu().contiguous()}, folder.path / "samples.safetensors")
    print(f"{folder.path}: samples.png, .svg, .safetensors ({done.nfe} evaluations, {done.grid})")
    return 0
