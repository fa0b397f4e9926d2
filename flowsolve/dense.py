"""Dense output: x̄ at any σ between the nodes of a path, from what was evaluated on the way."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flowsolve.errors import GridError, StateError

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.solution import Point, Solution


def hermite(points: Sequence[Point], sigma: float) -> Tensor:
    """The polynomial in σ through x̄ with slope ε at every point.    Hermite 1878, by Neville's scheme.

    Two points make a cubic, off by O(h⁴). A point without ε gives its x̄ alone: with ε at s only, a step
    of Heun has its own x̄_s + hθ(1 - θ/2) k₁ + hθ²/2 k₂.
    """
    knots = [p for p in points for _ in range(1 if p.eps is None else 2)]
    values = [p.x for p in knots]
    for width in range(1, len(knots)):
        values = [
            a.x.add(a.eps, alpha=sigma - a.sigma)
            if a is b and a.eps is not None
            else left.lerp(right, (sigma - a.sigma) / (b.sigma - a.sigma))
            for a, b, left, right in zip(knots, knots[width:], values, values[1:], strict=False)
        ]
    return values[0]


def at(solution: Solution, sigma: float | Iterable[float]) -> Tensor:
    """What `Solution.at` says."""
    if solution.solver.stochastic:
        raise StateError(
            f"{solution.solver!r} draws noise, so between its nodes there is no path to interpolate."
        )
    if tuple(p.sigma for p in solution.path) != solution.grid[:]:
        raise StateError(
            f"x̄ between the nodes needs all {len(solution.grid)} of them, but the path holds "
            f"{len(solution.path)}. Solve with keep=1."
        )
    if not isinstance(sigma, Iterable):
        return _at(solution, float(sigma))
    import torch

    levels = [float(s) for s in sigma]
    if not levels:
        raise GridError("at() needs at least one σ, but got none.")
    return torch.stack([_at(solution, s) for s in levels])


def _at(solution: Solution, sigma: float) -> Tensor:
    path, solver, rising = solution.path, solution.solver, solution.grid.rising
    up = path if rising else path[::-1]
    k = bisect_left(up, sigma, key=lambda p: p.sigma)
    if k < len(up) and up[k].sigma == sigma:
        return up[k].x
    if not 0 < k < len(up):
        raise GridError(
            f"σ = {sigma!r} is outside of this path, which goes from {path[0].sigma!r} to "
            f"{path[-1].sigma!r}."
        )
    i = k - 1 if rising else len(path) - 1 - k
    # as in `walk`: the ends that the solver does not walk to itself
    first = path[0].sigma in (0, math.inf)
    last = math.isinf(path[-1].sigma) or (path[-1].sigma == 0 and not solver.reaches_zero)
    inner = path[first : len(path) - last]
    if first <= i < first + len(inner) - 1:
        return solver.dense(inner, i - first, sigma)
    return _ddim(path[i], path[i + 1], sigma)


def _ddim(a: Point, b: Point, sigma: float) -> Tensor:
    """The step at an end of the charts: in x̄ and σ a straight line of slope ε."""
    if a.eps is None:  # up from σ = 0
        return a.x.lerp(b.x, sigma / b.sigma)
    finite = b if math.isinf(a.sigma) else a
    return finite.x.add(a.eps, alpha=sigma - finite.sigma)
