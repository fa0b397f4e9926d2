"""Singlestep DPM-Solver whose stages are the next levels of the grid: diffusers' DPMSolverSinglestep."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.solver import DATA, Chart, Solver, check_option, phi, span
from flowsolve_solvers._multistep import check_points

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["GridSinglestep"]


@dataclass(frozen=True, repr=False)
class GridSinglestep(Solver):
    """x_t from x_b, b the first level of its group: DPM-Solver-1, -2, -3, again.   diffusers, after Lu et al.

    z_t = z_b + (F_b + c (F_s - F_b)/r) ∫_b^t du, r = log(b/s)/log(b/t); c = 1/2 in the second step of
    a group and exact in the third. 1 evaluation a step. Where n is not a multiple of `points` the last
    group is shorter. Where it is, lower_order_final (diffusers' default) makes the last step a group
    of its own: with 3 points, 6 steps are 1, 2, 3, 1, 2, 1. The step to σ = 0 is DDIM's.
    Order min(points, 2) for any n; 3 of 3 points on smooth grids whose n is a multiple of 3 without
    lower_order_final. Not DPMSolver2 and DPMSolver3: they choose their own stages, and one of their
    steps is a group here.
    """

    points: int = 2
    chart: Chart = DATA
    lower_order_final: bool = True

    reaches_zero = True

    def __post_init__(self) -> None:
        check_option(self, "chart", Chart)
        check_points(self, most=3)

    @property
    def order(self) -> int:
        return min(self.points, 2)

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        base, b, values = x, grid[0], list["Tensor"]()
        for k, (s, t) in zip(self._group(grid.steps), pairwise(grid), strict=True):
            if k == 1:
                base, b, values = x, s, []
            if t == 0:
                yield ode.x0(x, s)
                return
            values.append(self.chart.value(ode, x, s))
            x = self.chart.advance(base, b, t, *self._weights(k, b, s, t, values))
            yield x

    def _group(self, n: int) -> list[int]:
        """The place of each step in its group."""
        p = self.points
        places = [1 + i % p for i in range(n)]
        if self.lower_order_final and p > 1 and n % p == 0:
            places[-1] = 1
        return places

    def _weights(
        self, k: int, b: float, s: float, t: float, values: list[Tensor]
    ) -> tuple[tuple[float, ...], list[Tensor]]:
        q, scale = span(self.chart, b, t)
        whole = scale * math.expm1(q)
        if k == 1:
            return (whole,), values
        part = (whole / 2 if k == 2 else scale * q * phi(2, q)) * math.log(b / t) / math.log(b / s)
        return (whole - part, part), [values[0], values[-1]]
