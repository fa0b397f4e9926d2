"""Grid: the noise levels σ₀ > σ₁ > ... > σ_N that a solver steps over, checked once."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import overload

from flowsolve._arguments import html_table, real, reals, shown, whole
from flowsolve.errors import GridError, StateError


@dataclass(frozen=True, repr=False)
class Grid(Sequence[float]):
    """Noise levels σ₀ > σ₁ > ... > σ_N as Python floats, immutable. Grids are equal if their levels are.

    σ₀ may be ∞ (pure noise) and σ_N may be 0 (data). A rising grid, from data to noise, is made as
    `Grid(falling).reversed()`. Raises GridError for fewer than two levels, NaN, a negative level, levels that
    do not fall, and ∞ or 0 in the middle.
    """

    levels: tuple[float, ...]
    name: str = field(default="custom", compare=False)
    rising: bool = False

    def __init__(self, levels: Iterable[float], name: str = "custom") -> None:
        values = _numbers(levels)
        _check(values)
        object.__setattr__(self, "levels", values)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "rising", False)

    def __len__(self) -> int:
        return len(self.levels)

    def __iter__(self) -> Iterator[float]:
        return iter(self.levels)

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[float, ...]: ...
    def __getitem__(self, index: int | slice) -> float | tuple[float, ...]:
        return self.levels[index]

    def __str__(self) -> str:
        return f"{self.name}, {self.steps} steps, σ {self[0]:.4g} to {self[-1]:.4g}"

    def __repr__(self) -> str:
        texts = [f"{s:.4g}" for s in self.levels]
        some = texts if len(texts) <= 9 else [*texts[:4], "...", *texts[-4:]]
        return f"Grid({self.name}, {self.steps} steps: σ = {', '.join(some)})"

    def _repr_html_(self) -> str | None:
        if self.steps > 60:  # notebooks then show the repr
            return None
        steps = [[str(k), f"{s:.6g}"] for k, s in enumerate(self.levels)]
        return html_table(["k", "σ"], steps, f"{self.name}, {self.steps} steps")

    @property
    def steps(self) -> int:
        """N, the number of steps, one less than the number of levels."""
        return len(self.levels) - 1

    @property
    def digest(self) -> str:
        """12 hexadecimal digits that differ when any bit of any level differs."""
        text = " ".join(s.hex() for s in self.levels)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def reversed(self) -> Grid:
        """The same levels in the other order: from data to noise, or back again."""
        return self._with(self.levels[::-1], rising=not self.rising)

    def gain(self, sigma: float) -> float:
        """s/(s - t), with s = sigma and t the next level; t = 0 after the last level, and 1 at s = ∞.

        Euler's step x_t = (t/s) x_s + (1 - t/s) x₀ gives x₀ the weight (s - t)/s. A correction that is to
        reach x_t with weight 1 is therefore added to x₀ times this gain. Raises GridError unless sigma
        is a level.
        """
        if math.isinf(real("σ", sigma, GridError)):
            return 1.0
        if sigma not in self.levels:
            raise GridError(
                f"σ = {sigma!r} is not a level of the grid ({self}) that was given to say where the step "
                "from it goes. Give the grid that is walked, and take Euler(), which asks only there."
            )
        after = (*self.levels, 0.0)[self.levels.index(sigma) + 1]
        return 1 / (1 - after / sigma)

    def part(self, first: int, last: int) -> Grid:
        """The neighbouring levels first, first + 1, ..., last, both included, in this grid's direction.

        first = last is a single level. Raises GridError unless 0 <= first <= last <= steps.
        """
        first, last = (whole("a part's end", end, error=GridError) for end in (first, last))
        if not 0 <= first <= last <= self.steps:
            raise GridError(
                f"this grid ({self}) has levels 0 to {self.steps}, but the part asked for goes from "
                f"{first!r} to {last!r}."
            )
        return self._with(self.levels[first : last + 1])

    def last(self, n: int) -> Grid:
        """The last n steps; for n = 0 the last level alone. Raises GridError unless 0 <= n <= steps."""
        if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= self.steps:
            raise GridError(
                f"this grid ({self}) has no last {n!r} steps: ask for 0 to {self.steps}."
            )
        return self.part(self.steps - n, self.steps)

    def below(self, sigma: float) -> Grid:
        """The falling levels at or under sigma. Raises GridError unless there are two."""
        under = tuple(s for s in self.levels if s <= real("σ", sigma, GridError))
        if self.rising or len(under) < 2:
            raise GridError(
                f"to start under σ = {sigma!r} takes a falling grid with two levels at or under it, but "
                f"got {self}."
            )
        return self._with(under)

    def until(self, sigma: float) -> Grid:
        """The first level and sigma, the ends of a run that stopped there; one level if sigma is the first.

        An adaptive method chooses the levels in between itself, so sigma need not be a level of the grid.
        """
        return self._with(tuple(dict.fromkeys((self[0], sigma))))

    def named(self, name: str) -> Grid:
        """The same levels under another name."""
        return self._with(self.levels, name=name)

    def _with(
        self, levels: tuple[float, ...], *, rising: bool | None = None, name: str | None = None
    ) -> Grid:
        """Other levels, which need no check, in this grid's direction and under its name unless given."""
        other = Grid.__new__(Grid)
        object.__setattr__(other, "levels", levels)
        object.__setattr__(other, "name", self.name if name is None else name)
        object.__setattr__(other, "rising", self.rising if rising is None else rising)
        return other

    def to_zero(self) -> Grid:
        """The same levels and one more, σ = 0 (one step more)."""
        return Grid((*self.levels, 0.0), self.name)

    def from_infinity(self) -> Grid:
        """The same levels after one more, σ = ∞ (one step more)."""
        return Grid((math.inf, *self.levels), self.name)


Spacing = Callable[[int, float, float], Grid]
"""(n, sigma_max, sigma_min) -> a grid of n steps between these two levels, for example `karras`."""

GridFamily = Callable[[int], Grid]
"""n -> a grid of n steps whose ends are settled, for example `lambda n: karras(n, 80, 0.002)`."""


def as_grid(levels: Iterable[float]) -> Grid:
    """The Grid itself, or one of these levels."""
    return levels if isinstance(levels, Grid) else Grid(levels)


def check_family(grids: object) -> None:
    """Raise StateError unless `grids` can be called with n alone."""
    example = "a function n -> Grid such as lambda n: karras(n, 80, 0.002)"
    if not callable(grids):
        raise StateError(f"the grids must be {example}, not {shown(grids)}.")
    try:
        inspect.signature(grids).bind(1)
    except TypeError as error:
        name = getattr(grids, "__name__", type(grids).__name__)
        raise StateError(f"the grids must be {example}, but {name}(n): {error}.") from None
    except ValueError:  # a function of C, which does not say
        pass


def _numbers(levels: Iterable[float]) -> tuple[float, ...]:
    """Floats. Raises GridError for what is no sequence, and for what is no number in it."""
    hint = ""
    if isinstance(levels, int | float):
        hint = " A number of steps makes a grid by a spacing: karras(10, 80, 0.002)."
    elif callable(levels):
        hint = " Call it first, as karras(10, 80, 0.002)."
    try:
        return reals("grid", levels, GridError)
    except StateError:
        raise GridError(
            f"a grid is made of falling noise levels such as [10, 5, 1], not of {shown(levels)}.{hint}"
        ) from None


def _check(levels: tuple[float, ...]) -> None:
    if len(levels) < 2:
        raise GridError(f"a grid needs at least two noise levels, but got {list(levels)}.")
    for i, s in enumerate(levels):
        if math.isnan(s):
            raise GridError(f"grid[{i}] is NaN. Every noise level must be a number.")
        if s < 0:
            raise GridError(f"grid[{i}] = {s!r} is negative. σ = s/α is at least 0.")
        if s == 0 and i != len(levels) - 1 and not (i == 0 and levels[1] > 0):
            raise GridError(f"σ = 0 is reached before the end (grid[{i}]). Only the last may be 0.")
        if math.isinf(s) and i != 0 and i != len(levels) - 1:
            raise GridError(f"σ = ∞ after the start (grid[{i}]). Only the first may be ∞.")
    if all(s < t for s, t in pairwise(levels)):
        raise GridError(
            f"σ must fall, but this grid rises from {levels[0]!r} to {levels[-1]!r}. "
            "To encode data into noise, give the falling levels and call .reversed()."
        )
    for i, (s, t) in enumerate(pairwise(levels)):
        if s == t:
            raise GridError(f"σ must fall at every step, but grid[{i}] = grid[{i + 1}] = {s!r}.")
        if s < t:
            raise GridError(
                f"σ must fall at every step, but grid[{i}] = {s!r} and grid[{i + 1}] = {t!r}. "
                "To encode data into noise, reverse the whole grid with .reversed()."
            )
