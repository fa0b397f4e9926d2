"""The right-hand side of the ODE as a field of arrows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
from matplotlib.figure import Figure

from flowsolve._arguments import reals
from flowsolve.plot.axes import density
from flowsolve.plot.look import COLORS, Look, canvas, heading
from flowsolve.plot.trajectories import check_axes, trail
from flowsolve.study.names import readable

if TYPE_CHECKING:
    from flowsolve.integrate.solution import Solution
    from flowsolve.problems.mixture import Mixture


def field_2d(
    problem: Mixture, solution: Solution, sigmas: Sequence[float], **look: Unpack[Look]
) -> Figure:
    """-dx̄/dσ = -ε(x̄, σ) as arrows, the way samples move as σ falls, at several σ, over the density of x̄.

    Dots are the states x̄(σ) by `Solution.at`, lines their way from the first node to there. Needs keep=1.
    Raises StateError and GridError as `Solution.at` does, ValueError without any path.
    """
    import torch

    levels, states, _ = trail(solution)
    check_axes(problem, states, 2)
    sigmas = reals("sigmas", sigmas)
    sign = -1 if solution.grid.rising else 1
    at_sigmas = solution.at(sigmas).detach().cpu().double().numpy()
    with canvas(look, 2.8 * len(sigmas), 3.1, columns=len(sigmas)) as (figure, panels):
        for axes, sigma, now in zip(panels, sigmas, at_sigmas, strict=True):
            reach = 1.25 * float(np.abs(now).max())
            density(axes, problem, sigma, reach)
            side = np.linspace(-reach, reach, 17)[1:-1]
            at = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
            slope = problem.eps(torch.as_tensor(at), sigma).numpy()
            axes.quiver(*at.T, *-slope.T, angles="xy", color=COLORS[0], alpha=0.7, width=0.004)
            walked = np.concatenate([states[sign * (np.array(levels) - sigma) > 0], now[None]])
            for path in walked.swapaxes(0, 1):
                axes.plot(*path.T, lw=0.8, color=COLORS[1])
            axes.scatter(now[:, 0], now[:, 1], s=12, color=COLORS[6], zorder=3)
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), title=f"σ = {sigma:.3g}")
        text = f"-dx̄/dσ over the density of x̄; {readable(repr(solution.solver))}, {solution.nfe} evaluations"
        heading(figure, look, text)
    return figure
