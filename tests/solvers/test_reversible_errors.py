"""Orders and errors of BDIA, O-BELM, EDICT and Rex, down the grid and up."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import (
    LOG_SIGMA,
    NOISE,
    Solver,
    encode,
    karras,
    log_snr,
    solve,
    uniform_t,
)
from flowsolve.problems import Mixture, Mixture1D
from flowsolve.schedule.grid import Spacing
from flowsolve.study import convergence
from flowsolve.study.certificate import measuring_steps
from flowsolve_solvers import (
    BDIA,
    EDICT,
    OBELM,
    RK4,
    TWO_STATE,
    Euler,
    Heun,
    Rex,
)

PROBLEM = Mixture()
NOISE_16 = PROBLEM.start(range(16), torch.float64) / PROBLEM.sigma_max
X = solve(PROBLEM, NOISE_16 * 10, log_snr(100, 10, 0.05), RK4(LOG_SIGMA)).x
VP_GRID = uniform_t(20, PROBLEM.clock.sigma(1.0), PROBLEM.clock.sigma(1e-3), clock=PROBLEM.clock)
each = pytest.mark.parametrize("solver", TWO_STATE, ids=repr)


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


@pytest.mark.parametrize(
    ("problem", "spacing"), [(Mixture1D, karras), (Mixture, log_snr)], ids=["1d", "2d"]
)
@each
def test_order(solver: Solver, problem: type[Mixture], spacing: Spacing) -> None:
    near = problem(sigma_max=1.0, sigma_min=0.2)
    early = isinstance(solver, Rex) and solver.method != Heun()
    steps = (20, 40, 80) if early else measuring_steps(solver)
    result = convergence(solver, near, steps=steps, spacing=spacing, seeds=range(8))
    slope = result.slope()
    assert abs(slope.order - solver.order) < 0.2, str(result)
    assert slope.settled, str(result)


@pytest.mark.parametrize("zeta", [1.0, 0.5])
def test_the_order_of_rex_where_its_errors_do_not_cancel(zeta: float) -> None:
    near = Mixture1D(sigma_max=1.0, sigma_min=0.2)
    slope = convergence(Rex(zeta=zeta), near, steps=(160, 320, 640), seeds=range(8)).slope()
    assert abs(slope.order - 1) < 0.1
    assert slope.settled


@pytest.mark.parametrize("solver", [BDIA(), OBELM()], ids=repr)
def test_the_order_upwards(solver: Solver) -> None:
    """Those that are their own inverse."""
    near = Mixture1D(sigma_max=1.0, sigma_min=0.2)
    x = near.start(range(8), torch.float64)
    data = near.flow(x, 1.0, 0.2)
    errors = [rms(encode(near, data, log_snr(n, 1.0, 0.2), solver).x - x) for n in (80, 160, 320)]
    for a, b in pairwise(errors):
        assert abs(math.log2(a / b) - 2) < 0.2


def test_what_they_are_as_samplers() -> None:
    """RMS errors on 20 steps of σ = 152 to 0.01, as docs/inversion.md has them."""
    x = NOISE_16 * VP_GRID[0]
    fine = solve(PROBLEM, x, log_snr(400, VP_GRID[0], VP_GRID[-1]), RK4(LOG_SIGMA)).x
    error = {s: rms(solve(PROBLEM, x, VP_GRID, s).x - fine) for s in (*TWO_STATE, Euler(), Heun())}
    assert error[BDIA()] < error[OBELM()] < error[Euler()] / 2
    assert error[BDIA(0.5)] < error[Euler()]
    assert error[EDICT(alternate=False)] > 3 * error[EDICT()] > 6 * error[Euler()]
    assert error[Rex()] < error[Euler()]
    assert error[Rex(Heun())] < 1.5 * error[Heun()]
    zero, almost = VP_GRID.to_zero(), log_snr(600, VP_GRID[0], 1e-4)
    fine = solve(PROBLEM, x, almost, RK4(LOG_SIGMA)).x
    to_zero = {s: rms(solve(PROBLEM, x, zero, s).x - fine) for s in (BDIA(), OBELM())}
    assert to_zero[BDIA()] > 2 * error[BDIA()]
    assert to_zero[OBELM()] == pytest.approx(error[OBELM()], rel=0.05)


def test_rex_couples_the_data_chart() -> None:
    x = NOISE_16 * VP_GRID[0]
    fine = solve(PROBLEM, x, log_snr(400, VP_GRID[0], VP_GRID[-1]), RK4(LOG_SIGMA)).x
    error = {s: rms(solve(PROBLEM, x, VP_GRID, s).x - fine) for s in (Rex(), Rex(chart=NOISE))}
    assert error[Rex(chart=NOISE)] > 20 * error[Rex()]


def test_what_grows_upwards() -> None:
    """BDIA's γ = 1/2 doubles the flaw of its first step at every level, Rex multiplies it by s/t."""
    exact = solve(PROBLEM, X, log_snr(400, VP_GRID[0], VP_GRID[-1]).reversed(), RK4(LOG_SIGMA)).x

    def error(solver: Solver, n: int) -> float:
        grid = uniform_t(n, VP_GRID[0], VP_GRID[-1], clock=PROBLEM.clock)
        return rms(encode(PROBLEM, X, grid, solver).x - exact) / VP_GRID[0]

    coarse, fine = error(BDIA(0.5), 20), error(BDIA(0.5), 30)
    assert coarse > 1000
    assert fine > 500 * coarse
    assert error(Rex(), 20) > 3
    for solver in (BDIA(), OBELM()):
        assert error(solver, 100) < error(solver, 20) / 2 < 0.5
