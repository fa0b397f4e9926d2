"""EDM's stochastic sampler: raise the noise a little, then step down.            Karras et al. 2022."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.errors import ScheduleError
from flowsolve.solver import OneStep, Solver, check_noise_free
from flowsolve_solvers.runge_kutta import Heun

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["EDM"]

_HEUN: OneStep = Heun()


@dataclass(frozen=True, repr=False)
class EDM(Solver):
    """x̂ = x_s + S_noise √(ŝ² - s²) z, ŝ = (1 + γ) s, then Heun ŝ → t.     Karras et al. 2022, Algorithm 2.

    2 evaluations a step, 1 in the step to 0, which is Euler's. γ = min(s_churn/N, √2 - 1) where
    s_tmin <= s <= s_tmax, else 0. N counts all steps, that to 0 too, which the method takes itself;
    the first step from σ = ∞ does not count. `method` is Heun in the paper; Euler() and DPMSolver2()
    give k-diffusion's sample_euler and sample_dpm_2 with s_churn.

    The noise carries the distribution at s exactly to that at ŝ, so `order`, the weak order, is that
    of `method`; it is 0 if s_noise is not 1. The strong order is 1 at most.
    Here the network sees ŝ itself. diffusers' Euler and Heun call it at s, before the noise is added.
    """

    s_churn: float = 40.0
    s_tmin: float = 0.0
    s_tmax: float = math.inf
    s_noise: float = 1.0
    method: OneStep = _HEUN

    reaches_zero = True  # the step to 0 is one of the N, and has its own noise

    def __post_init__(self) -> None:
        if min(self.s_churn, self.s_tmin, self.s_noise) < 0 or self.s_tmax < self.s_tmin:
            raise ValueError(
                "EDM needs s_churn, s_noise >= 0 and 0 <= s_tmin <= s_tmax, but got s_churn = "
                f"{self.s_churn!r}, s_tmin = {self.s_tmin!r}, s_tmax = {self.s_tmax!r}, s_noise = "
                f"{self.s_noise!r}."
            )
        check_noise_free(self.method)

    @property
    def order(self) -> int:
        """0 if S_noise changes the variance: more steps do not mend that."""
        return self.method.order if self.s_noise == 1 or self.s_churn == 0 else 0

    @property
    def stochastic(self) -> bool:
        return self.s_churn > 0

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        churn = min(self.s_churn / grid.steps, math.sqrt(2) - 1)
        for s, t in pairwise(grid):
            gamma = churn if self.s_tmin <= s <= self.s_tmax else 0.0
            high = s * (1 + gamma)
            if gamma > 0:
                width = s * math.sqrt(gamma * (2 + gamma))  # √(ŝ² - s²)
                x = x.add(ode.noise(x, s, t), alpha=self.s_noise * width)
            try:
                x = self.method.step(ode, x, high, t) if t > 0 else ode.x0(x, high)
            except ScheduleError as error:  # a clock that ends between s and ŝ
                if gamma == 0:
                    raise
                raise ScheduleError(
                    f"{self!r} raises σ = {s:.6g} by its churn to {high:.6g}, and there: {error} Begin the "
                    f"churn lower, with s_tmax below {s:.6g}, or the grid."
                ) from None
            yield x
