"""x̄ between two nodes of a path, from what was evaluated at them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Point:
    """One node of a trajectory. Tensors are shaped (B, *event), like the state.

    sigma    the level σ
    alpha    the signal scale α(σ) of the model's path
    x        x̄ = x_t/α;  at σ = ∞ the unit noise
    nfe      evaluations made before this node was reached
    answer   x₀ if has_x0, else ε, of this x̄ at this σ: what was asked for. None at σ = 0, and where the method
             did not evaluate and the ODE cannot be
    eps, x0  both of them: the one that was not asked for follows. At σ = 0, eps is None and x0 is x
    """

    sigma: float
    alpha: float
    x: Tensor
    nfe: int
    answer: Tensor | None = None
    has_x0: bool = False

    @property
    def eps(self) -> Tensor | None:
        if self.answer is None or not self.has_x0:
            return self.answer
        return self.x if math.isinf(self.sigma) else (self.x - self.answer) / self.sigma

    @property
    def x0(self) -> Tensor | None:
        if self.sigma == 0:
            return self.x
        if self.answer is None or self.has_x0:
            return self.answer
        return self.x.add(self.answer, alpha=-self.sigma)

    @property
    def x_t(self) -> Tensor:
        """The state in the model's own scale, x_t = α x̄."""
        return self.x if math.isinf(self.sigma) else self.x * self.alpha


def hermite(points: Sequence[Point], sigma: float) -> Tensor:
    """The polynomial in σ through x̄ with slope ε at every point.    Hermite 1878, by Neville's scheme.

    Two points with ε make a cubic, off by O(h⁴). A point without ε contributes x̄ alone: with ε at s only,
    Heun's step gives x̄_s + hθ(1 - θ/2) k₁ + hθ²/2 k₂.
    """
    knots = [p for p in points for _ in range(1 if p.eps is None else 2)]
    values = [p.x for p in knots]
    for width in range(1, len(knots)):
        values = [
            a.x.add(a.eps, alpha=sigma - a.sigma)
            if a is b and a.eps is not None
            else left.lerp(right, (sigma - a.sigma) / (b.sigma - a.sigma))
            for a, b, left, right in zip(knots, knots[width:], values, values[1:], strict=False)
        ]
    return values[0]
