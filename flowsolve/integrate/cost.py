"""What a method will cost on a grid, found by running it on a stand-in for the state, not by a formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from flowsolve.errors import BudgetError, GridError
from flowsolve.integrate.counter import Counter, Tally
from flowsolve.integrate.endpoints import trajectory
from flowsolve.ode.base import ODE
from flowsolve.schedule.grid import Grid, GridFamily
from flowsolve.schedule.spacings import log_snr

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.solver.base import Solver


class _Blank:
    """A stand-in for the state: one row, no values, and every operation on it returns it. Needs no torch."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self

    def _same(self, *args: Any, **kwargs: Any) -> _Blank:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = _same

    @classmethod
    def __torch_function__(cls, *args: Any, **kwargs: Any) -> _Blank:
        return cls()

    def __len__(self) -> int:
        return 1

    def __bool__(self) -> bool:
        raise TypeError("a method that looks at values has no number of evaluations beforehand")


class _Echo(ODE):
    """ε, x₀ and the noise are the state itself."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return x

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return x

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        return x


def cost(solver: Solver, grid: Grid) -> int:
    """The evaluations of `solver` on `grid`, ends included. Raises BudgetError if it is adaptive."""
    return tally(solver, grid).nfe


def tally(solver: Solver, grid: Grid) -> Tally:
    """The evaluations and the noises of `solver` on `grid`. Raises BudgetError if it is adaptive."""
    if solver.adaptive:
        raise BudgetError(
            f"{solver!r} chooses its own evaluations, so it has no cost beforehand and takes no "
            "nfe=. Limit it with max_nfe=."
        )
    try:
        return _tally(solver, grid, cast("Tensor", _Blank()))
    except Exception:  # the method needs a real tensor, or has an error, which then comes again
        import torch

        return _tally(solver, grid, torch.zeros(1, dtype=torch.float64, device="cpu"))


def per_step(solver: Solver) -> int | None:
    """The evaluations of one more step, (cost of 24 steps - cost of 12)/12; None if adaptive."""
    if solver.adaptive:
        return None
    fewer, more = (cost(solver, log_snr(n, 10, 0.1)) for n in (12, 24))
    return round((more - fewer) / 12)


def _tally(solver: Solver, grid: Grid, x: Tensor) -> Tally:
    spent = Tally()
    for _ in trajectory(Counter(_Echo(), spent), x, grid, solver):
        pass
    return spent


def fit(solver: Solver, nfe: int, spacing: GridFamily) -> Grid:
    """The largest grid spacing(n) on which `solver` costs at most `nfe` evaluations.

    Raises BudgetError if even spacing(1) costs more, and the spacing's GridError if its longest grid
    costs less.
    """
    if isinstance(nfe, bool) or not isinstance(nfe, int) or nfe < 1:
        raise BudgetError(f"nfe must be a whole number of at least 1, but got {nfe!r}.")
    least = cost(solver, spacing(1))
    if least > nfe:
        raise BudgetError(
            f"{solver!r} needs at least {least} evaluations (one step), but nfe = {nfe}. "
            "Give a larger budget, or a method with fewer evaluations a step."
        )
    refused: dict[int, GridError] = {}

    def fits(n: int) -> bool:
        try:
            return cost(solver, spacing(n)) <= nfe
        except GridError as error:  # a spacing with a longest grid, which the search may overshoot
            refused[n] = error
            return False

    low, high = 1, 2
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    grid = spacing(low)
    if high in refused and cost(solver, grid) < nfe:
        raise refused[high]
    return grid
