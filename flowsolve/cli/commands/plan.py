"""write a solver on a grid as numbers, for programs that have no torch"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve.cli import options

if TYPE_CHECKING:
    from flowsolve.ode.precondition import Precondition
    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.base import Solver


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("solver", nargs="?", help="a name, package.module:Mine, or default with --shape")
    c.add_argument(
        "--tuned", metavar="FILE", help="take the solver and the grid that `flowsolve tune` saved"
    )
    c.add_argument("--shape", type=int, nargs="+", metavar="N",
                   help="of a sample, such as 3 32 32: the scales of the data, from which default chooses, are "
                        "guessed from it")  # fmt: skip
    c.add_argument("--steps", type=int, metavar="N", help="of the spacing (default 10)")
    c.add_argument(
        "--nfe", type=int, metavar="N", help="the evaluations to spend, instead of --steps"
    )
    c.add_argument("--spacing", default="karras")
    c.add_argument("--sigma-max", type=float, default=80.0, metavar="S", help="default 80")
    c.add_argument("--sigma-min", type=float, default=0.002, metavar="S", help="default 0.002")
    c.add_argument("--from-infinity", action="store_true", help="a first step from σ = ∞")
    c.add_argument("--to-zero", action="store_true", help="a last step to σ = 0")
    c.add_argument("--network", metavar="KIND",
                   help="put the scalars of what it predicts into the plan: eps, v, x0, edm or flow, with "
                        "options as eps:clock=scaled_linear_beta")  # fmt: skip
    c.add_argument("--start", default="ve", choices=["ve", "vp"],
                   help="the first state from unit noise: σ noise (ve) or √(1+σ²) noise")  # fmt: skip
    c.add_argument("--out", default="plan.json", metavar="FILE", help="default: plan.json")
    c.add_argument("--overwrite", action="store_true", help="replace files")
    c.add_argument("--replayers", action="store_true",
                   help="put replay_plan.py (NumPy) and replay_plan.mjs (JavaScript) beside it")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from flowsolve.analysis.plan import REPLAYERS, engine_plan
    from flowsolve.cli.output import check_file, write_file
    from flowsolve.integrate.starting import ve_start, vp_start

    options.positive(args, "steps", "nfe", "shape")
    network = _network(args.network)
    solver, grid = _chosen(args, network)
    out = Path(args.out)
    beside = [(out.with_name(file.name), file) for file in REPLAYERS if args.replayers]
    for path in (out, *(path for path, _ in beside)):
        check_file(path, args.overwrite)
    plan = engine_plan(solver, grid, network, start={"ve": ve_start, "vp": vp_start}[args.start])
    plan.save(out)
    for path, file in beside:
        write_file(path, file.read_text(encoding="utf-8"), args.overwrite)
    print(plan)
    print(", ".join(str(path) for path in (out, *(path for path, _ in beside))))
    return 0


def _network(text: str | None) -> Precondition | None:
    from flowsolve.ode import precondition as p
    from flowsolve.solver.spec import evaluate

    if text is None:
        return None
    makers = {
        "eps": p.EpsPrediction, "v": p.VPrediction, "x0": p.X0Prediction, "edm": p.EDMPrediction,
        "flow": p.FlowPrediction,
    }  # fmt: skip
    paths = {repr(path).lower().replace("_", ""): path for path in (p.VP, p.SUB_VP, p.VE, p.FLOW)}
    found: p.Precondition = evaluate(text, makers, "network", paths)
    return found


def _chosen(args: argparse.Namespace, network: Precondition | None) -> tuple[Solver, Grid]:
    """What `tune` saved, the default for a budget, or a solver on a grid."""
    from flowsolve.cli.methods import find_solver
    from flowsolve.errors import WrongUse
    from flowsolve.ode.data_scales import guessed_scales
    from flowsolve.solver.rule import default_rule
    from flowsolve.study.tuned import Tuned

    if args.tuned is not None:
        if args.solver or args.steps or args.nfe:
            raise WrongUse(
                "--tuned brings its solver, grid and budget: leave the solver, --steps and --nfe out."
            )
        tuned = Tuned.load(args.tuned)
        return tuned.solver, tuned.grid
    if args.solver is None:
        raise WrongUse("give a solver such as heun, default, or --tuned FILE.")
    if args.solver != "default":
        solver = find_solver(args.solver)
        return solver, _grid(args, solver, network)
    if not args.nfe or args.steps or not args.shape:
        raise WrongUse(
            "default chooses for a budget and for data of a shape: give --nfe 8 --shape 3 32 32, no --steps."
        )
    high = math.inf if args.from_infinity else args.sigma_max
    low = 0.0 if args.to_zero else args.sigma_min
    scales = guessed_scales(tuple(args.shape), getattr(network, "sigma_data", None))
    return default_rule().choose(args.nfe, high, low, scales)


def _grid(args: argparse.Namespace, solver: Solver, network: Precondition | None) -> Grid:
    """The grid of --steps or --nfe, with the network's clock for spacings in t."""
    from flowsolve.cli.spacings import find_spacing
    from flowsolve.errors import WrongUse
    from flowsolve.integrate.cost import fit
    from flowsolve.schedule.clock import VPSDE

    if args.steps and args.nfe:
        raise WrongUse("give --steps or --nfe, not both.")
    spacing = find_spacing(args.spacing, network.clock if network else VPSDE())

    def family(n: int) -> Grid:
        grid = spacing(n, args.sigma_max, args.sigma_min)
        grid = grid.from_infinity() if args.from_infinity else grid
        return grid.to_zero() if args.to_zero else grid

    return fit(solver, args.nfe, family) if args.nfe else family(args.steps or 10)
