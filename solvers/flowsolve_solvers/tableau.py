"""Runge-Kutta tableaus on dz/dτ = F du/dτ, z and u of any chart, τ any variable.

    k_i = F du/dτ  at τ_s + c_i h,  z_i = z_s + h Σ_j a_ij k_j         z_t = z_s + h Σ_i b_i k_i

`RungeKutta` runs them. Those of exponential methods are in exponential_tableau.py.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

from flowsolve.schedule import SIGMA, FlowTime, Theta, Variable
from flowsolve.solver import NOISE, Chart, Flow, Velocity

__all__ = [
    "BOGACKI_SHAMPINE",
    "HEUN2",
    "HEUN3",
    "KUTTA3",
    "KUTTA4",
    "MIDPOINT2",
    "RALSTON2",
    "RALSTON3",
    "THREE_EIGHTHS",
    "Tableau",
]

Row = tuple[float, ...]
MOST = 8  # the highest order that is looked for


class Stages(ABC):
    """The stages of a one-step method: where they lie, and the weights of a step.

    name   what the repr shows
    c      stage i lies at τ_s + c_i h;  c_1 = 0
    order  the global order on smooth problems
    """

    name: str

    def __repr__(self) -> str:
        return self.name

    if TYPE_CHECKING:  # a field of one subclass, found by the other

        @property
        def c(self) -> Row: ...

        @property
        def order(self) -> int: ...

    @abstractmethod
    def weights(self, chart: Chart, variable: Variable, s: float, t: float) -> tuple[Row, ...]:
        """Of F in each z_i - z_s, i = 2, 3, ..., then in z_t - z_s."""

    def levels(self, variable: Variable, s: float, t: float) -> Row:
        """σ of each stage."""
        tau, h = variable.tau(s), variable.tau(t) - variable.tau(s)
        ends = {0.0: s, 1.0: t}
        at = [round(c, 13) for c in self.c]  # a sum of weights that is 1 but for rounding is 1
        return tuple(ends[c] if c in ends else variable.sigma(tau + c * h) for c in at)


@dataclass(frozen=True, repr=False)
class Tableau(Stages):
    """z_t = z_s + h Σ b_i k_i,  k_i at z_s + h Σ_j a_ij k_j.      Kutta 1901; Butcher 1963.

    a      row i holds a_i1, ..., a_i,i-1; the first row, of no entries, is left out;  c_i = Σ_j a_ij
    b      the weights of the step
    lower  those of a step of lower order, if there is one, whose distance estimates the error

    `order` and `lower_order` are found from Butcher's conditions, Σ_i b_i Φ_i = 1/γ for every rooted tree.
    Raises ValueError for rows that do not fit, and for weights b that do not sum to 1.
    """

    name: str
    a: tuple[Row, ...]
    b: Row
    lower: Row | None = None

    def __post_init__(self) -> None:
        rows = [*self.a, self.b, *([] if self.lower is None else [self.lower])]
        fits = [*range(1, len(self.b) + 1), len(self.b)][: len(rows)]
        if [*map(len, rows)] != fits or not all(math.isfinite(w) for row in rows for w in row):
            raise ValueError(
                f"Tableau {self.name}: the rows of a have 1, 2, 3, ... weights (the first row, which has none, "
                "is left out), b and lower one for each stage, all finite; but the rows have "
                f"{[*map(len, rows)]}."
            )
        if abs(math.fsum(self.b) - 1) > 1e-9:
            raise ValueError(
                f"Tableau {self.name}: the weights b sum to {math.fsum(self.b):.6g}, and a method does not "
                "converge unless they sum to 1."
            )

    @cached_property
    def c(self) -> Row:
        return (0.0, *(math.fsum(row) for row in self.a))

    @cached_property
    def order(self) -> int:
        return self._order_of(self.b)

    @cached_property
    def lower_order(self) -> int | None:
        """Of the step with `lower`."""
        return None if self.lower is None else self._order_of(self.lower)

    @property
    def reuses_last(self) -> bool:
        """Whether the last stage is made at the new state, with which the next step begins."""
        return len(self.a) > 0 and self.b[:-1] == self.a[-1] and self.b[-1] == 0

    def weights(self, chart: Chart, variable: Variable, s: float, t: float) -> tuple[Row, ...]:
        """h a_ij du/dτ at stage j; where τ is u of the chart, h a_ij. Those of `lower` come last, if any."""
        h = variable.tau(t) - variable.tau(s)
        if is_own(chart, variable):
            rates = [1.0] * len(self.b)
        else:
            at = self.levels(variable, s, t)
            rates = [slope(chart, variable, sigma) for sigma in at]
        return tuple(
            tuple(h * w * rate for w, rate in zip(row, rates, strict=False))
            for row in (*self.a, self.b, *([] if self.lower is None else [self.lower]))
        )

    def _order_of(self, b: Row) -> int:
        for order in range(1, MOST + 1):
            for tree in trees(order):
                phi = math.fsum(w * x for w, x in zip(b, self._inner(tree), strict=True))
                if abs(phi * density(tree) - 1) > 1e-11:
                    return order - 1
        return MOST

    def _inner(self, tree: Tree) -> list[float]:
        """Φ_i of the tree: the product over its branches of Σ_j a_ij Φ_j."""
        out = [1.0] * len(self.b)
        for branch in tree:
            inner = self._inner(branch)
            sums = [math.fsum(w * x for w, x in zip(row, inner, strict=False)) for row in self.a]
            out = [x * total for x, total in zip(out, (0.0, *sums), strict=True)]
        return out


def is_own(chart: Chart, variable: Variable) -> bool:
    """Whether τ of the variable is u of the chart."""
    pairs = ((Flow, FlowTime), (Velocity, Theta))
    return (chart == NOISE and variable == SIGMA) or any(
        isinstance(chart, c) and isinstance(variable, v) and chart.scale == variable.scale
        for c, v in pairs
    )


def slope(chart: Chart, variable: Variable, sigma: float) -> float:
    """du/dτ at 0 < σ < ∞."""
    return chart.du_dlog(sigma) / sigma * variable.rate(sigma)


# a rooted tree is the sorted tuple of its branches: () is one vertex
Tree = tuple["Tree", ...]


@lru_cache
def trees(order: int) -> tuple[Tree, ...]:
    """The rooted trees of `order` vertices: 1, 1, 2, 4, 9, 20, 48, 115.  Hairer, Norsett, Wanner 1993."""
    return tuple(sorted({tuple(sorted(found)) for found in _forests(order - 1, order - 1)}))


def _forests(size: int, largest: int) -> Iterator[tuple[Tree, ...]]:
    """Sets of trees with `size` vertices in all, none with more than `largest`."""
    if size == 0:
        yield ()
    for n in range(min(size, largest), 0, -1):
        for count in range(1, size // n + 1):
            for equal in combinations_with_replacement(trees(n), count):
                for rest in _forests(size - n * count, n - 1):
                    yield (*equal, *rest)


@lru_cache(maxsize=4096)
def density(tree: Tree) -> int:
    """γ: the number of vertices times γ of each branch."""
    return _vertices(tree) * math.prod(map(density, tree))


def _vertices(tree: Tree) -> int:
    return 1 + sum(map(_vertices, tree))


# order 2: the midpoint rule, Heun's (the trapezoid), Ralston's of least error bound
MIDPOINT2 = Tableau("MIDPOINT2", ((1 / 2,),), (0.0, 1.0))
HEUN2 = Tableau("HEUN2", ((1.0,),), (1 / 2, 1 / 2), lower=(1.0, 0.0))
RALSTON2 = Tableau("RALSTON2", ((2 / 3,),), (1 / 4, 3 / 4))
# order 3: Kutta's, Heun's, Ralston's, which is Bogacki and Shampine's with its pair of order 2
KUTTA3 = Tableau("KUTTA3", ((1 / 2,), (-1.0, 2.0)), (1 / 6, 4 / 6, 1 / 6))
HEUN3 = Tableau("HEUN3", ((1 / 3,), (0.0, 2 / 3)), (1 / 4, 0.0, 3 / 4))
RALSTON3 = Tableau("RALSTON3", ((1 / 2,), (0.0, 3 / 4)), (2 / 9, 3 / 9, 4 / 9))
BOGACKI_SHAMPINE = Tableau(
    "BOGACKI_SHAMPINE",
    ((1 / 2,), (0.0, 3 / 4), (2 / 9, 3 / 9, 4 / 9)),
    (2 / 9, 3 / 9, 4 / 9, 0.0),
    lower=(7 / 24, 1 / 4, 1 / 3, 1 / 8),
)
# order 4: the classical method and the 3/8 rule, both Kutta's
KUTTA4 = Tableau("KUTTA4", ((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 2 / 6, 2 / 6, 1 / 6))
THREE_EIGHTHS = Tableau(
    "THREE_EIGHTHS", ((1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)), (1 / 8, 3 / 8, 3 / 8, 1 / 8)
)
