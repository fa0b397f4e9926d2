"""Every Runge-Kutta method of a tableau, in any chart and variable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.errors import StateError
from flowsolve.schedule import SIGMA, FlowTime, Variable
from flowsolve.solver import FLOW, NOISE, Chart, OneStep, check_option, outside_the_trace
from flowsolve_solvers.tableau import KUTTA4, MIDPOINT2, Row, Stages, Tableau, is_own

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.solver import Point

__all__ = ["RFSolver", "RungeKutta"]


@dataclass(frozen=True, repr=False)
class RungeKutta(OneStep):
    """z_t = z_s + Σ_i b_i F_i,  F_i at z_i = z_s + Σ_j a_ij F_j.                          Kutta 1901.

    An evaluation for each stage of the tableau, but for a last one at the new state, which only estimates the
    error. The order is the tableau's.

    tableau   classical (KUTTA3, BUTCHER6, ...), on dz/dτ = F du/dτ; or exponential (KROGSTAD, ...), which
              integrates du exactly
    chart     what z, u and F are: NOISE (x̄, σ, ε), DATA, VELOCITY or FLOW
    variable  τ: stage i lies at τ_s + c_i (τ_t - τ_s)
    to_zero   whether a step to σ = 0 is the tableau's, for which the network must know levels below the last
              of the grid; else it is DDIM's

    In NOISE with SIGMA the classical ones are DEIS-ρRK, in NOISE with LOG_SIGMA integrating-factor methods.
    """

    tableau: Stages = KUTTA4
    chart: Chart = NOISE
    variable: Variable = SIGMA
    to_zero: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.tableau, Stages):
            raise StateError(
                "RungeKutta: tableau must be one such as KUTTA4 or KROGSTAD of flowsolve_solvers, or a Tableau "
                f"of your own, but is {self.tableau!r}."
            )
        check_option(self, "chart", Chart)
        check_option(self, "variable", Variable)
        inside = max(self.tableau.levels(SIGMA, 0.0, 1.0)) < 1
        if self.to_zero and not (
            inside and self.chart.has_zero and self.variable.has_zero and self._finite
        ):
            raise ValueError(
                "RungeKutta: to_zero needs a tableau without a stage at the end of the step, and a chart and "
                "a variable that are finite at σ = 0, such as MIDPOINT2, FLOW and FlowTime(); not "
                f"{self.tableau!r}, {self.chart!r} and {self.variable!r}."
            )

    @property
    def order(self) -> int:
        return self.tableau.order

    @property
    def reaches_zero(self) -> bool:
        return self.to_zero

    @property
    def leaves_infinity(self) -> bool:
        return self.chart.has_infinity and self.variable.has_infinity and self._finite

    @property
    def _finite(self) -> bool:
        """Whether the weights are at the ends of σ: without du/dτ, or where it is 1."""
        return not isinstance(self.tableau, Tableau) or is_own(self.chart, self.variable)

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        levels, rows = self._plan(s, t)
        values = [self.chart.value(ode, x, s)]
        for level, row in zip(levels[1:], rows, strict=False):
            x_i = moved(self.chart, x, (s, level), row, values)
            values.append(self.chart.value(ode, x_i, level))
        return moved(self.chart, x, (s, t), rows[-1], values)

    @outside_the_trace
    def _plan(self, s: float, t: float) -> tuple[Row, tuple[Row, ...]]:
        """σ of the stages, and the weights of each stage after the first and of the step."""
        levels = self.tableau.levels(self.variable, s, t)
        rows = self.tableau.weights(self.chart, self.variable, s, t)[: len(levels)]
        if isinstance(self.tableau, Tableau) and self.tableau.reuses_last:
            return levels[:-1], rows[:-1]  # the last stage is the state itself
        return levels, rows

    def dense(self, path: Sequence[Point], i: int, sigma: float) -> Tensor:
        """The cubic of `Solver.dense`; in a step from σ = ∞ z is linear in u."""
        a, b = path[i : i + 2]
        if math.isinf(a.sigma):
            return self.chart.line(a, b, sigma)
        return super().dense(path, i, sigma)


def moved(
    chart: Chart, x: Tensor, step: tuple[float, float], row: Row, values: list[Tensor]
) -> Tensor:
    """x̄ at t from x̄ at s and z_t = z_s + Σ row·values, (s, t) = step; the values of weight 0 are left out."""
    used = [(w, F) for w, F in zip(row, values, strict=False) if w] or [(0.0, values[0])]
    return chart.advance(x, *step, *zip(*used, strict=True))


def RFSolver(to_zero: bool = False) -> RungeKutta:
    """y_t = y_s + Δτ u(y_m, m), m half-way in τ = σ/(1+σ), y = x̄/(1+σ), u = ε - x₀.     Wang et al. 2024.

    to_zero as they have it, whose networks know every τ; else the last step to σ = 0 is DDIM's.
    """
    return RungeKutta(MIDPOINT2, FLOW, FlowTime(), to_zero)
