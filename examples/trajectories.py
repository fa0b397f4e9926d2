"""x̄(σ) between the nodes of a few steps: paths in one dimension, the field in two, a digit on its way.

    python examples/trajectories.py --out paths.png --field field.png --digit digit.png

It prints how far some methods on 10 steps are from the exact flow, at their nodes and between them: no
evaluation is made for what is between.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import torch

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot, problems


def noise(problem: problems.Problem, n: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Unit noise for n samples of a problem."""
    return fs.unit_noise(range(n), problem.event, dtype)


def error(problem: problems.Mixture1D, solution: fs.Solution, levels: list[float]) -> float:
    """The largest RMS distance from the exact flow, over some levels."""
    start = solution.path[0]
    flow = torch.stack([problem.flow(start.x, start.sigma, s) for s in levels])
    return float((solution.at(levels) - flow).square().mean(1).sqrt().max())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("paths.png"))
    parser.add_argument("--field", type=Path, default=Path("field.png"))
    parser.add_argument("--digit", type=Path, default=Path("digit.png"))
    args = parser.parse_args()

    line, grid = problems.Mixture1D(), fs.karras(10, 10, 0.05)
    for solver in (S.Euler(), S.DPMSolverPP2M(), S.Heun()):
        found = fs.sample(line, noise(line, 8), grid, solver, keep=1)
        inside = [(s * t) ** 0.5 for s, t in pairwise(grid)]
        at, between = error(line, found, list(grid)), error(line, found, inside)
        print(f"{solver!r}: {at:.3f} at the nodes, {between:.3f} between, {found.nfe} evaluations")
    plot.save(plot.paths_1d(line, found), args.out)

    plane = problems.Mixture()
    found = fs.sample(plane, noise(plane, 24), grid.to_zero(), S.Heun(), keep=1)
    plot.save(plot.field_2d(plane, found, (4.0, 1.0, 0.1)), args.field)

    digits = problems.Digits()
    grid = fs.log_snr(15, digits.sigma_max, digits.sigma_min).to_zero()
    three = digits.given(torch.tensor([3]))
    found = fs.sample(three, noise(digits, 1, torch.float32), grid, S.DPMSolverPP2M(), keep=1)
    plot.save(plot.along_path(found), args.digit)
