"""How long Inductor takes to compile a run of one method of each class, and how near it is to the eager one.

The network is one operation that the compiler cannot look into. Nothing is taken from Inductor's caches.
"""

from __future__ import annotations

import argparse
import time
import warnings
from functools import partial

import torch
from step_sizes import SPACING, closed, define_closed

from flowsolve import VPSDE, DiffusionODE, EpsPrediction, Solver, solve
from flowsolve.integrate import fit
from flowsolve_solvers import ALL


def main() -> None:
    """A line for each method."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nfe", type=int, default=10, help="evaluations of a run")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.compiler.config.force_disable_caches = True
    warnings.simplefilter("ignore")
    define_closed()
    ode = DiffusionODE(closed, EpsPrediction(VPSDE()))
    x = torch.randn(1, 4, 16, 16).to(args.device)
    torch.compile(lambda x: x + 1)(x)  # what is loaded once a process
    first: dict[type[Solver], Solver] = {}
    for solver in ALL:
        first.setdefault(type(solver), solver)
    for solver in first.values():
        torch._dynamo.reset()
        run = partial(solve, ode, grid=fit(solver, args.nfe, SPACING), solver=solver)
        want = run(x)
        fast = torch.compile(lambda x, run=run: run(x).x, fullgraph=True, dynamic=False)
        begin = time.perf_counter()
        off = float((fast(x) - want.x).abs().max() / want.x.abs().max())
        print(
            f"{time.perf_counter() - begin:5.1f} s  {want.nfe:2} evaluations, off by {off:.0e}  {solver!r}"
        )


if __name__ == "__main__":
    main()
