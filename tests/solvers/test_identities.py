"""Which methods are the same method: equal tables, against the papers' formulas written out here.

The formulas below are in the papers' own variables, x_t, α_t, σ_t, ᾱ_t and λ_t on a variance-
preserving path, and know nothing of x̄, the charts or `adams_weights`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import quad
from torch import Tensor

from flowsolve import (
    DATA,
    LOG_SIGMA,
    NOISE,
    ODE,
    SIGMA,
    VPSDE,
    ClockTime,
    Grid,
    Solver,
    karras,
    solve,
    tabulate,
    uniform,
    uniform_t,
)
from flowsolve.problems import Gaussian, Mixture, Mixture1D
from flowsolve_solvers import (
    DEIS,
    LMS,
    Adams,
    DPMSolver2,
    DPMSolver3,
    DPMSolverM,
    DPMSolverPP2M,
    DPMSolverPP2S,
    DPMSolverPPM,
    Euler,
    RhoAB,
)

CLOCK = VPSDE()
VARIABLES = [SIGMA, LOG_SIGMA, ClockTime(CLOCK)]
IRREGULAR = Grid([14.6, 9.1, 8.8, 3.0, 1.7, 0.9, 0.85, 0.31, 0.12, 0.05], "irregular")
GRIDS = [IRREGULAR, karras(8, 80, 0.002), uniform_t(11, 100, 0.02, clock=CLOCK)]
by_grid = pytest.mark.parametrize("grid", GRIDS, ids=["irregular", "karras", "uniform_t"])


def weights(solver: Solver, grid: Grid) -> NDArray[np.float64]:
    return tabulate(solver, grid).matrix


def same(one: Solver, other: Solver, grid: Grid) -> None:
    a, b = weights(one, grid), weights(other, grid)
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * grid[0])


class Paper(Solver):
    """A method in the paper's variables on a VP path: x_t = α x̄, α = 1/√(1+σ²), s = σα."""

    order = 1

    def __repr__(self) -> str:
        return type(self).__name__

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        alpha = [1 / math.hypot(1, s) for s in grid]
        x_t = x * alpha[0]
        history: list[tuple[float, Tensor]] = []
        for (s, a), (t, b) in pairwise(zip(grid, alpha, strict=True)):
            x_t = self.paper(ode, x_t, (a, s * a), (b, t * b), history)
            yield x_t / b

    def paper(
        self,
        ode: ODE,
        x: Tensor,
        now: tuple[float, float],
        then: tuple[float, float],
        history: list[tuple[float, Tensor]],
    ) -> Tensor:
        """x at (α_t, σ_t) from x at (α_s, σ_s)."""
        raise NotImplementedError


def noise_net(ode: ODE, x: Tensor, alpha: float, sigma: float) -> Tensor:
    """ε_θ(x_t, t), the paper's network."""
    return ode.eps(x / alpha, sigma / alpha)


def data_net(ode: ODE, x: Tensor, alpha: float, sigma: float) -> Tensor:
    """x_θ(x_t, t) = (x_t - σ_t ε_θ)/α_t."""
    return (x - sigma * noise_net(ode, x, alpha, sigma)) / alpha


def lam(alpha: float, sigma: float) -> float:
    return math.log(alpha / sigma)


def vp_at(lam: float) -> tuple[float, float]:
    """α and σ at the log-SNR λ of a variance-preserving path: α² = 1/(1 + e^(-2λ))."""
    return 1 / math.sqrt(1 + math.exp(-2 * lam)), 1 / math.sqrt(1 + math.exp(2 * lam))


class DDIMPaper(Paper):
    """Song, Meng, Ermon 2021, Eq. 12 with σ_t = 0."""

    def paper(self, ode, x, now, then, history):  # type: ignore[no-untyped-def]
        bar, bar_next = now[0] ** 2, then[0] ** 2
        eps = noise_net(ode, x, *now)
        predicted_x0 = (x - math.sqrt(1 - bar) * eps) / math.sqrt(bar)
        return math.sqrt(bar_next) * predicted_x0 + math.sqrt(1 - bar_next) * eps


class DPM1Paper(Paper):
    """DPM-Solver-1: Lu et al. 2022a, Eq. 3.7."""

    def paper(self, ode, x, now, then, history):  # type: ignore[no-untyped-def]
        h = lam(*then) - lam(*now)
        eps = noise_net(ode, x, *now)
        return then[0] / now[0] * x - then[1] * math.expm1(h) * eps


@dataclass(frozen=True, repr=False)
class DPM2Paper(Paper):
    """DPM-Solver-2 with any r₁: Lu et al. 2022a, Algorithms 1 and 4."""

    r1: float = 0.5

    def paper(self, ode, x, now, then, history):  # type: ignore[no-untyped-def]
        h = lam(*then) - lam(*now)
        mid = vp_at(lam(*now) + self.r1 * h)
        eps = noise_net(ode, x, *now)
        u = mid[0] / now[0] * x - mid[1] * math.expm1(self.r1 * h) * eps
        change = noise_net(ode, u, *mid) - eps
        first = then[0] / now[0] * x - then[1] * math.expm1(h) * eps
        return first - then[1] / (2 * self.r1) * math.expm1(h) * change


@dataclass(frozen=True, repr=False)
class DPM3Paper(Paper):
    """DPM-Solver-3: Lu et al. 2022a, Algorithms 2 and 5."""

    r1: float = 1 / 3
    r2: float = 2 / 3

    def paper(self, ode, x, now, then, history):  # type: ignore[no-untyped-def]
        h, r1, r2 = lam(*then) - lam(*now), self.r1, self.r2
        one, two = (vp_at(lam(*now) + r * h) for r in (r1, r2))
        eps = noise_net(ode, x, *now)
        u1 = one[0] / now[0] * x - one[1] * math.expm1(r1 * h) * eps
        d1 = noise_net(ode, u1, *one) - eps
        u2 = two[0] / now[0] * x - two[1] * math.expm1(r2 * h) * eps
        u2 = u2 - two[1] * r2 / r1 * (math.expm1(r2 * h) / (r2 * h) - 1) * d1
        d2 = noise_net(ode, u2, *two) - eps
        first = then[0] / now[0] * x - then[1] * math.expm1(h) * eps
        return first - then[1] / r2 * (math.expm1(h) / h - 1) * d2


@dataclass(frozen=True, repr=False)
class PP2SPaper(Paper):
    """DPM-Solver++(2S): Lu et al. 2022b, Algorithm 1."""

    r: float = 0.5

    def paper(self, ode, x, now, then, history):  # type: ignore[no-untyped-def]
        h = lam(*then) - lam(*now)
        mid = vp_at(lam(*now) + self.r * h)
        D = data_net(ode, x, *now)
        u = mid[1] / now[1] * x - mid[0] * math.expm1(-self.r * h) * D
        blend = (1 - 1 / (2 * self.r)) * D + 1 / (2 * self.r) * data_net(ode, u, *mid)
        return then[1] / now[1] * x - then[0] * math.expm1(-h) * blend


class PP2MPaper(Paper):
    """DPM-Solver++(2M): Lu et al. 2022b, Algorithm 2."""

    def paper(self, ode, x, now, then, history):  # type: ignore[no-untyped-def]
        h = lam(*then) - lam(*now)
        D = data_net(ode, x, *now)
        blend = D
        if history:
            h_prev, D_prev = history[-1]
            r = h_prev / h
            blend = (1 + 1 / (2 * r)) * D - 1 / (2 * r) * D_prev
        history.append((h, D))
        return then[1] / now[1] * x - then[0] * math.expm1(-h) * blend


@dataclass(frozen=True, repr=False)
class KLMS(Solver):
    """k-diffusion's sample_lms: ∫ of the Lagrange polynomials in σ by scipy's quad."""

    points: int = 4

    order = 2

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        ds: list[Tensor] = []
        for i in range(grid.steps):
            ds.append(ode.eps(x, grid[i]))
            current = min(i + 1, self.points)
            for j in range(current):
                x = x + self.coefficient(current, grid, i, j) * ds[-1 - j]
            yield x

    @staticmethod
    def coefficient(order: int, t: Grid, i: int, j: int) -> float:
        def basis(tau: float) -> float:
            prod = 1.0
            for k in range(order):
                if j != k:
                    prod *= (tau - t[i - k]) / (t[i - j] - t[i - k])
            return prod

        return float(quad(basis, t[i], t[i + 1], epsrel=1e-13, epsabs=0)[0])


FIRST_ORDER: list[Solver] = [
    Euler(DATA),
    DDIMPaper(),
    DPM1Paper(),
    *(Adams(1, chart, variable) for chart in (NOISE, DATA) for variable in VARIABLES),
]


@by_grid
@pytest.mark.parametrize("other", FIRST_ORDER, ids=repr)
def test_ddim_is_euler(other: Solver, grid: Grid) -> None:
    same(Euler(), other, grid)


@by_grid
@pytest.mark.parametrize("points", [1, 2, 3, 4, 5])
def test_lms_is_deis_rho_ab(points: int, grid: Grid) -> None:
    same(LMS(points, guard=None), KLMS(points), grid)
    assert RhoAB(points) == LMS(points)


PAPERS: list[tuple[Solver, Solver]] = [
    (DPMSolver2(), DPM2Paper()),
    (DPMSolver2(0.8), DPM2Paper(0.8)),
    (DPMSolver3(), DPM3Paper()),
    (DPMSolver3(0.4, 0.9), DPM3Paper(0.4, 0.9)),
    (DPMSolverPP2S(), PP2SPaper()),
    (DPMSolverPP2S(0.8), PP2SPaper(0.8)),
    (DPMSolverPP2M(guard=None), PP2MPaper()),
]


@by_grid
@pytest.mark.parametrize(("ours", "paper"), PAPERS, ids=lambda s: repr(s))
def test_dpm_solvers_are_the_papers(ours: Solver, paper: Solver, grid: Grid) -> None:
    same(ours, paper, grid)


def test_names_are_configurations() -> None:
    assert DEIS(3) == Adams(3, NOISE, ClockTime(VPSDE()))
    assert DPMSolverM(3) == Adams(3, NOISE, LOG_SIGMA)
    assert DPMSolverPPM(3) == Adams(3, DATA, LOG_SIGMA)
    assert LMS() == Adams(4, NOISE, SIGMA)


def test_2m_and_exact_weights() -> None:
    """The same first step, DDIM's; later steps differ by O(h³) in x̄, O(h²) in the weights of D."""
    two = tabulate(DPMSolverPP2M(guard=None), IRREGULAR).nodes
    exact = tabulate(Adams(2, DATA, guard=None), IRREGULAR).nodes
    np.testing.assert_allclose(two[0], exact[0], rtol=1e-13)
    assert abs(two[2][1] - exact[2][1]) > 1e-3

    def difference(n: int) -> float:
        """Of the second step's weights, on levels uniform in log σ."""
        grid = Grid([math.exp(-k / n) for k in range(3)])
        a, b = (tabulate(s, grid).nodes[1] for s in (DPMSolverPP2M(), Adams(2, DATA)))
        return max(abs(p - q) for p, q in zip(a, b, strict=True))

    for n in (20, 40, 80):
        assert math.log2(difference(n) / difference(2 * n)) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("problem", [Gaussian(), Mixture1D(), Mixture()], ids=lambda p: p.name)
def test_euler_in_both_charts_on_real_problems(problem: Mixture) -> None:
    x = problem.start(range(8), torch.float64)
    grid = uniform(30, 10, 0.05)
    one, two = (solve(problem, x, grid, s).x for s in (Euler(), Euler(DATA)))
    torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)
