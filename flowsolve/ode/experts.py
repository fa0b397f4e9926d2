"""An ODE of several networks, each for its range of σ."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from flowsolve._arguments import real, shown
from flowsolve.errors import StateError
from flowsolve.ode.base import ODE
from flowsolve.ode.by_level import ByLevel

if TYPE_CHECKING:
    from torch import Tensor


class Experts(ByLevel):
    """ε of `noisy` for σ >= boundary, and of `clean` below.    Balaji et al. 2022; Wan 2.2, SDXL's refiner.

    Each has a condition, guidance and limits of its own, and their evaluations are counted together. More
    than two are nested: Experts(a, Experts(b, c, 2.0), 10.0).

    ε jumps at the boundary as far as the networks differ there, and every method has order 1 across a jump.
    Two solves, to the boundary with `noisy` and from there with `clean`, keep a method's order; that shows
    from some 40 steps on (docs/guidance.md). Raises StateError unless both are ODEs and 0 < boundary < ∞.
    """

    def __init__(self, noisy: ODE, clean: ODE, boundary: float) -> None:
        super().__init__(noisy)
        if not isinstance(clean, ODE):
            raise StateError(f"Experts takes two ODEs, not {shown(clean)}.")
        if not 0 < real("Experts: boundary", boundary, StateError) < math.inf:
            raise StateError(
                f"Experts: boundary is the σ from which `noisy` is asked, above 0 and finite, not "
                f"{boundary!r}."
            )
        self.clean, self.boundary = clean, boundary

    def at(self, sigma: float) -> ODE:
        """The one that is asked at σ."""
        return self.ode if sigma >= self.boundary else self.clean

    def _eps(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        return self._split(lambda ode, xs, sigmas: ode.eps_each(xs, sigmas), xs, sigmas)

    def _x0(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        return self._split(lambda ode, xs, sigmas: ode.x0_each(xs, sigmas), xs, sigmas)

    def _split(
        self,
        ask: Callable[[ODE, Sequence[Tensor], Sequence[float]], list[Tensor]],
        xs: Sequence[Tensor],
        sigmas: Sequence[float],
    ) -> list[Tensor]:
        """What each says about the levels that are its own."""
        found: dict[int, Tensor] = {}
        for ode in (self.ode, self.clean):
            which = [
                i for i, sigma in enumerate(sigmas) if self.at(sigma) is ode and i not in found
            ]
            if which:
                answers = ask(ode, [xs[i] for i in which], [sigmas[i] for i in which])
                found.update(zip(which, answers, strict=True))
        return [found[i] for i in range(len(xs))]

    def alpha(self, sigma: float) -> float:
        return self.at(sigma).alpha(sigma)
