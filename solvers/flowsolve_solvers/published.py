"""Multistep DPM-Solver as published in code, for parity. The exact methods are Adams in log σ."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.solver import DATA, Chart, Resumed, given, phi, span
from flowsolve_solvers._multistep import check_exponential, check_points
from flowsolve_solvers.unipc import half_weights

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["PublishedDPMSolver"]


@dataclass(frozen=True, repr=False)
class PublishedDPMSolver(Resumed):
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

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, Tensor | None, None]:
        nodes: tuple[float, ...] = ()
        values: list[Tensor] = []
        for i, (s, t) in enumerate(pairwise(grid)):
            if t == 0:
                yield ode.x0(x, s)
                return
            nodes = (s, *nodes[: self.points - 1])
            values = [self.chart.value(ode, x, s), *values[: self.points - 1]]
            left = min(len(nodes), grid.steps - i if self.lower_order_final else self.points)
            if left == 2:
                weights: tuple[float, ...] = half_weights(self.chart, "bh2", nodes[:2], s, t)
            else:
                factor = 2.0 if self.factor_two else 1.0
                weights = taylor_weights(nodes[:left], t, span(self.chart, s, t), factor)
            x = self.chart.advance(x, s, t, weights, values[:left])
            x = given(x, (yield x))


def taylor_weights(
    nodes: tuple[float, ...], t: float, span: tuple[float, float], factor: float = 2.0
) -> tuple[float, ...]:
    """c((e^q - 1) F + q φ₂(q) h F' + f q φ₃(q) h² F''/2) as weights of F at one to three nodes.

    The newest first. h F' and h² F''/2 are those of the polynomial through them in log σ, h = log(s/t),
    and (q, c) = `span`. f = `factor`: 2 is exact, 1 is what the codes have.
    """
    q, c = span
    h = math.log(nodes[0] / t)
    whole = c * math.expm1(q)
    if len(nodes) == 1:
        return (whole,)
    r0 = math.log(nodes[1] / nodes[0]) / h
    first = c * q * phi(2, q)
    if len(nodes) == 2:
        return whole + first / r0, -first / r0
    r1 = math.log(nodes[2] / nodes[1]) / h
    second = factor * c * q * phi(3, q)
    # D₁₀ = (F₀ - F₁)/r₀, D₁₁ = (F₁ - F₂)/r₁; h F' = D₁₀ + r₀ D₂, h² F''/2 = D₂ = (D₁₀ - D₁₁)/(r₀ + r₁)
    bend = (first * r0 + second) / (r0 + r1)
    return whole + (first + bend) / r0, -(first + bend) / r0 - bend / r1, bend / r1
