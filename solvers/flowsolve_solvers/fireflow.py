"""FireFlow: the midpoint rule in the coordinates of flow matching, for one evaluation a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.schedule import FlowTime
from flowsolve.solver import FLOW, Solver

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["FireFlow"]

_TIME = FlowTime()


@dataclass(frozen=True, repr=False)
class FireFlow(Solver):
    """y_t = y_s + Δτ u_m, y_m = y_s + Δτ/2 u₋, y = x̄/(1+σ), τ = σ/(1+σ), u = ε - x₀.    Deng et al. 2024.

    m is half-way from s to t in τ, and u₋ the u_m of the step before, u_s in the first step. N + 1 evaluations
    for N steps, order 2. With u_s in every step it is the midpoint rule, which RF-Solver is. A step to σ = 0 is
    DDIM's: the authors take it as any other, with an m that is below the levels of many networks.
    """

    chart = FLOW
    order = 2
    leaves_infinity = True
    reaches_infinity = True

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        u: Tensor | None = None
        for s, t in pairwise(grid):
            u = FLOW.value(ode, x, s) if u is None else u
            m = _TIME.sigma((_TIME.tau(s) + _TIME.tau(t)) / 2)
            u = FLOW.value(ode, FLOW.advance(x, s, m, [FLOW.u(m) - FLOW.u(s)], [u]), m)
            x = FLOW.advance(x, s, t, [FLOW.u(t) - FLOW.u(s)], [u])
            yield x
