"""ER-SDE: its noise scale, and its authors' code with exact integrals in the place of their sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from flowsolve import DATA, LOG_SIGMA, ODE, Grid, karras, log_snr, solve
from flowsolve.analysis.weak_order import PROBLEM as NARROW
from flowsolve.problems import Mixture
from flowsolve_solvers import ER_SDE, ERSDE, RK4, SDE_ETA
from flowsolve_solvers._multistep import Multistep
from flowsolve_solvers.eta import NoiseScale
from tests.helpers import VARIANCE, noisy

PROBLEM = Mixture()
SEEDS = range(8)
UNIT = PROBLEM.start(SEEDS, torch.float64) / PROBLEM.sigma_max


@pytest.mark.parametrize("s", [0.01, 1.0, 80.0, 1e12])
@pytest.mark.parametrize("ratio", [0.999, 0.5, 1e-4])
@pytest.mark.parametrize("eta", [0.3, 1.0, 4.0])
def test_the_noise_scale_of_er_sde(s: float, ratio: float, eta: float) -> None:
    """d = s φ(t)/φ(s) as it stands, while it does not overflow; 0 <= d < t always; a semigroup."""
    t, m = s * ratio, s * math.sqrt(ratio)
    d, v = ER_SDE.split(s, t, eta)
    assert math.hypot(d, v) == pytest.approx(t, rel=1e-15)
    assert 0 <= d < t
    assert v > 0
    (d1, v1), (d2, v2) = ER_SDE.split(s, m, eta), ER_SDE.split(m, t, eta)
    assert (d, v) == pytest.approx((d1 * d2 / m, math.hypot(v1 * d2 / m, v2)), rel=1e-9)
    assert ER_SDE.split(s, t, 0.0) == (t, 0.0)
    assert ER_SDE.split(s, 0.0, eta) == (0.0, 0.0)
    if (s, ratio, eta) in ((80.0, 1e-4, 1.0), (1.0, 1e-4, 1.0)):  # in docs/solvers.md
        assert (v / t) ** 2 == pytest.approx(0.95 if s == 80 else 0.25, abs=0.01)
    if s < 1e6:
        assert d == pytest.approx(s * PHI[ER_SDE](t, eta) / PHI[ER_SDE](s, eta), rel=1e-12)
        h = 1e-5 * t
        slope = math.log(PHI[ER_SDE](t + h, eta) / PHI[ER_SDE](t - h, eta)) / (2e-5)
        assert 1 + eta * ER_SDE.slope(t) == pytest.approx(slope, rel=1e-8)


PHI: dict[NoiseScale, Callable[[float, float], float]] = {
    ER_SDE: lambda x, eta: x * (math.exp(x**0.3) + 10) ** eta,
    SDE_ETA: lambda x, eta: x ** (1 + eta),
}
Integral = Callable[[Callable[[float], float], float, float], float]


def exactly(f: Callable[[float], float], t: float, s: float) -> float:
    return float(quad(f, t, s, epsabs=0, epsrel=1e-13)[0])


def left_sum(f: Callable[[float], float], t: float, s: float) -> float:
    """The 100 terms of QinpengCui/ER-SDE-Solver."""
    return (s - t) / 100 * math.fsum(f(t + k / 100 * (s - t)) for k in range(100))


def er_sde_as_published(
    ode: ODE, x: Tensor, grid: Grid, solver: ERSDE, integral: Integral
) -> Tensor:
    """ve_xstart_1_order to ve_start_3_order_taylor, in the order of their code, without the clip."""
    phi = {u: PHI[solver.family](u, solver.eta) for u in grid}
    old: list[Tensor] = []
    slopes: list[Tensor] = []
    for i, (s, t) in enumerate(pairwise(grid)):
        x0, r = ode.x0(x, s), phi[t] / phi[s]
        z = ode.noise(x, s, t) * math.sqrt(max(t**2 - s**2 * r**2, 0.0))
        x = r * x + (1 - r) * x0 + z

        def inverse(u: float) -> float:
            return 1 / PHI[solver.family](u, solver.eta)

        def moment(u: float, s: float = s) -> float:
            return (u - s) * inverse(u)

        if solver.points > 1 and i > 0:
            slopes.append((x0 - old[-1]) / (s - grid[i - 1]))
            x = x + (t - s + integral(inverse, t, s) * phi[t]) * slopes[-1]
        if solver.points > 2 and i > 1:
            bend = 2 * (slopes[-1] - slopes[-2]) / (s - grid[i - 2])
            x = x + ((t - s) ** 2 / 2 + integral(moment, t, s) * phi[t]) * bend
        old.append(x0)
    return x


@pytest.mark.parametrize("n", [1, 2, 3, 6, 20])
@pytest.mark.parametrize("points", [1, 2, 3])
@pytest.mark.parametrize(
    ("family", "eta"), [(ER_SDE, 1.0), (SDE_ETA, 0.5), (SDE_ETA, 1.5)], ids=repr
)
def test_er_sde_as_published(family: NoiseScale, eta: float, points: int, n: int) -> None:
    """With their integrals exact it is their formula; their sums move the samples, of size 1, by 0.003."""
    solver, ode, grid = (
        ERSDE(points, eta, family, published=True),
        noisy(PROBLEM),
        karras(n, 10.0, 0.05),
    )
    got = solve(ode, UNIT * 10, grid, solver).x
    want = er_sde_as_published(ode, UNIT * 10, grid, solver, exactly)
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
    summed = er_sde_as_published(ode, UNIT * 10, grid, solver, left_sum)
    assert float((got - summed).abs().max()) < 3e-3
    exact = solve(ode, UNIT * 10, grid, replace(solver, published=False)).x
    assert bool((exact - got).abs().max() > 1e-3) is (points == 3 and n >= 3)


def test_the_sums_of_er_sde_are_of_order_1() -> None:
    """A left sum of 100 terms is 1/100 of a left sum of one: what it leaves halves as the steps do."""
    solver, distances = ERSDE(2, 0.0), []
    for n in (40, 80, 160):
        grid = log_snr(n, 1.0, 0.2)
        x = solve(PROBLEM, UNIT, grid, solver).x
        y = er_sde_as_published(noisy(PROBLEM), UNIT, grid, solver, left_sum)
        distances.append(float((x - y).abs().max()))
    assert [a / b for a, b in pairwise(distances)] == pytest.approx([2, 2], abs=0.1)


@dataclass(frozen=True, repr=False)
class StartedERSDE(Multistep):
    """ERSDE(3, 0) after two steps of RK4."""

    published: bool

    order, points, chart, start = 3, 3, DATA, RK4(LOG_SIGMA)

    def weights(self, nodes: tuple[float, ...], s: float, t: float) -> list[float]:
        solver = ERSDE(3, 0.0, published=self.published)
        return [w / t for w in solver.weights(nodes, t)]


@pytest.mark.parametrize(("published", "order"), [(False, 3), (True, 2)])
def test_the_plain_slope_costs_an_order(published: bool, order: int) -> None:
    """From exact values and without noise, where P gives 3."""
    x = NARROW.start(SEEDS, torch.float64)
    truth = NARROW.flow(x, 1.0, 0.2)
    coarse, fine = (
        float(
            (solve(NARROW, x, log_snr(n, 1.0, 0.2), StartedERSDE(published)).x - truth).abs().max()
        )
        for n in (160, 320)
    )
    assert abs(math.log2(coarse / fine) - order) < 0.2


def k(sigma: float) -> float:
    """D - m = k (x - m)."""
    return VARIANCE / (VARIANCE + sigma * sigma)
