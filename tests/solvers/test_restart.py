"""Restart: as its authors' code, what it does to the law of the samples, and its order."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import Grid, Solver, karras, log_snr, solve
from flowsolve.analysis import weak_order
from flowsolve.analysis.order import observed_order
from flowsolve.analysis.weak_order import law_error
from flowsolve.errors import GridError
from flowsolve.integrate.cost import cost
from flowsolve.ode import ODE, CounterNoise, SeededNoise, WithNoise
from flowsolve.problems import Mixture, Mixture1D
from flowsolve_solvers import BDIA, LMS, DDIMEta, Euler, Heun, Restart, Torchdiffeq

PROBLEM = Mixture()
SEEDS = range(5)
X = PROBLEM.start(SEEDS, torch.float64)
NOISY = WithNoise(PROBLEM, SeededNoise(SEEDS))
GRID = karras(7, PROBLEM.sigma_max, PROBLEM.sigma_min)


def published(ode: ODE, x: Tensor, levels: list[float], info: list[list[float]]) -> Tensor:
    """Newbeeer/diffusion_restart_sampling, generate_restart.py, with the levels in float64."""
    wanted = {min(range(len(levels)), key=lambda i: abs(levels[i] - v[2])): v for v in info}

    def heun(x: Tensor, s: float, t: float) -> Tensor:
        d = (x - ode.x0(x, s)) / s
        end = x + (t - s) * d
        return x + (t - s) * (0.5 * d + 0.5 * (end - ode.x0(end, t)) / t)

    for i, (s, t) in enumerate(pairwise(levels)):
        x = heun(x, s, t)
        if i + 1 not in wanted:
            continue
        n, repeats, _, high = wanted[i + 1]
        a, b = high ** (1 / 7), t ** (1 / 7)
        inner = [(a + j / (n - 1) * (b - a)) ** 7 for j in range(int(n))]
        for k in range(int(repeats)):
            x = x + math.sqrt(high**2 - t**2) * ode.noise(x, t, high, k)
            for u, v in pairwise(inner):
                x = heun(x, u, v)
    return x


def test_as_published() -> None:
    info = [[4, 3, 0.06, 0.3], [3, 2, 1.0, 2.5]]
    solver = Restart(intervals=((3, 3, 0.06, 0.3), (2, 2, 1.0, 2.5)))
    found = solve(NOISY, X, GRID, solver)
    torch.testing.assert_close(found.x, published(NOISY, X, [*GRID], info), rtol=1e-11, atol=1e-11)
    assert found.nfe == 2 * (7 + 3 * 3 + 2 * 2) == cost(solver, GRID)


def test_every_way_up_has_its_own_noise() -> None:
    asked = []

    class Watched(WithNoise):
        def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
            asked.append((s, t, again))
            return super().noise(x, s, t, again)

    solver = Restart(intervals=((2, 3, 0.06, 0.3), (1, 2, 0.07, 0.3)))  # the same level of the grid
    solve(Watched(PROBLEM, SeededNoise(SEEDS)), X, GRID, solver)
    low = min(GRID, key=lambda s: abs(s - 0.06))
    assert asked == [(low, 0.3, k) for k in range(5)]


def test_the_ways_of_the_grid() -> None:
    """steps = 0: from the level nearest to high, by the levels of the grid; 2 evaluations for each."""
    i, k = (min(range(8), key=lambda j, v=v: abs(GRID[j] - v)) for v in (2.0, 0.3))
    assert cost(Restart(intervals=((0, 3, 0.3, 2.0),)), GRID) == 2 * (7 + 3 * (k - i))


def quantiles(problem: Mixture1D, sigma: float, n: int) -> Tensor:
    """Of the exact law at σ, by bisection."""
    wanted = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    low, high = torch.full_like(wanted, -80.0), torch.full_like(wanted, 80.0)
    w, m, d = (
        torch.tensor(a, dtype=torch.float64)
        for a in (problem.weights, problem.means, problem.deviations)
    )
    for _ in range(70):
        x = (low + high) / 2
        below = (w * torch.special.ndtr((x[:, None] - m) / (d * d + sigma**2).sqrt())).sum(1)
        low, high = torch.where(below < wanted, x, low), torch.where(below < wanted, high, x)
    return low


def test_restarts_repair_the_law() -> None:
    """Heun's 5 steps leave W₁ = 0.086; eight restarts from 4 to the end leave what 40,000 draws do, 0.002."""
    problem, n = Mixture1D(), 40_000
    grid = karras(5, problem.sigma_max, problem.sigma_min)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    x = quantiles(problem, problem.sigma_max, n)[order, None]
    exact = quantiles(problem, problem.sigma_min, n)
    ode = WithNoise(problem, CounterNoise(range(n)))

    def w1(solver: Solver) -> float:
        return float((solve(ode, x, grid, solver).x.flatten().sort().values - exact).abs().mean())

    assert w1(Heun()) > 0.079
    assert w1(Restart(intervals=((20, 8, problem.sigma_min, 4.0),))) < 0.006


@pytest.mark.parametrize(("method", "order"), [(Euler(), 1), (Heun(), 2)])
def test_weak_order(method: Solver, order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By quadrature with 40 nodes for the normal, which is wide here; both levels lie on all three grids."""
    monkeypatch.setattr(weak_order, "HERMITE", 40)
    weak_order._hermite.cache_clear()
    solver = Restart(method, ((0, 1, 0.2**0.5, 0.2**0.25),))
    errors = [law_error(solver, log_snr(n, 1.0, 0.2)) for n in (20, 40, 80)]
    weak_order._hermite.cache_clear()
    assert solver.order == order
    assert abs(observed_order((20, 40, 80), errors).order - order) < 0.2, errors
    assert Restart(method).order == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_batches(dtype: torch.dtype) -> None:
    solver = Restart()
    exact = solve(NOISY, X, GRID, solver).x
    low = solve(NOISY, X.to(dtype), GRID, solver).x
    assert low.dtype == dtype
    assert (low.double() - exact).square().mean().sqrt() < 0.1
    parts = [
        solve(WithNoise(PROBLEM, SeededNoise([k])), X[k : k + 1], GRID, solver).x for k in SEEDS
    ]
    torch.testing.assert_close(torch.cat(parts), exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("grid", [Grid([10.0, 0.2]), GRID.to_zero(), karras(3, 10.0, 0.1)])
def test_short_grids(grid: Grid) -> None:
    found = solve(NOISY, X, grid, Restart(LMS(2), ((2, 2, 0.1, 0.5),)), keep=1)
    assert len(found.path) == len(grid)
    assert torch.isfinite(found.x).all()


def test_wrong_use() -> None:
    for wrong in (DDIMEta(), BDIA(), Torchdiffeq()):
        with pytest.raises(TypeError, match=r"Restart takes a method of the ODE that steps from"):
            Restart(wrong)
    for interval in ((2, 0, 0.1, 0.3), (2, 1, 0.3, 0.1), (-1, 1, 0.1, 0.3), (2, 1, 0.1), "no"):
        with pytest.raises(ValueError, match=r"Restart: an interval is \(steps, K, low, high\)"):
            Restart(intervals=(interval,))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Restart needs at least one interval"):
        Restart(intervals=())
    with pytest.raises(GridError, match=r"goes up to σ = 200, but this grid .* begins at 10"):
        solve(NOISY, X, GRID, Restart(intervals=((2, 2, 0.1, 200.0),)))
    with pytest.raises(GridError, match=r"goes up to σ = 0.3 from the level nearest to 0.06"):
        solve(NOISY, X, karras(4, 10.0, 2.0), Restart())
