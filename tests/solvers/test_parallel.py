"""Parallel in time: the result is the method's own, in fewer questions, and every evaluation is counted."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import (
    DATA,
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    Guided,
    SeededNoise,
    Solver,
    WithNoise,
    karras,
    log_snr,
    sample,
    solve,
)
from flowsolve.analysis import tabulate
from flowsolve.errors import BudgetError, StateError, TableError
from flowsolve.integrate import tally
from flowsolve.problems import Mixture1D
from flowsolve.schedule import Phi
from flowsolve.solver import VELOCITY
from flowsolve.study import convergence
from flowsolve_solvers import (
    BDIA,
    DEIS,
    LMS,
    PLMS,
    RK4,
    Adams,
    CorrectedStart,
    DDIMEta,
    DPMSolver3,
    DPMSolverAdaptive,
    DPMSolverPP2M,
    Euler,
    EulerInT,
    Heun,
    ParaDiGMS,
    Picard,
    UniPC,
)
from flowsolve_solvers._anderson import triangular
from tests.devices import network, no_synchronisation, on_each_device, strict
from tests.helpers import Asked

PROBLEM = Mixture1D(sigma_max=10.0, sigma_min=0.05)
X = PROBLEM.start(range(4), torch.float64)
GRID = log_snr(12, 10.0, 0.05)
METHODS: list[Solver] = [
    Euler(),
    Euler(DATA),
    EulerInT(),
    Heun(),
    RK4(),
    DPMSolver3(),
    DPMSolverPP2M(),
    LMS(3),
    DEIS(),
    PLMS(),
    UniPC(3),
    Adams(3, VELOCITY, Phi()),
    CorrectedStart(),
]
methods = pytest.mark.parametrize("method", METHODS, ids=repr)


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


@methods
@pytest.mark.parametrize("window", [3, 100])
def test_at_tolerance_0_it_is_the_method(method: Solver, window: int) -> None:
    """To the last bit, at every node, in at most a round for each of its evaluations."""
    alone = solve(PROBLEM, X, GRID, method, keep=1)
    done = solve(PROBLEM, X, GRID, ParaDiGMS(method, window, tolerance=0.0), keep=1)
    assert all(torch.equal(a.x, b.x) for a, b in zip(alone.path, done.path, strict=True))
    mixed = 2 if method in METHODS[-2:] else 1  # they ask for ε far from the data and x₀ near them
    assert done.rounds <= mixed * alone.nfe == mixed * alone.rounds
    assert done.nfe >= alone.nfe


@methods
def test_enough_rounds_are_the_method(method: Solver) -> None:
    alone = solve(PROBLEM, X, GRID, method)
    assert torch.equal(solve(PROBLEM, X, GRID, Picard(method, window=5, rounds=5)).x, alone.x)
    done = solve(PROBLEM, X, GRID, Picard(method, window=1, rounds=1))
    assert torch.equal(done.x, alone.x)
    assert (done.nfe, done.rounds) == (alone.nfe, alone.nfe)


def test_a_one_step_method_is_not_run_again_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round takes the steps from the first state that moved to a window beyond the window."""
    steps = 0

    def counted(self: Euler, *args: Any) -> Tensor:
        nonlocal steps
        steps += 1
        return step(self, *args)

    step = Euler.step
    monkeypatch.setattr(Euler, "step", counted)
    done = solve(PROBLEM, X, log_snr(60, 10.0, 0.05), Picard(Euler(), window=5, rounds=3))
    assert done.rounds == 36
    assert steps <= (done.rounds + 1) * 12


@methods
@pytest.mark.parametrize("memory", [0, 2])
def test_within_some_tolerances_of_the_method(method: Solver, memory: int) -> None:
    alone = solve(PROBLEM, X, GRID, method)
    errors = {}
    for tolerance in (1e-2, 1e-4, 1e-6):
        done = solve(PROBLEM, X, GRID, ParaDiGMS(method, 50, tolerance, memory))
        errors[tolerance] = rms(done.x - alone.x)
        assert errors[tolerance] < 20 * tolerance, errors
        assert done.rounds <= 2 * alone.nfe


def test_fewer_rounds_than_the_method_has_evaluations() -> None:
    alone = solve(PROBLEM, X, karras(60, 10.0, 0.05), Euler())
    plain, fast, short = (
        solve(PROBLEM, X, karras(60, 10.0, 0.05), ParaDiGMS(Euler(), window, 1e-3, memory))
        for window, memory in ((60, 0), (60, 2), (10, 0))
    )
    assert alone.rounds == alone.nfe == 60
    assert fast.rounds < plain.rounds < 20
    assert plain.rounds <= short.rounds < 30
    assert short.nfe < plain.nfe
    assert f"{short.nfe} evaluations, {short.rounds} rounds" in repr(short)
    assert "rounds" not in repr(alone)


def test_after_k_rounds_the_first_k_states_are_the_methods() -> None:
    """Of the whole grid in one window; the rest is still on its way."""
    alone = solve(PROBLEM, X, GRID, Euler(), keep=1).path
    for k in range(1, GRID.steps + 1):
        path = solve(PROBLEM, X, GRID, Picard(Euler(), window=GRID.steps, rounds=k), keep=1).path
        same = [torch.equal(a.x, b.x) for a, b in zip(alone, path, strict=True)]
        assert all(same[: k + 1])
        assert k == GRID.steps or not same[k + 1]


@pytest.mark.parametrize(("window", "rounds"), [(12, 1), (12, 3), (5, 2), (4, 4), (3, 9), (20, 2)])
def test_what_picard_costs(window: int, rounds: int) -> None:
    """Of a window of w evaluations, w + (w - 1) + ... in its rounds."""
    solver, asked = Picard(Euler(), window, rounds), Asked(PROBLEM)
    sizes = [min(window, 12 - at) for at in range(0, 12, window)]
    nfe = sum(w - r for w in sizes for r in range(min(rounds, w)))
    done = solve(asked, X, GRID, solver)
    assert done.nfe == asked.calls == nfe == tally(solver, GRID).nfe
    assert done.rounds == tally(solver, GRID).rounds == sum(min(rounds, w) for w in sizes)
    assert not solver.adaptive


@pytest.mark.parametrize(
    ("solver", "order"),
    [
        (Picard(Euler(), 3, 1), 1),
        (Picard(Heun(), 4, 1), 2),
        (Picard(DPMSolver3(), 6, 1), 2),
        (Picard(DPMSolver3(), 6, 2), 3),
        (Picard(LMS(3, start=Heun()), 3, 2), 3),
    ],
    ids=repr,
)
def test_order(solver: Solver, order: int) -> None:
    near = Mixture1D(sigma_max=1.0, sigma_min=0.2)
    slope = convergence(solver, near, steps=[40, 80, 160], spacing=log_snr, seeds=range(8)).slope()
    assert solver.order == order
    assert abs(slope.order - order) < 0.2, slope


def test_order_of_paradigms_is_the_methods() -> None:
    assert [ParaDiGMS(m).order for m in METHODS] == [m.order for m in METHODS]


def test_samples_are_told_apart_only_within_the_tolerance() -> None:
    """With rounds not at all; with a tolerance the window waits for the slowest."""
    far = torch.cat((X, 3 * X))
    picard = Picard(Heun(), 6, 2)
    assert torch.equal(solve(PROBLEM, far, GRID, picard).x[:4], solve(PROBLEM, X, GRID, picard).x)
    for memory in (0, 2):
        solver = ParaDiGMS(Heun(), 8, 1e-4, memory)
        both = solve(PROBLEM, far, GRID, solver).x[:4]
        assert rms(both - solve(PROBLEM, X, GRID, solver).x) < 2e-3


def test_from_noise_to_data_and_up_the_grid() -> None:
    noise = X / 10.0
    for method, grid in itertools.product(
        (Euler(), Heun(), Adams(2, VELOCITY, Phi())), (GRID.to_zero(), GRID)
    ):
        for solver in (ParaDiGMS(method, 5, 0.0), Picard(method, 4, 4)):
            alone = sample(PROBLEM, noise, grid, method)
            assert torch.equal(sample(PROBLEM, noise, grid, solver).x, alone.x)
            up = solve(PROBLEM, X, GRID.reversed(), solver).x
            assert torch.equal(up, solve(PROBLEM, X, GRID.reversed(), method).x)


def test_methods_with_noise() -> None:
    """The noise of an interval is the same in every round."""
    ode = WithNoise(PROBLEM, SeededNoise(range(4)))
    alone = solve(ode, X, GRID, DDIMEta())
    solver = ParaDiGMS(DDIMEta(), 6, 0.0)
    assert solver.stochastic
    assert torch.equal(solve(ode, X, GRID, solver).x, alone.x)
    done = solve(ode, X, GRID, ParaDiGMS(DDIMEta(), 12, 1e-3))
    assert rms(done.x - alone.x) < 2e-2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("memory", [0, 2])
def test_half_precision(dtype: torch.dtype, memory: int) -> None:
    x = X.to(dtype)
    alone = solve(PROBLEM, x, GRID, Heun())
    assert torch.equal(solve(PROBLEM, x, GRID, ParaDiGMS(Heun(), 6, 0.0)).x, alone.x)
    done = solve(PROBLEM, x, GRID, ParaDiGMS(Heun(), 24, 1e-2, memory))
    assert done.x.dtype == dtype
    assert rms((done.x - alone.x).double()) < 0.1


@on_each_device
def test_the_network_is_called_once_a_round(device: str) -> None:
    """With guidance in one call of both; the device is read once a round by the tolerance, by rounds never."""
    calls: list[int] = []
    small = network(device)

    def noting(x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        calls.append(len(x))
        return small(x, t, c)

    plain = DiffusionODE(noting, EpsPrediction(VPSDE()))
    c = torch.tensor([0.1, 0.5], device=device)
    ode = Guided(plain.given(c), plain.given(-c), 2.0, batched=True)
    x = torch.ones(2, 1, 8, 8, device=device) * 10
    with strict(device), no_synchronisation(device):
        done = solve(ode, x, GRID, Picard(Euler(), 6, 2), check=False)
    assert calls == [24, 20, 24, 20]
    assert (done.rounds, done.nfe, done.forwards) == (4, 22, 44.0)
    calls.clear()
    with strict(device):
        done = solve(ode, x, GRID, ParaDiGMS(Euler(), 6, 1e-3))
        alone = solve(ode, x, GRID, Euler())
    assert len(calls) == done.rounds + alone.nfe
    assert rms(done.x - alone.x) < 1e-2 * rms(alone.x)


def test_one_graph() -> None:
    """Rounds are a fixed program; what reads the device is none."""
    ode = DiffusionODE(network("cpu", torch.float64), EpsPrediction(VPSDE()))
    x = torch.ones(2, 1, 8, 8, dtype=torch.float64) * 10

    def run(x: Tensor) -> Tensor:
        return solve(ode, x, GRID, picard).x

    picard = Picard(DPMSolverPP2M(), 4, 2)
    fast = torch.compile(run, fullgraph=True, dynamic=False, backend="eager")
    torch.testing.assert_close(fast(x), run(x))
    torch._dynamo.reset()


def test_what_has_no_cost_and_no_table_beforehand() -> None:
    with pytest.raises(BudgetError):
        solve(PROBLEM, X, lambda n: log_snr(n, 10, 0.05), ParaDiGMS(), nfe=20)
    with pytest.raises(TableError):
        tabulate(ParaDiGMS(), GRID)
    table = tabulate(Picard(Euler(), GRID.steps, GRID.steps), GRID)
    assert table.answer[0] == 1
    fit = solve(PROBLEM, X, lambda n: log_snr(n, 10, 0.05), Picard(Euler(), 4, 2), nfe=21)
    assert fit.nfe == 21


def test_anderson_on_a_line_of_sums() -> None:
    """x_k ← 1 - h Σ_{j<k} λ x_j, Euler's for dx/dt = -λ x: fewer rounds than without, to the same numbers."""
    n, rates = 40, torch.tensor([[1.0, 2.0, 3.0], [2.0, 0.5, 4.0]], dtype=torch.float64)
    exact = torch.stack([(1 - rates / n) ** k for k in range(n)])

    def image(x: Tensor) -> Tensor:
        return 1 - rates / n * torch.cat((torch.zeros_like(x[:1]), x.cumsum(0)[:-1]))

    def rounds(memory: int) -> int:
        x, goals, residuals = torch.zeros_like(exact), list[Tensor](), list[Tensor]()
        for done in range(n):
            if rms(x - exact) < 1e-6:
                return done
            goals, residuals = [image(x), *goals[:memory]], [image(x) - x, *residuals[:memory]]
            x = triangular(goals, residuals) if memory and len(goals) > 1 else goals[0]
        return n

    none, one, two, four = (rounds(m) for m in (0, 1, 2, 4))
    assert none > one > two > four
    assert four < none / 2


def test_anderson_of_the_first_states_does_not_hear_of_later_ones() -> None:
    generator = torch.Generator().manual_seed(1)
    goals, points = torch.randn(2, 3, 6, 2, 4, generator=generator, dtype=torch.float64)
    residuals = goals - points
    whole = triangular(list(goals), list(residuals))
    for k in range(1, 6):
        torch.testing.assert_close(
            triangular(list(goals[:, :k]), list(residuals[:, :k])), whole[:k]
        )
    # nor a sample of another, and a state that a round had not is left as the newest round has it
    alone = triangular(list(goals[:, :, :1]), list(residuals[:, :, :1]))
    torch.testing.assert_close(alone, whole[:, :1])
    later = triangular([goals[0], goals[1, :4]], [residuals[0], residuals[1, :4]])
    assert torch.equal(later[4:], goals[0, 4:])


WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: Picard(window=0), ValueError, "Picard: window must be a whole number of at least 1, but got 0."),
    (lambda: Picard(rounds=0), ValueError, "Picard: rounds must be a whole number of at least 1, but got 0."),
    (lambda: Picard(rounds=1.5), ValueError, "Picard: rounds must be a whole number"),  # type: ignore[arg-type]
    (lambda: ParaDiGMS(memory=-1), ValueError, "ParaDiGMS: memory must be a whole number of at least 0"),
    (lambda: ParaDiGMS(window=True), ValueError, "ParaDiGMS: window must be a whole number of at least 1"),
    (lambda: ParaDiGMS(tolerance=-1.0), ValueError, "ParaDiGMS: tolerance must be 0 or more, and finite"),
    (
        lambda: ParaDiGMS(DPMSolverAdaptive()),
        TypeError,
        "ParaDiGMS takes a method whose evaluations the grid fixes, and which steps from level to level, not",
    ),
    (lambda: ParaDiGMS(BDIA()), TypeError, "ParaDiGMS takes a method whose evaluations the grid fixes"),
    (lambda: Picard("euler"), StateError, "Picard: method must be a Solver"),  # type: ignore[arg-type]
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "text"), WRONG, ids=[t for _, _, t in WRONG])
def test_wrong_options(make: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=None) as error:
        make()
    assert str(error.value).startswith(text), str(error.value)


def test_names() -> None:
    assert repr(ParaDiGMS(Heun(), 8)) == "ParaDiGMS(method=Heun(), window=8)"
    assert ParaDiGMS(Picard(Euler(), 2, 1), 4).order == 1  # a Picard is a method as any other
