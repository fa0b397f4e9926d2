"""Parallel in time: the evaluations of a method asked for at once, round after round, until they agree.

With answers f_k known, a method gives the states x_k at which it asks for them: it is run as it is, and told
the f_k of the round before. For Euler that is x_k = x_0 + Σ_{j<k} (σ_{j+1} - σ_j) ε_j. A round asks for the
f_k = ε(x_k, σ_k) of a window at once, by `ODE.eps_each`. The first of them is the method's own, as all
before it are, so that every round settles one at least.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve_solvers._anderson import triangular
from flowsolve_solvers._windows import Asked, InWindows, Round, check_count

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ParaDiGMS", "Picard"]


@dataclass(frozen=True, repr=False)
class Picard(InWindows):
    """x_k ← x_0 + Σ_{j<k} c_kj ε(x_j, σ_j), `rounds` times.          Picard iteration: Shih et al. 2023.

    method  any method on a fixed grid; the c_kj are its own
    window  the evaluations that are asked for at once. When they were, `rounds` times, the next window follows
    rounds  of each window; from `window` on it is the method itself

    The k-th round of a window leaves out its first k - 1 evaluations, whose answers are the method's own
    already. Order min(the method's, rounds + 1), as a window begins with the newest answer for all of it.
    """

    rounds: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self, "rounds", 1)

    @property
    def order(self) -> int:
        return (
            self.method.order
            if self.rounds >= self.window
            else min(self.method.order, self.rounds + 1)
        )

    def settled(self, turn: int, last: Round) -> int:
        return len(last.asked) if turn == self.rounds else 1

    def slid(self, first: int, end: int) -> int:
        return end if first < end else first + self.window


@dataclass(frozen=True, repr=False)
class ParaDiGMS(InWindows):
    """x_k ← x_0 + Σ_{j<k} c_kj ε(x_j, σ_j) until no x_k moves.                          Shih et al. 2023.

    method     any method on a fixed grid; the c_kj are its own, and when nothing moves so is the result
    window     the evaluations that are asked for at once. It slides to the first one that moved
    tolerance  x̄_k moved if its RMS change in any sample is above tolerance √(1+σ²), on a VP path `tolerance` in
               x_t. At 0 the result is the method's own. The paper measures in the noise that DDPM would draw
    memory     Anderson's acceleration over that many changes, of each x_k by the x_j with j <= k, for each
               sample: ParaTAA's, Tang et al. 2024. 0 is none; they advise 1 to 4

    Reads the device once a round. A sample's result depends on the others', within the tolerance.
    `Solution.nfe` are all evaluations, `Solution.rounds` the questions: one a round, two where a method asks
    for ε and for x₀.
    """

    tolerance: float = 1e-3
    memory: int = 0

    adaptive = True
    chooses_steps = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self, "memory", 0)
        if not 0 <= self.tolerance < math.inf:
            raise ValueError(
                f"ParaDiGMS: tolerance must be 0 or more, and finite, but got {self.tolerance!r}."
            )

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


def _accelerated(now: list[Asked], first: int, rounds: list[Round]) -> list[Asked]:
    """`now`, evaluations first, first + 1, ..., by Anderson's acceleration in units of √(1+σ²).

    The first, which is the method's own, and those that were in no round yet stay as they are.
    """
    import torch

    scales = [math.hypot(1, one.sigma) for one in now]

    def stacked(at: Round, points: list[Asked]) -> Tensor:
        """Those of `now` that the round had, (n, B, d)."""
        known = zip(points[first - at.first :], scales, strict=False)
        return torch.stack([_wide(one.x) / scale for one, scale in known])

    common = [r for r in rounds if first + 1 < r.first + len(r.asked)]
    if len(common) < 2:
        return now
    goals = [stacked(r, r.now) for r in common]
    residuals = [g - stacked(r, r.asked) for g, r in zip(goals, common, strict=True)]
    better = triangular(goals, residuals)
    moved = [
        one._replace(x=(x * scale).to(one.x.dtype).reshape(one.x.shape))
        for one, x, scale in zip(now, better, scales, strict=False)
    ]
    return [now[0], *moved[1:], *now[len(moved) :]]


def _rms(x: Tensor) -> Tensor:
    """Of each sample, (B,), at least in float32."""
    return _wide(x).square().mean(1).sqrt()


def _wide(x: Tensor) -> Tensor:
    """At least in float32, and with an axis besides that of the samples."""
    return (x.detach().float() if x.dtype.itemsize < 4 else x.detach()).reshape(len(x), -1)
