"""DPM-Solver-v3 and DC-Solver fitted to digits and letters, against what they are without it: docs/tuning.md.

    python benchmarks/fitted.py            both networks: ten minutes on one core
    python benchmarks/fitted.py letters

Fitted on the seeds 0 to 127 (statistics) and 0 to 63 (ratios), judged on 3000 to 3063. Errors are geometric
means of the samples' RMS errors; the ratios are fitted to the mean square, as published.
"""

from __future__ import annotations

import argparse
import math
import time

import torch
from torch import Tensor

import flowsolve as fs
from flowsolve import DATA, NOISE, tabulate
from flowsolve.problems import Digits, Letters, Problem
from flowsolve.study import fit_ratios, model_statistics
from flowsolve_solvers import Adams, DCSolver, TwoScales, UniPC

BUDGETS = (5, 6, 8, 10)
JUDGES, MEASURED, RATIOS = range(3000, 3064), range(128), range(64)


def solution(p: Problem, seeds: range) -> fs.Solution:
    """By UniPC with 200 evaluations, every level kept."""
    ode, x = p.for_seeds(seeds), p.start(seeds)
    return fs.solve(ode, x, fs.log_snr(200, p.sigma_max, p.sigma_min), UniPC(3), keep=1)


def compare(p: Problem) -> None:
    """A line for each grid and budget."""
    began = time.perf_counter()
    noise = fs.unit_noise(MEASURED, p.event)
    v3 = model_statistics(p.for_seeds(MEASURED), noise)
    print(f"{p!r}: statistics in {time.perf_counter() - began:.0f} s, {v3!r}")
    truth, path = solution(p, JUDGES).x.double(), solution(p, RATIOS)
    ode, x = p.for_seeds(JUDGES), p.start(JUDGES)

    def error(solver: fs.Solver, grid: fs.Grid) -> str:
        off: Tensor = fs.solve(ode, x, grid, solver).x.double() - truth
        return f"{math.exp(float(off.flatten(1).square().mean(1).sqrt().log().mean())):.4f}"

    scales = fs.scales(p.for_seeds(RATIOS), fs.unit_noise(RATIOS, p.event))
    for name, spacing in (("log_snr", fs.log_snr), ("karras", fs.karras)):
        for n in BUDGETS:
            grid = spacing(n, p.sigma_max, p.sigma_min)
            at = dict(zip(grid, path.at(grid), strict=True))
            dc = DCSolver(3, variant="bh2", lower_order_final=True, guard=None)
            fitted = fit_ratios(dc, p.for_seeds(RATIOS), p.start(RATIOS), grid, at)
            as_published = UniPC(3, variant="bh2", lower_order_final=True, guard=None)
            solvers = [
                Adams(3, NOISE, lower_order_final=True),
                Adams(3, DATA, lower_order_final=True),
                Adams(3, v3, lower_order_final=True),
                UniPC(3, DATA, lower_order_final=True),
                UniPC(3, v3, lower_order_final=True),
                as_published,
                fs.Replay(tabulate(fitted, grid)),
            ]
            plain = TwoScales().choose(n, p.sigma_max, p.sigma_min, scales)
            cells = [*(error(solver, grid) for solver in solvers), error(*plain)]
            print(
                f"| {type(p).__name__.lower()} | {name} | {n} |", " | ".join(cells), "|", flush=True
            )
            print("   ratios", *fitted.ratios, flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("problems", nargs="*", default=["digits", "letters"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| network | grid | NFE | noise | ++ | v3 | UniPC | v3, corrected | UniPC bh2 | DC | default |"
    )
    for name in args.problems:
        compare({"digits": Digits, "letters": Letters}[name]())


if __name__ == "__main__":
    main()
