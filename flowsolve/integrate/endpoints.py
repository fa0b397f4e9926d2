"""The grid walked from end to end: σ = ∞ and σ = 0 by one rule, everything between by the solver."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from flowsolve.errors import StateError
from flowsolve.schedule.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE
    from flowsolve.solver.base import Solver


def walk(ode: ODE, x: Tensor, grid: Grid, solver: Solver) -> Generator[Tensor, None, Any]:
    """Yield x̄ at grid[1], grid[2], ...; return what the solver's generator returned.

    Both ends of the charts are the DDIM step (Euler in the chart that is finite there):

        head, from σ = ∞:  x̄₁ = x₀(noise, ∞) + σ₁ noise       (x is the unit noise x̄/σ)
        tail, to σ = 0:    x̄_N = x₀(x̄_{N-1}, σ_{N-1})         (unless the solver reaches 0 itself)

    A rising grid has them the other way round. ε has no value at 0, so the head freezes it at σ_1,
    where the network sees the data as they are, x_t = α_0 x̄_0; the tail returns the unit noise:

        head, from σ = 0:  x̄₁ = x̄₀ + σ₁ ε(x̄₀ α_0/α_1, σ₁)     (unless the solver leaves 0 itself)
        tail, to σ = ∞:    noise = ε(x̄_{N-1}, σ_{N-1})

    After a tail a second state is of the level before, and is not returned.
    """
    levels = grid[:]
    if math.isinf(levels[0]):
        x = ode.x0(x, math.inf).add(x, alpha=levels[1])
        levels = levels[1:]
        yield x
    elif levels[0] == 0 and not solver.leaves_zero:
        t = levels[1]
        x = x.add(ode.eps(x * (ode.alpha(0.0) / ode.alpha(t)), t), alpha=t)
        levels = levels[1:]
        yield x
    end = levels[-1]
    tail = len(levels) > 1 and (math.isinf(end) or (end == 0 and not solver.reaches_zero))
    inner = levels[:-1] if tail else levels
    last: object = None
    if len(inner) > 1:
        steps = iter(solver.steps(ode, x, _part(grid, inner)))
        for _ in inner[1:]:
            try:
                x = next(steps)
            except StopIteration:
                raise StateError(
                    f"{solver!r} yielded fewer states than the grid has steps."
                ) from None
            yield x
        try:
            next(steps)
        except StopIteration as end:
            last = end.value
        else:
            raise StateError(f"{solver!r} yielded more states than the grid has steps.")
    if tail:
        yield ode.eps(x, inner[-1]) if grid.rising else ode.x0(x, inner[-1])
        return last if isinstance(last, Mapping) else None
    return last


def _part(grid: Grid, levels: tuple[float, ...]) -> Grid:
    """Neighbouring levels of the grid, in its direction."""
    if len(levels) == len(grid):
        return grid
    return Grid(levels[::-1], grid.name).reversed() if grid.rising else Grid(levels, grid.name)
