"""What adaptive methods share: samples that step by themselves, and the two errors that end a run early."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Protocol

from flowsolve.errors import BudgetError, NonFiniteError

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.schedule import Grid


Stats = dict[str, int]


class Walk(Protocol):
    """One sample, or the whole batch, on its way over a grid; what it has spent and done."""

    nfe: int
    accepted: int
    rejected: int

    def reach(self, t: float) -> Tensor:
        """x̄ at t, the next level of the grid."""


def side_by_side(walks: Sequence[Walk], x: Tensor, grid: Grid) -> Generator[Tensor, None, Stats]:
    """x̄ of the whole batch at grid[1], grid[2], ...; returns accepted, rejected, and the most nfe of a walk."""
    import torch

    at = grid[0]
    for t in grid[1:]:
        try:
            found = [walk.reach(t) for walk in walks]
        except BudgetError as error:
            if len(walks) > 1:  # samples stand at different σ: the last level of all
                error.x, error.sigma = x, at
            raise
        x, at = found[0] if len(walks) == 1 else torch.cat(found), t
        yield x
    return {
        "accepted": sum(walk.accepted for walk in walks),
        "rejected": sum(walk.rejected for walk in walks),
        "nfe_max": max(walk.nfe for walk in walks),
    }


def rms(x: Tensor) -> float:
    """The root of the mean square of all values, read back from the device."""
    x = x.detach()
    return float((x if x.element_size() > 2 else x.float()).square().mean().sqrt())


class HasMaxNFE(Protocol):
    @property
    def max_nfe(self) -> int: ...


def ran_out(
    solver: HasMaxNFE, grid: Grid, x: Tensor, sigma: float, held: str = "that state"
) -> BudgetError:
    """max_nfe was spent at σ; x is what `partial` will hold."""
    return BudgetError(
        f"{solver!r} reached σ = {sigma:.6g} on the way from {grid[0]:.6g} to {grid[-1]:.6g} when "
        f"max_nfe = {solver.max_nfe} ran out. The error's `partial` holds {held}. Raise max_nfe, or "
        "the tolerance.",
        x,
        sigma,
    )


def stopped(solver: object, sigma: float, nfe: int, why: object) -> NonFiniteError:
    """No step can be made from σ."""
    return NonFiniteError(
        f"{solver!r} could not go on from σ = {sigma:.6g} after {nfe} evaluations: {why}. Usually "
        "the network returned NaN or ∞ there."
    )
