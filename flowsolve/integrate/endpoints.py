"""The states of a run over a whole grid: σ = ∞ and σ = 0 by one rule, the rest by the solver."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from flowsolve.errors import StateError

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE
    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.base import Solver


def ddim_ends(solver: Solver, first: float, last: float) -> tuple[bool, bool]:
    """Whether the step from level `first` and the step to level `last` are DDIM's, not the solver's own."""
    leaves = {0.0: solver.leaves_zero, math.inf: solver.leaves_infinity}
    reaches = {0.0: solver.reaches_zero, math.inf: solver.reaches_infinity}
    return not leaves.get(first, True), not reaches.get(last, True)


def returned_by(stop: StopIteration) -> object:
    """What a generator returned: `stop.value`, which torch.compile does not know."""
    return stop.args[0] if stop.args else None


def trajectory(ode: ODE, x: Tensor, grid: Grid, solver: Solver) -> Generator[Tensor, None, Any]:
    """Yield x̄ at grid[1], grid[2], ...; return what the solver's generator returned.

    The steps from σ = ∞ and to σ = 0 are DDIM's (Euler in the chart that is finite there), unless the
    solver takes them itself:

        head, from σ = ∞:  x̄₁ = x₀(noise, ∞) + σ₁ noise       (x is the unit noise x̄/σ)
        tail, to σ = 0:    x̄_N = x₀(x̄_{N-1}, σ_{N-1})

    On a rising grid the head is at σ = 0 and the tail at σ = ∞. ε has no value at σ = 0, so the head
    takes it at σ_1, of the x̄ that shows the network the data unscaled, x_t = α_0 x̄_0; the tail
    returns unit noise:

        head, from σ = 0:  x̄₁ = x̄₀ + σ₁ ε(x̄₀ α_0/α_1, σ₁)
        tail, to σ = ∞:    noise = ε(x̄_{N-1}, σ_{N-1})

    A second state that the solver returns belongs to the level where it stopped, so after a tail it is
    not returned. Raises StateError if the solver yields too few states or too many.
    """
    first, last = 0, grid.steps  # the solver's own levels
    head, tail = ddim_ends(solver, grid[0], grid[-1])
    if head and math.isinf(grid[0]):
        x = ode.x0(x, math.inf).add(x, alpha=grid[1])
        first = 1
        yield x
    elif head:
        t = grid[1]
        x = x.add(ode.eps(x * (ode.alpha(0.0) / ode.alpha(t)), t), alpha=t)
        first = 1
        yield x
    tail = tail and last > first
    last -= tail
    returned: object = None
    if last > first:
        steps = iter(solver.steps(ode, x, grid.part(first, last)))
        for _ in range(first, last):
            try:
                x = next(steps)
            except StopIteration:
                raise StateError(
                    f"{solver!r} yielded fewer states than the grid has steps."
                ) from None
            yield x
        try:
            next(steps)
        except StopIteration as stop:
            returned = returned_by(stop)
        else:
            raise StateError(f"{solver!r} yielded more states than the grid has steps.")
    if tail:
        yield ode.eps(x, grid[last]) if grid.rising else ode.x0(x, grid[last])
        return returned if isinstance(returned, Mapping) else None
    return returned
