"""fit_ratios: an option of a method with a number for each step, such as DC-Solver's, fitted step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flowsolve.errors import StateError
from flowsolve.ode.base import ODE, Wrapped
from flowsolve.solver.base import Solver

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.schedule.grid import Grid

S = TypeVar("S", bound=Solver)
BETWEEN = (0.0, 2.0)
COARSE, FINE = 9, 12  # trials of a step: evenly, then by golden sections
GOLDEN = (5**0.5 - 1) / 2


def fit_ratios(solver: S, ode: ODE, x: Tensor, grid: Grid, truth: Mapping[float, Tensor]) -> S:
    """ρ_i = argmin mean |x̄(ρ_i) - truth|² at grid[i + 1], step by step.    DC-Solver: Zhao et al. 2024.

    solver  with an option `ratios`, a number for each step, whose 1 changes nothing: `DCSolver()`
    x       x̄ at grid[0], (B, *event); the authors take 10
    truth   x̄ of the solution by level; a step to a level that it has not keeps 1

    A step is tried at nine ratios from 0 to 2, then between the best one's neighbours by golden sections.
    Earlier steps are not run again: at most 23 evaluations for a step. The authors take 40 steps of AdamW.

    Raises StateError for a solver without ratios.
    """
    import torch

    if not hasattr(solver, "ratios"):
        raise StateError(
            f"fit_ratios takes a solver with ratios such as DCSolver(), not {solver!r}."
        )
    ratios: tuple[float, ...] = ()
    known: list[Tensor] = []

    def state(ratio: float) -> tuple[Tensor, list[Tensor]]:
        """x̄ after one step more, with this ratio in it, and all answers until then."""
        memory = _Remembering(ode, known)
        tried = _with(solver, (*ratios, ratio))
        return next(islice(tried.steps(memory, x, grid), len(ratios), None)), memory.answers

    def far(ratio: float, there: Tensor) -> float:
        return float((state(ratio)[0].double() - there).square().mean())

    with torch.no_grad():
        for t in grid[1:]:
            ratio = 1.0
            if t in truth:
                ratio = _least(partial(far, there=truth[t].double()))
            known, ratios = state(ratio)[1], (*ratios, ratio)
    return _with(solver, ratios)


def _with(solver: S, ratios: tuple[float, ...]) -> S:
    made: S = replace(cast("Any", solver), ratios=ratios)
    return made


def _least(far: Callable[[float], float]) -> float:
    """Where `far` is least, to 0.003; 1 unless it is less than there."""
    low, high = BETWEEN
    step = (high - low) / (COARSE - 1)
    tried = {low + i * step: far(low + i * step) for i in range(COARSE)}
    best = min(tried, key=lambda r: tried[r])
    if not tried[best] < tried[1.0]:
        return 1.0
    a, b = best - step, best + step
    for _ in range(FINE):
        c, d = b - GOLDEN * (b - a), a + GOLDEN * (b - a)
        for r in (c, d):
            if r not in tried:
                tried[r] = far(r)
        a, b = (a, d) if tried[c] < tried[d] else (c, b)
    least: float = min(tried, key=lambda r: tried[r])
    return round(least, 4)


class _Remembering(Wrapped):
    """`ode`, whose first answers are known: those to the questions of the steps before, in their order."""

    def __init__(self, ode: ODE, known: list[Tensor]) -> None:
        super().__init__(ode)
        self.known = known
        self.answers: list[Tensor] = []

    def _next(self, ask: Callable[[Tensor, float], Tensor], x: Tensor, sigma: float) -> Tensor:
        k = len(self.answers)
        self.answers.append(self.known[k] if k < len(self.known) else ask(x, sigma))
        return self.answers[k]

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self._next(self.ode.eps, x, sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return self._next(self.ode.x0, x, sigma)
