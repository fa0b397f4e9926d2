"""The loop of methods whose evaluations are asked for in windows: see parallel.py."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flowsolve.ode import ODE, Wrapped
from flowsolve.solver import OneStep, Solver
from flowsolve_solvers.euler import Euler
from flowsolve_solvers.starts import Around

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.schedule import Grid

_EULER = Euler()  # frozen, so one will do for all


class Asked(NamedTuple):
    """An evaluation that the method asks for: "eps" or "x0" of x at σ."""

    kind: str
    x: Tensor
    sigma: float


class Told(Wrapped):
    """`ode`, whose k-th answer is answers[k]; then the newest again, without one that of data N(0, I).

    asked_for  the evaluations so far; at first those before the state that the method begins with
    """

    def __init__(self, ode: ODE, answers: Sequence[Tensor], asked_for: Sequence[Asked]) -> None:
        super().__init__(ode)
        self.answers, self.asked_for = answers, [*asked_for]
        known = zip(asked_for, answers, strict=False)
        self.newest = {one.kind: answer for one, answer in known}

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


class Round(NamedTuple):
    """Evaluations first, first + 1, ...: where they were asked, and where the method now asks them."""

    first: int
    asked: list[Asked]
    now: list[Asked]


@dataclass(frozen=True, repr=False)
class InWindows(Around):
    """`method`, of whose evaluations a window is asked for at once, round after round."""

    method: Solver = _EULER
    window: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method.adaptive:
            raise self._refused()
        check_count(self, "window", 1)

    def _refused(self) -> TypeError:
        return TypeError(
            f"{type(self).__name__} takes a method whose evaluations the grid fixes, and which steps from "
            f"level to level, not {self.method!r}."
        )

    @abstractmethod
    def settled(self, turn: int, last: Round) -> int:
        """How many evaluations of the window are not asked again after its `turn`-th round, at least 1."""

    @abstractmethod
    def slid(self, first: int, end: int) -> int:
        """Where the window ends, once the evaluations before `first` are settled. It ended at `end`."""

    def next(self, now: list[Asked], first: int, rounds: list[Round]) -> list[Asked]:
        """Where the next round asks, given where the method would, and the rounds so far, the newest first."""
        return now

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        answers: list[Tensor] = []
        rounds: list[Round] = []
        first, end, turn, steps = 0, self.window, 0, grid.steps
        asked: list[Asked] = []
        before: list[Asked] = []  # a one-step method goes on from the last node that will not move
        fixed: list[Tensor] = []
        while True:
            told = Told(ode, answers, before)
            nodes = [*fixed]
            ends: list[int] = []
            for node in self.method.steps(told, x, grid):
                nodes.append(node)
                ends.append(len(told.asked_for))
                if len(told.asked_for) > end + self.window:
                    break
            now = told.asked_for
            if asked:
                last = Round(first, asked, now[first : first + len(asked)])
                rounds = [last, *rounds[: self.memory]]
                first += self.settled(turn, last)
                if end != (end := self.slid(first, end)):
                    turn = 0
            if len(nodes) == steps and first == len(now):
                yield from nodes
                return
            if isinstance(self.method, OneStep) and (k := sum(n <= first for n in ends)):
                fixed, before = nodes[: len(fixed) + k], now[: ends[k - 1]]
                x, grid = fixed[-1], grid.part(k, grid.steps)
            asked = self.next(now[first:end], first, rounds)
            answers[first:] = _answers(ode, asked)
            turn += 1

    @property
    def memory(self) -> int:
        return 0


def _answers(ode: ODE, asked: Sequence[Asked]) -> list[Tensor]:
    """All in one question, or in two where a method asks for both ε and x₀."""
    found: dict[int, Tensor] = {}
    for kind, ask in (("eps", ode.eps_each), ("x0", ode.x0_each)):
        which = [k for k, one in enumerate(asked) if one.kind == kind]
        if which:
            out = ask([asked[k].x for k in which], [asked[k].sigma for k in which])
            found.update(zip(which, out, strict=True))
    return [found[k] for k in range(len(asked))]


def check_count(solver: Solver, name: str, least: int) -> None:
    """Raise ValueError unless the field is a whole number of at least `least`."""
    count: object = getattr(solver, name)
    if isinstance(count, bool) or not isinstance(count, int) or count < least:
        raise ValueError(
            f"{type(solver).__name__}: {name} must be a whole number of at least {least}, but got {count!r}."
        )
