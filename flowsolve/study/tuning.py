"""tune: a method and a grid for one's own network, from a menu and least squares, or the default."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve import metrics
from flowsolve._arguments import shown, whole
from flowsolve.analysis.replay import Replay
from flowsolve.analysis.table import tabulate
from flowsolve.errors import BudgetError, FlowsolveError, StateError, TableError
from flowsolve.integrate.driver import sample
from flowsolve.ode.data_scales import scales, sigma_range
from flowsolve.schedule.grid import Grid
from flowsolve.solver.rule import Rule, default_rule
from flowsolve.study.fitting import fit
from flowsolve.study.tuned import Tuned, geometric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from flowsolve.metrics.estimate import Estimate
    from flowsolve.ode.base import ODE
    from flowsolve.solver.base import Solver

LEAST = 16  # noises
FITTED = 3  # rows of the menu whose weights are fitted
REACHES = (3, 4)  # answers that a fitted step combines
CLOSE = 300  # the tolerance of the reference is 1/CLOSE of the default's error
WORTH = 1.05  # the least gain that is one


def tune(
    ode: ODE, noise: Tensor, nfe: int, *, rule: Rule | None = None, fitted: bool = True
) -> Tuned:
    """The best that was found for `nfe` evaluations of this network, or the default where that is as good.

    noise   N(0, I), (B, *event), B at least 16, such as 64; a condition of the ODE has as many rows
    rule    what has the default, the menu and the reference: `default_rule()` unless given
    fitted  whether weights are fitted, see `fit`

    1. `scales` by two evaluations, and a reference by `rule.reach`.
    2. Every row of `rule.menu` is run; the first half of the noises chooses the best three.
    3. Their weights are fitted to the reference on that half.
    4. The third quarter picks among all rows and fits. Always by the geometric mean of the samples' RMS errors.
    5. The last quarter, which has chosen nothing, gives error and gain over the default. Unless the gain
       less two standard errors is above 1.05 the result is the default, `refused`; also where the energy
       distance of the second half's samples to the reference's of the first half is more than the default's
       by two standard errors.

    Raises StateError for too few noises, and what `sample` raises.
    """
    if getattr(noise, "ndim", 0) < 1 or len(noise) < LEAST:
        got = tuple(noise.shape) if hasattr(noise, "shape") else shown(noise)
        raise StateError(
            f"tune needs {LEAST} unit noises or more, such as 64, (B, *event), not {got}."
        )
    nfe = whole("nfe", nfe, 1, BudgetError)
    return _Trial(ode, noise, nfe, rule or default_rule()).run(fitted)


@dataclass(frozen=True)
class _Run:
    """A solver on a grid, and the RMS error of each sample."""

    solver: Solver
    grid: Grid
    each: Tensor

    def mean(self, first: float, last: float) -> float:
        """The geometric mean of the errors of a part of the noises, from one share of them to another."""
        count = len(self.each)
        return geometric(self.each[round(first * count) : round(last * count)])[0]


class _Trial:
    """One network with its noises, scales and reference; counts what is spent."""

    def __init__(self, ode: ODE, noise: Tensor, nfe: int, rule: Rule) -> None:
        self.ode, self.noise, self.nfe, self.rule = ode, noise, nfe, rule
        self.scales, self.spent = scales(ode, noise), 2
        self.known = (*sigma_range(ode), self.scales)

    def run(self, fitted: bool) -> Tuned:
        import torch

        plain = self.rule.choose(self.nfe, *self.known)
        first, near = self.solve(*plain), self.path(0.03 * self.scales.std)
        off = float((first - near[self.known[1]]).double().square().mean().sqrt())
        floor = 30 * torch.finfo(first.dtype).eps * math.sqrt(self.scales.std * self.scales.top)
        tol = max(off / CLOSE, floor)
        self.truth = self.path(tol)[self.known[1]].double()
        doubt = geometric(self.errors(self.path(4 * tol)[self.known[1]]))[0]
        default = _Run(*plain, self.errors(first))
        runs = [default, *self.menu()]
        found = [*runs]
        best = sorted(runs, key=lambda run: run.mean(0, 0.5))[:FITTED]
        if fitted:
            levels = {level for run in best for level in run.grid}
            path = self.path(tol, levels)
            found += [fit for run in best for fit in self.fits(run, path)]
        picked = min(found, key=lambda run: run.mean(0.5, 0.75))
        return self.judged(picked, default, runs, doubt=doubt, far=self.energy(first))

    def judged(
        self, picked: _Run, default: _Run, runs: list[_Run], *, doubt: float, far: Estimate
    ) -> Tuned:
        """By the last quarter of the noises; `far` is the energy distance of the default's samples."""
        last = slice(round(0.75 * len(self.noise)), None)
        gain, spread = geometric((default.each / picked.each)[last])
        refused = picked is default or math.log(gain) - 2 * spread < math.log(WORTH)
        near = far
        if not refused:
            near = self.energy(self.solve(picked.solver, picked.grid))
            refused = near.value - far.value > 2 * math.hypot(near.error, far.error)
        kept = default if refused else picked
        error, stderr = geometric(kept.each[last])
        return Tuned(
            nfe=self.nfe, solver=kept.solver, grid=kept.grid, refused=refused, error=error, stderr=stderr,
            default_error=geometric(default.each[last])[0], gain=1.0 if refused else gain,
            gain_stderr=0.0 if refused else spread, ref_err=doubt, noises=len(kept.each[last]),
            energy=(far if refused else near).value, energy_stderr=near.error, default_energy=far.value,
            spent=self.spent, scales=self.scales,
            menu=tuple((repr(run.solver), run.grid.name, run.mean(0, 0.5)) for run in runs),
        )  # fmt: skip

    def menu(self) -> Iterator[_Run]:
        """Every row that can do the budget."""
        for solver, grid in self.rule.menu(self.nfe, *self.known)[1:]:
            try:
                yield _Run(solver, grid, self.errors(self.solve(solver, grid)))
            except FlowsolveError:
                continue

    def fits(self, run: _Run, path: dict[float, Tensor]) -> Iterator[_Run]:
        """The run with its weights fitted, where it has a table."""
        x, half = self.noise * run.grid[0], len(self.noise) // 2
        for reach in REACHES:
            try:
                table = tabulate(run.solver, run.grid, self.ode.alpha)
                ended, answer = fit(table, self.ode, x, path, first=half, reach=reach)
            except TableError:
                return
            self.spent += len(table.sigmas)
            yield _Run(Replay(ended), run.grid, self.errors(answer))

    def energy(self, x: Tensor) -> Estimate:
        """The distance of the second half of the samples to the reference's of the first half."""
        half = len(x) // 2
        return metrics.energy(x[half:].double().cpu(), self.truth[:half].cpu())

    def solve(self, solver: Solver, grid: Grid) -> Tensor:
        found = sample(self.ode, self.noise, grid, solver)
        self.spent += found.nfe
        return found.x

    def path(self, tol: float, levels: set[float] | None = None) -> dict[float, Tensor]:
        """x̄ of the solution, as near as tol, at the last level and at those of `levels` below the start."""
        solver, grid = self.rule.reach(tol, *self.known)
        below = {level for level in levels or () if level < grid[-2]}
        found: dict[float, Tensor] = {}
        through = Grid(sorted({*grid, *below}, reverse=True))
        run = sample(self.ode, self.noise, through, solver,
                     on_step=lambda k, sigma, x: found.update({sigma: x}) if k else None)  # fmt: skip
        self.spent += run.nfe
        return found

    def errors(self, x: Tensor) -> Tensor:
        """The RMS error of each sample, on the CPU."""
        off = (x.double() - self.truth).reshape(len(x), -1)
        return off.square().mean(1).sqrt().cpu()
