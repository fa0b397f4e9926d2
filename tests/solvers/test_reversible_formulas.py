"""BDIA, O-BELM, EDICT and Rex are the formulas of their papers, in x_t = α x̄, and their special cases."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import (
    LOG_SIGMA,
    ODE,
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    Grid,
    OneStep,
    Solver,
    encode,
    log_snr,
    solve,
    tabulate,
    uniform,
    uniform_t,
)
from flowsolve.problems import Mixture, exact_network
from flowsolve_solvers import (
    BDIA,
    EDICT,
    OBELM,
    RK4,
    Euler,
    Heun,
    Rex,
)
from tests.helpers import ConstantData

PROBLEM = Mixture()
NOISE_16 = PROBLEM.start(range(16), torch.float64) / PROBLEM.sigma_max
X = solve(PROBLEM, NOISE_16 * 10, log_snr(100, 10, 0.05), RK4(LOG_SIGMA)).x
VP_GRID = uniform_t(20, PROBLEM.clock.sigma(1.0), PROBLEM.clock.sigma(1e-3), clock=PROBLEM.clock)
GRID = log_snr(20, 10, 0.05)
EXACT = {"rtol": 1e-10, "atol": 1e-10}


class Same(ODE):
    """Another path of the same ODE, of α = 1."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return PROBLEM.eps(x, sigma)

    def alpha(self, sigma: float) -> float:
        return 1.0


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


CLOCK = VPSDE()
NET = exact_network(PROBLEM, EpsPrediction(CLOCK))
NETWORK = DiffusionODE(NET, EpsPrediction(CLOCK))


def label(x: Tensor, sigma: float) -> Tensor:
    return torch.full((len(x),), CLOCK.t(sigma), dtype=torch.float64)


def parts(sigma: float) -> tuple[float, float]:
    """α and the deviation of the noise of a variance-preserving path."""
    alpha = 1 / math.hypot(1, sigma)
    return alpha, alpha * sigma


def ddim(x: Tensor, eps: Tensor, s: float, t: float) -> Tensor:
    """DDIM in x_t, as every one of the papers writes it: (α_t/α_s) x + (dev_t - α_t/α_s dev_s) ε."""
    (a, d), (b, e) = parts(s), parts(t)
    return (b / a) * x + (e - b / a * d) * eps


def published_bdia(x: Tensor, grid: Grid, gamma: float) -> Tensor:
    """z_{i-1} = γ z_{i+1} - γ DDIM(z_i → i+1) + DDIM(z_i → i-1)."""
    r, s = grid[:2]
    before, x = x, ddim(x, NET(x, label(x, r)), r, s)
    for r, s, t in zip(grid, grid[1:], grid[2:], strict=False):
        eps = NET(x, label(x, s))
        before, x = x, gamma * before - gamma * ddim(x, eps, s, r) + ddim(x, eps, s, t)
    return x


def published_obelm(x: Tensor, grid: Grid) -> Tensor:
    """With h = dev/α over a step:  the coefficients of the O-BELM formula."""
    r, s = grid[:2]
    before, x = x, ddim(x, NET(x, label(x, r)), r, s)
    for r, s, t in zip(grid, grid[1:], grid[2:], strict=False):
        eps = NET(x, label(x, s))
        h, h1 = s - t, r - s
        a_r, a_s, a_t = (parts(v)[0] for v in (r, s, t))
        new = h**2 / h1**2 * (a_t / a_r) * before + (h1**2 - h**2) / h1**2 * (a_t / a_s) * x
        before, x = x, new - h * (h + h1) / h1 * a_t * eps
    return x


def published_edict(x: Tensor, grid: Grid, p: float, alternate: bool) -> Tensor:
    """Two states that change places, each stepped by DDIM with the ε of the other, then mixed."""
    pair = [x, x]
    for i, (s, t) in enumerate(pairwise(grid)):
        for k in (0, 1):
            j = (k + i) % 2 if alternate else k
            pair[j] = ddim(pair[j], NET(pair[1 - j], label(x, s)), s, t)
        pair[0] = p * pair[0] + (1 - p) * pair[1]
        pair[1] = (1 - p) * pair[0] + p * pair[1]
    return pair[0]


@dataclass(frozen=True, repr=False)
class DataMidpoint(OneStep):
    """The midpoint rule for dz/du = x₀, z = x̄/σ, u = 1/σ: a Runge-Kutta method as the paper of Rex has it."""

    order = 2

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        return t * (x / s + data_midpoint(ode, x / s, 1 / s, 1 / t - 1 / s))


def data_midpoint(ode: ODE, z: Tensor, u: float, h: float) -> Tensor:
    half = z + h / 2 * ode.x0(z / u, 1 / u)
    m = u + h / 2
    return h * ode.x0(half / m, 1 / m)


def data_euler(ode: ODE, z: Tensor, u: float, h: float) -> Tensor:
    return h * ode.x0(z / u, 1 / u)


def published_rex(x: Tensor, grid: Grid, zeta: float, psi: Callable[..., Tensor]) -> Tensor:
    """In x_t, with dev and γ = α/dev:  x' = (dev'/dev)(ζ x + (1-ζ) y) + dev' Ψ_h(γ, y), and so on."""
    y = x
    for s, t in pairwise(grid):
        d, e = parts(s)[1], parts(t)[1]
        u, h = 1 / s, 1 / t - 1 / s
        x = e / d * (zeta * x + (1 - zeta) * y) + e * psi(NETWORK, y / d, u, h)
        y = e / d * y - e * psi(NETWORK, x / e, u + h, -h)
    return x


@pytest.mark.parametrize(
    ("solver", "published"),
    [
        (BDIA(), lambda x, g: published_bdia(x, g, 1.0)),
        (BDIA(0.5), lambda x, g: published_bdia(x, g, 0.5)),
        (OBELM(), published_obelm),
        (EDICT(), lambda x, g: published_edict(x, g, 0.93, True)),
        (EDICT(0.9, alternate=False), lambda x, g: published_edict(x, g, 0.9, False)),
        (Rex(), lambda x, g: published_rex(x, g, 0.999, data_euler)),
        (Rex(DataMidpoint(), 0.9), lambda x, g: published_rex(x, g, 0.9, data_midpoint)),
    ],
    ids=lambda v: repr(v) if isinstance(v, Solver) else "",
)
def test_the_formula_of_the_paper(
    solver: Solver, published: Callable[[Tensor, Grid], Tensor]
) -> None:
    top, bottom = VP_GRID[0], VP_GRID[-1]
    x = X * 10
    theirs = published(x * parts(top)[0], VP_GRID) / parts(bottom)[0]
    torch.testing.assert_close(solve(NETWORK, x, VP_GRID, solver).x, theirs, rtol=1e-9, atol=1e-9)


@dataclass(frozen=True, repr=False)
class Leapfrog(Solver):
    """x_{i+1} = x_{i-1} + 2h ε_i."""

    order = 2

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        before, x = x, x + (grid[1] - grid[0]) * ode.eps(x, grid[0])
        yield x
        for s, t in pairwise(grid[1:]):
            before, x = x, before + 2 * (t - s) * ode.eps(x, s)
            yield x


def test_on_equal_steps_both_are_leapfrog() -> None:
    grid = uniform(12, 5.0, 0.2)
    ours, leapfrog = (tabulate(s, grid).matrix for s in (OBELM(), Leapfrog()))
    assert abs(ours - leapfrog).max() < 1e-12
    one, two = (solve(Same(), X, grid, s).x for s in (BDIA(), OBELM()))
    torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)
    assert (
        rms(solve(PROBLEM, X, grid, BDIA()).x - two) > 1e-3
    )  # where α changes, it is another method


def test_symmetric_methods_are_their_own_inverse() -> None:
    """O-BELM's formula with the levels the other way round, and BDIA's with γ = 1."""
    levels = GRID.reversed()

    def up(weight: Callable[[float, float, float], float]) -> Tensor:
        before, x = X, X + (levels[1] - levels[0]) * PROBLEM.eps(X, levels[0])
        for r, s, t in zip(levels, levels[1:], levels[2:], strict=False):
            w, eps = weight(r, s, t), PROBLEM.eps(x, s)
            before, x = x, x + (t - s) * eps + w * (before - x - (r - s) * eps)
        return x

    torch.testing.assert_close(
        encode(PROBLEM, X, GRID, OBELM()).x, up(lambda r, s, t: ((t - s) / (s - r)) ** 2), **EXACT
    )
    torch.testing.assert_close(
        encode(PROBLEM, X, GRID, BDIA()).x,
        up(lambda r, s, t: PROBLEM.alpha(r) / PROBLEM.alpha(t)),
        **EXACT,
    )


def test_a_vanishing_gamma_is_ddim() -> None:
    deviation = tabulate(BDIA(1e-14), GRID).matrix - tabulate(Euler(), GRID).matrix
    assert abs(deviation).max() < 1e-11


def test_unmixed_edict_steps_by_every_second_answer() -> None:
    answer = tabulate(EDICT(1.0, alternate=False), GRID).answer
    assert answer[0] == 1
    assert answer[1::2] == pytest.approx(tabulate(Euler(), GRID).answer[1:], abs=1e-12)
    assert max(map(abs, answer[2::2])) < 1e-12


@pytest.mark.parametrize("zeta", [0.3, 1.0])
@pytest.mark.parametrize("method", [Euler(), Heun()], ids=repr)
def test_the_first_step_of_rex_is_the_method(method: OneStep, zeta: float) -> None:
    grid = Grid([2.0, 0.5])
    ours, theirs = tabulate(Rex(method, zeta), grid).answer, tabulate(method, grid).answer
    assert ours[: len(theirs)] == pytest.approx(theirs, abs=1e-12)
    assert max(map(abs, ours[len(theirs) :])) < 1e-12


def test_rex_is_exact_where_its_method_is() -> None:
    """With a constant x₀ DDIM is the flow, and the two states stay one."""

    done = solve(ConstantData(0.5), X, GRID, Rex())
    torch.testing.assert_close(done.x, 0.5 + (X - 0.5) * 0.05 / 10, **EXACT)
    torch.testing.assert_close(done.second, done.x, **EXACT)
