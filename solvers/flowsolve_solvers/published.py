"""Multistep DPM-Solver as published in code, for parity. The exact methods are Adams in log σ."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.solver import DATA, Chart, Solver, phi, span
from flowsolve_solvers._multistep import check_exponential, check_points

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["PublishedDPMSolver"]


@dataclass(frozen=True, repr=False)
class PublishedDPMSolver(Solver):
    """x_t = (t/s) x_s + φ₁D₀ + φ₂D₁ - φ₃D₂, D₂ = (D₁₀ - D₁₁)/(r₀ + r₁).        Lu et al. 2022b, code.

    DPM-Solver++(3M) in the data chart, multistep DPM-Solver-3 in the noise chart; with points=2
    their second-order forms, of which DPMSolverPP2M is the data-chart one. 1 evaluation a step.
    Order 2: D₂ lacks a factor 2, in the authors' code and every copy of it (factor_two=True mends
    it; the order stays 2 for the Euler start, and Adams with a start has 3). With
    lower_order_final the last step has at most 1 point and the one before it at most 2; a step to
    σ = 0, which is always DDIM's, counts as the last.
    """

    points: int = 3
    chart: Chart = DATA
    factor_two: bool = False
    lower_order_final: bool = False

    order = 2
    reaches_zero = True

    def __post_init__(self) -> None:
        check_points(self, 2, 3)
        check_exponential(self)

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        values: list[Tensor] = []
        widths: list[float] = []
        for i, (s, t) in enumerate(pairwise(grid)):
            if t == 0:
                yield ode.x0(x, s)
                return
            values = [self.chart.value(ode, x, s), *values[: self.points - 1]]
            widths = [math.log(s / t), *widths[: self.points - 1]]
            left = grid.steps - i if self.lower_order_final else self.points
            x = self.chart.advance(x, s, t, *self._weights(s, t, widths, values[:left]))
            yield x

    def _weights(
        self, s: float, t: float, widths: list[float], values: list[Tensor]
    ) -> tuple[tuple[float, ...], list[Tensor]]:
        h = widths[0]
        q, scale = span(self.chart, s, t)
        whole = scale * math.expm1(q)
        if len(values) == 1:
            return (whole,), values
        r0 = widths[1] / h
        if len(values) == 2:
            half = whole / (2 * r0)
            return (whole + half, -half), values
        r1 = widths[2] / h
        # φ₂ multiplies h D' and φ₃ multiplies h² D''; the published D₂ is h² D''/2, without the 2.
        # In the papers' letters φ₂ is (e^q - 1)/q - 1 and φ₃ is ((e^q - 1)/q - 1)/q - 1/2
        first = scale * q * phi(2, q)
        second = scale * q * phi(3, q) * (2 if self.factor_two else 1)
        # D₁₀ = (v₀ - v₁)/r₀, D₁₁ = (v₁ - v₂)/r₁; D₁ = D₁₀ + r₀/(r₀+r₁) (D₁₀ - D₁₁)
        d10, d11 = (1 / r0, -1 / r0, 0.0), (0.0, 1 / r1, -1 / r1)
        share = r0 / (r0 + r1)
        d1 = [a + share * (a - b) for a, b in zip(d10, d11, strict=True)]
        d2 = [(a - b) / (r0 + r1) for a, b in zip(d10, d11, strict=True)]
        out = [first * a + second * b for a, b in zip(d1, d2, strict=True)]
        return (whole + out[0], out[1], out[2]), values
