"""What a solve returns: the answer, what it cost, and as much of the path as was asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowsolve import dense

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.grid import Grid
    from flowsolve.solver import Solver


@dataclass(frozen=True, eq=False)
class Point:
    """One node of a trajectory. Tensors are shaped (B, *event), like the state.

    sigma    the level σ
    alpha    the signal scale α(σ) of the model's path
    x        x̄ = x_t/α;  at σ = ∞ the unit noise
    eps, x0  what the network said of this x̄ at this σ; at σ = 0, eps is None and x0 is x
    nfe      evaluations made before this node was reached
    """

    sigma: float
    alpha: float
    x: Tensor
    nfe: int
    eps: Tensor | None
    x0: Tensor

    @property
    def x_t(self) -> Tensor:
        """The state in the model's own scale, x_t = α x̄."""
        return self.x if math.isinf(self.sigma) else self.x * self.alpha


@dataclass(frozen=True, eq=False)
class Solution:
    """The result of `solve` or `sample`.

    x         x̄ at grid[-1], (B, *event);  alpha: the signal scale there
    nfe       evaluations of ε or x₀ by the method, counted where they were made
    per_sample  evaluations per sample: nfe, unless a method evaluates parts of the batch
    forwards  forward passes of networks per sample (2 nfe under classifier-free guidance; 0 for an
              exact problem, which has no network)
    path      the kept Points, first and last included; empty unless keep= asked for them
    second    the other state of a two-state method at the end, like x: with it the way back is exact
              (`decode`). None elsewhere, and where the last step was that to σ = 0 or ∞ of any method
    stats     counts of an adaptive method: accepted, rejected. With a path also "observations":
              evaluations made only to show eps and x0 where the method had not asked; not in nfe
    """

    x: Tensor
    grid: Grid
    solver: Solver
    nfe: int
    forwards: float
    path: tuple[Point, ...] = ()
    stats: Mapping[str, int] = field(default_factory=dict)
    alpha: float = 1.0
    per_sample: float = 0.0
    second: Tensor | None = None

    @property
    def x_t(self) -> Tensor:
        """The final state in the model's own scale, x_t = α x̄; at σ = 0 the two are one."""
        return self.x * self.alpha

    def at(self, sigma: float | Iterable[float]) -> Tensor:
        """x̄(σ) anywhere on the path, (B, *event), and of several σ (K, B, *event). Needs keep=1.

        At a node the node, inside a step the polynomial of the solver (`Solver.dense`), and in the steps
        from σ = ∞ and to σ = 0 the straight line that they are. Nothing is evaluated here. keep=1 did,
        where the method had not: stats["observations"], for most methods 1 at a last σ above 0, else 0.

        Raises StateError for a stochastic solver or where the path is not every node, GridError for a σ
        outside of it.
        """
        return dense.at(self, sigma)
