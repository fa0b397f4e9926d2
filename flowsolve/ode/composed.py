"""Guidance of several terms: one ODE made of many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from flowsolve._arguments import shown
from flowsolve.errors import StateError
from flowsolve.ode.base import ODE, Wrapped
from flowsolve.ode.guidance import Scale, check_scale, weight_at

if TYPE_CHECKING:
    from torch import Tensor


class Composed(Wrapped):
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

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self._sum(lambda ode: ode.eps(x, sigma), x, sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return self._sum(lambda ode: ode.x0(x, sigma), x, sigma)

    def _sum(self, ask: Callable[[ODE], Tensor], x: Tensor, sigma: float) -> Tensor:
        base = ask(self.ode)
        out = base
        for cond, weight in zip(self.conds, self.weights, strict=True):
            out = out + (ask(cond) - base) * weight_at(weight, x, sigma)
        return out
