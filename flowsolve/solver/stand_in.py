"""A stand-in for the state, on which a method is run to see what a step costs. Needs no torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from flowsolve.ode.base import ODE
from flowsolve.schedule.spacings import log_snr
from flowsolve.solver.base import Solver, check_solver

if TYPE_CHECKING:
    from torch import Tensor


class Alive:
    """How many stand-ins there are, and the most there were at once."""

    now = most = 0


class Blank:
    """A stand-in for the state: one row, no values. An operation gives a new one, in place the same."""

    def __init__(self, alive: Alive) -> None:
        self.alive = alive
        alive.now += 1
        alive.most = max(alive.most, alive.now)

    def __del__(self) -> None:
        self.alive.now -= 1

    def new(self, *args: Any, **kwargs: Any) -> Blank:
        return Blank(self.alive)

    def _same(self, *args: Any, **kwargs: Any) -> Blank:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._same if name.endswith("_") else self.new

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = new

    @classmethod
    def __torch_function__(cls, *args: Any, **kwargs: Any) -> Blank:
        return cls(Alive())

    def __len__(self) -> int:
        return 1

    def __bool__(self) -> bool:
        raise TypeError("a method that looks at values has no number of evaluations beforehand")


class AnyPath(ODE):
    """A stand-in for an ODE on any path: its α is NaN."""

    def alpha(self, sigma: float) -> float:
        return math.nan


class _Network(AnyPath):
    """Counts evaluations. ε and noise are new tensors, and a network is shown a scaled copy of the state."""

    nfe = 0

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.nfe += 1
        shown = x * 1.0
        return shown.sin()

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        return x.sin()


def per_step(solver: Solver) -> float | None:
    """The evaluations of one more step, (cost of 12 steps - cost of 6)/6; None if adaptive.

    A whole number is an int. PFDiff, which goes two steps with one evaluation, has 0.5.
    """
    return counted(solver)[0]


def memory(solver: Solver) -> int | None:
    """The most state-sized tensors alive at once, the caller's start and the network's answer among them.

    With an ε-network, over 12 steps, none of whose states is kept. None if the solver is adaptive, or needs
    real tensors.
    """
    return counted(solver)[1]


def counted(solver: Solver) -> tuple[float | None, int | None]:
    """`per_step` and `memory`."""
    check_solver(solver)
    if solver.adaptive:
        return None, None
    (few, _), (many, states) = _run(solver, 6), _run(solver, 12)
    each, left = divmod(many - few, 6)
    return each + left / 6 if left else each, states


def _run(solver: Solver, steps: int) -> tuple[int, int | None]:
    """The evaluations of a run, and the most states alive at once."""
    grid, alive, network = log_snr(steps, 10, 0.1), Alive(), _Network()
    try:
        x = start = cast("Tensor", Blank(alive))
        for state in solver.steps(network, start, grid):
            x = state  # alive while the next step is made, as in a run
        del x
        return network.nfe, alive.most
    except Exception:  # the method needs a real tensor, or has an error, which then comes again
        import torch

        network = _Network()
        zero = torch.zeros(1, *(solver.event or ()), dtype=torch.float64, device="cpu")
        for _ in solver.steps(network, zero, grid):
            pass
        return network.nfe, None
