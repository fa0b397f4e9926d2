"""
Trajectories between the nodes
==============================

x̄(σ) on a few steps: paths in one dimension, the ε-field in two, a digit on its way.

It prints how far some methods on 10 steps are from the exact flow, at their nodes and between them: no
evaluation is made for what is between.
"""

from itertools import pairwise

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


# %%
# In one dimension the exact flow is known
# ----------------------------------------
line, grid = problems.Mixture1D(), fs.karras(10, 10, 0.05)
for solver in (S.Euler(), S.DPMSolverPP2M(), S.Heun()):
    found = fs.sample(line, noise(line, 8), grid, solver, keep=1)
    inside = [(s * t) ** 0.5 for s, t in pairwise(grid)]
    at, between = error(line, found, list(grid)), error(line, found, inside)
    print(f"{solver!r}: {at:.3f} at the nodes, {between:.3f} between, {found.nfe} evaluations")
    assert between < 1.1 * at
plot.save(plot.paths_1d(line, found), "trajectories.png")

# %%
# In two dimensions: where ε points at three levels
# -------------------------------------------------
plane = problems.Mixture()
found = fs.sample(plane, noise(plane, 24), grid.to_zero(), S.Heun(), keep=1)
plot.save(plot.field_2d(plane, found, (4.0, 1.0, 0.1)), "trajectories_field.png")

# %%
# A digit on its way: the state, and the x₀ that the network sees in it
# ---------------------------------------------------------------------
digits = problems.Digits()
grid = fs.log_snr(15, digits.sigma_max, digits.sigma_min).to_zero()
three = digits.given(torch.tensor([3]))
found = fs.sample(three, noise(digits, 1, torch.float32), grid, S.DPMSolverPP2M(), keep=1)
plot.save(plot.along_path(found), "trajectories_digit.png")
print("drawn: trajectories.png, trajectories_field.png, trajectories_digit.png")
