"""Weak and strong orders of the methods with noise, and wrong methods that the same checks catch.

The weak order, which is `order`, is the rate at which the law of the samples, started from the exact law
at the first level, converges to the exact law at the last. `law_slope` measures it by quadrature on a
mixture. The strong order is the rate on one Brownian path, and 1 for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from torch import Tensor

from flowsolve import ODE, Grid, Solver, log_snr
from flowsolve.analysis import weak_order
from flowsolve.analysis.strong_order import STRONG_ORDER, path_slope
from flowsolve.analysis.weak_order import law_error, law_slope
from flowsolve_solvers import EDM, STOCHASTIC, DPMSolverPP2MSDE, DPMSolverPPSDE
from tests.helpers import VARIANCE, end_moments

each = pytest.mark.parametrize("solver", STOCHASTIC, ids=repr)


@dataclass(frozen=True, repr=False)
class Unrelated(DPMSolverPPSDE):
    """DPM-Solver++ SDE with noises of (s, m) and (s, t) that know nothing of each other: order 1."""

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        m = s ** (1 - self.r) * t**self.r
        D = ode.x0(x, s)
        d, v = self.family.split(s, m, self.eta)
        x_m = D.lerp(x, d / s).add(ode.noise(x, s, m), alpha=v)
        d, v = self.family.split(s, t, self.eta)
        D_bar = D.lerp(ode.x0(x_m, m), 1 / (2 * self.r))
        return D_bar.lerp(x, d / s).add(ode.noise(x, s, t), alpha=v)


@dataclass(frozen=True, repr=False)
class Wrong2M(DPMSolverPP2MSDE):
    """The slope at 0.4 instead of 0.5."""

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        last: list[tuple[Tensor, float]] = []
        for s, t in pairwise(grid):
            D, h = ode.x0(x, s), math.log(s / t)
            d, v = self.family.split(s, t, self.eta)
            D_bar = D if not last else last[0][0].lerp(D, 1 + 0.4 * h / last[0][1])
            last = [(D, h)]
            x = D_bar.lerp(x, d / s).add(ode.noise(x, s, t), alpha=v)
            yield x


@pytest.mark.parametrize("solver", {type(s): s for s in STOCHASTIC}.values(), ids=repr)
def test_weak_order(solver: Solver, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of each class, on half of the certificate's points of quadrature; `certify` measures all."""
    monkeypatch.setattr(weak_order, "POINTS", 121)
    slope = law_slope(solver)
    assert slope.settled
    assert abs(slope.order - solver.order) < 0.2, slope


@pytest.mark.parametrize("wrong", [Unrelated(), Wrong2M()], ids=lambda s: type(s).__name__)
def test_weak_order_of_wrong_methods(wrong: Solver) -> None:
    assert wrong.order == 2
    assert law_slope(wrong).order < 1.3


def test_weak_order_0_with_s_noise() -> None:
    """EDM's S_noise > 1 leaves variance behind however many steps there are, so the order is 0."""
    solver = EDM(3.0, s_noise=1.1)
    assert (solver.order, EDM(0.0, s_noise=1.1).order, EDM(3.0).order) == (0, 2, 2)
    coarse, fine = (log_snr(n, 1.0, 0.2) for n in (80, 160))
    errors = [end_moments(solver, grid)[1] - VARIANCE - 0.04 for grid in (coarse, fine)]
    assert errors == pytest.approx([0.025] * 2, rel=0.2)
    assert abs(math.log2(law_error(solver, coarse) / law_error(solver, fine))) < 0.1


@each
def test_strong_order(solver: Solver) -> None:
    slope = path_slope(solver)
    assert abs(slope.order - STRONG_ORDER) < 0.2, slope
