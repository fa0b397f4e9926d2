"""keep=: every Point says the same in x, x_t, ε and x₀, and costs the method nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from flowsolve import (
    ODE,
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    FlowPrediction,
    OneStep,
    Solution,
    Solver,
    karras,
    linear_beta,
    sample,
    solve,
)
from flowsolve.problems import exact_network
from flowsolve_solvers import LMS, DPMSolver2, DPMSolverPP2M, Euler, Heun, Torchdiffeq, UniPC
from tests.helpers import Asked
from tests.integrate.helpers import GRID, PROBLEM, Decay, X, every


def network_ode() -> DiffusionODE:
    precondition = EpsPrediction(VPSDE())
    return DiffusionODE(exact_network(PROBLEM, precondition), precondition)


def check_path(answer: Solution, start: Tensor, kept: list[int]) -> None:
    """Every Point says the same thing in x, x_t, ε and x₀, and says it of the problem."""
    assert [p.sigma for p in answer.path] == [answer.grid[i] for i in kept]
    assert answer.path[0].x is start or answer.path[0].x.equal(start)
    assert answer.path[-1].x.equal(answer.x)
    counts = [p.nfe for p in answer.path]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, answer.nfe)
    for p in answer.path:
        if p.sigma == 0:
            assert p.eps is None
            assert p.x0 is not None
            assert p.x0.equal(p.x)
            assert p.x_t.equal(p.x)
            continue
        assert p.x0 is not None
        assert p.eps is not None
        torch.testing.assert_close(p.x0, PROBLEM.x0(p.x, p.sigma), rtol=1e-9, atol=1e-9)
        if math.isinf(p.sigma):
            assert p.alpha == 0
            assert p.eps.equal(p.x)
            assert p.x_t.equal(p.x)
        else:
            torch.testing.assert_close(p.eps, PROBLEM.eps(p.x, p.sigma), rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(p.x, p.x0 + p.sigma * p.eps, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(p.x_t, p.x / math.hypot(1, p.sigma), rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("up", "keep"), [(False, 1), (False, 100), (True, 4)], ids=["down-1", "down-100", "up-4"]
)
@every
def test_paths(solver: Solver, up: bool, keep: int) -> None:
    grid, x = (GRID.reversed(), X / 10) if up else (GRID, X)
    plain = solve(PROBLEM, x, grid, solver)
    asked = Asked(PROBLEM)
    answer = solve(asked, x, grid, solver, keep=keep)
    kept = sorted({*range(0, len(grid), keep), grid.steps})
    check_path(answer, x, kept)
    assert plain.path == ()
    assert answer.x.equal(plain.x)
    assert answer.nfe == plain.nfe  # what was asked for the path only is not the method's
    assert answer.stats.get("observations", 0) == asked.calls - answer.nfe
    assert {k: v for k, v in answer.stats.items() if k != "observations"} == plain.stats
    assert answer.stats["observations"] >= 1  # no method evaluates its answer


@pytest.mark.parametrize("keep", [1, 3])
@every
def test_paths_between_the_ends(solver: Solver, keep: int) -> None:
    grid = GRID.from_infinity().to_zero()
    answer = sample(PROBLEM, X / 10, grid, solver, keep=keep)
    check_path(answer, X / 10, sorted({*range(0, len(grid), keep), grid.steps}))
    assert answer.x.equal(sample(PROBLEM, X / 10, grid, solver).x)


def test_methods_of_one_evaluation_pay_one_observation() -> None:
    """Their own evaluation at each node is the one shown; only the last node is asked again."""
    for solver in (Euler(), Heun(), LMS(), DPMSolverPP2M()):
        assert solve(PROBLEM, X, GRID, solver, keep=1).stats == {"observations": 1}


@dataclass(frozen=True, repr=False)
class Elsewhere(OneStep):
    """Asks at the node's σ but another state, then of the node's state at another σ."""

    order = 0

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        return x + (t - s) / 2 * (ode.eps(x + 1, s) + ode.eps(x, (s + t) / 2))


def test_paths_show_the_node_and_nothing_near_it() -> None:
    answer = solve(PROBLEM, X, GRID, Elsewhere(), keep=1)
    check_path(answer, X, [*range(len(GRID))])
    assert answer.stats == {"observations": len(GRID)}


def test_paths_of_a_network() -> None:
    """Observations are forwards too, but not evaluations of the method; α is the model's."""
    answer = solve(network_ode(), X, GRID, Heun(), keep=1)
    assert answer.nfe == 2 * GRID.steps
    flow = FlowPrediction()
    ode = DiffusionODE(exact_network(PROBLEM, flow), flow)
    for p in sample(ode, X / 10, GRID.from_infinity().to_zero(), Heun(), keep=1).path[1:]:
        torch.testing.assert_close(p.x_t, p.x / (1 + p.sigma), rtol=1e-14, atol=0)


@pytest.mark.parametrize("solver", [Heun(), LMS(), Torchdiffeq()], ids=repr)
def test_keep_on(solver: Solver) -> None:
    answer = sample(PROBLEM, X / 10, GRID.to_zero(), solver, keep=1, keep_on="meta")
    assert {p.x.device.type for p in answer.path} == {"meta"}
    assert {p.x0.device.type for p in answer.path if p.x0 is not None} == {"meta"}
    assert {p.eps.device.type for p in answer.path if p.eps is not None} == {"meta"}
    assert answer.x.device.type == "cpu"
    path = sample(PROBLEM, X / 10, GRID.to_zero(), solver, keep=1, keep_on="cpu").path
    assert all(p.x.device.type == "cpu" for p in path)


def test_keep_is_not_negative() -> None:
    with pytest.raises(ValueError, match="keep must be 0"):
        solve(PROBLEM, X, GRID, Heun(), keep=-1)


# --- a node that cannot be evaluated costs its ε and x₀, never the run --------------------------

OUTSIDE = karras(5, 80, 0.002)  # linear_beta knows σ from 0.01


@pytest.mark.parametrize(
    "solver", [Euler(), LMS(3), DPMSolverPP2M(), UniPC(3), DPMSolver2()], ids=repr
)
def test_the_last_node_may_lie_outside_of_the_clock(solver: Solver) -> None:
    ode = DiffusionODE(lambda x, t: 0.3 * x, EpsPrediction(linear_beta()))
    plain = solve(ode, X, OUTSIDE, solver)
    with pytest.warns(
        RuntimeWarning,
        match=r"^the node at σ = 0.002 is kept without ε and x₀, which the method did not need there: "
        r"ScheduleError: σ = 0.002 is outside linear_beta",
    ) as caught:
        answer = solve(ode, X, OUTSIDE, solver, keep=1)
    assert [w.filename for w in caught] == [__file__]
    assert answer.x.equal(plain.x)
    assert answer.nfe == plain.nfe
    last = answer.path[-1]
    assert (last.sigma, last.eps, last.x0) == (0.002, None, None)
    assert last.x.equal(plain.x)
    assert all(p.eps is not None and p.x0 is not None for p in answer.path[:-1])
    near = answer.at([0.002, 0.002 + 1e-9, 0.05])
    assert near[0].equal(plain.x)
    torch.testing.assert_close(near[1], near[0], rtol=1e-6, atol=1e-6)
    assert near.isfinite().all()


def test_a_network_that_fails_where_only_the_path_asks() -> None:
    class Once(Decay):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            if self.calls == GRID.steps:
                raise RuntimeError("out of memory")
            return super().eps(x, sigma)

    with pytest.warns(RuntimeWarning, match="RuntimeError: out of memory"):
        answer = solve(Once(), X, GRID, Euler(), keep=2)
    assert answer.x.equal(solve(Decay(), X, GRID, Euler()).x)
    assert answer.stats == {}
    with pytest.raises(RuntimeError, match="out of memory"):
        solve(Once(), X, GRID, Heun(), keep=1)  # where the method itself asks, it fails as before
