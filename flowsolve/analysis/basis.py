"""A method run on basis vectors: what it asks for, and its states as combinations of what it was given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from flowsolve.errors import BudgetError, TableError
from flowsolve.integrate.cost import tally
from flowsolve.integrate.endpoints import trajectory
from flowsolve.ode.base import ODE
from flowsolve.ode.precondition import VP
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["eps", "x0", "noise"]
Alpha = Callable[[float], float]


class Given(NamedTuple):
    """What basis vector `number` stands for: ε or x₀ of `state` at σ = s, or the noise from s to t.

    again  of a noise: the number of the visit to its interval
    """

    number: int
    kind: Kind
    s: float
    t: float  # s again for an evaluation
    state: Tensor
    again: int = 0


class BasisRun(NamedTuple):
    """One run of a method. Vector 0 is x̄ at grid[0], and every vector after it is in `given`.

    nodes   at grid[0], grid[1], ...: the state, and how many vectors were known by then
    alphas  α by σ, of those that the method asked for
    """

    given: list[Given]
    nodes: list[tuple[Tensor, int]]
    alphas: dict[float, float]

    @property
    def evaluations(self) -> list[Given]:
        return [g for g in self.given if g.kind != "noise"]

    @property
    def noises(self) -> list[Given]:
        return [g for g in self.given if g.kind == "noise"]


class _BasisODE(ODE):
    """The k-th value that it gives, whatever the state, is basis[k].

    separate_x0  whether an x₀ is a value of its own too, or x - σ ε; at σ = ∞ it always is one
    scale        α for σ
    """

    def __init__(self, basis: Tensor, solver: Solver, separate_x0: bool, scale: Alpha) -> None:
        self.basis, self.solver, self.separate_x0 = basis, solver, separate_x0
        self.scale = scale
        self.given: list[Given] = []
        self.alphas: dict[float, float] = {}

    def alpha(self, sigma: float) -> float:
        self.alphas[sigma] = found = float(self.scale(sigma))
        return found

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self._next("eps", x, sigma, sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        if self.separate_x0 or math.isinf(sigma):
            return self._next("x0", x, sigma, sigma)
        return super().x0(x, sigma)

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        return self._next("noise", x, s, t, again)

    def _next(self, kind: Kind, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        number = len(self.given) + 1
        if number == len(self.basis):  # more values than `count_vectors` found
            raise _varies(self.solver)
        self.given.append(Given(number, kind, s, t, x, again))
        return self.basis[number]


def respond(
    solver: Solver, grid: Grid, separate_x0: bool = False, alpha: Alpha = VP.alpha
) -> BasisRun:
    """The run on the unit vectors, on a path of that α. Raises TableError as `tabulate`.

    A run on random vectors must give the same combinations of them at every evaluation and node.
    """
    import torch

    if solver.event is not None:
        raise TableError(
            f"the weights of {type(solver).__name__} are matrices, and a table holds numbers."
        )
    size = count_vectors(solver, grid)
    generator = torch.Generator("cpu").manual_seed(0)
    plain = torch.eye(size, dtype=torch.float64, device="cpu")
    shape = (size, min(size, 256))
    other = torch.randn(shape, dtype=torch.float64, generator=generator, device="cpu")
    first, second = (run_on(b, solver, grid, separate_x0, alpha) for b in (plain, other))
    one, two = (
        torch.stack([g.state for g in run.evaluations] + [x for x, _ in run.nodes])
        for run in (first, second)
    )
    if len(one) != len(two) or not torch.allclose(one @ other, two, 1e-9, 1e-9):
        raise _varies(solver)
    return first


def count_vectors(solver: Solver, grid: Grid) -> int:
    """1 for the start, and 1 for each evaluation and noise. Raises TableError for adaptive methods."""
    try:
        counted = tally(solver, grid)
    except BudgetError:
        raise TableError(
            f"{solver!r} chooses its steps from the values it sees, so it has no coefficient table."
        ) from None
    return 1 + counted.nfe + counted.noises


def run_on(
    basis: Tensor,
    solver: Solver,
    grid: Grid,
    separate_x0: bool = False,
    alpha: Alpha = VP.alpha,
) -> BasisRun:
    """One run from basis[0], in which the k-th value that the method is given is basis[k]."""
    ode = _BasisODE(basis, solver, separate_x0, alpha)
    nodes = [(basis[0], 1)]
    for x in trajectory(ode, basis[0], grid, solver):
        nodes.append((x, len(ode.given) + 1))
    return BasisRun(ode.given, nodes, ode.alphas)


def _varies(solver: Solver) -> TableError:
    return TableError(
        f"{solver!r} gives other weights for other values, so it has no coefficient table."
    )
