"""Guidance of several terms: one ODE made of many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from flowsolve._arguments import shown
from flowsolve.errors import StateError
from flowsolve.ode.base import ODE
from flowsolve.ode.by_level import ByLevel
from flowsolve.ode.guidance import Scale, check_scale, weight_at

if TYPE_CHECKING:
    from torch import Tensor


class Composed(ByLevel):
    """ε = ε_u + Σ w_i (ε_i - ε_u).                                                 Liu et al. 2022, Eq. 11.

    uncond  gives ε_u
    terms   (ODE, w) pairs; w as the scale of `Guided`

    InstructPix2Pix (Brooks et al. 2023, Eq. 3) with scales s_I and s_T is Composed(none, [(image, s_I - s_T),
    (image_and_text, s_T)]). An evaluation is one NFE, and a forward pass for every ODE. At σ = ∞ the x₀ are
    combined. Raises StateError unless terms are such pairs, and as `Guided` for the weights.
    """

    def __init__(self, uncond: ODE, terms: Sequence[tuple[ODE, Scale]]) -> None:
        super().__init__(uncond)
        pairs = list(terms) if isinstance(terms, Sequence) else []
        good = all(isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], ODE) for p in pairs)
        if not pairs or not good:
            raise StateError(
                f"Composed takes terms [(ODE, weight), ...], at least one, not {shown(terms)}."
            )
        for _, weight in pairs:
            check_scale(weight)
        self.conds = [ode for ode, _ in pairs]
        self.weights = [weight for _, weight in pairs]

    def _eps(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        return self._sums(lambda ode: ode.eps_each(xs, sigmas), xs, sigmas)

    def _x0(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        return self._sums(lambda ode: ode.x0_each(xs, sigmas), xs, sigmas)

    def _sums(
        self, ask: Callable[[ODE], list[Tensor]], xs: Iterable[Tensor], sigmas: Iterable[float]
    ) -> list[Tensor]:
        bases, conds = ask(self.ode), [ask(cond) for cond in self.conds]
        sums = []
        for x, sigma, base, *terms in zip(xs, sigmas, bases, *conds, strict=True):
            out = base
            for term, weight in zip(terms, self.weights, strict=True):
                out = out + (term - base) * weight_at(weight, x, sigma)
            sums.append(out)
        return sums
