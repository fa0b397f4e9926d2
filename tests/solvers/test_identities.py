"""Which methods are the same method: equal tables, against the papers' formulas written out here.

The formulas below are in the papers' own variables, x_t, α_t, σ_t, ᾱ_t and λ_t on a variance-
preserving path, and know nothing of x̄, the charts or `adams_weights`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
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
    log_snr,
    solve,
    tabulate,
    uniform,
    uniform_t,
)
from flowsolve.problems import Gaussian, Mixture, Mixture1D
from flowsolve.schedule.variable import Variable
from flowsolve.solver.chart import Chart
from flowsolve.solver.weights import adams_weights
from flowsolve_solvers import (
    ALL,
    DEIS,
    IPNDMV,
    LMS,
    RK4,
    Adams,
    DPMSolver2,
    DPMSolver3,
    DPMSolverM,
    DPMSolverPP2M,
    DPMSolverPP2S,
    DPMSolverPPM,
    Euler,
    EulerInT,
    EulerInVariance,
    FlowHeun,
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
    same(LMS(points), KLMS(points), grid)
    assert RhoAB(points) == IPNDMV(points) == LMS(points)


PAPERS: list[tuple[Solver, Solver]] = [
    (DPMSolver2(), DPM2Paper()),
    (DPMSolver2(0.8), DPM2Paper(0.8)),
    (DPMSolver3(), DPM3Paper()),
    (DPMSolver3(0.4, 0.9), DPM3Paper(0.4, 0.9)),
    (DPMSolverPP2S(), PP2SPaper()),
    (DPMSolverPP2S(0.8), PP2SPaper(0.8)),
    (DPMSolverPP2M(), PP2MPaper()),
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
    two = tabulate(DPMSolverPP2M(), IRREGULAR).nodes
    exact = tabulate(Adams(2, DATA), IRREGULAR).nodes
    np.testing.assert_allclose(two[0], exact[0], rtol=1e-13)
    assert abs(two[2][1] - exact[2][1]) > 1e-3

    def difference(n: int) -> float:
        """Of the second step's weights, on levels uniform in log σ."""
        grid = Grid([math.exp(-k / n) for k in range(3)])
        a, b = (tabulate(s, grid).nodes[1] for s in (DPMSolverPP2M(), Adams(2, DATA)))
        return max(abs(p - q) for p, q in zip(a, b, strict=True))

    for n in (20, 40, 80):
        assert math.log2(difference(n) / difference(2 * n)) == pytest.approx(2, abs=0.1)


LOOSE = [
    s
    for s in ALL
    if isinstance(s, EulerInT | EulerInVariance) or "RK4(variable=LOG_SIGMA)" in repr(s)
]
CONSISTENT = [s for s in ALL if s not in LOOSE]


def deviation(solver: Solver, grid: Grid) -> float:
    """The largest departure from weight 1 on x̄_T and from row sums σ - σ_T, probes and answer."""
    table = tabulate(solver, grid)
    rows = np.array(table.row_sums) - (np.array([*table.sigmas, grid[-1]]) - grid[0])
    return float(max(abs(table.matrix[:, 0] - 1).max(), abs(rows).max()))


@by_grid
@pytest.mark.parametrize("solver", CONSISTENT, ids=repr)
def test_tables_are_consistent(solver: Solver, grid: Grid) -> None:
    assert deviation(solver, grid) < 1e-12 * grid[0]
    table = tabulate(solver, grid)
    for row, level in zip(table.nodes, grid[1:], strict=True):
        assert row[0] == pytest.approx(1, abs=1e-12)
        assert sum(row[1:]) == pytest.approx(level - grid[0], abs=1e-12 * grid[0])


@pytest.mark.parametrize("solver", [EulerInT(), EulerInVariance(), RK4(LOG_SIGMA)], ids=repr)
def test_methods_that_approximate_the_integral(solver: Solver) -> None:
    """They integrate dσ/dτ by their own rule, so the answer's row is right to their order only."""

    def last(n: int) -> float:
        table = tabulate(solver, log_snr(n, 5, 0.1))
        return abs(table.answer[0] - 1) + abs(table.row_sums[-1] - (0.1 - 5))

    errors = [last(n) for n in (40, 80, 160)]
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert slopes == pytest.approx([solver.order] * 2, abs=0.2)


@pytest.mark.parametrize("solver", [s for s in LOOSE if isinstance(s, Adams)], ids=repr)
def test_a_start_that_approximates_the_integral(solver: Adams) -> None:
    """Three steps of RK4 in log σ leave h⁵ each, and Adams adds nothing."""
    errors = [deviation(solver, log_snr(n, 5, 0.1)) for n in (40, 80, 160)]
    # the inner stages are the loosest rows: a half step by Euler's rule, h² of σ
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert min(slopes) > 1.8

    def last(n: int) -> float:
        return abs(tabulate(solver, log_snr(n, 5, 0.1)).row_sums[-1] + 4.9)

    assert math.log2(last(40) / last(80)) == pytest.approx(5, abs=0.4)


def closed_form(chart: Chart, variable: Variable, k: int, s: float, t: float) -> float:
    """∫_s^t τ(σ)^k du: in log σ by parts, ∫ L^k e^(±L) dL, and in σ by powers."""
    if variable == SIGMA:
        power = k + (0 if chart == NOISE else -2)
        factor = 1 if chart == NOISE else -1
        if power == -1:
            return factor * math.log(t / s)
        return factor * (t ** (power + 1) - s ** (power + 1)) / (power + 1)
    sign = 1 if chart == NOISE else -1  # u = e^(sign L), so ∫ L^k du = [L^k u] - k ∫ L^(k-1) u dL
    ends = math.log(t) ** k * t**sign - math.log(s) ** k * s**sign
    return ends if k == 0 else ends - sign * k * closed_form(chart, variable, k - 1, s, t)


@pytest.mark.parametrize("moulton", [False, True], ids=["bashforth", "moulton"])
@pytest.mark.parametrize("variable", [SIGMA, LOG_SIGMA], ids=repr)
@pytest.mark.parametrize("chart", [NOISE, DATA], ids=repr)
@pytest.mark.parametrize("points", [1, 2, 3, 4, 5])
def test_adams_moments(points: int, chart: Chart, variable: Variable, moulton: bool) -> None:
    """Polynomials in τ of degree < points are integrated exactly, on random levels, up and down."""
    rng = random.Random(points)
    for _ in range(20):
        levels = sorted((math.exp(rng.uniform(-3, 3)) for _ in range(points + 1)), reverse=True)
        if rng.random() < 0.5:
            levels.reverse()
        *past, t = levels
        s = past[-1]
        nodes = tuple([*past[1:], t] if moulton else past)
        w = adams_weights(chart, variable, nodes, s, t)
        for k in range(len(nodes)):
            terms = [a * variable.tau(n) ** k for a, n in zip(w, nodes, strict=True)]
            exact = closed_form(chart, variable, k, s, t)
            scale = max(map(abs, [*terms, exact, (t if chart == NOISE else 1 / t), 1.0]))
            assert math.fsum(terms) == pytest.approx(exact, abs=2e-12 * scale)


def exact_weights(
    chart: Chart, variable: Variable, nodes: list[float], s: float, t: float
) -> list[Any]:
    """∫ ℓ_j du to 50 digits, by the powers of τ - τ(s)."""
    log = variable == LOG_SIGMA
    at = [mp.log(mp.mpf(n) / s) if log else mp.mpf(n) - s for n in nodes]
    length = mp.log(mp.mpf(t) / s) if log else mp.mpf(t) - s
    sign = 1 if chart == NOISE else -1
    moments = [
        # ∫ y^m e^(±y) dy by its series, times du/dσ at s
        mp.mpf(s) ** sign * sign
        * mp.nsum(lambda i, m=m: sign**i * length ** (m + i + 1) / (mp.factorial(i) * (m + i + 1)), [0, 60])
        if log
        else length ** (m + 1) / (m + 1)
        for m in range(len(nodes))
    ]  # fmt: skip
    weights = []
    for j, a in enumerate(at):
        powers = [mp.mpf(1)]
        for k, b in enumerate(at):
            if k != j:
                powers = [
                    (x - b * y) / (a - b)
                    for x, y in zip([mp.mpf(0), *powers], [*powers, mp.mpf(0)], strict=True)
                ]
        weights.append(mp.fdot(powers, moments))
    return weights


@pytest.mark.parametrize(
    ("chart", "variable"), [(NOISE, SIGMA), (NOISE, LOG_SIGMA), (DATA, LOG_SIGMA)], ids=repr
)
def test_adams_weights_on_irregular_grids(chart: Chart, variable: Variable) -> None:
    """1,000 grids whose steps in log σ are 1e-3 to 1e3 of the one taken, of 0.01 to 2: each weight to 1e-9."""
    worst = 0.0

    @settings(max_examples=1000, deadline=None)
    @given(
        st.floats(-4, 4),
        st.floats(math.log(1e-2), math.log(2)),
        st.lists(st.floats(-3, 3), min_size=1, max_size=3),
    )
    def each(start: float, width: float, ratios: list[float]) -> None:
        nonlocal worst
        s, h = math.exp(start), math.exp(width)
        nodes = [s]
        for r in ratios:
            nodes.append(nodes[-1] * math.exp(min(h * 10**r, 3)))
        t = s * math.exp(-h)
        with mp.workdps(50):
            exact = exact_weights(chart, variable, nodes, s, t)
            for got, want in zip(
                adams_weights(chart, variable, tuple(nodes), s, t), exact, strict=True
            ):
                worst = max(worst, float(abs(got - want) / abs(want)))
        assert worst < 1e-9

    each()


@pytest.mark.parametrize(("ratio", "loss"), [(1e-3, 1e-10), (1e-6, 1e-7), (1e-9, 1e-4)])
def test_the_loss_of_adams_weights_beyond(ratio: float, loss: float) -> None:
    """Nodes so close lose their difference to the rounding of log σ: about 1e-13 over the ratio."""
    for s in (0.02, 1.3, 77.0):
        nodes, t = [s, s * math.exp(0.1 * ratio), s * math.exp(0.2)], s * math.exp(-0.1)
        with mp.workdps(50):
            exact = exact_weights(DATA, LOG_SIGMA, nodes, s, t)
            got = adams_weights(DATA, LOG_SIGMA, tuple(nodes), s, t)
            assert max(abs(a - b) / abs(b) for a, b in zip(got, exact, strict=True)) < loss


def test_adams_moments_in_a_clocks_time() -> None:
    """∫ t(σ)^k dσ = ∫ t^k σ'(t) dt, by scipy in t."""
    nodes, t = (5.0, 7.0, 12.0), 3.5
    w = adams_weights(NOISE, ClockTime(CLOCK), nodes, 5.0, t)
    for k in range(3):
        exact, _ = quad(lambda u, k=k: u**k * CLOCK.rate(u), CLOCK.t(5.0), CLOCK.t(t), epsrel=1e-13)
        got = math.fsum(a * CLOCK.t(n) ** k for a, n in zip(w, nodes, strict=True))
        assert got == pytest.approx(exact, rel=1e-12)


def test_textbook_weights() -> None:
    """Adams-Bashforth and Adams-Moulton on a uniform grid in σ."""
    at = [10.0 - 0.5 * k for k in range(6)]
    s, t = at[4], at[5]
    h = t - s
    past = (at[4], at[3], at[2], at[1])
    bashforth = {
        1: [1],
        2: [3 / 2, -1 / 2],
        3: [23 / 12, -16 / 12, 5 / 12],
        4: [55 / 24, -59 / 24, 37 / 24, -9 / 24],
    }
    moulton = {1: [1], 2: [1 / 2, 1 / 2], 3: [5 / 12, 8 / 12, -1 / 12]}
    moulton[4] = [9 / 24, 19 / 24, -5 / 24, 1 / 24]
    for k in range(1, 5):
        ab = [w / h for w in adams_weights(NOISE, SIGMA, past[:k], s, t)]
        am = [w / h for w in adams_weights(NOISE, SIGMA, (t, *past[: k - 1]), s, t)]
        assert ab == pytest.approx(bashforth[k], abs=1e-13)
        assert am == pytest.approx(moulton[k], abs=1e-13)


def test_weights_down_to_zero() -> None:
    """LMS's last step may end at σ = 0: ∫ there is a polynomial's, exact."""
    w = adams_weights(NOISE, SIGMA, (1.0, 2.0), 1.0, 0.0)
    assert w == pytest.approx((-1.5, 0.5), abs=1e-14)


# only a clock knows a scale, and a flow, whose σ/(1+σ) has a half at σ = 1
SCALE_FREE = [s for s in ALL if "VPSDE" not in repr(s) and not isinstance(s, EulerInT | FlowHeun)]


@pytest.mark.parametrize("c", [0.01, 3.0])
@pytest.mark.parametrize("solver", SCALE_FREE, ids=repr)
def test_scaling(solver: Solver, c: float) -> None:
    """Data and levels scaled by c: the same flow, scaled."""
    small = Mixture1D()
    big = Mixture1D(
        means=tuple(c * m for m in small.means), deviations=tuple(c * d for d in small.deviations)
    )
    x = small.start(range(4), torch.float64)
    grid = Grid(IRREGULAR[2:])
    one = solve(small, x, grid, solver).x
    two = solve(big, c * x, Grid(c * s for s in grid), solver).x
    torch.testing.assert_close(two, c * one, rtol=1e-10, atol=1e-12 * c)


DATA_METHODS = [
    s
    for s in ALL
    if isinstance(s, DPMSolverPP2M | DPMSolverPP2S)
    or (isinstance(s, Euler | Adams) and s.chart == DATA and getattr(s, "start", None) is None)
]


@pytest.mark.parametrize("solver", DATA_METHODS, ids=repr)
def test_constant_data_take_one_step(solver: Solver) -> None:
    """If x₀ never changes, the data chart's slope is constant: exact on any grid, even one step."""
    point = torch.tensor([0.3, -2.0], dtype=torch.float64)

    class Constant(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return (x - point) / sigma

    x = torch.tensor([[5.0, 7.0], [-1.0, 30.0]], dtype=torch.float64)
    for grid in (Grid([10, 0.1]), Grid([10, 3, 2, 1.5, 0.1])):
        got = solve(Constant(), x, grid, solver).x
        torch.testing.assert_close(got, point + (x - point) * 0.01, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", CONSISTENT, ids=repr)
def test_constant_noise_is_exact(solver: Solver) -> None:
    """If ε never changes, so is every method of weight 1 and row sums Δσ, whatever its chart."""

    class Constant(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return torch.full_like(x, 0.7)

    x = torch.tensor([5.0, -1.0], dtype=torch.float64)
    got = solve(Constant(), x, IRREGULAR, solver).x
    torch.testing.assert_close(got, x + 0.7 * (0.05 - 14.6), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("problem", [Gaussian(), Mixture1D(), Mixture()], ids=lambda p: p.name)
def test_euler_in_both_charts_on_real_problems(problem: Mixture) -> None:
    x = problem.start(range(8), torch.float64)
    grid = uniform(30, 10, 0.05)
    one, two = (solve(problem, x, grid, s).x for s in (Euler(), Euler(DATA)))
    torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)
