"""DPM-Solver-12 and -23: adaptive steps in log σ, each sample with its own.      Lu et al. 2022a, App. C."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from flowsolve.errors import GridError
from flowsolve.solver import Solver, phi
from flowsolve_solvers._adaptive import Stats, ran_out, side_by_side, stopped

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["DPMSolverAdaptive"]

_LEAST = 1e-5  # a step that would leave less than this of an interval, in log σ, goes to its end


class _Control(NamedTuple):
    """The step size in log σ, and the inverse errors of the last accepted steps."""

    h: float
    last: float = 0.0
    before: float = 0.0


@dataclass(frozen=True, repr=False)
class DPMSolverAdaptive(Solver):
    """DPM-Solver-3, steps by its distance from DPM-Solver-2.      DPM-Solver-23, -12: Lu et al. 2022a, App. C.

    order       3, or 2: DPM-Solver-2 and Euler. `order` evaluations a trial, one less after a rejection
    rtol, atol  a trial's error is RMS((x_low - x)/max(atol, rtol max(|x_low|, |x_low of the step before|))),
                of x̄, or for "i" of x_t = α x̄, each with its own α
    controller  "pid", k-diffusion's: h times 1 + atan(f - 1), f the PID product of inverse errors,
                accepted if that factor is at least accept_safety.
                "i", the official code's: h times theta error^(-1/order), accepted if error <= 1
    batch       "each": every sample is stepped alone, so its answer does not depend on the others.
                `Solution.nfe` counts evaluations of one sample each, so it grows with
                the batch, and a network runs at batch 1 (`work_precision(block=1)` gives evaluations
                for a sample). A network that holds a condition for each sample of a batch needs
                "joint": one step for the whole batch, by one error norm ("pid", k-diffusion's) or by
                the largest error of its samples ("i", the official code's). The error of
                a sample of 2 numbers is often small by chance, and "each" then needs a smaller
                tolerance than "joint"; of 64 numbers it is not, and "each" costs a little less
    max_nfe     of one sample ("each") or of the batch ("joint"); then BudgetError, whose `partial` is
                the last state that the whole batch has reached

    Levels of the grid are met exactly, by a shortened step that leaves the step size as it was; a
    grid of two levels is the published method. It goes down only, and reads every error back.
    stats: accepted, rejected, nfe_max (the most of any sample).
    """

    order: int = 3
    rtol: float = 0.05
    atol: float = 0.0078
    h_init: float = 0.05
    pcoeff: float = 0.0
    icoeff: float = 1.0
    dcoeff: float = 0.0
    accept_safety: float = 0.81
    controller: str = "pid"
    theta: float = 0.9
    batch: str = "each"
    max_nfe: int = 10_000

    adaptive = True

    def __post_init__(self) -> None:
        if self.order not in (2, 3):
            raise ValueError(f"DPMSolverAdaptive has orders 2 and 3, not {self.order!r}.")
        if self.controller not in ("pid", "i") or self.batch not in ("each", "joint"):
            raise ValueError(
                "DPMSolverAdaptive knows controller 'pid' or 'i' and batch 'each' or 'joint', but "
                f"got {self.controller!r} and {self.batch!r}."
            )
        if not (
            self.rtol > 0
            and self.atol > 0
            and self.h_init > 0
            and isinstance(self.max_nfe, int)
            and self.max_nfe >= 1
        ):
            raise ValueError(
                "tolerances and h_init must be positive and max_nfe at least 1, but got rtol = "
                f"{self.rtol!r}, atol = {self.atol!r}, h_init = {self.h_init!r}, max_nfe = "
                f"{self.max_nfe!r}."
            )
        if not (0 < self.accept_safety < 1 and 0 < self.theta < 1):
            raise ValueError(
                "accept_safety and theta must lie between 0 and 1, or rejected steps would not "
                f"shrink, but got {self.accept_safety!r} and {self.theta!r}."
            )

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, None, Stats]:
        if grid[0] < grid[-1]:
            raise GridError(f"{self!r} goes down the grid only, but this one rises.")
        size = 1 if self.batch == "each" else len(x)
        parts = (x[i : i + size] for i in range(0, len(x), size))
        return side_by_side([_Stepper(self, ode, part, grid) for part in parts], x, grid)

    def _propose(self, control: _Control, error: float) -> tuple[bool, _Control]:
        """Whether to accept a trial with this error, and what comes after it."""
        h, last, before = control
        if self.controller == "i":
            factor = self.theta * max(error, 1e-8) ** (-1 / self.order)
            return error <= 1, _Control(h * factor)
        now = 1 / (error + 1e-8)
        last, before = last or now, before or now
        p, i, d = (c / self.order for c in (self.pcoeff, self.icoeff, self.dcoeff))
        factor = now ** (p + i + d) * last ** -(p + 2 * d) * before**d
        factor = 1 + math.atan(factor - 1)
        if factor >= self.accept_safety:
            return True, _Control(h * factor, now, last)
        return False, _Control(h * factor, last, before)


@dataclass
class _Stepper:
    """One sample, or the whole batch, on its way down the grid."""

    solver: DPMSolverAdaptive
    ode: ODE
    x: Tensor
    grid: Grid
    nfe: int = 0
    accepted: int = 0
    rejected: int = 0
    sigma: float = field(init=False)
    control: _Control = field(init=False)
    x_prev: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.sigma, self.x_prev = self.grid[0], self.x
        self.control = _Control(self.solver.h_init)

    def _alpha(self, sigma: float) -> float:
        """What a state is multiplied with before it is measured."""
        return self.ode.alpha(sigma) if self.solver.controller == "i" else 1.0

    def reach(self, t: float) -> Tensor:
        """From where it is to the level t exactly."""
        eps: Tensor | None = None
        while (s := self.sigma) > t:
            start, whole = self.control, math.log(s / t)
            h = start.h
            clipped = whole <= h + _LEAST
            if self.solver.controller == "i":  # its next h follows from the step made, not from h
                start = start._replace(h=min(h, whole))
            to = t if clipped else s * math.exp(-h)
            if eps is None:
                eps = self._eps(self.x, s)
            low, high = self._trial(eps, s, to)
            error = self._error(low, high, to)
            good, control = self.solver._propose(start, error)
            if good:
                self.accepted += 1
                self.x, self.x_prev, self.sigma, eps = high, low, to, None
                # the error of a shortened step is not that of the step size, which stays
                self.control = self.control if clipped and t != self.grid[-1] else control
                continue
            self.rejected += 1
            while whole <= control.h + _LEAST:  # would be the same trial, whose error is known
                _, control = self.solver._propose(control, error)
            self.control = control
        return self.x

    def _trial(self, eps: Tensor, s: float, t: float) -> tuple[Tensor, Tensor]:
        """x̄ at t by the method of lower and by that of higher order, which share their stages."""
        h, x = math.log(s / t), self.x
        if self.solver.order == 2:
            m = s * math.exp(-h / 2)
            eps_m = self._eps(x.add(eps, alpha=m - s), m)
            return x.add(eps, alpha=t - s), x.add(eps_m, alpha=t - s)
        s1, s2 = s * math.exp(-h / 3), s * math.exp(-2 * h / 3)
        d1 = self._eps(x.add(eps, alpha=s1 - s), s1) - eps
        x2 = x.add(eps, alpha=s2 - s).add(d1, alpha=-4 / 3 * s2 * h * phi(2, 2 * h / 3))
        d2 = self._eps(x2, s2) - eps
        euler = x.add(eps, alpha=t - s)
        return euler.add(d1, alpha=1.5 * (t - s)), euler.add(d2, alpha=-1.5 * t * h * phi(2, h))

    def _error(self, low: Tensor, high: Tensor, sigma: float) -> float:
        a, b, before = low.detach(), high.detach(), self.x_prev.detach()
        now, then = self._alpha(sigma), self._alpha(self.sigma)
        if now != then:  # measured in units of x̄ at σ, so that only the state before is scaled
            before = before * (then / now)
        delta = (a.abs().maximum(before.abs()) * self.solver.rtol).clamp(min=self.solver.atol / now)
        squares = ((a - b) / delta).square()
        mean = (
            squares.mean()
            if self.solver.controller == "pid"
            else squares.reshape(len(squares), -1).mean(1).max()
        )
        error = float(mean.sqrt())
        if not math.isfinite(error):
            why = f"its error at σ = {sigma:.6g} is {error}"
            raise stopped(self.solver, self.sigma, self.nfe, why)
        return error

    def _eps(self, x: Tensor, sigma: float) -> Tensor:
        if self.nfe >= self.solver.max_nfe:
            raise ran_out(self.solver, self.grid, self.x, self.sigma, "a state on the way")
        self.nfe += 1
        return self.ode.eps(x, sigma)
