"""UniP and UniPC: an Adams-Bashforth predictor, an Adams-Moulton corrector, one evaluation for both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from flowsolve.schedule import LOG_SIGMA, Variable
from flowsolve.solver import (
    DATA,
    GUARD,
    NOISE,
    Chart,
    OneStep,
    Solver,
    adams_weights,
    check_option,
    guarded,
    outside_the_trace,
    span,
)
from flowsolve_solvers._multistep import Evaluated, check_guard, check_points, check_start

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid
    from flowsolve.solver import Point

__all__ = ["UniPC"]


@dataclass(frozen=True, repr=False)
class UniPC(Solver):
    """z_t = z_s + ∫ P du, P in log σ through t and the last values of F.       Zhao et al. 2023, Algorithm 1-2.

    1 evaluation a step: predict x_t without F_t, evaluate F there, correct with it, keep the F. The
    last step is predicted only, and DDIM's to σ = 0. Order min(points + 1, 3), the first predictor
    being Euler's; points + 1 with a `start` of order `points`.

    points             values the predictor uses (p of UniPC-p)
    chart              DATA (x₀, the paper's default), NOISE (ε), VELOCITY or FLOW
    variable           what P is a polynomial in; the paper's is log σ
    variant            "exact": exact weights, from which B(h) cancels (the paper's vary_coeff, without
                       its error); "bh1", "bh2": as published, with ρ = 1/2 in the two-point
                       predictor and the one-point corrector
    correct            False is UniP: the predictor alone, order min(points, 2)
    lower_order_final  as published: at most as many points as steps are left, so order 2 at most
    start              a one-step method for the first points - 1 steps; it shares the evaluation at
                       each node, and its steps are not corrected
    guard              how far weights may amplify: a step that is long against those before it takes fewer
                       points (`flowsolve.solver.guarded`); None as published
    """

    points: int = 2
    chart: Chart = DATA
    variant: Literal["exact", "bh1", "bh2"] = "exact"
    correct: bool = True
    lower_order_final: bool = False
    start: OneStep | None = None
    guard: float | None = field(default=GUARD, kw_only=True)
    variable: Variable = field(default=LOG_SIGMA, kw_only=True)

    reaches_zero = True

    def __post_init__(self) -> None:
        check_points(self)
        if self.variant not in ("exact", "bh1", "bh2"):
            raise ValueError(f"UniPC has variants exact, bh1 and bh2, not {self.variant!r}.")
        check_guard(self)
        check_start(self.start)
        check_option(self, "chart", Chart)
        check_option(self, "variable", Variable)
        plain = self.chart in (NOISE, DATA) and self.variable == LOG_SIGMA
        if self.variant != "exact" and not plain:
            raise ValueError(
                f"UniPC's {self.variant} is for NOISE and DATA with polynomials in log σ, where B(h) is known. "
                'Take variant="exact".'
            )

    @property
    def leaves_infinity(self) -> bool:
        return self.start is None and self.reaches_infinity

    @property
    def reaches_infinity(self) -> bool:
        return self.chart.has_infinity and self.variable.has_infinity

    @property
    def order(self) -> int:
        """That of the corrector, or else the predictor; 2 at most with an Euler step at the end."""
        first = 1 if self.start is None else self.start.order
        full = min(self.points, first + 1)
        if self.correct:
            full = min(self.points + 1, first + (2 if self.start is None else 1))
        return min(full, 2) if self.lower_order_final else full

    @property
    def memory(self) -> int:
        """The values that are kept."""
        return self.points

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        nodes: list[float] = []
        values: list[Tensor] = []
        x_s = x
        for i, t in enumerate(grid):
            started = self.start is not None and 0 < i < self.points and t > 0
            left = grid.steps - i + 1
            k = min(self.points, left) if self.lower_order_final else self.points
            if i:
                values[0] = self.newest(i - 1, nodes, values)
                if self.start is not None and started:
                    shared = Evaluated(ode, self.chart, x_s, nodes[0], values[0])
                    x = self.start.step(shared, x_s, nodes[0], t)
                else:
                    x = self._advance(x_s, nodes[:k], values[:k], nodes[0], t)  # the predictor
                if i == grid.steps:
                    yield x
                    return
            value = self.chart.value(ode, x, t)
            if i:
                if self.correct and not started:
                    known = [value, *values[:k]]
                    x = self._advance(x_s, [t, *nodes[:k]], known, nodes[0], t)
                yield x
            nodes, values = [t, *nodes][: self.memory], [value, *values][: self.memory]
            x_s = x

    def newest(self, i: int, nodes: list[float], values: list[Tensor]) -> Tensor:
        """What stands for F at nodes[0] in step i and after it: F, unless a method compensates it."""
        return values[0]

    def dense(self, path: Sequence[Point], i: int, sigma: float) -> Tensor:
        """The cubic of `Solver.dense`; in a step from or to σ = ∞ z is linear in u."""
        a, b = path[i : i + 2]
        if math.inf in (a.sigma, b.sigma):
            return self.chart.line(a, b, sigma)
        return super().dense(path, i, sigma)

    def _advance(
        self, x: Tensor, nodes: list[float], values: list[Tensor], s: float, t: float
    ) -> Tensor:
        if t == 0 and not (self.chart.has_zero and self.variable.has_zero):
            # DDIM's; as in every step, x is corrected and F was evaluated at the predicted x
            return self.chart.x0(x, values[0], s)
        weights = self.weights(tuple(nodes), s, t)
        return self.chart.advance(x, s, t, weights, values[: len(weights)])

    @outside_the_trace
    def weights(self, nodes: tuple[float, ...], s: float, t: float) -> Sequence[float]:
        """Those of F at the newest nodes in the step from s to t, which is a node in the corrector."""

        def unguarded(newest: tuple[float, ...]) -> Sequence[float]:
            if self.variant != "exact" and len(newest) == 2:
                return half_weights(self.chart, self.variant, newest, s, t)
            return adams_weights(self.chart, self.variable, newest, s, t)

        return guarded(unguarded, nodes, s, t, self.guard)


def half_weights(
    chart: Chart, variant: str, nodes: Sequence[float], s: float, t: float
) -> tuple[float, float]:
    """Weights with ρ = 1/2: F_s + B(h)/(2 φ₁(h)) (F - F_s)/r, r = log(s/node)/h, h = log(s/t).

    F is F_t in a corrector (r = 1) and the value before s in a predictor (r < 0). B(h) is h in
    "bh1" and e^h - 1 in "bh2" (of -h in the data chart).
    """
    q, scale = span(chart, s, t)
    b = q if variant == "bh1" else math.expm1(q)
    other = next(n for n in nodes if n != s)
    r = math.log(s / other) / math.log(s / t)
    # B(h) takes the place of e^q - 1 in the slope
    whole, slope = scale * math.expm1(q), scale * b / (2 * r)
    first = (whole - slope, slope)
    return first if nodes[0] == s else (first[1], first[0])
