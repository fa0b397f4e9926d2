"""Adams-Bashforth in any chart and any variable. LMS, DEIS and multistep DPM-Solver are cases of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowsolve.schedule import LOG_SIGMA, SIGMA, VPSDE, Clock, ClockTime, Variable
from flowsolve.solver import (
    DATA,
    GUARD,
    NOISE,
    Chart,
    OneStep,
    adams_weights,
    check_option,
    guarded,
    outside_the_trace,
)
from flowsolve_solvers._multistep import Multistep, check_guard, check_points, check_start

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.solver import Point

__all__ = ["DEIS", "LMS", "Adams", "DPMSolverM", "DPMSolverPPM", "RhoAB"]


@dataclass(frozen=True, repr=False)
class Adams(Multistep):
    """z_t = z_s + ∫_s^t P(τ) du, P the polynomial through the last values of F.    Hochbruck, Ostermann 2010.

    1 evaluation a step. chart NOISE: z = x̄, F = ε; DATA: z = x̄/σ, F = x₀; VELOCITY and FLOW: bounded at
    both ends. P has `points` nodes in `variable`; its weights are integrated exactly, for any spacing.
    Without `start` the points ramp 1, 2, 3, ...: the first step is Euler's, and the order is 2 at
    most. With a one-step method as `start`, which takes the first points - 1 steps and shares the
    evaluation at each node, the order is min(points, start's order + 1).
    A step that is long against those before it takes fewer points (`guarded`): guard is how far its weights may
    amplify, None the method as published.
    lower_order_final=True takes at most as many points as steps are left, and so order 2 at most: diffusers'
    option of that name, which its DEIS turns on below 15 steps.
    `label` is the name it prints: LMS(3) is Adams(3, NOISE, SIGMA), equal to it and called by its name.
    Not constant-coefficient Adams (iPNDM, torchdiffeq's explicit_adams), which need uniform steps.
    """

    points: int = 2
    chart: Chart = NOISE
    variable: Variable = LOG_SIGMA
    start: OneStep | None = None
    lower_order_final: bool = False
    label: str = field(default="", compare=False, repr=False)
    guard: float | None = field(default=GUARD, kw_only=True)

    def __post_init__(self) -> None:
        check_option(self, "chart", Chart)
        check_option(self, "variable", Variable)
        check_points(self)
        check_guard(self)
        check_start(self.start)

    def __repr__(self) -> str:
        if not self.label:
            return super().__repr__()
        options = [str(self.points)]
        if isinstance(self.variable, ClockTime) and self.variable.clock != VPSDE():
            options.append(f"clock={self.variable.clock!r}")
        options += [f"start={self.start!r}"] * (self.start is not None)
        options += ["lower_order_final=True"] * self.lower_order_final
        options += [f"guard={self.guard!r}"] * (self.guard != GUARD)
        return f"{self.label}({', '.join(options)})"

    @property
    def order(self) -> int:
        """min(points, 2) with an Euler start or end, else min(points, start.order + 1)."""
        ends = self.start is None or self.lower_order_final
        return min(self.points, 2 if ends or self.start is None else self.start.order + 1)

    @property
    def reaches_zero(self) -> bool:
        """∫ P du is finite at 0 if chart and variable are (LMS), or P has one point (lower_order_final)."""
        return self.lower_order_final or (self.chart.has_zero and self.variable.has_zero)

    @property
    def leaves_infinity(self) -> bool:
        return self.start is None and self.reaches_infinity

    @property
    def reaches_infinity(self) -> bool:
        return self.chart.has_infinity and self.variable.has_infinity

    @outside_the_trace
    def weights(self, nodes: tuple[float, ...], s: float, t: float) -> Sequence[float]:
        def exact(newest: tuple[float, ...]) -> Sequence[float]:
            return adams_weights(self.chart, self.variable, newest, s, t)

        return guarded(exact, nodes, s, t, self.guard)

    def dense(self, path: Sequence[Point], i: int, sigma: float) -> Tensor:
        """∫ P du, ended at σ; in the steps of `start` the cubic of `Solver.dense`."""
        if self.start is not None and i < self.points - 1 and path[i + 1].sigma > 0:
            return super().dense(path, i, sigma)
        k = min(self.points, len(path) - 1 - i) if self.lower_order_final else self.points
        known = path[max(0, i + 1 - k) : i + 1][::-1]
        nodes = tuple(p.sigma for p in known)
        chart = self.chart
        values = [
            None
            if p.x0 is None or p.eps is None
            else chart.of(p.x, p.x0 if chart.takes_x0(p.sigma) else p.eps, p.sigma)
            for p in known
        ]
        k = len(self.weights(nodes, nodes[0], path[i + 1].sigma))  # as many as the whole step has
        weights = adams_weights(self.chart, self.variable, nodes[:k], nodes[0], sigma)
        return self.chart.advance(
            known[0].x, nodes[0], sigma, weights, [v for v in values[:k] if v is not None]
        )


def LMS(
    points: int = 4,
    start: OneStep | None = None,
    lower_order_final: bool = False,
    *,
    guard: float | None = GUARD,
) -> Adams:
    """∫ P(σ) dσ, P through the last ε.                                 k-diffusion's LMS; DEIS-ρAB."""
    return Adams(points, NOISE, SIGMA, start, lower_order_final, "LMS", guard=guard)


RhoAB = LMS


def DEIS(
    points: int = 3,
    clock: Clock = VPSDE(),
    start: OneStep | None = None,
    lower_order_final: bool = False,
    *,
    guard: float | None = GUARD,
) -> Adams:
    """∫ P(t(σ)) dσ, P through the last ε in the time t.                   DEIS-tAB: Zhang and Chen 2023.

    Integrated exactly. The authors' code takes left Riemann sums of 10,000 terms in t instead.
    """
    return Adams(points, NOISE, ClockTime(clock), start, lower_order_final, "DEIS", guard=guard)


def DPMSolverM(
    points: int = 3,
    start: OneStep | None = None,
    lower_order_final: bool = False,
    *,
    guard: float | None = GUARD,
) -> Adams:
    """∫ P(log σ) dσ, P through the last ε.       Multistep DPM-Solver, exact weights: Lu et al. 2022a."""
    return Adams(points, NOISE, LOG_SIGMA, start, lower_order_final, "DPMSolverM", guard=guard)


def DPMSolverPPM(
    points: int = 3,
    start: OneStep | None = None,
    lower_order_final: bool = False,
    *,
    guard: float | None = GUARD,
) -> Adams:
    """∫ P(log σ) d(1/σ), P through the last x₀.    DPM-Solver++(kM), exact weights: Lu et al. 2022b."""
    return Adams(points, DATA, LOG_SIGMA, start, lower_order_final, "DPMSolverPPM", guard=guard)
