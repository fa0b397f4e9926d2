"""A step of a stochastic method as weights on its state, on answers of the network and on noises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flowsolve.analysis.basis import Kind, count_vectors, respond, run_on
from flowsolve.errors import TableError
from flowsolve.schedule.grid import Grid, as_grid
from flowsolve.solver.base import Solver

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROUNDING = 1e-10


class Combination(NamedTuple):
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


class Value(NamedTuple):
    """v_k: ε or x₀ at `state` and `level`, or the noise that is drawn from `level` on."""

    k: int
    kind: Kind
    level: float
    state: Combination


@dataclass(frozen=True)
class Step:
    """x_t = end, a combination of x_s, of values from earlier steps and of values of this step.

    memory  (k, kind) of the earlier evaluations that this step or a later one uses
    asked   what this step asks for, in order
    """

    memory: tuple[tuple[int, Kind], ...]
    asked: tuple[Value, ...]
    end: Combination


def responses(solver: Solver, grid: Grid) -> list[Step]:
    """The steps of `solver` on `grid`, from one run over it on basis vectors, noises and x₀ among them.

    Each combination starts from x̄ at grid[0]; subtracting its share of x_s leaves x_s in the place of
    grid[0]. The earlier values that still have a weight are the method's memory. Raises TableError if
    a noise is among them, and as `tabulate`.
    """
    grid = as_grid(grid)
    run = respond(solver, grid, separate_x0=True)
    steps: list[Step] = []
    used: set[int] = set()
    for i in reversed(range(grid.steps)):
        (x, first), (end, last) = run.nodes[i], run.nodes[i + 1]
        rest = _relative(end.numpy(), x.numpy())
        asked = tuple(
            Value(g.number, g.kind, g.s, _relative(g.state.numpy(), x.numpy()))
            for g in run.given[first - 1 : last - 1]
        )
        # a noise does not depend on the state it is drawn at
        used.update(*(g.state.weights for g in asked if g.kind != "noise"), rest.weights)
        memory = tuple((k, run.given[k - 1].kind) for k in sorted(used) if k < first)
        if any(kind == "noise" for _, kind in memory):
            raise TableError(f"{solver!r} remembers noise, so its steps have no law of their own.")
        steps.append(Step(memory, asked, rest))
    return steps[::-1]


def noise_levels(solver: Solver, grid: Grid) -> set[float]:
    """The ends of the intervals that noise is asked for."""
    import torch

    grid = as_grid(grid)
    zeros = torch.zeros(count_vectors(solver, grid), 1, dtype=torch.float64, device="cpu")
    return {level for g in run_on(zeros, solver, grid).noises for level in (g.s, g.t)}


def _relative(row: NDArray[np.float64], x: NDArray[np.float64]) -> Combination:
    """`row`, weights on the vectors from the start on, with the state x in the place of the start."""
    scale = float(row[0] / x[0]) if x[0] else 0.0
    rest = row - scale * x
    rest[0] = 0.0
    (left,) = (abs(rest) > ROUNDING).nonzero()
    return Combination(scale, {int(k): float(rest[k]) for k in left})
