"""Methods that carry two states, and so can undo their own steps without solving an equation."""

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

    x̄ is the state, y what it takes to come back: a second state of the same level, or the state of
    the level before. Where a walk ends, y is `Solution.second`; `Continued` starts with it. A walk
    without it starts as the method's paper does, which is exact only from where the method started.
    """

    @property
    def leaves_zero(self) -> bool:
        """What it steps to, it comes back from."""
        return self.reaches_zero

    @abstractmethod
    def pairs(
        self, ode: ODE, x: Tensor, y: Tensor | None, grid: Grid
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (x̄, y) at grid[1], grid[2], ...; y is None for the usual start.

        From the last pair over `grid.reversed()`, the pairs come back in turn, to rounding.
        """

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, None, Tensor | None]:
        """x̄ of the pairs; returns the last y."""
        return (yield from self.follow(ode, x, None, grid))

    def follow(
        self, ode: ODE, x: Tensor, y: Tensor | None, grid: Grid
    ) -> Generator[Tensor, None, Tensor | None]:
        """The same, from a given y."""
        for pair in self.pairs(ode, x, y, grid):
            x, y = pair
            yield x
        return y


@dataclass(frozen=True, repr=False, eq=False)
class Continued(Solver):
    """`method` from the pair (x̄, second), x̄ the state that it is given, in place of its usual start.

    Raises StateError for a method of one state, and where `second` is not like x̄.
    """

    method: TwoState
    second: Tensor = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.method, TwoState):
            raise StateError(f"a second state is for a TwoState method, not {self.method!r}.")

    @property
    def order(self) -> int:
        """The method's."""
        return self.method.order

    @property
    def reaches_zero(self) -> bool:
        """The method's."""
        return self.method.reaches_zero

    @property
    def leaves_zero(self) -> bool:
        """The method's."""
        return self.method.leaves_zero

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, None, Tensor | None]:
        """The method's pairs from here on."""
        y = self.second
        if (y.shape, y.dtype, y.device) != (x.shape, x.dtype, x.device):
            raise StateError(
                f"the two states of {self.method!r} must be alike, but x is {tuple(x.shape)}, {x.dtype}, on "
                f"{x.device}, and second is {tuple(y.shape)}, {y.dtype}, on {y.device}."
            )
        return (yield from self.method.follow(ode, x, y, grid))
