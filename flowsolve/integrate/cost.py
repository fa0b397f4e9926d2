"""What a method will cost on a grid, found by running it on a stand-in for the state, not by a formula."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, cast

from flowsolve.errors import BudgetError, GridError
from flowsolve.integrate.counter import Counter, Tally
from flowsolve.integrate.endpoints import trajectory
from flowsolve.schedule.grid import Grid, GridFamily
from flowsolve.solver.base import Solver, check_solver
from flowsolve.solver.stand_in import Alive, AnyPath, Blank

if TYPE_CHECKING:
    from torch import Tensor


class _Echo(AnyPath):
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


def tally(solver: Solver, grid: Grid, most: float = math.inf) -> Tally:
    """The evaluations and the noises of `solver` on `grid`, until they are more than `most`.

    Raises BudgetError if the solver is adaptive.
    """
    check_solver(solver)
    if solver.adaptive:
        raise BudgetError(
            f"{solver!r} chooses its own evaluations, so it has no cost beforehand and takes no "
            "nfe=." + (" Limit it with max_nfe=." if hasattr(solver, "max_nfe") else "")
        )
    try:
        return _tally(solver, grid, cast("Tensor", Blank(Alive())), most)
    except Exception:  # the method needs a real tensor, or has an error, which then comes again
        import torch

        zero = torch.zeros(1, *(solver.event or ()), dtype=torch.float64, device="cpu")
        return _tally(solver, grid, zero, most)


def _tally(solver: Solver, grid: Grid, x: Tensor, most: float) -> Tally:
    spent = Tally()
    for _ in trajectory(Counter(_Echo(), spent), x, grid, solver):
        if spent.nfe > most:
            break
    return spent


def fit(solver: Solver, nfe: int, spacing: GridFamily) -> Grid:
    """spacing(n) for the greatest n on which `solver` costs at most `nfe` evaluations.

    Every n up to nfe + 1 counts, and where that grid is within the budget, n twice as large, and so on
    to 64 (nfe + 1). The spacing may refuse an n by a GridError, and its number of steps may stop
    growing, jump or fall. Of the method it is assumed that a longer grid with the same kind of ends
    costs no less.

    Raises BudgetError with the least budget that has a grid if this one has none, and the spacing's
    GridError if it has no grid at all, or if its longest grid costs less than the budget.
    """
    if isinstance(nfe, bool) or not isinstance(nfe, int) or nfe < 1:
        raise BudgetError(f"nfe must be a whole number of at least 1, but got {nfe!r}.")
    family = _Family(solver, nfe, spacing)
    top, most = nfe + 1, 64 * (nfe + 1)
    while top < most and family.fits(top):
        top *= 2
    low, high = 0, top + 1
    while (
        high - low > 1
    ):  # right if the cost grows with n, and many n are known to be too long then
        middle = (low + high) // 2
        low, high = (middle, high) if family.fits(middle) else (low, middle)
    n = next((n for n in range(top, low, -1) if family.fits(n)), low)
    if n == 0:
        raise family.too_small()
    grid = family.grid(n)
    ended = n < top and all(k in family.refused for k in range(n + 1, top + 1))
    if ended and cost(solver, grid) < nfe:
        raise family.refused[n + 1]
    return grid


class _Family:
    """The grids spacing(1), spacing(2), ..., and which of them `solver` walks with `nfe` evaluations."""

    def __init__(self, solver: Solver, nfe: int, spacing: GridFamily) -> None:
        try:
            inspect.signature(spacing).bind(1)
        except TypeError:
            raise BudgetError(
                f"nfe= needs a function of n alone, but got {spacing!r:.80}. Settle its ends: "
                "lambda n: karras(n, 80, 0.002)."
            ) from None
        except ValueError:  # it has no signature to read
            pass
        self.solver, self.nfe, self.spacing = solver, nfe, spacing
        self.refused: dict[int, GridError] = {}
        self.too_long: dict[tuple[bool, ...], float] = {}  # the fewest steps that cost too much

    def grid(self, n: int) -> Grid:
        """spacing(n)."""
        grid = self.spacing(n)
        return grid if isinstance(grid, Grid) else Grid(grid)

    def fits(self, n: int) -> bool:
        """Whether there is a grid for n, within the budget."""
        try:
            grid = self.grid(n)
        except GridError as error:
            self.refused[n] = error
            return False
        ends = _ends(grid)
        if grid.steps >= self.too_long.get(ends, math.inf):
            return False
        if tally(self.solver, grid, self.nfe).nfe > self.nfe:
            self.too_long[ends] = grid.steps
            return False
        return True

    def too_small(self) -> BudgetError | GridError:
        """The error of a budget within which nothing lies."""
        shortest: dict[tuple[bool, ...], tuple[int, int]] = {}  # steps and n, by the ends
        for n in range(1, max(256, self.nfe + 2)):
            try:
                grid = self.grid(n)
            except GridError as error:
                self.refused[n] = error
                continue
            here = (grid.steps, n)
            shortest[_ends(grid)] = min(here, shortest.get(_ends(grid), here))
        if not shortest:
            return self.refused[1]
        least, n = min((cost(self.solver, self.grid(n)), n) for _, n in shortest.values())
        what = "one step" if n == 1 else f"n = {n}, where this spacing has its shortest grid"
        return BudgetError(
            f"{self.solver!r} needs at least {least} evaluations ({what}), but nfe = {self.nfe}. "
            "Give a larger budget, or a method with fewer evaluations a step."
        )


def _ends(grid: Grid) -> tuple[bool, ...]:
    """Whether the first level is ∞ or 0, and the last."""
    return (math.isinf(grid[0]), grid[0] == 0, math.isinf(grid[-1]), grid[-1] == 0)
