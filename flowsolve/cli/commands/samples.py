"""The command that draws samples."""

from __future__ import annotations

import argparse
from typing import Any

from flowsolve.cli.options import find_problem, positive, torch_options
from flowsolve.cli.output import Folder
from flowsolve.cli.spacings import find_spacing
from flowsolve.solver.plugins import make_solver


def sample(args: argparse.Namespace) -> int:
    """Draw samples."""
    positive(args, "nfe", "samples")
    solver = make_solver(args.solver)
    problem = find_problem(args)
    spacing = find_spacing(args.spacing[0], problem.clock)
    dtype, device = torch_options(args)

    from flowsolve import plot
    from flowsolve.integrate.driver import sample as draw

    folder = Folder(args, args.problem)
    seeds = range(args.first_seed, args.first_seed + args.samples)
    noise = problem.start(seeds, dtype, device) / problem.sigma_max

    ends = (problem.sigma_max, problem.sigma_min)
    grid: Any = lambda n: spacing(n, *ends).to_zero()  # noqa: E731
    budget = args.nfe
    if solver.adaptive:
        grid, budget = grid(1), None
    done = draw(problem, noise, grid, solver, nfe=budget)
    title = f"{solver!r}, {done.nfe} evaluations"
    figure = plot.images(done.x, title=title) if done.x.ndim == 4 else plot.scatter(done.x, title)
    folder.figure("samples", figure)

    from safetensors.torch import save_file

    save_file({"x": done.x.cpu().contiguous()}, folder.path / "samples.safetensors")
    print(f"{folder.path}: samples.png, .svg, .safetensors ({done.nfe} evaluations, {done.grid})")
    return 0
