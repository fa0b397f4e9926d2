"""What a run costs, counted where it is spent: evaluations, their rows, forward passes, noises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from flowsolve.ode.base import ODE, Wrapped
from flowsolve.ode.ownership import Owned

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Tally:
    """The numbers of a run so far.

    nfe       evaluations of ε or x₀; of several states at once, one each
    rounds    questions one after the other, each of one evaluation or of several at once
    rows      Σ B over them, B the rows of the state that was evaluated
    forwards  Σ B over the forward passes of networks, B the rows that the network was called with
    noises    noises drawn
    """

    nfe: int = 0
    rows: int = 0
    forwards: int = 0
    noises: int = 0
    rounds: int = 0

    def add_forward(self, rows: int) -> None:
        """One more forward pass."""
        self.forwards += rows


class Observer(Protocol):
    """What is shown each evaluation after it was counted."""

    def saw(
        self, x: Tensor, sigma: float, *, eps: Tensor | None = None, x0: Tensor | None = None
    ) -> None:
        """x̄ and σ, and the answer, ε or x₀."""


class Counter(Wrapped):
    """The same ODE, which adds to `tally` whatever is asked of it, and shows it to the observer.

    An answer that an ODE had kept (`ODE.asked`) was asked before, and is not counted again.
    """

    def __init__(self, ode: ODE, tally: Tally, observer: Observer | None = None) -> None:
        hooked = ode.with_forward_hook(tally.add_forward)
        super().__init__(hooked if ode.is_ours() else Owned(hooked))
        self.tally, self.observer = tally, observer
        self._may_keep = ode.may_keep()

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self._counted("eps", [x], [sigma], [self.ode.eps(x, sigma)])[0]

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return self._counted("x0", [x], [sigma], [self.ode.x0(x, sigma)])[0]

    def eps_each(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        if self._may_keep:  # what it answers follows from what it was asked before
            return self._in_turn(self.eps, xs, sigmas)
        return self._counted("eps", xs, sigmas, self.ode.eps_each(xs, sigmas))

    def x0_each(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        if self._may_keep:
            return self._in_turn(self.x0, xs, sigmas)
        return self._counted("x0", xs, sigmas, self.ode.x0_each(xs, sigmas))

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        self.tally.noises += 1
        return self.ode.noise(x, s, t, again)

    def _counted(
        self, kind: str, xs: Sequence[Tensor], sigmas: Sequence[float], out: list[Tensor]
    ) -> list[Tensor]:
        """The answers to one question, counted and then shown."""
        if not self._may_keep or self.ode.asked:
            self.tally.rounds += 1
            self.tally.nfe += len(xs)
            self.tally.rows += sum(len(x) for x in xs)
        if self.observer is not None:
            for x, sigma, answer in zip(xs, sigmas, out, strict=True):
                self.observer.saw(x, sigma, **{kind: answer})
        return out
