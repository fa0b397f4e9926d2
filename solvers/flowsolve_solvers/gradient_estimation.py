"""Gradient estimation: DDIM with an ε that is extrapolated from the last two."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.solver import Solver
from flowsolve_solvers.eta import SDE_ETA

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["GradientEstimation"]


@dataclass(frozen=True, repr=False)
class GradientEstimation(Solver):
    """x_t = x_s + (d - s)(γ ε_s + (1 - γ) ε₋) + v z, d² + v² = t², t = s^μ d^(1-μ).   Permenter, Yuan 2024.

    ε₋ is the ε before, and the first step DDIM's. 1 evaluation a step. γ = 2 is the authors' value, at which
    the order is 1; the order is 2 at γ = 3/2 and μ = 0 alone, where this is iPNDM of two points.
    Without noise at μ = 0, where d = t. γ = 1 is DDIM, and DDPM with μ = 1/2. Weak order 1 with noise.
    """

    gamma: float = 2.0
    mu: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.gamma < math.inf or not 0 <= self.mu < 1:
            raise ValueError(
                "GradientEstimation needs gamma above 0 and finite and 0 <= mu < 1, but got gamma = "
                f"{self.gamma!r}, mu = {self.mu!r}."
            )

    @property
    def order(self) -> int:
        return 2 if self.gamma == 1.5 and self.mu == 0 else 1

    @property
    def reaches_zero(self) -> bool:
        return True

    @property
    def stochastic(self) -> bool:
        return self.mu > 0

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        before: Tensor | None = None
        for s, t in pairwise(grid):
            eps = ode.eps(x, s)
            d, v = SDE_ETA.split(s, t, self.mu / (1 - self.mu))
            gamma = 1.0 if before is None else self.gamma
            x_t = x.add(eps, alpha=gamma * (d - s))
            if before is not None:
                x_t.add_(before, alpha=(1 - gamma) * (d - s))
            if v > 0:
                x_t.add_(ode.noise(x, s, t), alpha=v)
            before, x = eps, x_t
            del eps, x_t  # before the next evaluation: one state less in memory
            yield x
