"""Replay: a method run from its table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve._arguments import shown
from flowsolve.analysis.table import Table
from flowsolve.errors import TableError
from flowsolve.ode.base import ODE
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Replay(Solver):
    """x̄_k = c_k0 x̄_T + Σ_j c_kj ε_j: runs any method from its table, on that table's grid only.

    Keeps every evaluation alive, where the method itself may keep two.
    """

    table: Table

    def __post_init__(self) -> None:
        if not isinstance(self.table, Table):
            raise TableError(
                f"Replay runs a Table such as tabulate(Heun(), grid), not {shown(self.table)}."
            )

    def __repr__(self) -> str:
        return f"Replay({self.table.solver})"

    reaches_zero = leaves_zero = reaches_infinity = (
        True  # a table holds the first and last step too
    )

    @property
    def order(self) -> int:
        return self.table.order

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        """Raises TableError on another grid, and where the weights depend on α, on another path."""
        if grid[:] != self.table.levels:
            raise TableError(
                f"this table of {self.table.solver} was made for {self.table.levels}, "
                f"not for {grid[:]}. Tabulate the method on this grid."
            )
        for s, alpha in self.table.alphas:
            if abs(ode.alpha(s) - alpha) > 1e-9 * alpha:
                raise TableError(
                    f"this table of {self.table.solver} was made for a path with α = {alpha:.6g} at "
                    f"σ = {s:.6g}, where this has {ode.alpha(s):.6g}. Give tabulate the path's alpha."
                )
        known, calls = [x], iter(zip(self.table.probes, self.table.sigmas, strict=True))
        for node in self.table.nodes:
            while len(known) < len(node):
                row, sigma = next(calls)
                known.append(ode.eps(combine(row, known), sigma))
            yield combine(node, known)


def combine(row: Sequence[float], known: Sequence[Tensor]) -> Tensor:
    """Σ row_j known_j, added up in float32 at least: its terms may be far larger than their sum."""
    x = known[0]
    wide = x if x.element_size() > 2 else x.float()
    out = wide if row[0] == 1 else wide * row[0]
    for c, v in zip(row[1:], known[1:], strict=False):
        if c != 0:
            out = out.add(v, alpha=c)
    return out.to(x.dtype)
