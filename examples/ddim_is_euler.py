"""DDIM as its paper writes it, and Euler's method in both charts: one table, one trajectory.

    python examples/ddim_is_euler.py --out ddim_is_euler.png

Left: the trajectory in x_t, where a step of DDIM is a curve. Right: in x̄ = x_t/α against σ, where
the same step is a straight line of slope ε.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot, problems


@dataclass(frozen=True, repr=False)
class Eq12(fs.OneStep):
    """x_{t-1} = √ᾱ' (x_t - √(1-ᾱ) ε)/√ᾱ + √(1-ᾱ') ε.          Song, Meng, Ermon 2021, Eq. 12, σ = 0."""

    order = 1

    def step(self, ode: fs.ODE, x: Tensor, s: float, t: float) -> Tensor:
        """Eq. 12 in x_t; the state that solvers hold is x̄."""
        a, b = 1 / (1 + s * s), 1 / (1 + t * t)  # ᾱ now and then
        x_t, eps = math.sqrt(a) * x, ode.eps(x, s)
        predicted = (x_t - math.sqrt(1 - a) * eps) / math.sqrt(a)
        return (math.sqrt(b) * predicted + math.sqrt(1 - b) * eps) / math.sqrt(b)


def figure(problem: problems.Mixture1D, grid: fs.Grid, x: Tensor) -> Figure:
    """Draw one trajectory twice: nodes of Eq. 12, steps of Euler between them, the exact flow."""
    clock = problem.clock
    paper = fs.solve(problem, x, grid, Eq12(), keep=1).path
    path = fs.solve(problem, x, grid, S.Euler(), keep=1).path
    fine = fs.karras(200, grid[0], grid[-1])
    exact = torch.cat([x, *(problem.flow(x, grid[0], s) for s in fine[1:])]).tolist()
    out = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = out.subplots(1, 2)
    for axes, scaled in ((left, True), (right, False)):

        def place(sigma: float, value: float, scaled: bool = scaled) -> tuple[float, float]:
            return (clock.t(sigma), value / math.hypot(1, sigma)) if scaled else (sigma, value)

        axes.plot(*zip(*map(place, fine, exact), strict=True), color="0.6", label="exact flow")
        for here, there in pairwise(path):
            assert here.eps is not None  # it is None only at σ = 0
            inside = [here.sigma + k / 20 * (there.sigma - here.sigma) for k in range(21)]
            line = [float(here.x + (s - here.sigma) * here.eps) for s in inside]
            label = "a step of Euler" if here is path[0] else None
            axes.plot(*zip(*map(place, inside, line), strict=True), "C0", label=label)
        nodes = [place(p.sigma, float(p.x)) for p in paper]
        axes.plot(*zip(*nodes, strict=True), "C1o", mfc="none", label="DDIM, Eq. 12")
        axes.invert_xaxis()
        axes.set(xlabel="t" if scaled else "σ", title="x_t = α x̄" if scaled else "x̄ = x_t/α")
    left.legend()
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("ddim_is_euler.png"))
    args = parser.parse_args()
    problem = problems.Mixture1D()
    grid = fs.uniform_t(6, problem.sigma_max, problem.sigma_min, clock=problem.clock)
    paper = fs.tabulate(Eq12(), grid).matrix
    for chart in (fs.NOISE, fs.DATA):
        gap = abs(paper - fs.tabulate(S.Euler(chart), grid).matrix).max()
        print(f"largest difference of the tables, Eq. 12 and Euler in {chart!r}: {gap:.1e}")
    plot.save(figure(problem, grid, torch.tensor([9.0], dtype=torch.float64)), args.out)
