"""A method that draws noise as weights: what a step makes of its state, of answers and of noises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from flowsolve.errors import TableError
from flowsolve.integrate.endpoints import trajectory
from flowsolve.ode.base import ODE
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Kind = Literal["eps", "x0", "noise"]
ROUNDING = 1e-10


class Row(NamedTuple):
    """scale x_s + Σ_k weights[k] v_k, v_k the k-th value that the method was given."""

    scale: float
    weights: Mapping[int, float]

    def of(
        self, x: NDArray[np.float64], given: Mapping[int, NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """The sum, with everything in it broadcast."""
        out = self.scale * x
        for k, weight in self.weights.items():
            out = out + weight * given[k]
        return out


class Given(NamedTuple):
    """The k-th value that the method was given: an answer at the state `row` and level, or a noise."""

    k: int
    kind: Kind
    level: float
    row: Row


@dataclass(frozen=True)
class Step:
    """The step from x_s to x_t:  x_t = end of x_s, of what it remembers and of what it asks for.

    memory  (k, kind) of the earlier answers that this step or a later one looks at
    asked   what it asks for, in order
    """

    memory: tuple[tuple[int, Kind], ...]
    asked: tuple[Given, ...]
    end: Row


class _Free(ODE):
    """The k-th value that it gives is the basis vector k."""

    def __init__(self, basis: Tensor) -> None:
        self.basis = basis
        self.seen: list[tuple[Kind, float, Tensor]] = [
            ("x0", 0.0, basis[0])
        ]  # the start: never read
        self.levels: set[float] = set()

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self._next("eps", x, sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return self._next("x0", x, sigma)

    def noise(self, x: Tensor, s: float, t: float) -> Tensor:
        self.levels.update((s, t))
        return self._next("noise", x, s)

    def _next(self, kind: Kind, x: Tensor, sigma: float) -> Tensor:
        self.seen.append((kind, sigma, x))
        return self.basis[len(self.seen) - 1]


def responses(solver: Solver, grid: Grid) -> list[Step]:
    """The steps of `solver` on `grid`, found by running it whole on a free vector space.

    The state is eliminated from what came before it, so that a step knows x_s and not the start. What
    is then left of earlier values is the method's memory. Raises TableError if a noise is among them,
    or if other values get other weights.
    """
    import torch

    size = len(_run(solver, grid, _nothing())[0].seen)
    generator = torch.Generator().manual_seed(0)
    other = torch.randn(size, size, dtype=torch.float64, generator=generator)
    free, nodes = _run(solver, grid, torch.eye(size, dtype=torch.float64))
    seen = free.seen
    same = nodes[-1][0] @ other
    if not torch.allclose(same, _run(solver, grid, other)[1][-1][0], 1e-9, 1e-9):
        raise TableError(f"{solver!r} gives other weights for other values.")
    steps: list[Step] = []
    used: set[int] = set()
    for i in reversed(range(grid.steps)):
        (x, first), (end, last) = nodes[i], nodes[i + 1]
        rest = _local(end.numpy(), x.numpy())
        asked = tuple(
            Given(k, kind, level, _local(state.numpy(), x.numpy()))
            for k, (kind, level, state) in enumerate(seen[first:last], first)
        )
        # a noise is made at no state
        used.update(*(g.row.weights for g in asked if g.kind != "noise"), rest.weights)
        memory = tuple((k, seen[k][0]) for k in sorted(used) if k < first)
        if any(kind == "noise" for _, kind in memory):
            raise TableError(f"{solver!r} remembers noise, so its steps have no law of their own.")
        steps.append(Step(memory, asked, rest))
    return steps[::-1]


def noise_levels(solver: Solver, grid: Grid) -> set[float]:
    """The ends of the intervals that noise is asked for."""
    return _run(solver, grid, _nothing())[0].levels


def _nothing() -> Tensor:
    """Any number of zeros in place of basis vectors, while their number is not known."""
    import torch

    return torch.zeros(1, 1, dtype=torch.float64).expand(1_000_000, 1)


def _run(solver: Solver, grid: Grid, basis: Tensor) -> tuple[_Free, list[tuple[Tensor, int]]]:
    """What was asked for; the state at every level, and how much had been given by then."""
    free = _Free(basis)
    nodes = [(basis[0], 1)]
    for x in trajectory(free, basis[0], grid, solver):
        nodes.append((x, len(free.seen)))
    return free, nodes


def _local(row: NDArray[np.float64], x: NDArray[np.float64]) -> Row:
    """`row` in terms of the state x, which takes the place of the start."""
    scale = float(row[0] / x[0]) if x[0] else 0.0
    rest = row - scale * x
    rest[0] = 0.0
    left = np.flatnonzero(np.abs(rest) > ROUNDING)
    return Row(scale, {int(k): float(rest[k]) for k in left})
