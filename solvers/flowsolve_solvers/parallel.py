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
_RIDGE = 1e-6  # of the mean square of the changes: they may be all but parallel


class Asked(NamedTuple):
    """An evaluation that the method asks for: "eps" or "x0" of x at σ."""

    kind: str
    x: Tensor
    sigma: float


class Told(Wrapped):
    """`ode`, whose k-th answer is answers[k]; then the newest again, or where there is none that of data N(0, I)."""

    def __init__(self, ode: ODE, answers: Sequence[Tensor]) -> None:
        super().__init__(ode)
        self.answers = answers
        self.asked_for: list[Asked] = []
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


class Round(NamedTuple):
    """Evaluations first, first + 1, ...: where they were asked, and where the method asks them with the answers."""

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
        _check_count(self, "window", 1)

    def _refused(self) -> TypeError:
        return TypeError(
            f"{type(self).__name__} takes a method whose evaluations the grid fixes, and which steps from level to "
            f"level, not {self.method!r}."
        )

    @abstractmethod
    def settled(self, turn: int, last: Round) -> int:
        """How many evaluations of the window are not asked again after its `turn`-th round, at least 1."""

    @abstractmethod
    def slid(self, first: int, end: int) -> int:
        """Where the window ends that began at `end` - window, once its evaluations before `first` are settled."""

    def next(self, now: list[Asked], first: int, rounds: list[Round]) -> list[Asked]:
        """Where the next round asks, given where the method would, and the rounds so far, the newest first."""
        return now

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        answers: list[Tensor] = []
        rounds: list[Round] = []
        first, end, turn = 0, self.window, 0
        asked: list[Asked] = []
        while True:
            told = Told(ode, answers)
            nodes: list[Tensor] = []
            for node in self.method.steps(told, x, grid):
                nodes.append(node)
                if len(told.asked_for) > end + self.window:
                    break
            now = told.asked_for
            if asked:
                last = Round(first, asked, now[first : first + len(asked)])
                rounds = [last, *rounds[: self.memory]]
                first += self.settled(turn, last)
                if end != (end := self.slid(first, end)):
                    turn = 0
            if len(nodes) == grid.steps and first == len(now):
                yield from nodes
                return
            asked = self.next(now[first:end], first, rounds)
            answers[first:] = _answers(ode, asked)
            turn += 1

    @property
    def memory(self) -> int:
        return 0


@dataclass(frozen=True, repr=False)
class Picard(InWindows):
    """x_k ← x_0 + Σ_{j<k} c_kj ε(x_j, σ_j), `rounds` times.          Picard iteration: Shih et al. 2023, Eq. 7.

    method  any method on a fixed grid; the c_kj are its own
    window  the evaluations that are asked for at once. When they were, `rounds` times, the next window follows
    rounds  of each window; from `window` on it is the method itself

    The k-th round of a window leaves out its first k - 1 evaluations, which have the method's own answers
    already. Order min(the method's, rounds + 1): a window begins with the newest answer for all that it asks for.
    """

    rounds: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_count(self, "rounds", 1)

    @property
    def order(self) -> int:
        return self.method.order if self.rounds >= self.window else min(self.method.order, self.rounds + 1)

    def settled(self, turn: int, last: Round) -> int:
        return len(last.asked) if turn == self.rounds else 1

    def slid(self, first: int, end: int) -> int:
        return end if first < end else first + self.window


@dataclass(frozen=True, repr=False)
class ParaDiGMS(InWindows):
    """x_k ← x_0 + Σ_{j<k} c_kj ε(x_j, σ_j) until no x_k moves.             Shih et al. 2023, Algorithm 1.

    method     any method on a fixed grid; the c_kj are its own, and when nothing moves so is the result
    window     the evaluations that are asked for at once. It slides to the first one that moved
    tolerance  x̄_k moved if its RMS over a sample changed by more than tolerance √(1+σ²), of any sample: on a VP
               path that is `tolerance` in x_t. At 0 the result is the method's own. (The paper measures in the noise
               that DDPM would draw in the step.)
    memory     Anderson's acceleration over that many changes, of each x_k by the x_j with j <= k, for each sample:
               ParaTAA's, Tang et al. 2024. 0 is none, and they advise 1 to 4

    Reads the device once a round. A sample's result depends on the others', within the tolerance.
    `Solution.rounds` are the rounds, at most the evaluations of the method; `Solution.nfe` the evaluations made.
    """

    tolerance: float = 1e-3
    memory: int = 0

    adaptive = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_count(self, "memory", 0)
        if not 0 <= self.tolerance < math.inf:
            raise ValueError(f"ParaDiGMS: tolerance must be 0 or more, and finite, but got {self.tolerance!r}.")

    @property
    def order(self) -> int:
        return self.method.order

    def settled(self, turn: int, last: Round) -> int:
        """All before the first that moved."""
        import torch

        moves = [
            _rms(now.x - asked.x).amax() / math.hypot(1, now.sigma)
            for asked, now in zip(last.asked[1:], last.now[1:], strict=True)
        ]
        stay = [move <= self.tolerance for move in torch.stack(moves).tolist()] if moves else []
        return 1 + (stay.index(False) if False in stay else len(stay))

    def slid(self, first: int, end: int) -> int:
        return first + self.window

    def next(self, now: list[Asked], first: int, rounds: list[Round]) -> list[Asked]:
        return _accelerated(now, first, rounds) if self.memory and len(rounds) > 1 else now


def _answers(ode: ODE, asked: Sequence[Asked]) -> list[Tensor]:
    """All in one question, or in two where a method asks for both ε and x₀."""
    found: dict[int, Tensor] = {}
    for kind, ask in (("eps", ode.eps_each), ("x0", ode.x0_each)):
        which = [k for k, one in enumerate(asked) if one.kind == kind]
        if which:
            out = ask([asked[k].x for k in which], [asked[k].sigma for k in which])
            found.update(zip(which, out, strict=True))
    return [found[k] for k in range(len(asked))]


def _accelerated(now: list[Asked], first: int, rounds: list[Round]) -> list[Asked]:
    """G - Σ γ ΔG,  γ_k = argmin Σ_{j<=k} |r_j - Σ γ Δr_j|², r = G - x.      Tang et al. 2024, triangular Anderson.

    G is where the method asks and x where it was asked, in units of √(1+σ²); Δ are changes from round to round.
    """
    import torch

    n = min(len(now), rounds[0].first + len(rounds[0].asked) - first)
    if n < 2:
        return now
    scales = [1 / math.hypot(1, one.sigma) for one in now[:n]]

    def stacked(at: Round, points: list[Asked]) -> Tensor:
        """(n, B, d): those of now[:n], as far as the round had them, then zeros."""
        known = points[first - at.first : first - at.first + n]
        rows = [p.x.detach().flatten(1).float() if p.x.dtype.itemsize < 4 else p.x.detach().flatten(1) for p in known]
        rows = [row * scale for row, scale in zip(rows, scales, strict=False)]
        return torch.stack(rows + [torch.zeros_like(rows[0])] * (n - len(rows)))

    goals = [stacked(r, r.now) for r in rounds if r.first + len(r.asked) > first]
    residuals = [g - stacked(r, r.asked) for g, r in zip(goals, rounds, strict=False)]
    if len(goals) < 2:
        return now
    known = [min(n, r.first + len(r.asked) - first) for r in rounds]
    dg, dr = (
        torch.stack([_until(a - b, m) for a, b, m in zip(v, v[1:], known[1:], strict=False)])
        for v in (goals, residuals)
    )
    gram = torch.einsum("pkbd,qkbd->kbpq", dr, dr).cumsum(0)
    right = torch.einsum("pkbd,kbd->kbp", dr, residuals[0]).cumsum(0)
    size = gram.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True)
    ridge = torch.diag_embed((_RIDGE * size + torch.finfo(size.dtype).tiny).expand_as(right))
    gamma = torch.linalg.solve_ex(gram + ridge, right.unsqueeze(-1))[0].squeeze(-1)
    less = torch.einsum("kbp,pkbd->kbd", gamma, dg)
    return [
        one if k == 0 or k >= n else one._replace(x=one.x - (less[k] / scales[k]).to(one.x.dtype).reshape(one.x.shape))
        for k, one in enumerate(now)
    ]


def _until(rows: Tensor, m: int) -> Tensor:
    """The first m, then zeros."""
    import torch

    return rows if m >= len(rows) else torch.cat((rows[:m], torch.zeros_like(rows[m:])))


def _rms(x: Tensor) -> Tensor:
    """Of each sample, (B,), at least in float32."""
    wide = x.detach().float() if x.dtype.itemsize < 4 else x.detach()
    return wide.reshape(len(wide), -1).square().mean(1).sqrt()


def _check_count(solver: Solver, name: str, least: int) -> None:
    """Raise ValueError unless the field is a whole number of at least `least`."""
    count: object = getattr(solver, name)
    if isinstance(count, bool) or not isinstance(count, int) or count < least:
        raise ValueError(
            f"{type(solver).__name__}: {name} must be a whole number of at least {least}, but got {count!r}."
        )
