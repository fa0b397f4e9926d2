"""Starts: the far field in one step. NFE, identities, orders, paths, tables, and the ends."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from flowsolve import (
    DATA,
    FLOW,
    NOISE,
    ODE,
    VELOCITY,
    Grid,
    Phi,
    Replay,
    Solver,
    karras,
    sample,
    solve,
    tabulate,
    uniform_phi,
    unit_noise,
)
from flowsolve.errors import StateError, TableError
from flowsolve.integrate.cost import cost
from flowsolve.ode import Wrapped
from flowsolve.problems import Gaussian, Mixture
from flowsolve.solver import make_solver
from flowsolve_solvers import (
    AFS,
    ALL,
    LMS,
    Adams,
    CorrectedStart,
    DPMSolverPP2M,
    DPMSolverPPSDE,
    Euler,
    GaussianStart,
    Heun,
    RescaledStart,
    Scipy,
    UniPC,
)
from flowsolve_solvers.starts import Around, Started
from tests.helpers import says

MIXTURE = Mixture(sigma_max=80.0, sigma_min=0.05)
INNER = Adams(3, VELOCITY, Phi())
GRID = Grid((80.0, *uniform_phi(7, 8.0, 0.05)))
STARTS = [
    AFS(INNER),
    RescaledStart(INNER),
    CorrectedStart(INNER),
    GaussianStart(INNER, mean=torch.zeros(2), covariance=torch.eye(2)),
]
inf = math.inf


class Asked(Wrapped):
    """Notes the levels that are asked."""

    def __init__(self, ode: ODE) -> None:
        super().__init__(ode)
        self.levels: list[float] = []

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.levels.append(sigma)
        return self.ode.eps(x, sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        self.levels.append(sigma)
        return self.ode.x0(x, sigma)


def noise(n: int = 32) -> Tensor:
    return unit_noise(range(n), (2,), torch.float64)


def far(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


@pytest.mark.parametrize("solver", STARTS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("first", [80.0, inf])
def test_one_evaluation_less_and_none_above_the_second_level(solver: Solver, first: float) -> None:
    ode, grid = Asked(MIXTURE), Grid((first, *GRID[1:]))
    done = sample(ode, noise(), grid, solver)
    assert done.nfe == grid.steps - 1
    assert ode.levels == [*GRID[1:-1]]


@pytest.mark.parametrize("solver", STARTS, ids=lambda s: type(s).__name__)
def test_nfe_and_keep(solver: Solver) -> None:
    """nfe= finds one step more than for the method; keep= has every node, with ε and x₀ as the ODE has them."""
    done = sample(MIXTURE, noise(), lambda n: karras(n, 80.0, 0.05), solver, nfe=6, keep=1)
    assert (done.grid.steps, done.nfe, len(done.path)) == (7, 6, 8)
    for point in done.path[:-1]:
        assert point.x0 is not None
        assert point.eps is not None
        assert far(point.x0, point.x - point.sigma * point.eps) < 1e-12 * point.sigma + 1e-13
    if not isinstance(solver, AFS):  # which takes the noise for ε at the first node
        assert all(
            p.x0 is not None and far(p.x0, MIXTURE.x0(p.x, p.sigma)) < 1e-12 for p in done.path[:-1]
        )


def test_afs_is_the_method_with_the_noise_for_its_first_answer() -> None:
    """diff-sampler: d_cur = x_cur / sqrt(1 + t²), kept among the values of a multistep method."""

    class FirstKnown(Wrapped):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return x / math.hypot(1, 80.0) if sigma == 80.0 else self.ode.eps(x, sigma)

    x, grid = noise() * 80.0, karras(8, 80.0, 0.05)
    for method in (Euler(), LMS(3), Heun()):
        assert (
            far(
                solve(MIXTURE, x, grid, AFS(method)).x,
                solve(FirstKnown(MIXTURE), x, grid, method).x,
            )
            == 0
        )


@pytest.mark.parametrize("grid", [karras(6, 80.0, 0.05), Grid((80.0, 0.0))], ids=["six", "one"])
def test_afs_takes_one_evaluation_from_every_method(grid: Grid) -> None:
    """Counted beforehand, and in the run, around each method of ALL that asks at the first level."""
    other = []
    for method in ALL:
        solver = AFS(method)
        if cost(solver, grid) != cost(method, grid) - 1:
            other.append(method)
        done = sample(MIXTURE, noise(2), grid, solver)
        assert done.nfe == cost(solver, grid), method
        assert bool(done.x.isfinite().all()), method
    # their one step is the DDIM step to 0, outside of them
    assert other == ([] if grid.steps > 1 else [m for m in ALL if not m.reaches_zero])


def test_starts_are_exact_for_their_gaussian() -> None:
    """RescaledStart for N(0, c² I), CorrectedStart too, GaussianStart for any mean and covariance."""
    round_data = Gaussian((0.0, 0.0), ((4.0, 0.0), (0.0, 4.0)), sigma_max=80.0, sigma_min=0.05)
    x = round_data.start(range(16), torch.float64)
    for start in (RescaledStart, CorrectedStart):
        found = solve(round_data, x, [80.0, 0.05], start(Euler(), scale=2.0)).x
        assert far(found, round_data.flow(x, 80.0, 0.05)) < 1e-12
    mean, covariance = (3.0, -1.0), ((2.0, 0.9), (0.9, 0.5))
    data = Gaussian(mean, covariance, sigma_max=80.0, sigma_min=0.05)
    solver = GaussianStart(
        Euler(),
        mean=torch.tensor(mean, dtype=torch.float64),
        covariance=torch.tensor(covariance, dtype=torch.float64),
    )
    assert far(solve(data, x, [80.0, 0.05], solver).x, data.flow(x, 80.0, 0.05)) < 1e-12
    # ∞ is the limit of great σ
    a, b = (sample(data, noise(), [s, 0.05], solver).x for s in (inf, 1e9))
    assert far(a, b) < 1e-6


def test_a_gaussian_start_of_data() -> None:
    data = MIXTURE.data().double()
    solver = GaussianStart.of(INNER, data)
    assert far(solver.mean, data.mean(0)) == 0
    assert far(solver.covariance, data.T.cov()) < 1e-15
    x = noise(64) * 80
    exact = solve(MIXTURE, x, karras(300, 80.0, 0.05), Adams(4, VELOCITY, Phi())).x
    error = [
        float((solve(MIXTURE, x, GRID, s).x - exact).square().mean().sqrt())
        for s in (solver, RescaledStart(INNER))
    ]
    assert error[0] < error[1] / 3


@pytest.mark.parametrize(("make", "order"), [(RescaledStart, 1), (CorrectedStart, 2)])
def test_order_in_the_first_step(make: type, order: int) -> None:
    """The first step alone, from 2s to s: its error falls as s^-(order + 1), for data with a mean."""
    error = []
    for s in (50.0, 100.0):
        x = noise() * (2 * s)
        exact = solve(MIXTURE, x, karras(200, 2 * s, s), Heun()).x
        error.append(float((solve(MIXTURE, x, [2 * s, s], make(Euler())).x - exact).abs().max()))
    # x̄₀ ~ mean + O(1/σ): dz = -x̄₀ dθ, and dθ ~ 1/s; x̄ = s z
    assert math.log2(error[0] / error[1]) > order - 1 - 0.1
    assert error[1] < {1: 1.0, 2: 0.02}[order]


def test_the_corrected_start_by_hand() -> None:
    """z held to s; F there; z += F (θ_s - θ_max); x₀ stays known."""
    x, s, c = noise() * 80, 8.0, 0.5
    held = x * math.sqrt((c * c + s * s) / (c * c + 6400))
    x0 = MIXTURE.x0(held, s)
    r = math.hypot(c, s)
    f = (c * (held - x0) / s - s * x0 / c) / r
    moved = held + r * f * (math.atan(s / c) - math.atan(80 / c))
    ours = solve(MIXTURE, x, [80.0, s], CorrectedStart(Euler(), scale=c))
    assert far(ours.x, moved) < 1e-13
    assert ours.nfe == 1
    after = solve(MIXTURE, x, [80.0, s, 2.0], CorrectedStart(Euler(DATA), scale=c))
    assert far(after.x, x0 + (moved - x0) * 2.0 / s) < 1e-13
    assert after.nfe == 1


@pytest.mark.parametrize("solver", STARTS[:3], ids=lambda s: type(s).__name__)
def test_a_table_replays(solver: Solver) -> None:
    x = noise() * 80
    table = tabulate(solver, GRID)
    assert far(solve(MIXTURE, x, GRID, Replay(table)).x, solve(MIXTURE, x, GRID, solver).x) < 1e-11
    assert solve(MIXTURE, x, GRID, Replay(table)).nfe == solve(MIXTURE, x, GRID, solver).nfe


@pytest.mark.parametrize("solver", STARTS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("first", [80.0, inf])
def test_between_the_nodes(solver: Solver, first: float) -> None:
    grid = Grid((first, *uniform_phi(40, 20.0, 0.05)))
    done = sample(MIXTURE, noise(), grid, solver, keep=1)
    fine = sample(MIXTURE, noise(), Grid((first, *uniform_phi(160, 20.0, 0.05))), solver, keep=1)
    for i in (3, 82, 159):
        assert far(done.at(fine.grid[i]), fine.path[i].x) < 3e-3 * max(1, fine.grid[i])
    for sigma in (20.0, 19.999):
        assert far(done.at(sigma), done.path[1].x) < 0.01
    near = 79.0 if first == 80 else 1e7
    assert far(done.at(near) / near, noise()) < 0.1


@pytest.mark.parametrize("solver", STARTS, ids=lambda s: type(s).__name__)
def test_up_the_grid_the_method_takes_every_step(solver: Solver) -> None:
    x, grid = MIXTURE.data()[:8].double(), GRID.reversed()
    assert far(solve(MIXTURE, x, grid, solver).x, solve(MIXTURE, x, grid, INNER).x) == 0


def test_starts_around_other_methods() -> None:
    exact = solve(MIXTURE, noise() * 80, karras(300, 80.0, 0.05), Heun()).x
    for method in (Heun(), DPMSolverPP2M(), UniPC(2, FLOW, variable=Phi()), LMS(3)):
        found = solve(
            MIXTURE,
            noise() * 80,
            Grid((80.0, *uniform_phi(40, 20.0, 0.05))),
            CorrectedStart(method),
        )
        assert float((found.x - exact).square().mean().sqrt()) < 0.02


def test_a_start_of_ones_own() -> None:
    """`Started` takes the first step from it, and the rest of a start from the method (`Around`)."""

    class Asking(Started):
        """DDIM in the first step."""

        def first(self, ode: ODE, x: Tensor, s: float, t: float) -> tuple[Tensor, ODE]:
            return x.add(ode.eps(x, s), alpha=t - s), ode

    x = noise() * 80
    assert far(solve(MIXTURE, x, GRID, Asking(Euler())).x, solve(MIXTURE, x, GRID, Euler()).x) == 0
    for method in (Heun(), INNER, DPMSolverPPSDE()):
        start: Around = Asking(method)
        assert start.reaches_zero == method.reaches_zero
        assert start.stochastic == method.stochastic
        assert (start.order, start.leaves_infinity) == (1, True)
        assert AFS(method).leaves_infinity == method.leaves_infinity


def test_what_starts_refuse() -> None:
    says(
        TypeError,
        "AFS takes a method that steps from level to level, not Scipy",
        lambda: AFS(Scipy()),
    )
    says(StateError, "AFS: method must be a Solver, but is 3", lambda: AFS(3))  # type: ignore[arg-type]
    says(ValueError, "Velocity needs a scale above 0", lambda: RescaledStart(Euler(), 0.0))
    number = "CorrectedStart: scale must be a number, but got 'a'"
    says(ValueError, number, lambda: CorrectedStart(Euler(), "a"))  # type: ignore[arg-type]
    start = GaussianStart(Euler(), mean=torch.zeros(3), covariance=torch.eye(3))
    says(
        StateError,
        "GaussianStart is for samples of shape (3,), but the state is (32, 2).",
        lambda: solve(MIXTURE, noise(), [9.0, 1.0], start),
    )
    wrong = "GaussianStart: the covariance of a mean of (3,) is (3, 3), but it has (2, 2)"
    says(
        ValueError,
        wrong,
        lambda: GaussianStart(Euler(), mean=torch.zeros(3), covariance=torch.eye(2)),
    )
    says(TableError, "the weights of GaussianStart are matrices", lambda: tabulate(start, GRID))


def test_starts_by_name() -> None:
    solver = CorrectedStart(Adams(3, VELOCITY, Phi(), guard=None), 0.5)
    assert make_solver(repr(solver)) == solver
    assert make_solver("afs:method=adams") == AFS(Adams())
    assert (AFS(Adams()).order, RescaledStart(Adams()).order, CorrectedStart(Adams(3)).order) == (
        1,
        1,
        2,
    )
    assert NOISE.kept(80.0, 1.0) == 1
