"""The stochastic methods: their noise, their moments, their order.

The order of a stochastic method is that of the law: the rate at which the law of its samples, started
from the exact law at the first level, comes to the exact law at the last. `flowsolve.law` takes it by
quadrature on a mixture, and is held here against exact moments and against draws. The paths converge
too (strong order), with order 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from flowsolve import (
    DATA,
    LOG_SIGMA,
    ODE,
    SIGMA,
    Grid,
    OneStep,
    Solver,
    karras,
    log_snr,
    sample,
    solve,
    tabulate,
)
from flowsolve.analysis.step_response import responses
from flowsolve.analysis.strong_order import STRONG_ORDER, path_slope
from flowsolve.analysis.weak_order import (
    FUNCTIONS,
    exact_expectations,
    expectations,
    law_error,
    law_slope,
)
from flowsolve.analysis.weak_order import PROBLEM as NARROW
from flowsolve.errors import GridError, StateError, TableError
from flowsolve.integrate.cost import cost
from flowsolve.ode.base import Wrapped
from flowsolve.ode.noise import BrownianNoise, SeededNoise, WithNoise
from flowsolve.problems import Mixture, Mixture1D
from flowsolve_solvers import (
    DDIM_ETA,
    DDPM,
    EDM,
    ER_SDE,
    ERSDE,
    RK4,
    SDE_ETA,
    STOCHASTIC,
    Adams,
    Ancestral,
    DDIMEta,
    DPM2Ancestral,
    DPMSolver2,
    DPMSolverPP2M,
    DPMSolverPP2MSDE,
    DPMSolverPP2S,
    DPMSolverPP2SAncestral,
    DPMSolverPP3MSDE,
    DPMSolverPPSDE,
    Euler,
    EulerAncestral,
    Heun,
    SASolver,
    UniPC,
)
from flowsolve_solvers._multistep import Multistep
from flowsolve_solvers.ddim import posterior
from flowsolve_solvers.eta import NoiseScale

each = pytest.mark.parametrize("solver", STOCHASTIC, ids=repr)
PROBLEM = Mixture()
SEEDS = range(8)
UNIT = PROBLEM.start(SEEDS, torch.float64) / PROBLEM.sigma_max
GRID = karras(6, 10.0, 0.05)


def noisy(ode: ODE, seeds: Sequence[int] = SEEDS) -> WithNoise:
    return WithNoise(ode, SeededNoise(seeds))


class Asked(Wrapped):
    """No noise, and a note of what was asked for."""

    def __init__(self, ode: ODE) -> None:
        super().__init__(ode)
        self.intervals: list[tuple[float, float]] = []

    def noise(self, x: Tensor, s: float, t: float) -> Tensor:
        self.intervals.append((s, t))
        return torch.zeros_like(x)


# --- what they draw, and what they cost


NFE = {
    DDIMEta: 1,
    DPMSolverPP2MSDE: 1,
    DPMSolverPP3MSDE: 1,
    SASolver: 1,
    ERSDE: 1,
    DPMSolverPPSDE: 2,
}


@each
@pytest.mark.parametrize("n", [1, 2, 7])
def test_nfe(solver: Solver, n: int) -> None:
    """Evaluations a step, and one for the step to 0."""
    if isinstance(solver, Ancestral | EDM):
        each_step = 1 if solver.method == Euler() else 2
    else:
        each_step = NFE[type(solver)]
    grid = karras(n, 10.0, 0.05)
    for levels, want in ((grid, n * each_step), (grid.to_zero(), n * each_step + 1)):
        assert sample(noisy(PROBLEM), UNIT, levels, solver).nfe == want == cost(solver, levels)


@each
def test_noise_is_asked_for_once_and_inside_the_step(solver: Solver) -> None:
    """One interval a step (two, side by side, where a stage is noisy too), and EDM's in the last."""
    assert solver.stochastic
    ode, grid = Asked(PROBLEM), GRID.to_zero()
    sample(ode, UNIT, grid, solver)
    want = [*pairwise(grid)] if isinstance(solver, EDM) else [*pairwise(GRID)]
    if isinstance(solver, DPMSolverPPSDE):
        assert [s for s, _ in ode.intervals[::2]] == [s for s, _ in want]
        assert [t for _, t in ode.intervals[1::2]] == [t for _, t in want]
        assert [t for _, t in ode.intervals[::2]] == [s for s, _ in ode.intervals[1::2]]
    else:
        assert ode.intervals == want


@each
def test_same_seeds_same_samples_whatever_the_batch(solver: Solver) -> None:
    def run(seeds: Sequence[int]) -> Tensor:
        return sample(noisy(PROBLEM, seeds), UNIT[seeds[0] : seeds[-1] + 1], GRID, solver).x

    whole = run(range(8))
    assert torch.equal(whole, run(range(8)))
    # the weights of a batch of 3 and of 5 are the same numbers, but not torch's sums over them
    torch.testing.assert_close(
        torch.cat([run(range(3)), run(range(3, 8))]), whole, rtol=1e-11, atol=1e-11
    )
    other = sample(noisy(PROBLEM, range(100, 108)), UNIT, GRID, solver).x
    assert float((other - whole).abs().min()) > 1e-6


@each
def test_float32_follows_float64(solver: Solver) -> None:
    want = sample(noisy(PROBLEM), UNIT, GRID, solver).x
    got = sample(noisy(PROBLEM), UNIT.float(), GRID, solver).x
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), want, rtol=1e-3, atol=1e-3)


@each
def test_errors(solver: Solver) -> None:
    with pytest.raises(GridError, match="draws noise, so it only goes down the grid, not up"):
        solve(noisy(PROBLEM), UNIT, GRID.reversed(), solver)
    with pytest.raises(StateError, match="this method is stochastic and needs noise: wrap the ODE"):
        sample(PROBLEM, UNIT, GRID, solver)
    with pytest.raises(StateError, match="there are 3 seeds for 8 samples: give one for each"):
        sample(noisy(PROBLEM, range(3)), UNIT, GRID, solver)
    with pytest.raises(TableError, match="draws noise"):
        tabulate(solver, GRID)


BAD: dict[str, Callable[[], object]] = {
    "DDIMEta needs 0 <= eta <= 1": lambda: DDIMEta(1.1),
    "eta = 1 with larger_variance": lambda: DDIMEta(0.5, True),
    "Ancestral needs 0 <= eta <= 1": lambda: DPM2Ancestral(1.5),
    "DPMSolverPPSDE needs 0 <= eta <= 1": lambda: DPMSolverPPSDE(-0.1),
    "DPMSolverPPSDE needs 0 < r <= 1": lambda: DPMSolverPPSDE(r=0.0),
    "DPMSolverPP2MSDE needs eta >= 0": lambda: DPMSolverPP2MSDE(-1.0),
    "DPMSolverPP3MSDE needs eta >= 0": lambda: DPMSolverPP3MSDE(math.inf),
    "SASolver needs predictor >= 1": lambda: SASolver(predictor=0),
    "ERSDE needs points >= 1, and points <= 3 with published=True, but got points = 0": lambda: (
        ERSDE(0)
    ),
    "but got points = 4": lambda: ERSDE(4, published=True),
    "ERSDE needs eta >= 0": lambda: ERSDE(eta=-0.1),
    "Ancestral needs eta >= 0, but got eta = inf": lambda: Ancestral(eta=math.inf, family=ER_SDE),
    "EDM needs s_churn, s_noise >= 0": lambda: EDM(-1.0),
    "s_tmin <= s_tmax": lambda: EDM(s_tmin=2.0, s_tmax=1.0),
    "posterior needs 0 <= t < s": lambda: posterior(1.0, 1.0),
    "posterior needs 0 <= eta <= 1": lambda: posterior(2.0, 1.0, 1.1),
}


@pytest.mark.parametrize("text", BAD)
def test_bad_arguments(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        BAD[text]()


def test_a_family_without_a_noise_scale() -> None:
    with pytest.raises(StateError, match="family must be a NoiseScale, but is DDIM_ETA"):
        ERSDE(family=DDIM_ETA)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [lambda m: EDM(method=m), Ancestral])
def test_the_inner_method_is_an_ode_method(make: Callable[[object], object]) -> None:
    for method in (DDIMEta(), DPMSolverPP2M(), Heun):
        with pytest.raises(TypeError, match="method must be a one-step solver without noise"):
            make(method)


# --- without noise they are the deterministic methods, and draw none


NO_NOISE: list[tuple[Solver, Solver]] = [
    (DDIMEta(0.0), Euler()),
    (Ancestral(DPMSolver2(), 0.0), DPMSolver2()),
    (DPMSolverPP2SAncestral(0.0), DPMSolverPP2S()),
    (DPMSolverPPSDE(0.0), DPMSolverPP2S()),
    (DPMSolverPPSDE(0.0, r=0.7, family=SDE_ETA), DPMSolverPP2S(0.7)),
    (DPMSolverPP2MSDE(0.0), DPMSolverPP2M()),
    (DPMSolverPP2MSDE(0.0, heun=True), Adams(2, DATA, LOG_SIGMA)),
    (DPMSolverPP3MSDE(0.0), Adams(3, DATA, LOG_SIGMA)),
    (SASolver(0.0, 3, 0), Adams(3, DATA, LOG_SIGMA)),
    (SASolver(0.0, 2, 3), UniPC(2)),
    (SASolver(0.0, 2, 0, published=True), UniPC(2, variant="bh1", correct=False)),
    *((ERSDE(points, 0.0), Adams(points, DATA, SIGMA)) for points in (1, 2, 3, 5)),
    (ERSDE(3, 0.0, SDE_ETA), Adams(3, DATA, SIGMA)),
    (EDM(0.0), Heun()),
    (EDM(0.0, method=Euler()), Euler()),
    (EDM(s_tmin=20.0), Heun()),
]


@pytest.mark.parametrize(("solver", "same"), NO_NOISE, ids=repr)
def test_without_noise(solver: Solver, same: Solver) -> None:
    """`PROBLEM` has no noise to give. With EDM, N counts the Euler step to 0 and nothing changes."""
    assert solver.stochastic is (solver == EDM(s_tmin=20.0))
    for grid in (GRID, GRID.to_zero(), Grid([10.0, 0.0])):
        got, want = (sample(PROBLEM, UNIT, grid, s) for s in (solver, same))
        torch.testing.assert_close(got.x, want.x, rtol=1e-10, atol=1e-10)
        assert got.nfe == want.nfe
    if not solver.stochastic:
        up = GRID.reversed()
        got, want = (solve(PROBLEM, UNIT, up, s) for s in (solver, same))
        torch.testing.assert_close(got.x, want.x, rtol=1e-9, atol=1e-9)
        assert solver.order == same.order


def test_eta_0_is_euler_to_the_last_bit() -> None:
    got, want = (sample(PROBLEM, UNIT, GRID, s).x for s in (DDIMEta(0.0), Euler()))
    assert torch.equal(got, want)
    up = [solve(PROBLEM, UNIT, GRID.reversed(), s).x for s in (DDIMEta(0.0), Euler())]
    assert torch.equal(*up)


SAME: list[tuple[Solver, Solver]] = [
    (Ancestral(Euler()), EulerAncestral()),
    (Ancestral(Euler(), 0.5), DDIMEta(0.5)),
    (Ancestral(Euler(), family=SDE_ETA), DDIMEta()),
    (DPMSolverPP2MSDE(family=DDIM_ETA), DPMSolverPP2MSDE()),
    (SASolver(1.0, 1, 0), DDIMEta()),
    (SASolver(1.0, 2, 0), DPMSolverPP2MSDE(heun=True)),
    (SASolver(0.7, 2, 0), DPMSolverPP2MSDE(0.49, heun=True)),
    (SASolver(1.0, 3, 0), DPMSolverPP3MSDE()),
    (SASolver(0.7, 3, 0), DPMSolverPP3MSDE(0.49)),
    (DDPM(), DDIMEta(1.0)),
    (ERSDE(1), Ancestral(Euler(), family=ER_SDE)),
    (ERSDE(1, family=SDE_ETA), DDIMEta()),
    (ERSDE(2, published=True), ERSDE(2)),
]


@pytest.mark.parametrize(("one", "two"), SAME, ids=repr)
def test_two_names_of_one_method(one: Solver, two: Solver) -> None:
    """3M SDE as exact polynomial weights (SA-Solver's, by quadrature) holds its factor 2 and its sign."""
    for grid in (GRID, GRID.to_zero(), log_snr(12, 10.0, 0.05)):
        x, y = (sample(noisy(PROBLEM), UNIT, grid, s).x for s in (one, two))
        torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-10)


def test_published_3m_is_another_method() -> None:
    x, y = (
        sample(noisy(PROBLEM), UNIT, GRID, s).x
        for s in (DPMSolverPP3MSDE(), DPMSolverPP3MSDE(published=True))
    )
    assert float((x - y).abs().max()) > 1e-4


@pytest.mark.parametrize("s", [1.0, 80.0, 14.6])
@pytest.mark.parametrize("ratio", [0.999, 0.5, 1e-4])
def test_the_two_meanings_of_eta(s: float, ratio: float) -> None:
    """d² + v² = t² in both; the same split at η = 0 and η = 1 and nowhere else; SDE's is a semigroup."""
    t = s * ratio
    for family in (DDIM_ETA, SDE_ETA):
        assert family.split(s, t, 0.0) == (t, 0.0)
        assert family.split(s, 0.0, 0.7) == (0.0, 0.0)
        for eta in (0.2, 0.7, 1.0):
            d, v = family.split(s, t, eta)
            assert math.isclose(math.hypot(d, v), t, rel_tol=1e-15)
        assert family.split(s, t, 1.0) == pytest.approx(
            (t * t / s, t * math.sqrt((1 - ratio) * (1 + ratio))), rel=1e-12
        )
    one, two = (family.split(s, t, 0.5) for family in (DDIM_ETA, SDE_ETA))
    assert one[0] != pytest.approx(two[0], rel=1e-9)
    m = s * math.sqrt(ratio)
    (d1, v1), (d2, v2) = SDE_ETA.split(s, m, 0.5), SDE_ETA.split(m, t, 0.5)
    assert two == pytest.approx((d1 * d2 / m, math.hypot(v1 * d2 / m, v2)), rel=1e-12)


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


def test_edm_churns_before_the_step_to_0() -> None:
    """One of two steps, so γ = 0.6/2: x₀ is asked at 1.3 s, and only inside [s_tmin, s_tmax]."""
    x, grid = UNIT * 2, Grid([4.0, 2.0, 0.0])
    for ends, gammas in (
        ((0.0, 9.0), (0.3, 0.3)),
        ((0.0, 3.0), (0.0, 0.3)),
        ((3.0, 9.0), (0.3, 0.0)),
    ):
        solver, ode, want = EDM(0.6, *ends, 1.1, Euler()), noisy(PROBLEM), x
        for s, t, gamma in ((4.0, 2.0, gammas[0]), (2.0, 0.0, gammas[1])):
            z, high = ode.noise(x, s, t), s * (1 + gamma)
            want = want + 1.1 * math.sqrt(high**2 - s**2) * z
            want = want + (t - high) * PROBLEM.eps(want, high)
        got = solve(ode, x, grid, solver).x
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


# --- the Brownian path


LEVELS = (10.0, 5.0, 2.0, 1.0, 0.3, 0.0)


class Free(BrownianNoise):
    """Increment k is the k-th basis vector: what comes out are its coefficients."""

    def _draw(self, x: Tensor, key: str) -> Tensor:
        out = torch.zeros_like(x)
        out[:, int(key.split()[-1])] = 1.0
        return out


def overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    shared = max(0.0, min(a[0], b[0]) - max(a[1], b[1]))
    return shared / math.sqrt((a[0] - a[1]) * (b[0] - b[1]))


INTERVALS = [(s, t) for i, s in enumerate(LEVELS) for t in LEVELS[i + 1 :]]


def test_brownian_covariances_by_algebra() -> None:
    """Variance 1; the correlation is the shared length over the geometric mean: 0 if disjoint."""
    noise = Free([0], LEVELS)
    rows = torch.cat([noise(torch.zeros(1, 5, dtype=torch.float64), s, t) for s, t in INTERVALS])
    want = torch.tensor(
        [[overlap(a, b) for b in INTERVALS] for a in INTERVALS], dtype=torch.float64
    )
    torch.testing.assert_close(rows @ rows.T, want, rtol=1e-14, atol=1e-14)


def test_brownian_covariances_by_draws() -> None:
    noise = BrownianNoise([1, 2], LEVELS)
    x = torch.zeros(2, 20_000, dtype=torch.float64)
    rows = torch.stack([noise(x, s, t).ravel() for s, t in INTERVALS])
    want = torch.tensor(
        [[overlap(a, b) for b in INTERVALS] for a in INTERVALS], dtype=torch.float64
    )
    assert float((torch.corrcoef(rows) - want).abs().max()) < 4 / math.sqrt(40_000) * 1.5
    assert float((rows.var(1) - 1).abs().max()) < 0.04
    assert float(rows.mean(1).abs().max()) < 0.025


def test_seeded_noise_is_independent_from_interval_to_interval() -> None:
    noise = SeededNoise([1, 2])
    x = torch.zeros(2, 20_000, dtype=torch.float64)
    rows = torch.stack([noise(x, s, t).ravel() for s, t in INTERVALS])
    off = torch.corrcoef(rows) - torch.eye(len(rows), dtype=torch.float64)
    assert float(off.abs().max()) < 0.03


def test_two_step_counts_share_a_path() -> None:
    """What the coarse grid gets is the sum of what the fine one gets."""
    noise = BrownianNoise(SEEDS, log_snr(8, 10.0, 0.05))
    fine, x = log_snr(8, 10.0, 0.05), UNIT
    for i in range(0, 8, 4):
        parts = [noise(x, s, t) * math.sqrt(s - t) for s, t in pairwise(fine[i : i + 5])]
        whole = noise(x, fine[i], fine[i + 4]) * math.sqrt(fine[i] - fine[i + 4])
        torch.testing.assert_close(sum(parts), whole, rtol=1e-12, atol=1e-12)


def test_brownian_level_unknown() -> None:
    with pytest.raises(GridError, match=r"σ = 0\.7 is not among the levels of this Brownian path"):
        BrownianNoise(SEEDS, LEVELS)(UNIT, 1.0, 0.7)


# --- DDIM's inference side, and DDPM


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_all_members_share_the_marginals(eta: float) -> None:
    """q(x̄_{T-1}, ..., x̄_0 | x₀) chained from q(x̄_T | x₀): its diagonal is σ², its mean is x₀."""
    grid = karras(9, 80.0, 0.002)
    mean, rows = 1.0, [np.zeros(10)]
    rows[0][0] = grid[0]  # x̄ = mean x₀ + row · independent standard normals
    for i, (s, t) in enumerate(pairwise(grid), 1):
        a, b, v = posterior(s, t, eta)
        mean, row = a * mean + b, a * rows[-1]
        row[i] = v
        rows.append(row)
        assert mean == pytest.approx(1.0, rel=1e-14)
    covariance = np.array(rows) @ np.array(rows).T
    np.testing.assert_allclose(np.diag(covariance), np.square(grid[:]), rtol=1e-13)
    # the members differ in the joint law: at η = 1 the chain from t to s only adds noise
    markov = np.minimum.outer(np.square(grid[:]), np.square(grid[:]))
    assert np.allclose(covariance, markov, rtol=1e-12) is (eta == 1)


ABAR = [0.0047, 0.1, 0.5, 0.9, 0.9999]


@pytest.mark.parametrize(("abar", "before"), [*pairwise(ABAR), (0.0047, 0.9999)])
def test_ddpm_posterior(abar: float, before: float) -> None:
    """Ho et al. 2020, Eq. 6 and 7, in x_t and ᾱ; and the two variances of Section 3.2."""
    beta = 1 - abar / before
    mean_0 = math.sqrt(before) * beta / (1 - abar)
    mean_t = math.sqrt(1 - beta) * (1 - before) / (1 - abar)
    small = (1 - before) / (1 - abar) * beta
    s, t = (math.sqrt((1 - q) / q) for q in (abar, before))
    a, b, v = posterior(s, t)
    assert math.sqrt(before / abar) * a == pytest.approx(mean_t, rel=1e-12)
    assert math.sqrt(before) * b == pytest.approx(mean_0, rel=1e-12)
    assert before * v * v == pytest.approx(small, rel=1e-12)

    class Known(ODE):
        """x₀ = 2 whatever the state; z = 1 or 0."""

        z = 0.0

        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return (x - 2) / sigma

        def noise(self, x: Tensor, s: float, t: float) -> Tensor:
            return torch.full_like(x, self.z)

    x_t, ode = 3.0, Known()
    x = torch.tensor([x_t / math.sqrt(abar)], dtype=torch.float64)
    for solver, variance in ((DDPM(), small), (DDPM(True), beta), (DDIMEta(), small)):
        ode.z = 0.0
        mean = float(solver.step(ode, x, s, t)) * math.sqrt(before)
        assert mean == pytest.approx(mean_0 * 2 + mean_t * x_t, rel=1e-12)
        ode.z = 1.0
        spread = float(solver.step(ode, x, s, t)) * math.sqrt(before) - mean
        assert spread == pytest.approx(math.sqrt(variance), rel=1e-11)


def test_larger_variance_draws_nothing_in_the_last_step() -> None:
    """T-35: diffusers' fixed_large adds √β noise to the final x₀ unless the grid ends at t = 0."""
    ode = Asked(PROBLEM)
    sample(ode, UNIT, GRID.to_zero(), DDPM(True))
    assert ode.intervals == [*pairwise(GRID)]
    x = UNIT * 2
    torch.testing.assert_close(DDPM(True).step(PROBLEM, x, 2.0, 0.0), PROBLEM.x0(x, 2.0))


# --- moments on Gaussian data, where every method is an affine map of x_T and its noises

M, V = 0.6, 0.09
LINE = Mixture1D((1.0,), (M,), (math.sqrt(V),))


class Units(Wrapped):
    """The k-th noise that is asked for is the unit vector of sample k + 2."""

    def __init__(self, ode: ODE) -> None:
        super().__init__(ode)
        self.drawn = 0

    def noise(self, x: Tensor, s: float, t: float) -> Tensor:
        out = torch.zeros_like(x)
        out[2 + self.drawn] = 1.0
        self.drawn += 1
        return out


def law(solver: Solver, grid: Grid) -> tuple[float, float]:
    """Mean and variance at the end, of the exact law at the start, from the map's own coefficients."""
    draws = 2 if isinstance(solver, DPMSolverPPSDE) else 1
    x = torch.zeros(2 + draws * grid.steps, dtype=torch.float64)
    x[1] = 1.0
    end = solve(Units(LINE), x, grid, solver).x
    origin, slope, noises = end[0], end[1] - end[0], end[2:] - end[0]
    variance = slope**2 * (V + grid[0] ** 2) + noises.square().sum()
    return float(origin + slope * M), float(variance)


def k(sigma: float) -> float:
    """D - m = k (x - m)."""
    return V / (V + sigma * sigma)


def e(sigma: float) -> float:
    """ε = e (x - m)."""
    return sigma / (V + sigma * sigma)


Step = Iterator[tuple[float, float]]  # the factor of x - m, and the variance added


def euler_ancestral(grid: Grid, eta: float) -> Step:
    for s, t in pairwise(grid):
        v2 = eta**2 * t**2 * (s**2 - t**2) / s**2
        yield 1 + (math.sqrt(t**2 - v2) - s) * e(s), v2


def dpm_2_ancestral(grid: Grid, eta: float) -> Step:
    for s, t in pairwise(grid):
        v2 = eta**2 * t**2 * (s**2 - t**2) / s**2
        d = math.sqrt(t**2 - v2)
        m = math.sqrt(s * d)
        yield 1 + (d - s) * e(m) * (1 + (m - s) * e(s)), v2


def dpmpp_2s_ancestral(grid: Grid, eta: float) -> Step:
    for s, t in pairwise(grid):
        v2 = eta**2 * t**2 * (s**2 - t**2) / s**2
        d = math.sqrt(t**2 - v2)
        m = math.sqrt(s * d)
        yield d / s + (1 - d / s) * k(m) * (m / s + (1 - m / s) * k(s)), v2


def edm(grid: Grid, churn: float) -> Step:
    for s, t in pairwise(grid):
        h = s * (1 + min(churn / grid.steps, math.sqrt(2) - 1))
        down = 1 + (t - h) / 2 * (e(h) + e(t) * (1 + (t - h) * e(h)))
        yield down, down**2 * (h**2 - s**2)


def dpmpp_sde(grid: Grid, r: float) -> Step:
    """η = 1: v² = t² (1 - t²/s²), d = t²/s."""
    for s, t in pairwise(grid):
        m = math.exp((1 - r) * math.log(s) + r * math.log(t))
        f, down, half = 1 / (2 * r), t**2 / s**2, m**2 / s**2
        v, w = t * math.sqrt(1 - down), m * math.sqrt(1 - half)
        stage = (1 - down) * f * k(m)
        both = 2 * stage * w * v * math.sqrt((s - m) / (s - t))
        x = down + (1 - down) * (1 - f) * k(s) + stage * (half + (1 - half) * k(s))
        yield x, (stage * w) ** 2 + v**2 + both


RECURSIONS: list[tuple[Solver, Callable[[Grid], Step]]] = [
    (DDIMEta(), lambda g: euler_ancestral(g, 1.0)),
    (DDIMEta(0.5), lambda g: euler_ancestral(g, 0.5)),
    (DPM2Ancestral(), lambda g: dpm_2_ancestral(g, 1.0)),
    (DPM2Ancestral(0.5), lambda g: dpm_2_ancestral(g, 0.5)),
    (DPMSolverPP2SAncestral(0.8), lambda g: dpmpp_2s_ancestral(g, 0.8)),
    (EDM(), lambda g: edm(g, 40.0)),
    (EDM(3.0), lambda g: edm(g, 3.0)),
    (DPMSolverPPSDE(), lambda g: dpmpp_sde(g, 0.5)),
    (DPMSolverPPSDE(r=0.8), lambda g: dpmpp_sde(g, 0.8)),
]


@pytest.mark.parametrize("n", [1, 4, 40])
@pytest.mark.parametrize(
    ("solver", "steps"),
    RECURSIONS,
    ids=lambda v: repr(v)[:40] if isinstance(v, Solver) else "recursion",
)
def test_moments_are_those_of_the_recursion(
    solver: Solver, steps: Callable[[Grid], Step], n: int
) -> None:
    grid = karras(n, 10.0, 0.05)
    mean, variance = M, V + grid[0] ** 2
    for factor, added in steps(grid):
        variance = factor**2 * variance + added
    assert law(solver, grid) == pytest.approx((mean, variance), rel=1e-10)


@pytest.mark.parametrize("heun", [False, True])
@pytest.mark.parametrize("eta", [0.5, 1.0, 2.0])
def test_moments_of_2m_sde(eta: float, heun: bool) -> None:
    """Two states, (x, the last D), and their covariance."""
    grid = karras(30, 10.0, 0.05)
    covariance = np.array([[V + grid[0] ** 2, 0.0], [0.0, 0.0]])
    last = 0.0
    for s, t in pairwise(grid):
        h = math.log(s) - math.log(t)
        H = (1 + eta) * h
        whole = 1 - math.exp(-H)
        slope = (H - whole) / H if heun else whole / 2
        c = slope * h / last if last else 0.0
        step = np.array([[math.exp(-H) + (whole + c) * k(s), -c], [k(s), 0.0]])
        covariance = step @ covariance @ step.T
        covariance[0, 0] += t**2 * (1 - math.exp(-2 * eta * h))
        last = h
    got = law(DPMSolverPP2MSDE(eta, heun), grid)
    assert got == pytest.approx((M, covariance[0, 0]), rel=1e-10)


# --- order of the law


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


MULTISTEP = [s for s in STOCHASTIC if not isinstance(s, OneStep | EDM)]


@each
def test_order_of_the_law_on_a_mixture(solver: Solver) -> None:
    slope = law_slope(solver)
    assert slope.settled
    assert abs(slope.order - solver.order) < 0.2, slope


@pytest.mark.parametrize("wrong", [Unrelated(), Wrong2M()], ids=lambda s: type(s).__name__)
def test_wrong_methods_are_caught(wrong: Solver) -> None:
    assert wrong.order == 2
    assert law_slope(wrong).order < 1.3


def test_s_noise_changes_the_law() -> None:
    """EDM's S_noise > 1 leaves variance behind however many steps there are, so the order is 0."""
    solver = EDM(3.0, s_noise=1.1)
    assert (solver.order, EDM(0.0, s_noise=1.1).order, EDM(3.0).order) == (0, 2, 2)
    coarse, fine = (log_snr(n, 1.0, 0.2) for n in (80, 160))
    errors = [law(solver, grid)[1] - V - 0.04 for grid in (coarse, fine)]
    assert errors == pytest.approx([0.025] * 2, rel=0.2)
    assert abs(math.log2(law_error(solver, coarse) / law_error(solver, fine))) < 0.1


@dataclass(frozen=True, repr=False)
class NoisyAB2(Solver):
    """Adams-Bashforth in σ to d, then noise: it remembers ε, where the others remember x₀."""

    order = 1
    stochastic = True

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        last = None
        for s, t in pairwise(grid):
            d, v = DDIM_ETA.split(s, t, 1.0)
            eps = ode.eps(x, s)
            last = eps if last is None else last
            x = x.add(eps, alpha=1.5 * (d - s)).add(last, alpha=-0.5 * (d - s))
            last = eps
            x = x.add(ode.noise(x, s, t), alpha=v)
            yield x


@pytest.mark.parametrize("solver", [*STOCHASTIC, NoisyAB2()], ids=repr)
def test_quadrature_finds_the_exact_moments(solver: Solver) -> None:
    """On Gaussian data the end is Gaussian, of the mean and variance that its own weights give."""
    grid = karras(40, 1.0, 0.2)
    mean, variance = law(solver, grid)
    end = Mixture1D((1.0,), (mean,), (math.sqrt(variance),))
    got = expectations(solver, grid, LINE)
    far = solver == ERSDE(4, family=SDE_ETA)  # three remembered answers, and weights up to 55/24
    np.testing.assert_allclose(
        got, exact_expectations(0.0, end), rtol=0, atol=3e-6 if far else 3e-7
    )


MANY, FINE = 60_000, 40


class Path(Wrapped):
    """One Brownian path for each of many samples on the nested grids of FINE steps."""

    def __init__(self, ode: Mixture1D) -> None:
        super().__init__(ode)
        generator = torch.Generator().manual_seed(1)
        self.levels = log_snr(FINE, 1.0, 0.2).levels

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=torch.float64, generator=generator)

        w, m, d = (
            torch.tensor(a, dtype=torch.float64) for a in (ode.weights, ode.means, ode.deviations)
        )
        which = torch.multinomial(w, MANY, True, generator=generator)
        self.start = m[which] + d[which] * normal(MANY) + normal(MANY)
        widths = torch.tensor([s - t for s, t in pairwise(self.levels)], dtype=torch.float64)
        self.increments = normal(FINE, MANY) * widths.sqrt()[:, None]

    def noise(self, x: Tensor, s: float, t: float) -> Tensor:
        i, j = self.levels.index(s), self.levels.index(t)
        return self.increments[i:j].sum(0) / math.sqrt(s - t)


@pytest.fixture(scope="module")
def path() -> Path:
    return Path(NARROW)


@pytest.mark.parametrize("solver", MULTISTEP, ids=repr)
def test_quadrature_finds_what_draws_do(path: Path, solver: Solver) -> None:
    """On a mixture, with memory: E f(x_20) - E f(x_40), drawn on the same paths, in four errors."""
    grids = [Grid(path.levels[:: FINE // n]) for n in (FINE // 2, FINE)]
    ends = [solve(path, path.start, grid, solver).x.numpy() for grid in grids]
    coarse, fine = (expectations(solver, grid) for grid in grids)
    for f, change in zip(FUNCTIONS, coarse - fine, strict=True):
        drawn = f(ends[0]) - f(ends[1])
        assert abs(drawn.mean() - change) < 4 * drawn.std() / math.sqrt(MANY)


# --- what the quadrature rests on: a step's weights, and what it remembers


MEMORY: list[tuple[Solver, int]] = [
    (DDIMEta(), 0), (EDM(3.0), 0), (DPMSolverPPSDE(), 0), (DPMSolverPP2MSDE(), 1),
    (DPMSolverPP3MSDE(), 2), (SASolver(), 2), (SASolver(predictor=3, corrector=3), 3),
]  # fmt: skip


@pytest.mark.parametrize(("solver", "memory"), MEMORY, ids=repr)
def test_memory(solver: Solver, memory: int) -> None:
    steps = responses(solver, log_snr(6, 1.0, 0.2))
    assert not steps[0].memory
    assert len(steps[3].memory) == memory
    last = DPMSolverPPSDE() == solver
    assert [sum(g.kind == "noise" for g in step.asked) for step in steps] == [1 + last] * 6


@dataclass(frozen=True, repr=False)
class Remembers(Solver):
    """The noise of the step before, once more."""

    order = 0
    stochastic = True

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        last = torch.zeros_like(x)
        for s, t in pairwise(grid):
            z = ode.noise(x, s, t)
            x = x + 0.1 * (z + last)
            last = z
            yield x


@dataclass(frozen=True, repr=False)
class Looks(DDIMEta):
    """Another step for states that are large."""

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        return super().step(ode, x.clamp(-0.5, 0.5), s, t)


@pytest.mark.parametrize(
    ("solver", "text"), [(Remembers(), "remembers noise"), (Looks(), "other weights for other")]
)
def test_no_law(solver: Solver, text: str) -> None:
    with pytest.raises(TableError, match=text):
        responses(solver, log_snr(4, 1.0, 0.2))


# --- order of the paths


@each
def test_order_of_the_paths(solver: Solver) -> None:
    slope = path_slope(solver)
    assert abs(slope.order - STRONG_ORDER) < 0.2, slope
