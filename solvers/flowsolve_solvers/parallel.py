"""Parallel in time: what a method asks for along the grid, asked at once, until its states stay where they are.

With the answers f_k known, a method gives the states x_k that they are asked at: it is run as it is, and is told
the f_k of the round before. For Euler that is x_k = x_0 + Σ_{j<k} (σ_{j+1} - σ_j) ε_j. A round asks for all
f_k = ε(x_k, σ_k) of a window at once (`ODE.eps_each`). The first answer of a window is the method's own, since all
before it are, so every round settles at least one.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flowsolve.ode import ODE, Wrapped
from flowsolve.solver import Solver
from flowsolve_solvers.euler import Euler
from flowsolve_solvers.starts import Around

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.schedule import Grid

__all__ = ["ParaDiGMS", "Picard"]

_EULER = Euler()  # frozen, so one will do for all


class Asked(NamedTuple):
    """An evaluation that the method asks for: "eps" or "x0" of x at σ."""

    kind: str
    x: Tensor
    sigma: float


class Told(Wrapped):
    """`ode`, whose k-th answer is answers[k]; then the newest again, or where there is none that of data N(0, I)."""

    def __init__(self, ode: ODE, answers: Sequence[Tensor]) -> None:
        super().__init__(ode)
        self.answers, self.asked_for = answers, list[Asked]()
        self.newest: dict[str, Tensor] = {}

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self._next(Asked("eps", x, sigma), sigma / (1 + sigma * sigma))

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return self._next(Asked("x0", x, sigma), 1 / (1 + sigma * sigma))

    def _next(self, asked: Asked, gain: float) -> Tensor:
        k = len(self.asked_for)
        self.asked_for.append(asked)
        if k < len(self.answers):
            self.newest[asked.kind] = self.answers[k]
        found = self.newest.get(asked.kind)
        return asked.x * gain if found is None else found


@dataclass(frozen=True, repr=False)
class InWindows(Around):
    """`method`, whose evaluations first, ..., end - 1 are asked for at once."""

    method: Solver = _EULER
    window: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method.adaptive or isinstance(self.method, InWindows):
            raise self._refused()
        if self.window is not None:
            _check_count(self, "window")

    def _refused(self) -> TypeError:
        return TypeError(
            f"{type(self).__name__} takes a method whose evaluations the grid fixes, and that steps from level to "
            f"level, not {self.method!r}."
        )

    @abstractmethod
    def settled(self, turn: int, before: Sequence[Asked], now: Sequence[Asked]) -> int:
        """How many evaluations of the window have their answers now, at least 1.

        turn         the rounds of the window's first evaluation so far
        before, now  where each was asked, and where the method would ask it with these answers
        """

    def onward(self, before: list[Asked], now: list[Asked], settled: int) -> list[Asked]:
        """Where the next round asks, given where the method does: there."""
        return now

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        answers: list[Tensor] = []
        asked: list[Asked] = []
        first = turn = 0
        while True:
            told, nodes = Told(ode, answers), list[Tensor]()
            last = len(answers) + (self.window or math.inf)
            for node in self.method.steps(told, x, grid):
                nodes.append(node)
                if len(told.asked_for) > last:
                    break
            now = told.asked_for
            if asked:
                count = self.settled(turn, asked, now[first : first + len(asked)])
                first, turn = first + count, turn if count == 1 else 0
            if len(nodes) == grid.steps and first == len(now):
                yield from nodes
                return
            asked = now[first:] if self.window is None else now[first : first + self.window]
            answers[first:] = _answers(ode, asked)
            turn += 1


def _answers(ode: ODE, asked: Sequence[Asked]) -> list[Tensor]:
    """All in one question, or in two where a method asks for both ε and x₀."""
    found: dict[int, Tensor] = {}
    for kind, ask in (("eps", ode.eps_each), ("x0", ode.x0_each)):
        which = [k for k, one in enumerate(asked) if one.kind == kind]
        if which:
            out = ask([asked[k].x for k in which], [asked[k].sigma for k in which])
            found.update(zip(which, out, strict=True))
    return [found[k] for k in range(len(asked))]
