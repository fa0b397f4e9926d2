"""Methods with two states, which undo their own steps without solving an equation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowsolve.errors import StateError
from flowsolve.solver.base import Solver

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE
    from flowsolve.schedule.grid import Grid


class TwoState(Solver):
    """A map of pairs (x̄, y) down the grid, whose `steps` up the grid are its exact inverse.

    x̄ is the state and y what is needed besides to come back: a second state of the same level, or the
    state of the level before. At the end of a run y is `Solution.second`, and `Continued` starts with it.
    A run without it starts as the method's paper does, and then only undoes a run that started there too.
    """

    @property
    def leaves_zero(self) -> bool:
        """As `reaches_zero`: a step to 0 can be undone."""
        return self.reaches_zero

    @abstractmethod
    def pairs(
        self, ode: ODE, x: Tensor, y: Tensor | None, grid: Grid
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (x̄, y) at grid[1], grid[2], ...; y is None for the usual start.

        Started with the last pair over `grid.reversed()`, it yields the same pairs backwards, to rounding.
        """

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, None, Tensor | None]:
        """x̄ of the pairs; returns the last y."""
        return self.follow(ode, x, None, grid)

    def follow(
        self, ode: ODE, x: Tensor, y: Tensor | None, grid: Grid
    ) -> Generator[Tensor, None, Tensor | None]:
        """As `steps`, from a given y."""
        for pair in self.pairs(ode, x, y, grid):
            x, y = pair
            yield x
        return y


@dataclass(frozen=True, repr=False, eq=False)
class Continued(Solver):
    """`method` started with the pair (x̄, second) in place of its usual start, x̄ the state of the run.

    Raises StateError for a method of one state, and where `second` is not like x̄.
    """

    method: TwoState
    second: Tensor = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.method, TwoState):
            raise StateError(f"a second state is for a TwoState method, not {self.method!r}.")

    @property
    def order(self) -> int:
        return self.method.order

    @property
    def reaches_zero(self) -> bool:
        return self.method.reaches_zero

    @property
    def leaves_zero(self) -> bool:
        return self.method.leaves_zero

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, None, Tensor | None]:
        y = self.second
        if (y.shape, y.dtype, y.device) != (x.shape, x.dtype, x.device):
            raise StateError(
                f"the two states of {self.method!r} must be alike, but x is {tuple(x.shape)}, {x.dtype}, on "
                f"{x.device}, and second is {tuple(y.shape)}, {y.dtype}, on {y.device}."
            )
        return self.method.follow(ode, x, y, grid)
