"""The experiments on noise and data: interpolate, likelihood. torch is imported inside them."""

from __future__ import annotations

import argparse
import math

from flowsolve.cli.experiment import finish, measured, show
from flowsolve.cli.options import find_problem, positive, torch_options
from flowsolve.cli.output import Folder
from flowsolve.cli.spacings import find_spacing
from flowsolve.errors import WrongUse
from flowsolve.integrate.cost import fit
from flowsolve.solver.plugins import make_solver


def interpolate(args: argparse.Namespace) -> int:
    """Between noises."""
    positive(args, "nfe", "pairs", "shown", "block")
    if args.points < 2:
        raise WrongUse(f"--points must be at least 2, the two ends, but got {args.points}.")
    solver = make_solver(args.solver)
    problem = find_problem(args)
    spacing = find_spacing(args.spacing[0], problem.clock)
    dtype, device = torch_options(args)
    ends = problem.sigma_max, problem.sigma_min
    grid = fit(solver, args.nfe, lambda n: spacing(n, *ends).to_zero())
    folder = Folder(args, args.problem)

    import torch

    from flowsolve import plot
    from flowsolve.integrate.driver import sample
    from flowsolve.ode.noise import unit_noise
    from flowsolve.ode.noise_interpolation import square
    from flowsolve.study.interpolation import PATHS, between
    from flowsolve.study.interpolation import interpolation as tasks

    rows = measured(folder, tasks(
        problem, solver, grid, pairs=args.pairs, points=args.points, block=args.block, dtype=dtype,
        device=device,
    ), repr(problem))  # fmt: skip
    folder.figure("interpolation", plot.along_interpolation(rows))
    files = ["interpolation.png", ".svg"]
    if len(problem.event) == 3:
        seeds = [(2 * i, 2 * i + 1) for i in range(args.shown)]
        parts = [(path, i / (args.points - 1)) for path in PATHS for i in range(args.points)]
        drawn = [
            between(problem, solver, grid, *part, seeds, dtype=dtype, device=device)[1]
            for part in parts
        ]
        sheet = plot.sheet(
            torch.stack(drawn, 1), [f"{a}, {b}" for a, b in seeds], [f"{t:.2g}" for _, t in parts],
            "t:   " + "   |   ".join(PATHS), args.points,
        )  # fmt: skip
        folder.figure("pairs", sheet)
        corners = square(unit_noise(range(4), problem.event, dtype, device), args.points)
        x = sample(problem, corners.flatten(0, 1), grid, solver).x
        at = [f"{i / (args.points - 1):.2g}" for i in range(args.points)]
        folder.figure("square", plot.sheet(x.reshape(corners.shape), at, at, "slerp of four x_T"))
        files += ["pairs.png", "square.png"]
    body = [
        [r.path, f"{r.t:.3g}", f"{r.deviation:.3f}", str(r.distance)] for r in rows if not r.error
    ]
    show("samples between noises, and their distance to the data",
         ["path", "t", "deviation of the noise", "energy distance"], body)  # fmt: skip
    return finish(folder, rows, *files)


def likelihood(args: argparse.Namespace) -> int:
    """log p of data."""
    positive(args, "nfe", "samples", "block")
    if args.probes < 0 or args.probes == 1:
        raise WrongUse(f"--probes must be 0 (exact) or at least 2, but got {args.probes}.")
    solvers = [make_solver(text) for text in args.solvers]
    problem = find_problem(args)
    spacing = find_spacing(args.spacing[0], problem.clock)
    dtype, device = torch_options(args)
    levels = problem.levels if args.levels is None else args.levels
    folder = Folder(args, args.problem)

    from flowsolve import plot
    from flowsolve.study.cases import budget_cases
    from flowsolve.study.likelihood import likelihood as tasks

    cases = [c for s in solvers for c in budget_cases(s, problem, spacing, args.nfe, ())]
    rows = measured(folder, tasks(
        cases, problem, samples=args.samples, probes=args.probes or None, levels=levels,
        block=args.block, dtype=dtype, device=device,
    ), repr(problem))  # fmt: skip
    folder.figure("likelihood", plot.likelihood_vs_nfe(rows))
    body = [
        [r.solver, str(r.nfe), str(r.backwards), str(r.estimate), f"{r.probes_error:.2g}",
         "-" if math.isnan(r.rmse) else f"{r.rmse:.2e}"]
        for r in rows
        if not r.error
    ]  # fmt: skip
    unit = "bits per dimension" if levels else "log p, nats"
    head = ["solver", "NFE", "products", unit, "of the probes, nats", "rms error, nats"]
    show(f"{args.samples} of the data at σ = {problem.sigma_min:.4g}", head, body)
    return finish(folder, rows, "likelihood.png", ".svg")
