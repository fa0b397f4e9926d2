"""Evaluations known beforehand: found by running the method itself on nothing, never by formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from flowsolve.errors import BudgetError, GridError
from flowsolve.integrate.endpoints import walk
from flowsolve.ode.base import ODE
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.spacings import log_snr

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.solver.base import Solver


class _Nothing:
    """A state without content: whatever is done to it gives itself. Costs no torch."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self

    def _same(self, *args: Any, **kwargs: Any) -> _Nothing:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = _same

    @classmethod
    def __torch_function__(cls, *args: Any, **kwargs: Any) -> _Nothing:
        return cls()

    def __bool__(self) -> bool:
        raise TypeError("a method that looks at values has no number of evaluations beforehand")


class _Count(ODE):
    def __init__(self) -> None:
        self.calls = self.draws = 0

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.calls += 1
        return x

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        self.calls += 1
        return x

    def noise(self, x: Tensor, s: float, t: float) -> Tensor:
        self.draws += 1
        return x


def cost(solver: Solver, grid: Grid) -> int:
    """The evaluations of `solver` on `grid`, ends included. Raises BudgetError if it is adaptive."""
    return counts(solver, grid)[0]


def counts(solver: Solver, grid: Grid) -> tuple[int, int]:
    """The evaluations, and the noises drawn. Raises BudgetError if the solver is adaptive."""
    if solver.adaptive:
        raise BudgetError(
            f"{solver!r} chooses its own evaluations, so it has no cost beforehand and takes no "
            "nfe=. Limit it with max_nfe=."
        )
    try:
        return _run(solver, grid, cast("Tensor", _Nothing()))
    except Exception:  # a method that needs a real tensor is counted on one; real errors recur
        import torch

        return _run(solver, grid, torch.zeros(1, dtype=torch.float64))


def per_step(solver: Solver) -> int | None:
    """The evaluations of one more step, counted where a plan has settled; None if adaptive."""
    if solver.adaptive:
        return None
    return round((cost(solver, log_snr(48, 10, 0.1)) - cost(solver, log_snr(36, 10, 0.1))) / 12)


def _run(solver: Solver, grid: Grid, x: Tensor) -> tuple[int, int]:
    ode = _Count()
    for _ in walk(ode, x, grid, solver):
        pass
    return ode.calls, ode.draws


def fit(solver: Solver, nfe: int, spacing: Callable[[int], Grid]) -> Grid:
    """The largest grid spacing(n) on which `solver` costs at most `nfe` evaluations.

    Raises BudgetError if even spacing(1) costs more, and the spacing's GridError if it has no grid
    long enough to spend them.
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
