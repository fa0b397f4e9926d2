"""draw samples: a sheet of images or a scatter plot, and the values"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from flowsolve.cli import options
from flowsolve.errors import WrongUse

if TYPE_CHECKING:
    from flowsolve.cli.output import Folder
    from flowsolve.cli.progress import Busy
    from flowsolve.problems.base import Problem
    from flowsolve.study.sample_files import ImageFolder, Notes, TensorFile
    from flowsolve.study.samples import How

SHOWN, SHOWN_POINTS = 256, 4096  # in the figure


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
    options.add_block(c)
    c.add_argument("--as", dest="kind", default="safetensors", choices=["safetensors", "png"],
                   help="one file of values, or an image for each seed")  # fmt: skip
    options.add_spacing(c, "karras")
    options.add_dtype(c)
    options.add_step_noise(c)
    options.add_shared(c, "results/sample-PROBLEM")


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder

    options.positive(args, "nfe", "samples", "block")
    if args.tol is not None and args.solver != "default":
        raise WrongUse("--tol is for the default; a solver has its tolerance in its own brackets.")
    if args.tuned is not None and (args.solver != "default" or args.nfe or args.tol is not None):
        raise WrongUse(
            "--tuned brings its solver, grid and budget: leave --solver, --nfe and --tol out."
        )
    if args.nfe is None and args.tol is None and args.tuned is None:
        args.nfe = 20
    problem = options.find_problem(args)
    how = _how(args, problem)

    from flowsolve.cli.progress import Counted, busy
    from flowsolve.study.door import meet
    from flowsolve.study.sample_files import ImageFolder, TensorFile
    from flowsolve.study.samples import Blocks
    from flowsolve.study.settings import Setup

    seeds = range(args.first_seed, args.first_seed + args.samples)
    at = Setup.of(options.find_settings(args), seeds=seeds)
    meet(problem, at)
    with Folder(args, args.problem) as folder:
        folder.begin()
        quiet = args.quiet or folder.shard.follows
        with busy(f"{args.samples} samples of {problem!r}", quiet) as now:
            counted = replace(how, run=lambda ode, noise: how.run(Counted(ode, now), noise))
            blocks = Blocks(problem, counted, at, folder.path / "blocks")
            files = (
                ImageFolder(blocks, folder.path / "png")
                if args.kind == "png"
                else TensorFile(blocks, folder.path / "samples.safetensors")
            )
            notes = _drawn(folder, files, now)
        return _figure(args, folder, files, notes)


def _how(args: argparse.Namespace, problem: Problem) -> How:
    """The default for a budget or a tolerance, what `tune` saved, or a solver on a grid."""
    from flowsolve.cli.spacings import find_spacing
    from flowsolve.integrate import driver
    from flowsolve.integrate.cost import fit
    from flowsolve.integrate.starting import ve_start
    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.plugins import make_solver
    from flowsolve.study.samples import How, on_grid
    from flowsolve.study.tuned import Tuned

    if args.tuned is not None:
        tuned = Tuned.load(args.tuned)
        digest = hashlib.sha256(repr(vars(tuned)).encode()).hexdigest()
        return How(tuned.sample, {"solver": f"tuned {digest}"}, tuned.solver.stochastic)
    if args.solver == "default":
        run = partial(driver.sample, nfe=args.nfe, tol=args.tol)
        notes = {"solver": "default", "asked": f"nfe={args.nfe} tol={args.tol}"}
        return How(run, notes)
    solver, spacing = make_solver(args.solver), find_spacing(args.spacing[0], problem.clock)

    def grid(n: int) -> Grid:
        return spacing(n, problem.sigma_max, problem.sigma_min).to_zero()

    if solver.chooses_steps:
        return on_grid(solver, grid(1), ve_start)
    # of a method that takes as many evaluations as it needs, `nfe` is the number of steps
    return on_grid(
        solver, grid(args.nfe) if solver.adaptive else fit(solver, args.nfe, grid), ve_start
    )


def _drawn(folder: Folder, files: ImageFolder | TensorFile, now: Busy) -> Notes:
    """Draw what is this process's; the notes of how, once all are there."""
    from flowsolve.study.float32 import true_float32

    found, shard, each = files.done(), folder.shard, files.blocks.each
    with true_float32():
        for i in shard.units("blocks", len(each)):
            if len(each) > 1:
                now.what = f"block {i + 1} of {len(each)}"
            if found is None:
                files.draw(each[i])
        shard.wait("blocks", len(each))
        folder.check_whole("done", "draws what is missing and puts the blocks together")
        return found or files.finish()


def _figure(
    args: argparse.Namespace, folder: Folder, files: ImageFolder | TensorFile, notes: Notes
) -> int:
    from flowsolve.cli import show
    from flowsolve.plot.samples import images, scatter, signals

    x = files.first(SHOWN if len(files.blocks.problem.event) > 1 else SHOWN_POINTS)
    name = notes["grid name"] if args.solver == "default" else notes["solver run"]
    draw = partial(
        {4: images, 3: signals}.get(x.ndim, scatter), title=f"{name}, {notes['nfe']} evaluations"
    )
    folder.figure("samples", draw, x)
    made = f"samples.png, .svg, .pdf, {'png/' if args.kind == 'png' else '.safetensors'}"
    if args.format == "table":
        print(f"{folder.path}: {made} ({notes['nfe']} evaluations, {notes['grid run']})")
    else:
        row = {
            "solver": notes["solver run"], "nfe": int(notes["nfe"]), "steps": int(notes["steps"]),
            "grid": notes["grid name"], "samples": args.samples, "folder": str(folder.path),
        }  # fmt: skip
        show.records(args.format, [row])
    return folder.code()
