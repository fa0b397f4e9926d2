"""UniPC with steps of its own, one evaluation each: as long as corrector and predictor agree."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowsolve.errors import StateError
from flowsolve.schedule import Phi, Variable
from flowsolve.solver import VELOCITY, Chart, Solver, adams_weights, check_option
from flowsolve_solvers._adaptive import Stats, ran_out, rms, side_by_side, stopped
from flowsolve_solvers._multistep import check_points

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["AdaptiveUniPC"]

_PHI = Phi()
_LOCAL = {1: 0.7, 2: 1.25, 3: 2.0, 4: 3.0}  # times tol, what a step may err by: measured
_SAFETY = 0.8  # of the step that would err by just that
_REJECT = 1.5  # times the error allowed is too much
_GROW, _SHRINK = 2.0, 0.25
_SECOND = 0.2  # of what is left after the first step
_LEAST = 1e-9  # of the whole interval: a distance that does not fall with the step is rounding
_OVER = 0.3  # of a step: a last step may be so much longer rather than two


@dataclass(frozen=True, repr=False)
class AdaptiveUniPC(Solver):
    """z_t = z_s + ∫ P du, the step from s to t by RMS(corrected - predicted).       UniPC of Zhao et al. 2023.

    The predictor's P goes through the newest `points` values of F, the corrector's through F at the predicted
    x_t too. Their distance in z, times c = x̄/z at σ = 0, is the error e that the predictor would leave in the
    data, as the flow keeps z far from them. A step is made again if e > 1.5 θ tol, and the next one is
    0.8 (θ tol/e)^(1/(points+1)) times as long: equal errors in every step. 1 evaluation a step, no more than
    one point at the start, none for the last step, which is predicted.

    tol      the RMS error wanted in the data; θ is 1.25, 2 and 3 for 2, 3 and 4 points
    points   values the predictor uses, 1 to 4: few for a large tol, 4 for a small one
    chart    VELOCITY or FLOW, with the scale c of the data
    variable what P is a polynomial in; the first step is `first` of the whole interval in it, and the second at
             most a fifth of the rest
    batch    "joint": one step for the whole batch, by the RMS over all of it. "each": every sample alone, so
             that its answer does not depend on the others; `Solution.nfe` then counts evaluations of one sample
             each, and a network that holds a condition for each sample of a batch needs "joint"
    max_nfe  of one sample ("each") or of the batch ("joint"); then BudgetError, whose `partial` is the last
             state that the whole batch has reached

    Levels of the grid between its ends are read off P, and cost nothing. Every error is read back from the
    device. stats: accepted, rejected, nfe_max (the most of any sample). Raises StateError for a tol below what
    the dtype of the state resolves, on the way too.
    """

    tol: float = 1e-2
    points: int = 3
    chart: Chart = VELOCITY
    first: float = 0.2
    batch: str = "joint"
    max_nfe: int = 1000
    variable: Variable = field(default=_PHI, kw_only=True)

    adaptive = True
    reaches_zero = True
    leaves_infinity = True
    reaches_infinity = True

    def __post_init__(self) -> None:
        check_points(self, most=max(_LOCAL))
        check_option(self, "chart", Chart)
        check_option(self, "variable", Variable)
        for part in (self.chart, self.variable):
            if not (part.has_zero and part.has_infinity):
                raise ValueError(
                    "AdaptiveUniPC needs a chart and a variable that are finite at σ = 0 and ∞, such as "
                    f"VELOCITY and Phi(), not {part!r}."
                )
        if self.batch not in ("each", "joint"):
            raise ValueError(f"AdaptiveUniPC: batch is 'each' or 'joint', not {self.batch!r}.")
        if not (0 < self.tol < math.inf and 0 < self.first <= 1):
            raise ValueError(
                "AdaptiveUniPC: tol must be positive and finite and first between 0 and 1, but got tol = "
                f"{self.tol!r}, first = {self.first!r}."
            )
        if not isinstance(self.max_nfe, int) or self.max_nfe < 1:
            raise ValueError(f"AdaptiveUniPC: max_nfe must be 1 or more, but got {self.max_nfe!r}.")

    @property
    def order(self) -> int:
        """Of the corrector: the error falls by 2^order where all steps are halved."""
        return self.points + 1

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, None, Stats]:
        self._check_precision(x)
        value = self.chart.value(ode, x, grid[0])
        if self.batch == "joint":
            return side_by_side([_Walk(self, ode, grid, x, value)], x, grid)
        parts = [slice(i, i + 1) for i in range(len(x))]
        return side_by_side([_Walk(self, ode, grid, x[i], value[i]) for i in parts], x, grid)

    def _check_precision(self, x: Tensor) -> None:
        import torch

        least = 8 * torch.finfo(x.dtype).eps * self.chart.kept(math.inf, 0.0) / _LOCAL[self.points]
        if self.tol < least:
            raise StateError(
                f"{self!r} asks for more than {x.dtype} can resolve, and would only step ever smaller. "
                f"Take a tol of at least {least:.1g}, or a state of more digits."
            )


@dataclass
class _Walk:
    """One sample, or the whole batch, on its way over the grid."""

    solver: AdaptiveUniPC
    ode: ODE
    grid: Grid
    x: Tensor
    value: Tensor
    nfe: int = 1
    accepted: int = 0
    rejected: int = 0

    def __post_init__(self) -> None:
        self._states = self.states(self.x, self.value)

    def reach(self, t: float) -> Tensor:
        """x̄ at t, the next level of the grid."""
        return next(self._states)

    def states(self, x: Tensor, value: Tensor) -> Iterator[Tensor]:
        """The states at grid[1], grid[2], ..., from x at grid[0], where F = value."""
        method, tau = self.solver, self.solver.variable.tau
        s, last = self.grid[0], self.grid[-1]
        nodes: tuple[float, ...] = (s,)
        values, levels = [value], [*self.grid[1:]]
        whole = tau(last) - tau(s)
        h = method.first * abs(whole)
        while True:
            if h < _LEAST * abs(whole):
                raise StateError(
                    f"{method!r} could not go on from σ = {s:.6g}: no step is short enough, since rounding of "
                    f"{x.dtype} is more than tol there. Take a larger tol, or a state of more digits."
                )
            steps = max(1, math.ceil(abs(tau(last) - tau(s)) / h - _OVER))
            h = abs(tau(last) - tau(s)) / steps
            t = last if steps == 1 else method.variable.sigma(tau(s) + math.copysign(h, whole))
            predicted = self._moved(x, nodes, values, s, t)
            if t == last:
                self.accepted += 1
                yield from (self._moved(x, nodes, values, s, level) for level in levels[:-1])
                yield predicted
                return
            if self.nfe >= method.max_nfe:
                raise ran_out(method, self.grid, x, s)
            self.nfe += 1
            value = method.chart.value(self.ode, predicted, t)
            ahead, found = (t, *nodes), [value, *values]
            corrected = self._moved(x, ahead, found, s, t)
            error = rms(corrected - predicted) * method.chart.kept(t, 0.0)
            if not math.isfinite(error):
                raise stopped(
                    method, t, self.nfe, "the distance of corrector and predictor is not finite"
                )
            ratio = _LOCAL[method.points] * method.tol / max(error, 1e-300)
            factor = _SAFETY * ratio ** (1 / (len(nodes) + 1))
            if ratio * _REJECT < 1:
                self.rejected += 1
                h *= max(factor, _SHRINK)
                continue
            self.accepted += 1
            while _passed(levels[0], t, whole):
                level = levels.pop(0)
                yield corrected if level == t else self._moved(x, ahead, found, s, level)
            h *= min(max(factor, _SHRINK), _GROW)
            if s == self.grid[0]:  # the first step may go far, which says nothing of the next
                h = min(h, _SECOND * abs(tau(last) - tau(t)))
            x, s = corrected, t
            nodes, values = ahead[: method.points], found[: method.points]

    def _moved(
        self, x: Tensor, nodes: tuple[float, ...], values: list[Tensor], s: float, t: float
    ) -> Tensor:
        chart = self.solver.chart
        return chart.advance(
            x, s, t, adams_weights(chart, self.solver.variable, nodes, s, t), values
        )


def _passed(level: float, t: float, whole: float) -> bool:
    """Whether a step to t has come to the level, downwards where `whole` is negative."""
    return level >= t if whole < 0 else level <= t
