"""Restart: up to a higher level by noise, and down again by the ODE, which shrinks the errors made before.

Xu et al. 2023.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from flowsolve.errors import GridError
from flowsolve.schedule import Grid, karras
from flowsolve.solver import Solver
from flowsolve_solvers.runge_kutta import Heun
from flowsolve_solvers.starts import Around

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE

__all__ = ["Restart"]

Interval = tuple[int, int, float, float]
Way = tuple[int, int, Grid]  # the index of the level t, K, and the levels from s down to t

_HEUN: Solver = Heun()


@dataclass(frozen=True, repr=False)
class Restart(Around):
    """x_s = x_t + √(s² - t²) z, and by the method from s down to t, K times.         Restart: Xu et al. 2023.

    The noise takes the law at t to that at s exactly, and the way down shrinks what earlier steps have left of
    their errors in x_t. Evaluations: those of the method, and K times those from s to t.

    method     of the ODE, on a grid; it begins anew on each way down and after it
    intervals  (steps, K, low, high), one or several: t is the level of the grid nearest to low, s is high, and
               the way down has `steps` steps of `karras`. With steps = 0 s is the level of the grid nearest to
               high, and the way down is the grid's. The paper's N_restart counts levels, steps + 1

    `order`, the weak order, is the method's where every way down is the grid's, else 0: the error of a fixed
    number of steps stays. Goes down a grid only. Raises GridError for a grid without the levels of an interval.
    """

    method: Solver = _HEUN
    intervals: tuple[Interval, ...] = ((2, 2, 0.06, 0.3),)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method.stochastic or self.method.adaptive:
            raise self._refused()
        object.__setattr__(self, "intervals", _checked(self.intervals))

    @property
    def order(self) -> int:
        return 0 if any(interval[0] for interval in self.intervals) else self.method.order

    @property
    def stochastic(self) -> bool:
        return True

    def _refused(self) -> TypeError:
        return TypeError(
            "Restart takes a method of the ODE that steps from level to level of a grid, not "
            f"{self.method!r}."
        )

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        visits, begin = Counter[tuple[float, float]](), 0
        for at, ways in groupby(self._ways(grid), key=lambda way: way[0]):
            for i, x_i in enumerate(self.method.steps(ode, x, grid.part(begin, at)), begin + 1):
                x = x_i
                if i < at:
                    yield x
            for _, repeats, down in ways:
                s, t = down[0], down[-1]
                for _ in range(repeats):
                    z = ode.noise(x, t, s, visits[t, s])
                    visits[t, s] += 1
                    x = x.add(z, alpha=math.sqrt((s - t) * (s + t)))
                    for x_i in self.method.steps(ode, x, down):
                        x = x_i
            yield x
            begin = at
        if begin < grid.steps:
            yield from self.method.steps(ode, x, grid.part(begin, grid.steps))

    def _ways(self, grid: Grid) -> list[Way]:
        """From the first level to the last."""
        if grid.rising:
            raise GridError(f"{self!r} goes down the grid only, but this one rises.")
        return sorted(
            (self._way(interval, grid) for interval in self.intervals), key=lambda w: w[0]
        )

    def _way(self, interval: Interval, grid: Grid) -> Way:
        steps, repeats, low, high = interval
        inner = [i for i in range(1, len(grid)) if grid[i] > 0]
        at = min(inner, key=lambda i: abs(grid[i] - low), default=0)
        above = [i for i in range(at) if math.isfinite(grid[i])]
        top = min(above, key=lambda i: abs(grid[i] - high), default=0)
        if high > grid[0]:
            raise GridError(
                f"{self!r} goes up to σ = {high:g}, but this grid ({grid}) begins at {grid[0]:g}, and the "
                "network may know nothing above."
            )
        if not at or not (grid[at] < high if steps else above):
            raise GridError(
                f"{self!r} goes up to σ = {high:g} from the level nearest to {low:g}, but on this grid "
                f"({grid}) that level is not below it."
            )
        down = karras(steps, high, grid[at]) if steps else grid.part(top, at)
        return at, repeats, down


def _checked(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The intervals as tuples. Raises ValueError for one that is none."""
    found = []
    several = intervals if isinstance(intervals, Iterable) else [intervals]
    for interval in several:
        match interval:
            case (int(steps), int(repeats), low, high) if (
                steps >= 0 and repeats >= 1 and 0 < low < high < math.inf
            ):
                found.append((steps, repeats, float(low), float(high)))
            case _:
                raise ValueError(
                    "Restart: an interval is (steps, K, low, high) with whole numbers steps >= 0 and K >= 1 "
                    "and levels 0 < low < high, and intervals is one or several, such as "
                    f"((2, 2, 0.06, 0.3),), but got {interval!r}."
                )
    if not found:
        raise ValueError("Restart needs at least one interval, such as (2, 2, 0.06, 0.3).")
    return tuple(found)
