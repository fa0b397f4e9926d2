"""DDIM as diffusers' DDIMScheduler steps where its timesteps are not T // n apart, for parity."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.errors import GridError
from flowsolve.schedule import DiscreteClock
from flowsolve.solver import OneStep, Solver
from flowsolve_solvers.euler import Euler

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

_EULER: OneStep = Euler()


@dataclass(frozen=True, repr=False)
class WrongNeighbour(Solver):
    """x_τ' = Φ(x_τ; τ → τ - ⌊T/n⌋), taken for the state at the next label τ' of the grid.      diffusers, DDIM.

    As many evaluations as `method` makes. x_t = α x̄ stays as it is when its label changes.
    Order 0: on `linspace`, and on `trailing` where n does not divide T, it walks another path than
    the labels say and does not converge. On `leading` it is `method`. The grid's levels are labels of
    `clock` and 0 (set_alpha_to_one=True), n its number of steps. Not DDIM: that is Euler, on any grid.
    The command line does not offer it by name.
    """

    clock: DiscreteClock
    method: OneStep = _EULER

    order = 0
    reaches_zero = True

    @property
    def stochastic(self) -> bool:
        return self.method.stochastic

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        if grid.rising:
            raise GridError("WrongNeighbour goes down the labels of a clock, not up: take Euler().")
        stride = len(self.clock.alphas_cumprod) // grid.steps
        for s, t in pairwise(grid):
            label = round(self.clock.t(s)) - stride
            reached = self.clock.sigma(label) if label >= 0 else grid[-1]
            x = self.method.step(ode, x, s, reached)
            if reached != t:
                x = x * (math.hypot(1, t) / math.hypot(1, reached))
            yield x
