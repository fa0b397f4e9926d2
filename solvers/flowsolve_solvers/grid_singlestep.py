"""Singlestep DPM-Solver whose stages are the next levels of the grid: that of diffusers, DPM-Solver-fast."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.schedule import LOG_SIGMA
from flowsolve.solver import (
    DATA,
    NOISE,
    Chart,
    Solver,
    adams_weights,
    check_option,
    outside_the_trace,
)
from flowsolve_solvers._multistep import check_points

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["GridDPMSolverFast", "GridSinglestep"]


@dataclass(frozen=True, repr=False)
class GridSinglestep(Solver):
    """x_t from x_b, b the first level of its group: DPM-Solver-1, -2, -3, again.   diffusers, after Lu et al.

    z_t = z_b + (F_b + c (F_s - F_b)/r) ∫_b^t du, r = log(b/s)/log(b/t); c = 1/2 in the second step of
    a group and exact in the third. 1 evaluation a step. Where n is not a multiple of `points` the last
    group is shorter. Where it is, lower_order_final (diffusers' default) makes the last step a group
    of its own: with 3 points, 6 steps are 1, 2, 3, 1, 2, 1. The step to σ = 0 is DDIM's.
    exact_stage=True makes c exact in the second step of a group of 3, as in DPM-Solver-3 itself, of which
    that step is a stage: DPM-Solver-fast (`GridDPMSolverFast`).
    Order min(points, 2) for any n; 3 of 3 points on smooth grids whose n is a multiple of 3 without
    lower_order_final. Not DPMSolver2 and DPMSolver3: they choose their own stages, and one of their
    steps is a group here.
    """

    points: int = 2
    chart: Chart = DATA
    lower_order_final: bool = True
    exact_stage: bool = False

    reaches_zero = True

    def __post_init__(self) -> None:
        check_option(self, "chart", Chart)
        check_points(self, most=3)

    @property
    def order(self) -> int:
        return min(self.points, 2)

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        values: list[Tensor] = []
        base, b = x, grid[0]
        places = self._group(grid.steps)
        for k, after, (s, t) in zip(places, [*places[1:], 1], pairwise(grid), strict=True):
            if k == 1:
                base, b, values = x, s, []
            if t == 0:
                yield ode.x0(x, s)
                return
            values.append(self.chart.value(ode, x, s))
            exact = k == 3 or (self.exact_stage and after == 3)
            x = self.chart.advance(base, b, t, *self._weights((b, s, t), values, exact=exact))
            yield x

    def _group(self, n: int) -> list[int]:
        """The place of each step in its group."""
        p = self.points
        places = [1 + i % p for i in range(n)]
        if self.lower_order_final and p > 1 and n % p == 0:
            places[-1] = 1
        return places

    @outside_the_trace
    def weights(self, b: float, s: float, t: float) -> tuple[float, ...]:
        """The exact ones of two values, at b and at s, in the step from b to t."""
        return adams_weights(self.chart, LOG_SIGMA, (b, s), b, t)

    def _weights(
        self, levels: tuple[float, float, float], values: list[Tensor], *, exact: bool
    ) -> tuple[tuple[float, ...], list[Tensor]]:
        b, s, t = levels
        whole = self.chart.u(t) - self.chart.u(b)
        if len(values) == 1:
            return (whole,), values
        if exact:
            weights = self.weights(b, s, t)
        else:
            part = whole / 2 * math.log(b / t) / math.log(b / s)
            weights = (whole - part, part)
        return weights, [values[0], values[-1]]


def GridDPMSolverFast(order: int = 3) -> GridSinglestep:
    """DPM-Solver-3, ..., -3, -2, -1 whose stages are levels of the grid.   DPM-Solver-fast, uniform in t.

    The authors' "singlestep" method on time_uniform and time_quadratic levels: n levels are n evaluations,
    grouped as by `DPMSolverFast(n, order)`. On levels uniform in log σ the stages of that one are not
    levels. Order 2: DPM-Solver-2, ..., -2, and -1 if n is odd.
    """
    if not isinstance(order, int) or order not in (2, 3):
        raise ValueError(f"GridDPMSolverFast has order 2 or 3, but got order = {order!r}.")
    return GridSinglestep(order, NOISE, lower_order_final=order == 3, exact_stage=order == 3)
