"""DC-Solver: UniPC whose newest value is moved along the polynomial through the last ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowsolve.schedule import VPSDE, ClockTime, Variable
from flowsolve.solver import check_option, outside_the_trace
from flowsolve_solvers._multistep import check_points
from flowsolve_solvers.unipc import UniPC

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DCSolver"]


@dataclass(frozen=True, repr=False)
class DCSolver(UniPC):
    """F_s := P(ρ τ(s) + (1-ρ) τ(s₋)), then UniPC's step.        DC-Solver: Zhao et al. 2024.

    P is the polynomial in τ through the last F, of `degree` 2 as the authors have it, s₋ the node before s. The
    new F_s stays among the values. Step i has the ratio ratios[i], and 1 beyond them; they act once degree + 1
    values are known. With all of them 1 it is UniPC. `flowsolve.study.fit_ratios` finds them, for one network
    and one grid.

    time  τ: the time t of the authors' models, linear β, unless given
    Published with variant="bh2", lower_order_final=True and guard=None. Order 2 at most with other ratios
    than 1: as many steps as there are ratios are wrong by h² each.
    """

    ratios: tuple[float, ...] = field(default=(), kw_only=True)
    degree: int = field(default=2, kw_only=True)
    time: Variable = field(default=ClockTime(VPSDE()), kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_points(self, name="degree", most=4)
        check_option(self, "time", Variable)
        given: object = self.ratios
        if not isinstance(given, tuple) or not all(
            isinstance(r, float | int) and math.isfinite(r) for r in given
        ):
            raise ValueError(
                "DCSolver: ratios is a tuple of numbers, one for each step, such as (1.0, 1.0, 0.9), not "
                f"{given!r}."
            )

    @property
    def order(self) -> int:
        return super().order if set(self.ratios) <= {1} else min(super().order, 2)

    @property
    def memory(self) -> int:
        return max(self.points, self.degree + 1)

    def newest(self, i: int, nodes: list[float], values: list[Tensor]) -> Tensor:
        ratio = self.ratios[i] if i < len(self.ratios) else 1.0
        k = self.degree + 1
        if ratio == 1 or len(nodes) < k:
            return values[0]
        weights = self.lagrange(ratio, tuple(nodes[:k]))
        out = values[0] * weights[0]
        for w, value in zip(weights[1:], values[1:k], strict=True):
            out.add_(value, alpha=w)
        return out

    @outside_the_trace
    def lagrange(self, ratio: float, nodes: tuple[float, ...]) -> tuple[float, ...]:
        """ℓ_j(ρ τ_0 + (1-ρ) τ_1) on τ(nodes)."""
        at = [self.time.tau(n) for n in nodes]
        tau = ratio * at[0] + (1 - ratio) * at[1]
        return tuple(
            math.prod((tau - b) / (at[j] - b) for i, b in enumerate(at) if i != j)
            for j in range(len(at))
        )
