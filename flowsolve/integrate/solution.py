"""What a run returns: the answer, what it cost, and the nodes of the path that were to be kept."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowsolve._arguments import html_table, real, reals
from flowsolve.errors import GridError, StateError
from flowsolve.integrate.endpoints import ddim_ends
from flowsolve.solver.dense_output import Point

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.base import Solver


@dataclass(frozen=True, eq=False, repr=False)
class Solution:
    """The result of `solve` or `sample`.

    x         x̄ at grid[-1], (B, *event);  alpha: the signal scale there
    nfe       evaluations of ε or x₀ by the method, counted where they were made
    rounds    questions one after the other: nfe, unless a method asks for several levels at once
    per_sample  evaluations per sample: nfe, unless a method evaluates parts of the batch
    forwards  forward passes of networks per sample (2 nfe under classifier-free guidance; 0 for an
              exact problem, which has no network)
    path      the kept Points, first and last included; empty unless keep= asked for them
    second    the other state of a two-state method at the end, like x: with it the way back is exact
              (`decode`). None for other methods, and after a step to σ = 0 or ∞ that is DDIM's
    stats     accepted and rejected steps of an adaptive method. With a path also "observations": the
              evaluations made only for eps and x0 of a Point, which are not in nfe
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
    rounds: int = 0

    def __repr__(self) -> str:
        x, cost, *rest = (text for _, text in self._said())
        return f"Solution: x {x}, {cost}\n  " + "\n  ".join(rest)

    def _repr_html_(self) -> str:
        return html_table([], [*self._said()], "Solution")

    def _said(self) -> list[tuple[str, str]]:
        at_once = [f"{self.rounds} rounds"] if 0 < self.rounds < self.nfe else []
        counts = [
            f"{self.nfe} evaluations",
            *at_once,
            *(f"{n} {name}" for name, n in self.stats.items()),
        ]
        path = [f"path of {len(self.path)} nodes"] if self.path else []
        return [
            ("x", f"{tuple(self.x.shape)} {str(self.x.dtype)[6:]} at σ = {self.grid[-1]:.4g}"),
            ("cost", ", ".join(counts + path)),
            ("solver", repr(self.solver)),
            ("grid", str(self.grid)),
        ]

    @property
    def x_t(self) -> Tensor:
        """The final state in the model's own scale, x_t = α x̄; at σ = 0 the two are one."""
        return self.x * self.alpha

    def at(self, sigma: float | Iterable[float]) -> Tensor:
        """x̄(σ) anywhere on the path, (B, *event), and of several σ (K, B, *event). Needs keep=1.

        At a node it is the node, inside a step the polynomial of the solver (`Solver.dense`), and in the
        steps from σ = ∞ and to σ = 0 a straight line, as DDIM's steps are. Nothing is evaluated here: what
        the method had not evaluated at its nodes, keep=1 did (stats["observations"], for most methods 1 if
        the last σ is above 0, else 0). Beside a node that could not be evaluated the polynomial has one
        degree less.

        Raises StateError for a stochastic solver or if a node is missing in the path, GridError for a σ
        outside of it.
        """
        if self.solver.stochastic:
            raise StateError(
                f"{self.solver!r} draws noise, so between its nodes there is no path to interpolate."
            )
        if tuple(p.sigma for p in self.path) != self.grid[:]:
            raise StateError(
                f"x̄ between the nodes needs all {len(self.grid)} of them, but the path holds "
                f"{len(self.path)}. Solve with keep=1."
            )
        if (
            isinstance(sigma, str)
            or getattr(sigma, "ndim", 1) == 0
            or not isinstance(sigma, Iterable)
        ):
            return _at(self, real("σ", sigma, GridError))
        import torch

        levels = reals("σ", sigma, GridError)
        if not levels:
            raise GridError("at() needs at least one σ, but got none.")
        return torch.stack([_at(self, s) for s in levels])


def _at(solution: Solution, sigma: float) -> Tensor:
    path, solver, rising = solution.path, solution.solver, solution.grid.rising
    up = path if rising else path[::-1]
    k = bisect_left(up, sigma, key=lambda p: p.sigma)
    if k < len(up) and up[k].sigma == sigma:
        return up[k].x
    if not 0 < k < len(up):
        raise GridError(
            f"σ = {sigma!r} is outside of this path, which goes from {path[0].sigma!r} to "
            f"{path[-1].sigma!r}."
        )
    i = k - 1 if rising else len(path) - 1 - k
    # as in `trajectory`: the steps at the ends that the solver does not make itself
    first, last = ddim_ends(solver, path[0].sigma, path[-1].sigma)
    inner = path[first : len(path) - last]
    if first <= i < first + len(inner) - 1:
        return solver.dense(inner, i - first, sigma)
    return _ddim(path[i], path[i + 1], sigma)


def _ddim(a: Point, b: Point, sigma: float) -> Tensor:
    """x̄ at σ in DDIM's step between a and b: a straight line of slope ε."""
    if a.eps is None:  # up from σ = 0
        return a.x.lerp(b.x, sigma / b.sigma)
    finite = b if math.isinf(a.sigma) else a
    return finite.x.add(a.eps, alpha=sigma - finite.sigma)
