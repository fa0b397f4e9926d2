"""ER-SDE-Solver-k: Adams-Bashforth in σ on the SDE of a noise scale φ.    Cui et al. 2023."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.schedule import SIGMA
from flowsolve.solver import GUARD, Solver, adams_weights, check_option, guarded, outside_the_trace
from flowsolve_solvers._multistep import check_guard, check_points
from flowsolve_solvers.eta import ER_SDE, NoiseScale, check_eta

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["ERSDE"]


@dataclass(frozen=True, repr=False)
class ERSDE(Solver):
    """x_t = (φ(t)/φ(s)) x_s + φ(t) ∫ P d(1/φ) + v z, v² = t² - (s φ(t)/φ(s))².    Cui et al. 2023.

    1 evaluation a step; P is the polynomial in σ through the last `points` values of x₀, integrated
    exactly. φ is that of `family` with η; the default is the paper's SDE_5. The authors' σ^1.5 and
    σ^2.5 are SDE_ETA with η = 0.5 and 1.5.
    published=True takes, with three points, P's slope at s from the last two values alone, as the
    authors' code does. From exact values and without noise that is order 2, not 3. Their integrals
    are left sums of 100 terms, a small error of order 1; here they are exact. They drop noise of
    v² < 1e-6; here it is kept.
    A step that is long against those before it takes fewer points (`guarded`); guard=None as published.
    Weak order 2 with two points or more, strong order 1. η = 0 is Adams(points, DATA, SIGMA).
    """

    points: int = 3
    eta: float = 1.0
    family: NoiseScale = ER_SDE
    published: bool = False
    guard: float | None = field(default=GUARD, kw_only=True)

    def __post_init__(self) -> None:
        check_points(self, most=3 if self.published else 8)
        check_option(self, "family", NoiseScale)
        check_guard(self)
        check_eta(self)

    @property
    def order(self) -> int:
        """At most 2, as the first step has one point."""
        return min(self.points, 2)

    @property
    def stochastic(self) -> bool:
        return self.eta > 0

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        nodes: tuple[float, ...] = ()
        values: list[Tensor] = []
        for s, t in pairwise(grid):
            nodes = (s, *nodes[: self.points - 1])
            del values[self.points - 1 :]
            values.insert(0, ode.x0(x, s))
            d, v = self.family.split(s, t, self.eta)
            z = ode.noise(x, s, t) if v > 0 else None
            first, *more = self.step_weights(nodes, t, d)
            x = (values[0] * first).add_(x, alpha=d / s)
            for w, value in zip(more, values[1:], strict=False):
                x.add_(value, alpha=w)
            if z is not None:
                x = x.add(z, alpha=v)
            yield x

    @outside_the_trace
    def step_weights(self, nodes: tuple[float, ...], t: float, d: float) -> Sequence[float]:
        """Those of x₀ at the newest nodes in the step to t, which goes to d without noise."""
        return guarded(partial(self.weights, t=t), nodes, nodes[0], d, self.guard)

    def weights(self, nodes: tuple[float, ...], t: float) -> tuple[float, ...]:
        """φ(t) ∫ ℓ_j d(1/φ) from nodes[0] to t, for the values of x₀ at the nodes."""
        kernel, s = _Kernel(self.family, self.eta, t), nodes[0]
        exact = adams_weights(kernel, SIGMA, nodes, s, t)
        if not self.published or len(nodes) < 3:
            return exact
        # in P = x₀ + (σ - s) d₁ + (σ - s)(σ - s₋) d₁₂ their code has (σ - s)² for (σ - s)(σ - s₋):
        # P is larger by (s₋ - s)(σ - s) d₁₂
        more = (nodes[1] - s) ** 2 * adams_weights(kernel, SIGMA, nodes[:2], s, t)[1]
        return tuple(
            w + more / math.prod(a - b for b in nodes if b != a)
            for w, a in zip(exact, nodes, strict=True)
        )


@dataclass(frozen=True)
class _Kernel:
    """The measure of the integral, du with u = φ(t)/φ(σ) <= 1. (φ by itself may overflow.)"""

    family: NoiseScale
    eta: float
    t: float

    def du_dlog(self, sigma: float) -> float:
        kappa = 1 + self.eta * self.family.slope(sigma)
        return -kappa * self.family.split(sigma, self.t, self.eta)[0] / sigma
