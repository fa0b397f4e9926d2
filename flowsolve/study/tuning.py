"""tune: the method and the grid for one's own network, from a menu and least squares, or the default."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve._arguments import whole
from flowsolve.analysis.replay import Replay
from flowsolve.errors import BudgetError, FlowsolveError, StateError
from flowsolve.integrate.driver import sample
from flowsolve.ode.data_scales import scales, sigma_range
from flowsolve.solver.rule import Rule, default_rule
from flowsolve.study.fitting import fit
from flowsolve.study.tuned import Tuned

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.integrate.solution import Solution
    from flowsolve.ode.base import ODE
    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.base import Solver

LEAST = 16  # noises: half of them choose, half of them judge
CLOSE = 30  # the reference errs at most by 1/CLOSE of the default's error, by its own tolerance


def tune(
    ode: ODE,
    noise: Tensor,
    nfe: int,
    *,
    rule: Rule | None = None,
    fitted: bool = True,
) -> Tuned:
    """The best of a menu for `nfe` evaluations of this network, its weights fitted where that helps.

    noise   N(0, I), (B, *event), B at least 16, such as 32; a condition of the ODE has as many rows
    rule    what gives the default, the menu and the reference; `default_rule()` unless given
    fitted  whether to fit the weights of the winner, see `fit`

    1. `scales` by two evaluations, and a reference by `rule.reach`, whose error is known from a second one.
    2. Every row of `rule.menu` is run. The geometric mean of the errors of the first half of the noises chooses.
    3. The winner's weights are fitted to the reference on that half. The other half, which has chosen nothing,
       keeps them only if they are better by two standard errors, and the winner only if it is better than the
       default by as much; else the result is the default, `refused`.

    Raises StateError for too few noises, and what `sample` raises.
    """
    if getattr(noise, "ndim", 0) < 1 or len(noise) < LEAST:
        raise StateError(f"tune needs {LEAST} unit noises or more, such as 32, (B, *event).")
    nfe = whole("nfe", nfe, 1, BudgetError)
    rule = rule or default_rule()
    trial = _Trial(ode, noise, rule)
    return trial.run(nfe, fitted)


@dataclass
class _Score:
    """A solver on a grid, and the RMS error of each sample."""

    solver: Solver
    grid: Grid
    each: Tensor

    def chosen_by(self) -> float:
        """Mean log error of the noises that choose."""
        return float(self.each[: len(self.each) // 2].log().mean())

    def better_than(self, other: _Score) -> tuple[float, float]:
        """Mean and standard error of log(other's error / this error) over the noises that judge."""
        gain = (other.each / self.each)[len(self.each) // 2 :].log()
        return float(gain.mean()), float(gain.std() / len(gain) ** 0.5)


class _Trial:
    """One network with its noises, its scales and its reference; counts what is spent."""

    def __init__(self, ode: ODE, noise: Tensor, rule: Rule) -> None:
        self.ode, self.noise, self.rule = ode, noise, rule
        self.scales, self.ends, self.spent = scales(ode, noise), sigma_range(ode), 2
        self.levels: tuple[float, ...] = ()

    def solve(self, solver: Solver, grid: Grid) -> Solution:
        found = sample(self.ode, self.noise, grid, solver)
        self.spent += found.nfe
        return found

    def reach(self, tol: float) -> Tensor:
        """The data, as near to the solution as tol."""
        solver, grid = self.rule.reach(tol, *self.ends, self.scales)
        return self.solve(solver, grid).x

    def errors(self, x: Tensor) -> Tensor:
        off = (x.double() - self.truth).reshape(len(x), -1)
        return off.square().mean(1).sqrt().cpu()

    def run(self, nfe: int, fitted: bool) -> Tuned:
        import torch

        plain = self.rule.choose(nfe, *self.ends, self.scales)
        first, near = self.solve(*plain).x, self.reach(0.03 * self.scales.std)
        off = float((first - near).double().square().mean().sqrt())
        floor = 30 * torch.finfo(first.dtype).eps * math.sqrt(self.scales.std * self.scales.top)
        tol = max(off / CLOSE, floor)
        self.truth = self.reach(tol).double()
        doubt = float(self.errors(self.reach(4 * tol)).square().mean().sqrt())

        scores = [_Score(*plain, self.errors(first))]
        for solver, grid in self.rule.menu(nfe, *self.ends, self.scales)[1:]:
            try:
                scores.append(_Score(solver, grid, self.errors(self.solve(solver, grid).x)))
            except FlowsolveError:  # a row that cannot do this budget
                continue
        default = scores[0]
        best = min(scores, key=_Score.chosen_by)
        if fitted:
            best = self._fitted(best, tol)
        gain, doubt_of_gain = best.better_than(default)
        refused = best is default or gain < 2 * doubt_of_gain
        kept = default if refused else best
        return Tuned.of(
            kept.solver, kept.grid, kept.each, default.each, self, nfe,
            refused=refused, ref_err=doubt, menu=scores,
        )  # fmt: skip
