"""ER-SDE-Solver-k: Adams-Bashforth in σ on the SDE of a noise scale φ.    Cui et al. 2023."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.schedule.variable import SIGMA
from flowsolve.solver.base import Solver, check_option
from flowsolve.solver.weights import adams_weights
from flowsolve_solvers.eta import ER_SDE, NoiseScale, check_eta

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE
    from flowsolve.schedule.grid import Grid

__all__ = ["ERSDE"]


@dataclass(frozen=True, repr=False)
class ERSDE(Solver):
    """x_t = (φ(t)/φ(s)) x_s + φ(t) ∫ P d(1/φ) + v z, v² = t² - (s φ(t)/φ(s))².    Cui et al. 2023.

    1 evaluation a step; P is the polynomial in σ through the last `points` values of x₀, integrated
    exactly. φ is that of `family` with η; the default is the paper's SDE_5. The authors' σ^1.5 and
    σ^2.5 are SDE_ETA with η = 0.5 and 1.5.
    published=True takes, with three points, P's slope at s from the last two values alone, as the
    authors' code does; after exact values it is order 2 without noise, and not 3. Their integrals are
    left sums of 100 terms, a small error of order 1; here they are exact. Noise of v² < 1e-6, which
    they drop, is kept.
    Order 2, that of the law, with two points or more; the paths converge with order 1. η = 0 is
    Adams(points, DATA, SIGMA).
    """

    points: int = 3
    eta: float = 1.0
    family: NoiseScale = ER_SDE
    published: bool = False

    def __post_init__(self) -> None:
        if self.points < 1 or (self.published and self.points > 3):
            raise ValueError(
                "ERSDE needs points >= 1, and points <= 3 with published=True, but got points = "
                f"{self.points!r}."
            )
        check_option(self, "family", NoiseScale)
        check_eta(self)

    @property
    def order(self) -> int:
        """min(points, 2): the first step has one point."""
        return min(self.points, 2)

    @property
    def stochastic(self) -> bool:
        """Unless η = 0."""
        return self.eta > 0

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        """Evaluate, remember `points` values, integrate P, add noise."""
        nodes: tuple[float, ...] = ()
        values: list[Tensor] = []
        for s, t in pairwise(grid):
            nodes = (s, *nodes[: self.points - 1])
            del values[self.points - 1 :]
            values.insert(0, ode.x0(x, s))
            d, v = self.family.split(s, t, self.eta)
            z = ode.noise(x, s, t) if v > 0 else None
            first, *more = self.weights(nodes, t)
            x = (values[0] * first).add_(x, alpha=d / s)
            for w, value in zip(more, values[1:], strict=True):
                x.add_(value, alpha=w)
            if z is not None:
                x = x.add(z, alpha=v)
            yield x

    def weights(self, nodes: tuple[float, ...], t: float) -> tuple[float, ...]:
        """φ(t) ∫ ℓ_j d(1/φ) from nodes[0] to t, for the values of x₀ at the nodes."""
        kernel, s = _Kernel(self.family, self.eta, t), nodes[0]
        exact = adams_weights(kernel, SIGMA, nodes, s, t)
        if not self.published or len(nodes) < 3:
            return exact
        # P = x₀ + (σ - s) d₁ + (σ - s)(σ - s₋) d₁₂ has (σ - s)² in their code: (σ - s)(s₋ - s) more
        more = (nodes[1] - s) ** 2 * adams_weights(kernel, SIGMA, nodes[:2], s, t)[1]
        return tuple(
            w + more / math.prod(a - b for b in nodes if b != a)
            for w, a in zip(exact, nodes, strict=True)
        )


@dataclass(frozen=True)
class _Kernel:
    """u = φ(t)/φ(σ), at most 1: φ itself may overflow."""

    family: NoiseScale
    eta: float
    t: float

    def du_dlog(self, sigma: float) -> float:
        kappa = 1 + self.eta * self.family.slope(sigma)
        return -kappa * self.family.split(sigma, self.t, self.eta)[0] / sigma
