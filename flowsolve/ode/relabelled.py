"""Relabelled: a network that is told another level than the one that its input is at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from flowsolve._arguments import instance, real, shown
from flowsolve.errors import ScheduleError
from flowsolve.ode.precondition import Coefs, Path, Precondition


@dataclass(frozen=True, init=False, repr=False)
class Relabelled(Precondition):
    """x₀(x̄, σ) = x₀'(r x̄, σ'),  ε(x̄, σ) = ε'(r x̄, σ'),  r = α(σ)/α(σ').      Tong et al. 2024, their code.

    inner  what the network predicts: x₀' and ε' are its answers
    told   {σ: σ'}, the level that the network is told at each level
    path   whose α it is; the inner one's unless given

    The network sees x_t = α(σ) x̄ with the label of σ', and its answer is turned into x₀ and ε by α(σ') and σ'.
    The two then differ from x₀ = x̄ - σ ε, so a method gives what it was fitted to only if it asks the same of
    the two: DPM-Solver++ and UniPC ask x₀, iPNDM asks ε.

    Raises ScheduleError for levels that are not positive and finite, and where the network is asked at a level
    that `told` has not.
    """

    inner: Precondition
    told: tuple[tuple[float, float], ...]
    alphas: Path | None

    def __init__(
        self, inner: Precondition, told: Mapping[float, float], path: Path | None = None
    ) -> None:
        instance("inner", inner, Precondition, "EpsPrediction(clock)")
        if path is not None:
            instance("path", path, Path, "VP or VE")
        if not isinstance(told, Mapping) or not told:
            raise ScheduleError(f"Relabelled: told is a dictionary {{σ: σ'}}, not {shown(told)}.")
        pairs = tuple((_level(sigma), _level(other)) for sigma, other in told.items())
        object.__setattr__(self, "clock", inner.clock)
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "told", pairs)
        object.__setattr__(self, "alphas", path)

    def __repr__(self) -> str:
        path = "" if self.alphas is None else f", path={self.alphas!r}"
        return f"Relabelled({self.inner!r}, {len(self.told)} levels{path})"

    def alpha(self, sigma: float) -> float:
        return (self.alphas or self.inner).alpha(sigma)

    def __call__(self, sigma: float) -> Coefs:
        other = dict(self.told).get(sigma)
        if other is None:
            raise ScheduleError(
                f"the network is told another level at {len(self.told)} levels, and σ = {sigma!r} is none of "
                f"them ({', '.join(f'{s:.6g}' for s, _ in self.told)}). Take a method that asks only at the "
                f"levels of the grid, or say what is told there: told={{..., {sigma!r}: {sigma!r}}} for "
                "itself."
            )
        c, r = self.inner(other), self.alpha(sigma) / self.alpha(other)
        return c._replace(c_in=c.c_in * r, c_skip=c.c_skip * r, e_skip=c.e_skip * r)


def _level(sigma: float) -> float:
    found = real("Relabelled: σ", sigma, ScheduleError)
    if not 0 < found < math.inf:
        raise ScheduleError(f"Relabelled: levels are positive and finite, not {sigma!r}.")
    return found
