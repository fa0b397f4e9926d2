"""The two errors with which adaptive methods stop early, in the same words for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flowsolve.errors import BudgetError, NonFiniteError

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.schedule import Grid


class HasMaxNFE(Protocol):
    @property
    def max_nfe(self) -> int: ...


def ran_out(
    solver: HasMaxNFE, grid: Grid, x: Tensor, sigma: float, held: str = "that state"
) -> BudgetError:
    """max_nfe was spent at σ; x is what `partial` will hold."""
    return BudgetError(
        f"{solver!r} reached σ = {sigma:.6g} on the way from {grid[0]:.6g} to {grid[-1]:.6g} when "
        f"max_nfe = {solver.max_nfe} ran out. The error's `partial` holds {held}. Raise max_nfe, "
        "rtol or atol.",
        x,
        sigma,
    )


def stopped(solver: object, sigma: float, nfe: int, why: object) -> NonFiniteError:
    """No step can be made from σ."""
    return NonFiniteError(
        f"{solver!r} could not go on from σ = {sigma:.6g} after {nfe} evaluations: {why}. Usually "
        "the network returned NaN or ∞ there."
    )
