"""Adams-Bashforth in either chart and any variable: LMS, DEIS and multistep DPM-Solver are its names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.ode.base import ODE
from flowsolve.schedule.clock import VPSDE, Clock
from flowsolve.schedule.variable import LOG_SIGMA, SIGMA, ClockTime, Variable
from flowsolve.solver.base import OneStep, Solver, check_option
from flowsolve.solver.chart import DATA, NOISE, Chart
from flowsolve.solver.weights import adams_weights

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.base import Point

__all__ = ["DEIS", "IPNDMV", "LMS", "Adams", "DPMSolverM", "DPMSolverPPM", "RhoAB"]


@dataclass(frozen=True, repr=False)
class Adams(Solver):
    """z_t = z_s + ∫_s^t P(τ) du, P the polynomial through the last values of F.    Hochbruck, Ostermann 2010.

    1 evaluation a step. chart NOISE: z = x̄, F = ε; DATA: z = x̄/σ, F = x₀. P has `points` nodes in
    `variable`; its weights are integrated exactly, for any spacing.
    Without `start` the points ramp 1, 2, 3, ...: the first step is Euler's, and the order is 2 at
    most. With a one-step method as `start` (it takes the first points - 1 steps, its evaluation at
    each node shared) the order is min(points, start's order + 1).
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

    def __post_init__(self) -> None:
        check_option(self, "chart", Chart)
        check_option(self, "variable", Variable)
        if self.points < 1:
            raise ValueError(f"Adams needs points >= 1, but got points = {self.points!r}.")
        check_start(self.start)

    def __repr__(self) -> str:
        if not self.label:
            return super().__repr__()
        options = [str(self.points)]
        if isinstance(self.variable, ClockTime) and self.variable.clock != VPSDE():
            options.append(f"clock={self.variable.clock!r}")
        options += [f"start={self.start!r}"] * (self.start is not None)
        options += ["lower_order_final=True"] * self.lower_order_final
        return f"{self.label}({', '.join(options)})"

    @property
    def order(self) -> int:
        """min(points, 2) with an Euler start or end, else min(points, start.order + 1)."""
        ends = self.start is None or self.lower_order_final
        return min(self.points, 2 if ends or self.start is None else self.start.order + 1)

    @property
    def reaches_zero(self) -> bool:
        """∫ P dσ has an end at 0 if P is a polynomial in σ, as in LMS; P of one point has one."""
        return self.lower_order_final or (self.chart == NOISE and self.variable == SIGMA)

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        """Evaluate, remember `points` values, integrate P exactly."""

        def weights(nodes: tuple[float, ...], s: float, t: float) -> Sequence[float]:
            return adams_weights(self.chart, self.variable, nodes, s, t)

        first, low = self.points - 1, self.lower_order_final
        return march(ode, x, grid, self.chart, weights, self.points, self.start, first, low)

    def dense(self, path: Sequence[Point], i: int, sigma: float) -> Tensor:
        """∫ P du ended at σ; the cubic in the steps of `start`."""
        if self.start is not None and i < self.points - 1 and path[i + 1].sigma > 0:
            return super().dense(path, i, sigma)
        k = min(self.points, len(path) - 1 - i) if self.lower_order_final else self.points
        known = path[max(0, i + 1 - k) : i + 1][::-1]
        nodes = tuple(p.sigma for p in known)
        eps, x0 = [p.eps for p in known if p.eps is not None], [p.x0 for p in known]
        values = x0 if self.chart == DATA else eps
        weights = adams_weights(self.chart, self.variable, nodes, nodes[0], sigma)
        return self.chart.advance(known[0].x, nodes[0], sigma, weights, values)


def check_start(start: OneStep | None) -> None:
    """Raise TypeError for a start that cannot take single steps."""
    if start is not None and not isinstance(start, OneStep):
        raise TypeError(f"start must be a one-step solver such as Heun(), not {start!r}.")


def march(
    ode: ODE,
    x: Tensor,
    grid: Grid,
    chart: Chart,
    weights: Callable[[tuple[float, ...], float, float], Sequence[float]],
    points: int,
    start: OneStep | None = None,
    start_steps: int = 0,
    lower_order_final: bool = False,
) -> Iterator[Tensor]:
    """z_t = z_s + Σ weights(nodes, s, t) · values, on the newest `points` nodes and values of F.

    `start` takes the first `start_steps` steps; the evaluation at each node is made once.
    lower_order_final: at most as many points as steps are left; the last step is then DDIM's.
    """
    nodes: tuple[float, ...] = ()
    values: list[Tensor] = []
    for i, (s, t) in enumerate(pairwise(grid)):
        k = min(points, grid.steps - i) if lower_order_final else points
        nodes = (s, *nodes[: k - 1])
        del values[k - 1 :]  # before the evaluation: one state less in memory
        if lower_order_final and t == 0:
            yield ode.x0(x, s)
            return
        values.insert(0, chart.value(ode, x, s))
        if start is not None and i < start_steps and t > 0:
            x = start.step(Known(ode, chart, x, s, values[0]), x, s, t)
        else:
            x = chart.advance(x, s, t, weights(nodes, s, t), values)
        yield x


class Known(ODE):
    """An ODE whose value at (x, s) is known: the start method asks for it again, at no cost."""

    def __init__(self, ode: ODE, chart: Chart, x: Tensor, s: float, value: Tensor) -> None:
        self.ode, self.at = ode, (x, s)
        self.known_eps = value if chart == NOISE else (x - value) / s
        self.known_x0 = value if chart == DATA else None

    def _here(self, x: Tensor, sigma: float) -> bool:
        return x is self.at[0] and sigma == self.at[1]

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self.known_eps if self._here(x, sigma) else self.ode.eps(x, sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        if not self._here(x, sigma):
            return self.ode.x0(x, sigma)
        return x.add(self.known_eps, alpha=-sigma) if self.known_x0 is None else self.known_x0


def LMS(points: int = 4, start: OneStep | None = None, lower_order_final: bool = False) -> Adams:
    """∫ P(σ) dσ, P through the last ε.                                 k-diffusion's LMS; DEIS-ρAB; iPNDM_v."""
    return Adams(points, NOISE, SIGMA, start, lower_order_final, "LMS")


RhoAB = IPNDMV = LMS


def DEIS(
    points: int = 3,
    clock: Clock = VPSDE(),
    start: OneStep | None = None,
    lower_order_final: bool = False,
) -> Adams:
    """∫ P(t(σ)) dσ, P through the last ε in the time t.                   DEIS-tAB: Zhang and Chen 2023."""
    return Adams(points, NOISE, ClockTime(clock), start, lower_order_final, "DEIS")


def DPMSolverM(
    points: int = 3, start: OneStep | None = None, lower_order_final: bool = False
) -> Adams:
    """∫ P(log σ) dσ, P through the last ε.       Multistep DPM-Solver, exact weights: Lu et al. 2022a."""
    return Adams(points, NOISE, LOG_SIGMA, start, lower_order_final, "DPMSolverM")


def DPMSolverPPM(
    points: int = 3, start: OneStep | None = None, lower_order_final: bool = False
) -> Adams:
    """∫ P(log σ) d(1/σ), P through the last x₀.    DPM-Solver++(kM), exact weights: Lu et al. 2022b."""
    return Adams(points, DATA, LOG_SIGMA, start, lower_order_final, "DPMSolverPPM")
