"""log p of data along the ODE, in bits per dimension where data have levels"""

from __future__ import annotations

import argparse
import math
from functools import partial
from typing import TYPE_CHECKING

from flowsolve.cli import options
from flowsolve.cli.methods import find_names, find_solvers
from flowsolve.errors import WrongUse

if TYPE_CHECKING:
    from flowsolve.cli.output import Folder


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--solvers", nargs="+", default=["dpmsolverpp2m", "heun"], metavar="SOLVER")
    c.add_argument("--nfe", nargs="+", type=int, default=[10, 20, 40, 80], metavar="N")
    c.add_argument("--samples", type=int, default=64, metavar="N", help="data (default 64)")
    options.add_block(c, 64, "data")
    c.add_argument("--probes", type=int, default=4, metavar="N", help="default 4; 0 is exact")
    c.add_argument("--levels", type=int, metavar="L", help="of the data, such as 256; 0 for none")
    options.add_spacing(c, "log_snr")
    options.add_dtype(c)
    options.add_shared(c, "results/likelihood-PROBLEM")


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder

    options.positive(args, "nfe", "samples", "block")
    if args.probes < 0 or args.probes == 1:
        raise WrongUse(f"--probes must be 0 (exact) or at least 2, but got {args.probes}.")
    with Folder(args, args.problem, grows=("solvers", "nfe")) as folder:
        return _study(args, folder)


def _study(args: argparse.Namespace, folder: Folder) -> int:
    from flowsolve.cli.experiment import finish, measured, print_table
    from flowsolve.cli.spacings import find_spacing

    solvers = find_solvers(args.solvers)
    problem = options.find_problem(args)
    spacing = find_spacing(args.spacing[0], problem.clock)
    settings = options.find_settings(args)
    levels = problem.levels if args.levels is None else args.levels

    from flowsolve.plot.likelihood import likelihood_vs_nfe
    from flowsolve.study.cases import budget_cases
    from flowsolve.study.likelihood import likelihood

    cases = [c for s in solvers for c in budget_cases(s, problem, spacing, args.nfe)]
    tasks = likelihood(
        cases, problem, samples=args.samples, probes=args.probes or None, levels=levels, **settings
    )
    rows = measured(folder, tasks, repr(problem))
    draw = partial(likelihood_vs_nfe, labels=find_names(args.solvers))
    folder.figure("likelihood", draw, rows)
    with folder.part("the table"):
        body = [
            [r.solver, str(r.nfe), str(r.backwards), str(r.estimate), f"{r.probes_error:.2g}",
             "-" if math.isnan(r.rmse) else f"{r.rmse:.2e}"]
            for r in rows
            if not r.error
        ]  # fmt: skip
        unit = "bits per dimension" if levels else "log p, nats"
        head = ["solver", "NFE", "products", unit, "of the probes, nats", "rms error, nats"]
        print_table(args, f"{args.samples} of the data at σ = {problem.sigma_min:.4g}", head, body)
    return finish(folder, rows, "likelihood.png", ".svg", ".pdf")
