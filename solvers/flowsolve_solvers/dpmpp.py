"""DPM-Solver++: the data chart, as published.                                      Lu et al. 2022b."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.solver import GUARD, OneStep, Resumed, given, within
from flowsolve_solvers._multistep import check_guard

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid
    from flowsolve.solver import Point

__all__ = ["DPMSolverPP2M", "DPMSolverPP2S"]


@dataclass(frozen=True, repr=False)
class DPMSolverPP2S(OneStep):
    """x_t = (t/s) x_s + (1 - t/s) D̄, D̄ = D_s + (D_m - D_s)/(2r).       DPM-Solver++, Algorithm 1.

    2 evaluations a step, order 2; D = x₀(x, σ), m = s^(1-r) t^r. Not ancestral.
    """

    r: float = 0.5

    order = 2

    def __post_init__(self) -> None:
        if not 0 < self.r <= 1:
            raise ValueError(f"DPMSolverPP2S needs 0 < r <= 1, but got r = {self.r!r}.")

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        m = s ** (1 - self.r) * t**self.r
        D = ode.x0(x, s)
        D_m = ode.x0(D.lerp(x, m / s), m)
        D_bar = D_m if self.r == 0.5 else D.lerp(D_m, 1 / (2 * self.r))
        return D_bar.lerp(x, t / s)


@dataclass(frozen=True, repr=False)
class DPMSolverPP2M(Resumed):
    """x_t = (t/s) x_s + (1 - t/s) D̄, D̄ = D + h/(2h₋) (D - D₋).          DPM-Solver++, Algorithm 2.

    1 evaluation a step, order 2; D = x₀(x_s, s), h = log(s/t), the first step DDIM. The exact
    weights of the same two points are Adams(2, DATA), which differs from h² on. A step that is long
    against the one before it is DDIM's too (`flowsolve.solver.guarded`); guard=None is as published.
    """

    guard: float | None = GUARD

    order = 2

    def __post_init__(self) -> None:
        check_guard(self)

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, Tensor | None, None]:
        D_prev, h_prev = None, 0.0
        for s, t in pairwise(grid):
            D, h = ode.x0(x, s), math.log(s / t)
            D_bar = D
            if D_prev is not None and self._near(h, h_prev):
                D_bar = D_prev.lerp(D, 1 + h / (2 * h_prev))
            D_prev, h_prev = D, h
            x = D_bar.lerp(x, t / s)
            del D, D_bar  # before the next evaluation: one state less in memory
            x = given(x, (yield x))

    def dense(self, path: Sequence[Point], i: int, sigma: float) -> Tensor:
        """The same step, ended at σ."""
        s, D = path[i], [p.x0 for p in path[max(0, i - 1) : i + 1] if p.x0 is not None]
        D_bar = D[-1]
        if i and self._near(*(math.log(path[j].sigma / path[j + 1].sigma) for j in (i, i - 1))):
            r = math.log(s.sigma / sigma) / math.log(path[i - 1].sigma / s.sigma)
            D_bar = D[0].lerp(D_bar, 1 + r / 2)
        return D_bar.lerp(s.x, sigma / s.sigma)

    def _near(self, h: float, h_prev: float) -> bool:
        """Whether two points are within reach: their weights 1 + r/2 and -r/2, r = h/h₋, see `guarded`."""
        half = h / (2 * h_prev)
        return self.guard is None or within((1 + half, -half), -math.expm1(-abs(h)), self.guard)
