"""
DDIM is Euler's method
======================

Eq. 12 of the DDIM paper in x_t is a curve; divided by α it is a straight line along ε, a step of Euler.

The same three trajectories are drawn twice: as the paper writes them, in x_t, and in x̄ = x_t/α against
σ. In both, four steps end away from the exact flow, by the same amount: that gap is Euler's error.
The script also compares the *tables* of the two methods, which say what they do on every problem.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from matplotlib.figure import Figure
from torch import Tensor

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import plot, problems

# %%
# The update as the paper prints it
# ---------------------------------
# A solver holds x̄ and gets two levels, s and t. Nothing but Eq. 12 is written here.


@dataclass(frozen=True, repr=False)
class Eq12(fs.OneStep):
    """x_{t-1} = √ᾱ' (x_t - √(1-ᾱ) ε)/√ᾱ + √(1-ᾱ') ε.          Song, Meng, Ermon 2021, Eq. 12, σ = 0."""

    order = 1

    def step(self, ode: fs.ODE, x: Tensor, s: float, t: float) -> Tensor:
        """From x̄ to x_t, Eq. 12, and back to x̄."""
        a, b = 1 / (1 + s * s), 1 / (1 + t * t)  # ᾱ now and then
        x_t, eps = math.sqrt(a) * x, ode.eps(x, s)
        predicted = (x_t - math.sqrt(1 - a) * eps) / math.sqrt(a)
        return (math.sqrt(b) * predicted + math.sqrt(1 - b) * eps) / math.sqrt(b)


# %%
# One table
# ---------
# A method is its table of weights on the answers of the network. Euler's, in either chart, is Eq. 12's.
problem = problems.Mixture1D(sigma_max=2.0, sigma_min=0.05)
grid = fs.Grid([2.0, 1.1, 0.6, 0.3, 0.05])
paper = fs.tabulate(Eq12(), grid).matrix
for chart in (fs.NOISE, fs.DATA):
    gap = abs(paper - fs.tabulate(S.Euler(chart), grid).matrix).max()
    print(f"largest difference of the tables, Eq. 12 and Euler in {chart!r}: {gap:.1e}")
    assert gap < 1e-12

# %%
# Three trajectories, twice
# -------------------------
# Between two nodes the state of DDIM is x̄ + (σ - s) ε. Times α = 1/√(1+σ²) that is a curve.
start = torch.tensor([-1.3, -0.4, 1.2], dtype=torch.float64) * math.hypot(1, grid[0])
path = fs.solve(problem, start, grid, Eq12(), keep=1).path
levels = fs.exponential(120, grid[0], grid[-1])
exact = torch.stack([start, *(problem.flow(start, grid[0], s) for s in levels[1:])])


def drawn(sigma: list[float], x: Tensor, scaled: bool) -> tuple[list[float], Tensor]:
    """Where states at these levels are drawn: (t, x_t), or (σ, x̄)."""
    if not scaled:
        return sigma, x
    alpha = torch.tensor([1 / math.hypot(1, s) for s in sigma]).reshape(-1, 1)
    return [problem.clock.t(s) for s in sigma], x * alpha


figure = Figure(figsize=(10, 4.6), layout="constrained")
for axes, scaled in zip(figure.subplots(1, 2), (True, False), strict=True):
    axes.plot(*drawn(list(levels), exact, scaled), color="0.65", lw=4, zorder=1)
    for here, there in pairwise(path):
        inside = [here.sigma + k / 30 * (there.sigma - here.sigma) for k in range(31)]
        line = torch.stack([here.x + (s - here.sigma) * here.eps for s in inside])
        axes.plot(*drawn(inside, line, scaled), color="#0072B2", zorder=2)
    nodes = drawn([p.sigma for p in path], torch.stack([p.x for p in path]), scaled)
    axes.plot(*nodes, "o", color="#D55E00", ms=6, zorder=3)
    axes.invert_xaxis()
left, right = figure.axes
left.set(xlabel="t", ylabel="$x_t$", title="in $x_t$: a step of DDIM is a curve")
right.set(xlabel="σ", ylabel="$\\bar{x} = x_t/α$", title="in $\\bar{x}$: the same step is straight")
names = {
    "exact flow": ("0.65", 4, ""),
    "a step": ("#0072B2", 1.5, ""),
    "Eq. 12": ("#D55E00", 0, "o"),
}
for name, (color, width, marker) in names.items():
    right.plot([], [], color=color, lw=width, marker=marker, label=name)
right.legend(loc="upper right")
plot.save(figure, "ddim_is_euler.png")
print("drawn: ddim_is_euler.png")
