"""Runge-Kutta pairs with steps of their own, in any chart and variable."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.errors import StateError
from flowsolve.schedule import Phi, Variable
from flowsolve.solver import VELOCITY, Chart, Solver, check_option
from flowsolve_solvers._adaptive import Stats, ran_out, rms, side_by_side, stopped
from flowsolve_solvers.by_tableau import moved
from flowsolve_solvers.high_order_tableaus import DORMAND_PRINCE5
from flowsolve_solvers.tableau import Tableau

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["AdaptiveRungeKutta"]

_PHI = Phi()
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 5.0
_LEAST = 1e-12  # of the whole interval: a step can be no shorter


@dataclass(frozen=True, repr=False)
class AdaptiveRungeKutta(Solver):
    """z_t = z_s + Σ b_i F_i, the step by RMS(Σ (b_i - b̂_i) F_i) <= tol.         Dormand and Prince 1980.

    A step is made again if the pair's distance e is more than tol, and the next is 0.9 (tol/e)^(1/(q+1)) times
    as long, q the lower order. A trial evaluates each stage of the tableau; the first one is known after a
    rejection, and where the last is made at the new state.

    tol       the RMS of e, in z and times x̄/z at σ = 0, which is how the flow would leave it in the data; in
              DATA, which has no z there, in x̄
    tableau   with a pair: BOGACKI_SHAMPINE, DORMAND_PRINCE5, DORMAND_PRINCE8, HEUN2
    chart, variable  as in `RungeKutta`; the first step is `first` of the interval in τ
    batch     "joint": one step for the whole batch. "each": every sample alone, so that its answer does not
              depend on the others; `Solution.nfe` then counts evaluations of one sample each
    max_nfe   of one sample ("each") or of the batch ("joint"); then BudgetError, whose `partial` is a state on
              the way

    Levels of the grid are met exactly, by a shortened step that leaves the step size as it was: with its two
    ends alone it takes the fewest. Every error is
    read back from the device. stats: accepted, rejected, nfe_max (the most of a sample). Raises StateError for
    a tol below what the dtype of the state resolves.
    """

    tol: float = 1e-3
    tableau: Tableau = DORMAND_PRINCE5
    chart: Chart = VELOCITY
    variable: Variable = _PHI
    first: float = 0.05
    batch: str = "joint"
    max_nfe: int = 10_000

    adaptive = True

    def __post_init__(self) -> None:
        check_option(self, "tableau", Tableau)
        check_option(self, "chart", Chart)
        check_option(self, "variable", Variable)
        if self.tableau.lower is None:
            raise ValueError(
                "AdaptiveRungeKutta needs a tableau with a pair of lower order, such as BOGACKI_SHAMPINE or "
                f"DORMAND_PRINCE5, not {self.tableau!r}."
            )
        if self.batch not in ("each", "joint"):
            raise ValueError(f"AdaptiveRungeKutta: batch is 'each' or 'joint', not {self.batch!r}.")
        if not (0 < self.tol < math.inf and 0 < self.first <= 1):
            raise ValueError(
                "AdaptiveRungeKutta: tol must be positive and finite and first between 0 and 1, but got tol = "
                f"{self.tol!r}, first = {self.first!r}."
            )
        if not isinstance(self.max_nfe, int) or self.max_nfe < 1:
            raise ValueError(
                f"AdaptiveRungeKutta: max_nfe must be 1 or more, but got {self.max_nfe!r}."
            )

    @property
    def order(self) -> int:
        return self.tableau.order

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, None, Stats]:
        self._check_precision(x, grid[0])
        size = 1 if self.batch == "each" else len(x)
        parts = (x[i : i + size] for i in range(0, len(x), size))
        return side_by_side([_Walk(self, ode, grid, part) for part in parts], x, grid)

    def _check_precision(self, x: Tensor, s: float) -> None:
        import torch

        least = 8 * torch.finfo(x.dtype).eps * rms(x) * _in_the_data(self.chart, s)
        if self.tol < least:
            raise StateError(
                f"{self!r} asks for more than {x.dtype} can resolve, and would only step ever smaller. "
                f"Take a tol of at least {least:.1g}, or a state of more digits."
            )


def _in_the_data(chart: Chart, sigma: float) -> float:
    """What a difference of x̄ at σ becomes at σ = 0 where z stays as it is; 1 in a chart that has no z there."""
    return chart.kept(sigma, 0.0) if chart.has_zero else 1.0


@dataclass
class _Walk:
    """One sample, or the whole batch, on its way over the grid."""

    solver: AdaptiveRungeKutta
    ode: ODE
    grid: Grid
    x: Tensor
    nfe: int = 0
    accepted: int = 0
    rejected: int = 0
    value: Tensor | None = None  # F at x, if it is known

    def __post_init__(self) -> None:
        tau = self.solver.variable.tau
        self.s = self.grid[0]
        self.whole = abs(tau(self.grid[-1]) - tau(self.s))
        self.h = self.solver.first * self.whole

    def reach(self, t: float) -> Tensor:
        """x̄ at t, the next level of the grid."""
        variable, tableau = self.solver.variable, self.solver.tableau
        while self.s != t:
            left = variable.tau(t) - variable.tau(self.s)
            last = self.h >= abs(left) * (1 - 1e-12)
            h = abs(left) if last else self.h
            if h < _LEAST * self.whole:
                raise stopped(self.solver, self.s, self.nfe, "no step is short enough for tol")
            to = t if last else variable.sigma(variable.tau(self.s) + math.copysign(h, left))
            x, value, error = self._trial(to)
            ratio = self.solver.tol / max(error, 1e-300)
            factor = _SAFETY * ratio ** (1 / (1 + (tableau.lower_order or 0)))
            factor = min(max(factor, _SHRINK), _GROW)
            if error > self.solver.tol:
                self.rejected += 1
                self.h = h * factor
                continue
            self.accepted += 1
            self.x, self.s, self.value = x, to, value
            self.h = max(self.h, h * factor) if last else h * factor
        return self.x

    def _trial(self, t: float) -> tuple[Tensor, Tensor | None, float]:
        """x̄ at t, F there if it is known, and the pair's distance."""
        method, tableau, s = self.solver, self.solver.tableau, self.s
        chart, variable = method.chart, method.variable
        if self.value is None:
            self.value = self._value(self.x, s)
        *rows, high, low = tableau.weights(chart, variable, s, t)
        values = [self.value]
        for level, row in zip(tableau.levels(variable, s, t)[1:], rows, strict=True):
            values.append(self._value(moved(chart, self.x, (s, level), row, values), level))
        x = moved(chart, self.x, (s, t), high, values)
        lower = moved(chart, self.x, (s, t), low, values)
        error = rms(x - lower) * _in_the_data(chart, t)
        if not math.isfinite(error):
            raise stopped(method, s, self.nfe, f"its error at σ = {t:.6g} is {error}")
        return x, values[-1] if tableau.reuses_last else None, error

    def _value(self, x: Tensor, sigma: float) -> Tensor:
        if self.nfe >= self.solver.max_nfe:
            raise ran_out(self.solver, self.grid, self.x, self.s, "a state on the way")
        self.nfe += 1
        return self.solver.chart.value(self.ode, x, sigma)
