"""The one counter: what it counts, that answers show its numbers, and that it keeps nothing alive."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from flowsolve import (
    ODE,
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    Grid,
    Guided,
    OneStep,
    SeededNoise,
    WithNoise,
    encode,
    invert,
    sample,
    solve,
)
from flowsolve.integrate import Counter, Tally, tally
from flowsolve.problems import exact_network
from flowsolve_solvers import DDIMEta, DPMSolverPPSDE, Euler, Heun
from tests.integrate.helpers import GRID, PROBLEM, X

EPS = EpsPrediction(VPSDE())


def network() -> DiffusionODE:
    return DiffusionODE(exact_network(PROBLEM, EPS), EPS)


def test_each_number() -> None:
    """Guidance in two calls: one evaluation, of 4 rows, by two forward passes of 4 rows each."""
    spent = Tally()
    ode = Counter(
        WithNoise(Guided(network(), network(), 2.0, batched=False), SeededNoise(range(4))), spent
    )
    ode.eps(X, 1.0)
    assert spent == Tally(nfe=1, rows=4, forwards=8, noises=0, rounds=1)
    ode.x0(X[:3], 1.0)
    assert spent == Tally(nfe=2, rows=7, forwards=14, noises=0, rounds=2)
    ode.noise(X, 2.0, 1.0)
    assert spent == Tally(nfe=2, rows=7, forwards=14, noises=1, rounds=2)


class Composed(ODE):
    """ε = (a + b + c)/3: an ODE of several networks, written without Wrapped."""

    def __init__(self, a: ODE, rest: dict[str, list[ODE]]) -> None:
        self.a, self.rest, self.note = a, rest, ("no ODE", 1.0)

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        total = self.a.eps(x, sigma)
        for other in self.rest["others"]:
            total = total + other.eps(x, sigma)
        return total / 3


def test_forwards_of_an_ode_made_of_odes() -> None:
    """Attributes, lists and dictionaries of ODEs are counted; the caller's own objects stay as they are."""
    inner = Composed(
        network(), {"others": [network(), Guided(network(), network(), 2.0, batched=False)]}
    )
    before = dict(vars(inner))
    answer = solve(inner, X, GRID, Euler())
    assert answer.forwards == 4 * answer.nfe
    assert vars(inner) == before
    assert answer.x.equal(solve(network(), X, GRID, Euler()).x) is False
    exact = Composed(PROBLEM, {"others": [PROBLEM, PROBLEM]})
    assert exact.with_forward_hook(print) is exact
    assert solve(exact, X, GRID, Euler()).forwards == 0


def test_the_observer_sees_what_the_solver_gets() -> None:
    seen: list[tuple[Tensor, float, Tensor | None, Tensor | None]] = []

    class Observer:
        def saw(
            self, x: Tensor, sigma: float, *, eps: Tensor | None = None, x0: Tensor | None = None
        ) -> None:
            seen.append((x, sigma, eps, x0))

    ode = Counter(PROBLEM, Tally(), Observer())
    one, two = ode.eps(X, 1.0), ode.x0(X, 2.0)
    assert seen[0][0] is X
    assert seen[0][1:] == (1.0, one, None)
    assert seen[1][1:] == (2.0, None, two)


@dataclass(frozen=True, repr=False)
class Halves(OneStep):
    """Euler that evaluates each half of the batch by itself."""

    order = 1

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        return x + (t - s) * torch.cat([ode.eps(half, s) for half in x.chunk(2)])


@pytest.mark.parametrize("run", [solve, sample, encode, invert])
def test_an_answer_counts_per_sample(run) -> None:  # type: ignore[no-untyped-def]
    guided = Guided(network(), network(), 2.0, batched=False)
    found = run(guided, X / 10 if run is sample else X, GRID, Halves())
    assert found.nfe == 2 * found.per_sample
    assert found.forwards == 2 * found.per_sample
    assert found.nfe >= 2 * GRID.steps


@pytest.mark.parametrize(
    ("solver", "nfe", "noises"), [(Heun(), 12, 0), (DDIMEta(), 6, 6), (DPMSolverPPSDE(), 12, 12)]
)
def test_evaluations_and_noises_beforehand(solver: OneStep, nfe: int, noises: int) -> None:
    assert (tally(solver, GRID).nfe, tally(solver, GRID).noises) == (nfe, noises)
    spent = Tally()
    ode = Counter(WithNoise(PROBLEM, SeededNoise(range(4))), spent)
    solve(ode, X, GRID, solver)
    assert (spent.nfe, spent.noises) == (nfe, noises)


def test_a_run_leaves_the_network_to_its_owner() -> None:
    """No cycle of references holds it until the garbage collector comes."""

    class Network(torch.nn.Module):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return 0.1 * x

    gc.collect()
    gc.disable()
    try:
        inner = Network()
        gone = weakref.ref(inner)
        for keep in (0, 1):
            found = solve(DiffusionODE(inner, EPS), X, GRID, Heun(), keep=keep)
        again = invert(DiffusionODE(inner, EPS), X, GRID, Euler())
        del inner
        assert gone() is None
        assert found.x.isfinite().all()
        assert again.x.isfinite().all()
    finally:
        gc.enable()


def test_a_grid_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    grids = [g.from_infinity().to_zero() for g in (GRID, Grid(GRID[:3]))]
    grids += [grid.reversed() for grid in grids]
    monkeypatch.setattr("flowsolve.schedule.grid._check", None)
    for grid in grids:
        run = encode if grid.rising else sample
        assert run(PROBLEM, X / 10, grid, Heun()).grid is grid
