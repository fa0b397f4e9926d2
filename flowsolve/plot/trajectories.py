"""Trajectories over the density of the state at each σ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Unpack

import numpy as np
from matplotlib.figure import Figure

from flowsolve._arguments import instance, shown
from flowsolve.errors import StateError
from flowsolve.plot.axes import density
from flowsolve.plot.look import COLORS, Look, canvas, heading
from flowsolve.study.names import readable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowsolve.integrate.solution import Solution
    from flowsolve.problems.mixture import Mixture, Mixture1D
    from flowsolve.solver.dense_output import Point

PIECES = 12  # that a step is drawn in


def paths_1d(problem: Mixture1D, solution: Solution, **look: Unpack[Look]) -> Figure:
    """Paths of a 1-D problem over its density, in x_t (left) and in x̄ (right), down to the last σ > 0.

    Dots at the nodes, lines by `Solution.at` between them; straight ones where it has no answer: a
    stochastic method, or keep > 1. Raises ValueError for a solution without a path.
    """
    import torch

    levels, states, pieces = trail(solution)
    check_axes(problem, states, 1)
    lowest = min(p.sigma for p in solution.path if p.sigma > 0)
    seen = [k for k, s in enumerate(levels) if s >= lowest]
    levels, states = [levels[k] for k in seen], states[seen]
    sigmas = np.geomspace(max(levels), lowest, 200)
    with canvas(look, 9, 3.8, columns=2) as (figure, panels):
        for axes, scaled in zip(panels, (True, False), strict=True):
            drawn = _in_x_t(problem, levels, states) if scaled else states
            reach = float(np.abs(drawn).max()) * 1.05
            y = np.linspace(-reach, reach, 400)
            made = []
            for s in sigmas:
                alpha = problem.alpha(float(s)) if scaled else 1.0
                p = problem.log_density(torch.as_tensor(y / alpha), float(s)).exp().numpy() / alpha
                made.append(p / p.max())
            axes.pcolormesh(sigmas, y, np.array(made).T, cmap="Greys", shading="auto", vmax=1.6,
                            rasterized=True)  # fmt: skip
            axes.set_prop_cycle(color=COLORS)
            axes.plot(levels, drawn, lw=0.9, marker=".", ms=4, markevery=pieces)
            axes.set(xscale="log", xlabel="σ", ylabel="x_t" if scaled else "x̄")
            axes.invert_xaxis()
            axes.set_title("x_t = α x̄" if scaled else "x̄ = x_t/α")
        heading(figure, look, f"{readable(repr(solution.solver))}, {solution.nfe} evaluations")
    return figure


def paths_2d(problem: Mixture, solution: Solution, **look: Unpack[Look]) -> Figure:
    """Paths of a 2-D problem over the density of the data, in x_t (left) and in x̄ (right).

    As `paths_1d`; black dots are the ends.
    """
    levels, states, pieces = trail(solution)
    check_axes(problem, states, 2)
    with canvas(look, 9, 4.7, columns=2) as (figure, panels):
        for axes, scaled in zip(panels, (True, False), strict=True):
            drawn = _in_x_t(problem, levels, states) if scaled else states
            density(axes, problem, problem.sigma_min, float(np.abs(drawn).max()) * 1.05)
            axes.set_prop_cycle(color=COLORS)
            for path in drawn.swapaxes(0, 1):
                axes.plot(*path.T, lw=0.9, marker=".", ms=4, markevery=pieces)
            axes.scatter(drawn[-1, :, 0], drawn[-1, :, 1], s=12, color="k", zorder=3)
            axes.set_title("x_t = α x̄" if scaled else "x̄ = x_t/α")
        heading(figure, look, f"{readable(repr(solution.solver))}, {solution.nfe} evaluations")
    return figure


def trail(solution: Solution) -> tuple[list[float], NDArray[np.float64], int]:
    """(σ, x̄, n): the finite σ along the path, x̄ there (K, B, *event), and how many a step is drawn with."""
    import torch

    from flowsolve.integrate.solution import Solution

    instance("solution", solution, Solution, "solve(..., keep=1)")
    if not solution.path:
        raise ValueError("this solution kept no path: solve with keep=1 to draw one.")
    points = [p for p in solution.path if p.sigma < math.inf]
    if solution.solver.stochastic or len(solution.path) < len(solution.grid):
        levels, states, pieces = [p.sigma for p in points], torch.stack([p.x for p in points]), 1
    else:
        levels, pieces = [*_levels(points)], PIECES
        states = solution.at(levels)
    return levels, states.detach().cpu().double().numpy(), pieces


def check_axes(problem: object, states: NDArray[np.float64], d: int) -> None:
    """Raise StateError unless the problem has a density, and the states are of d dimensions."""
    if isinstance(problem, type) or not hasattr(problem, "log_density"):
        raise StateError(f"problem must have a log_density, as Mixture(), not {shown(problem)}.")
    if states.ndim != d + 1 or (d == 2 and states.shape[2] != 2):
        raise StateError(f"paths_{d}d draws {d}-dimensional states, not {states.shape[2:]}.")


def _levels(points: Sequence[Point]) -> Iterator[float]:
    """The nodes, and levels between them, evenly in √σ."""
    yield points[0].sigma
    for a, b in pairwise(points):
        first, last = math.sqrt(a.sigma), math.sqrt(b.sigma)
        yield from ((first + k / PIECES * (last - first)) ** 2 for k in range(1, PIECES))
        yield b.sigma


def _in_x_t(
    problem: Mixture1D | Mixture, levels: Sequence[float], states: NDArray[np.float64]
) -> NDArray[np.float64]:
    alphas = np.array([problem.alpha(s) for s in levels])
    scaled: NDArray[np.float64] = states * alphas.reshape(-1, *[1] * (states.ndim - 1))
    return scaled
