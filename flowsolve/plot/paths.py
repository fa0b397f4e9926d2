"""Trajectories, over the densities that they run through."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from flowsolve.problems.mixture import Mixture, Mixture1D
    from flowsolve.solution import Point, Solution


def paths_1d(problem: Mixture1D, solution: Solution) -> Figure:
    """Paths of a 1-D problem over its density, in x_t (left) and in x̄ (right). Needs keep=1.

    Raises ValueError for a solution without a path.
    """
    import torch

    points = _path(solution)
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    sigmas = np.geomspace(max(p.sigma for p in points), min(p.sigma for p in points), 200)
    for k, scaled in enumerate((True, False), 1):
        axes = figure.add_subplot(1, 2, k)
        states = np.array([(p.x_t if scaled else p.x).cpu().numpy() for p in points])
        reach = float(np.abs(states).max()) * 1.05
        y = np.linspace(-reach, reach, 400)
        columns = []
        for s in sigmas:
            alpha = 1 / math.hypot(1, s) if scaled else 1.0
            p = problem.log_density(torch.as_tensor(y / alpha), float(s)).exp().numpy() / alpha
            columns.append(p / p.max())
        axes.pcolormesh(sigmas, y, np.array(columns).T, cmap="Greys", shading="auto", vmax=1.6,
                        rasterized=True)  # fmt: skip
        axes.plot([p.sigma for p in points], states, lw=0.9, marker=".", ms=3)
        axes.set_xscale("log")
        axes.invert_xaxis()
        axes.set_xlabel("σ")
        axes.set_title("x_t = α x̄, variance preserving" if scaled else "x̄ = x_t/α")
    figure.suptitle(f"{solution.solver!r}, {solution.nfe} evaluations")
    return figure


def _path(solution: Solution) -> Sequence[Point]:
    if not solution.path:
        raise ValueError("this solution kept no path: solve with keep=1 to draw one.")
    return solution.path


def paths_2d(problem: Mixture, solution: Solution) -> Figure:
    """Paths of a 2-D problem over the density of the data, in x_t (left) and in x̄ (right)."""
    import torch

    points = _path(solution)
    figure = Figure(figsize=(10, 5), layout="constrained")
    for k, scaled in enumerate((True, False), 1):
        axes = figure.add_subplot(1, 2, k)
        states = np.array([(p.x_t if scaled else p.x).cpu().numpy() for p in points])
        reach = float(np.abs(states).max()) * 1.05
        side = np.linspace(-reach, reach, 240)
        at = torch.as_tensor(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2))
        p = problem.log_density(at, problem.sigma_min).exp().numpy().reshape(240, 240)
        axes.contourf(side, side, p, levels=12, cmap="Greys")
        for i in range(states.shape[1]):
            axes.plot(*states[:, i].T, lw=0.9, marker=".", ms=3)
        axes.set_aspect("equal")
        axes.set_title("x_t = α x̄" if scaled else "x̄ = x_t/α")
    figure.suptitle(f"{solution.solver!r}, {solution.nfe} evaluations")
    return figure
