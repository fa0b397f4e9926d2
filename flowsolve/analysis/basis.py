"""A method run on basis vectors: what it asks for, and what its states are made of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flowsolve.errors import BudgetError, TableError
from flowsolve.integrate.cost import tally
from flowsolve.integrate.endpoints import trajectory
from flowsolve.ode.base import ODE
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver

if TYPE_CHECKING:
    from torch import Tensor


class Probe(ODE):
    """ε of an evaluation is the next basis vector, whatever the state; so is every noise.

    asked    (number, σ, state) of the evaluations;  drawn: (number, s, t) of the noises
    """

    def __init__(self, basis: Tensor, solver: Solver) -> None:
        self.basis, self.solver, self.known = basis, solver, 1
        self.asked = list[tuple[int, float, "Tensor"]]()
        self.drawn = list[tuple[int, float, float]]()

    def _next(self) -> Tensor:
        if self.known == len(self.basis):  # more of them than were counted on nothing
            raise _varies(self.solver)
        self.known += 1
        return self.basis[self.known - 1]

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.asked.append((self.known, sigma, x))
        return self._next()

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return self.eps(x, sigma) if math.isinf(sigma) else super().x0(x, sigma)

    def noise(self, x: Tensor, s: float, t: float) -> Tensor:
        self.drawn.append((self.known, s, t))
        return self._next()


def respond(solver: Solver, grid: Grid) -> tuple[Probe, list[Tensor], list[int]]:
    """What was asked, the nodes, and the vectors known at each node. Raises TableError as `tabulate`."""
    import torch

    try:
        counted = tally(solver, grid)
        size = 1 + counted.nfe + counted.noises
    except BudgetError:
        raise TableError(
            f"{solver!r} chooses its steps from the values it sees, so it has no coefficient table."
        ) from None
    generator = torch.Generator().manual_seed(0)
    plain = torch.eye(size, dtype=torch.float64)
    other = torch.randn(size, size, dtype=torch.float64, generator=generator)
    first, second = (_respond(solver, grid, basis) for basis in (plain, other))
    one, two = (torch.stack([x for *_, x in p.asked] + nodes) for p, nodes, _ in (first, second))
    if one.shape != two.shape or not torch.allclose(one @ other, two, 1e-9, 1e-9):
        raise _varies(solver)
    return first


def _varies(solver: Solver) -> TableError:
    return TableError(
        f"{solver!r} gives other weights for other values, so it has no coefficient table."
    )


def _respond(solver: Solver, grid: Grid, basis: Tensor) -> tuple[Probe, list[Tensor], list[int]]:
    probe, nodes, known = Probe(basis, solver), [], []
    for x in trajectory(probe, basis[0], grid, solver):
        nodes.append(x)
        known.append(probe.known)
    return probe, nodes, known
