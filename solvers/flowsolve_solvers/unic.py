"""UniC: the corrector of UniPC around another method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.schedule import LOG_SIGMA, Variable
from flowsolve.solver import (
    DATA,
    GUARD,
    Chart,
    Resumed,
    Solver,
    adams_weights,
    check_option,
    guarded,
    outside_the_trace,
)
from flowsolve_solvers._multistep import Evaluated, check_guard, check_points
from flowsolve_solvers.multistep import Adams

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["UniC"]

_ADAMS = Adams()


@dataclass(frozen=True, repr=False)
class UniC(Solver):
    """z_t = z_s + ∫ P du, P through F at the x_t of `method` and the last values of F.      Zhao et al. 2023.

    `method` goes on from the corrected x_t, where its first answer is the F that corrected it. So a method
    that asks at every node, as nearly all do, costs what it costs alone. The last step is not corrected.
    Order min(points, the method's) + 1: Euler becomes 2, DPM-Solver-2 and 2M become 3. Around Adams with as
    many points it is UniPC.

    method    any without noise that is `Resumed`: one-step methods, Adams and its kin, DPMSolverPP2M
    points    values of F before t, p of UniC-p. Steps that have too few behind them to keep the method's order
              are not corrected
    chart, variable, guard
              the corrector's, as in UniPC; `method` has its own
    """

    method: Resumed = _ADAMS
    points: int = 2
    chart: Chart = DATA
    guard: float | None = field(default=GUARD, kw_only=True)
    variable: Variable = field(default=LOG_SIGMA, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.method, Resumed) or self.method.stochastic:
            raise TypeError(
                "UniC corrects a method without noise that goes on from the state it is sent (`Resumed`): "
                "one-step methods, Adams and its kin, DPMSolverPP2M. Not those that choose their steps, ask "
                f"between levels or are corrected already; and not {self.method!r}."
            )
        check_points(self)
        check_option(self, "chart", Chart)
        check_option(self, "variable", Variable)
        check_guard(self)

    @property
    def order(self) -> int:
        """One more than the method's, if its first steps and its last, which stay as they are, allow that."""
        if getattr(self.method, "lower_order_final", False):
            return 2
        start, full = getattr(self.method, "start", None), self.method.order
        return min(self.points, full if start is None or full < 3 else min(full, start.order)) + 1

    @property
    def reaches_zero(self) -> bool:
        return self.method.reaches_zero

    @property
    def event(self) -> tuple[int, ...] | None:
        return self.method.event

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        values = [self.chart.value(ode, x, grid[0])]
        nodes = [grid[0]]
        known = Evaluated(ode, self.chart, x, grid[0], values[0])
        method = self.method.steps(known, x, grid)
        x_t = next(method)
        for s, t in pairwise(grid[:-1]):
            value = self.chart.value(ode, x_t, t)
            if len(nodes) >= min(self.points, self.method.order - 1):
                weights = self.weights((t, *nodes), s, t)
                x_t = self.chart.advance(x, s, t, weights, [value, *values][: len(weights)])
            x = x_t
            yield x
            nodes, values = [t, *nodes][: self.points], [value, *values][: self.points]
            known.at, known.known = (x, t), value
            x_t = method.send(x)
        yield x_t

    @outside_the_trace
    def weights(self, nodes: tuple[float, ...], s: float, t: float) -> Sequence[float]:
        """Those of F at the newest nodes, of which t is the first."""

        def exact(newest: tuple[float, ...]) -> Sequence[float]:
            return adams_weights(self.chart, self.variable, newest, s, t)

        return guarded(exact, nodes, s, t, self.guard)
