"""DDIM as diffusers' DDIMScheduler steps where its timesteps are not T // n apart, for parity."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.errors import GridError
from flowsolve.schedule.discrete import DiscreteClock
from flowsolve.solver.base import OneStep, Solver
from flowsolve_solvers.euler import Euler

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE
    from flowsolve.schedule.grid import Grid

_EULER: OneStep = Euler()


@dataclass(frozen=True, repr=False)
class WrongNeighbour(Solver):
    """x_τ' = Φ(x_τ; τ → τ - ⌊T/n⌋), taken for the state at the next label τ' of the grid.      diffusers, DDIM.

    As many evaluations as `method` makes. Its x_t = α x̄ is kept as it is when the level is renamed.
    Order 0: on `linspace`, and on `trailing` where n does not divide T, it walks another path than
    the labels say and does not converge. On `leading` it is `method`. The grid's levels are labels of
    `clock` and 0 (set_alpha_to_one=True), n its number of steps. Not DDIM: that is Euler, on any grid.
    Not among the methods by name of the command line.
    """

    clock: DiscreteClock
    method: OneStep = _EULER

    order = 0
    reaches_zero = True

    @property
    def stochastic(self) -> bool:
        """If `method` is."""
        return self.method.stochastic

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        """Step to the label that diffusers takes for the next, and rename it."""
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
