"""PFDiff: the answer of the step before goes half-way, and the answer there the whole way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.solver import Solver

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["PFDiff"]


@dataclass(frozen=True, repr=False)
class PFDiff(Solver):
    """x_t = x_s + (t - s) ε(x_m, m), x_m = x_s + (m - s) ε₋.       PFDiff-1: Wang et al. 2025.

    s, m and t are levels of the grid, and ε₋ is the ε(x_m, m) before. The first step is DDIM's. After it one
    evaluation goes two steps, and if one is left at the end it is DDIM's. N/2 + 1 evaluations for N steps, N/2
    rounded down; order 2. The authors' variants with more past answers or longer jumps are not here.
    """

    order = 2
    reaches_zero = True

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        eps = ode.eps(x, grid[0])
        x = x.add(eps, alpha=grid[1] - grid[0])
        yield x
        for i in range(1, grid.steps - 1, 2):
            s, m, t = grid[i : i + 3]
            middle = x.add(eps, alpha=m - s)
            yield middle
            eps = ode.eps(middle, m)
            x = x.add(eps, alpha=t - s)
            yield x
        if grid.steps % 2 == 0:
            yield x.add(ode.eps(x, grid[-2]), alpha=grid[-1] - grid[-2])
