"""Methods that undo their own steps: round trips are exact, ends, costs, and what they refuse."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowsolve import (
    LOG_SIGMA,
    Continued,
    DiffusionODE,
    FlowPrediction,
    Grid,
    Guided,
    Solver,
    TwoState,
    decode,
    encode,
    invert,
    karras,
    log_snr,
    round_trip_error,
    sample,
    solve,
    tau_linear,
    uniform_t,
)
from flowsolve.analysis.stages import drive, recurrence
from flowsolve.errors import GridError, NonFiniteError, StateError
from flowsolve.integrate.likelihood import log_prob
from flowsolve.problems import Digits, Mixture, Mixture1D, Problem, exact_network
from flowsolve.solver.plugins import provided
from flowsolve_solvers import (
    ALL,
    BDIA,
    EDICT,
    OBELM,
    RK4,
    TWO_STATE,
    DDIMEta,
    DDIMInverse,
    Euler,
    Heun,
    Rex,
)

PROBLEM = Mixture()
NOISE_16 = PROBLEM.start(range(16), torch.float64) / PROBLEM.sigma_max
X = solve(PROBLEM, NOISE_16 * 10, log_snr(100, 10, 0.05), RK4(LOG_SIGMA)).x
VP_GRID = uniform_t(20, PROBLEM.clock.sigma(1.0), PROBLEM.clock.sigma(1e-3), clock=PROBLEM.clock)
GRID = log_snr(20, 10, 0.05)
each = pytest.mark.parametrize("solver", TWO_STATE, ids=repr)
EXACT = {"rtol": 1e-10, "atol": 1e-10}


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


@pytest.mark.parametrize("grid", [VP_GRID, GRID, karras(20, 80, 0.02), GRID.to_zero()], ids=str)
@each
def test_there_and_back(solver: Solver, grid: Grid) -> None:
    trip = round_trip_error(PROBLEM, X, grid, solver)
    if grid[-1] > 0 or solver.reaches_zero:
        assert trip.mse < 1e-20
    else:  # the step to 0 is DDIM's, which has no inverse
        by_hand = PROBLEM.x0(
            X + 0.05 * PROBLEM.eps(X * PROBLEM.alpha(0) / PROBLEM.alpha(0.05), 0.05), 0.05
        )
        torch.testing.assert_close(trip.decoded, by_hand, **EXACT)
        assert trip.mse > 1e-9
    assert round_trip_error(PROBLEM, X, grid, Heun()).mse > 1e-7


@pytest.mark.parametrize(
    ("solver", "up", "down"),
    [
        (BDIA(), 20, 19),
        (OBELM(), 20, 19),
        (EDICT(), 40, 40),
        (Rex(), 40, 40),
        (Rex(Heun()), 80, 80),
    ],
    ids=repr,
)
def test_evaluations_are_counted(solver: Solver, up: int, down: int) -> None:
    trip = round_trip_error(PROBLEM, X, GRID, solver)
    assert (trip.nfe_up, trip.nfe_down) == (up, down)
    assert sample(PROBLEM, NOISE_16, GRID, solver).nfe == up
    assert sample(PROBLEM, NOISE_16, lambda n: karras(n, 10, 0.05), solver, nfe=25).nfe <= 25
    flow = DiffusionODE(exact_network(PROBLEM, FlowPrediction()), FlowPrediction())
    assert encode(Guided(flow, flow, 2.0), X, GRID, solver).forwards == 2 * up


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(math.log(0.02), math.log(100)), min_size=2, max_size=15, unique=True),
    st.sampled_from([BDIA(), BDIA(0.7), OBELM(), EDICT(), Rex(), Rex(Heun())]),
)
def test_on_any_grid(logs: list[float], solver: Solver) -> None:
    """To rounding of the largest state on the way: steps of very different lengths make it large."""
    levels = sorted({round(s, 1) for s in logs}, reverse=True)
    if len(levels) < 2:
        return
    grid = Grid(math.exp(s) for s in levels)
    up = solve(PROBLEM, X, grid.reversed(), solver, keep=1)
    assert up.second is not None
    largest = max(float(v.abs().max()) for v in (up.second, *(point.x for point in up.path)))
    assert float((decode(PROBLEM, up).x - X).abs().max()) < 1e-9 * largest


def test_the_second_state_is_what_comes_back() -> None:
    for solver in TWO_STATE:
        up = encode(PROBLEM, X, GRID, solver)
        assert up.second is not None
        assert up.second.shape == X.shape
        alone = decode(PROBLEM, dataclasses.replace(up, second=None))
        assert float((alone.x - X).square().mean()) > 1e-8


@each
def test_noise_comes_back_from_a_sample_and_its_second_state(solver: Solver) -> None:
    made = sample(PROBLEM, NOISE_16, GRID, solver)
    assert made.second is not None
    assert isinstance(solver, TwoState)
    back = encode(PROBLEM, made.x, GRID, Continued(solver, made.second))
    torch.testing.assert_close(back.x, NOISE_16 * 10, rtol=1e-8, atol=1e-8)
    again = decode(PROBLEM, back)
    torch.testing.assert_close(again.x, made.x, rtol=1e-8, atol=1e-8)
    assert rms(encode(PROBLEM, made.x, GRID, solver).x - NOISE_16 * 10) > 1e-6


@each
def test_the_ends(solver: Solver) -> None:
    """A step of `trajectory` at an end leaves no second state there, and is not undone."""
    flow = DiffusionODE(exact_network(PROBLEM, FlowPrediction()), FlowPrediction())
    top = GRID.from_infinity()
    up = encode(flow, X, top, solver)
    assert up.second is None
    torch.testing.assert_close(up.x, flow.eps(encode(flow, X, GRID, solver).x, 10.0))
    assert decode(flow, up).x.isfinite().all()
    down = sample(PROBLEM, NOISE_16, GRID.to_zero(), solver)
    assert (down.second is None) == (not solver.reaches_zero)
    rising = GRID.to_zero().reversed()
    if solver.reaches_zero:
        assert torch.equal(
            encode(PROBLEM, X, rising, solver).x, solve(PROBLEM, X, rising, solver).x
        )
    else:
        with pytest.raises(GridError, match=r"sample\(\) takes the steps"):
            solve(PROBLEM, X, rising, solver)


@pytest.mark.parametrize("solver", [BDIA(), OBELM()], ids=repr)
def test_the_first_step_up_from_zero_is_that_of_trajectory(solver: Solver) -> None:
    got = solve(PROBLEM, X, Grid([1.0, 0.0]).reversed(), solver)
    torch.testing.assert_close(got.x, DDIMInverse().step(PROBLEM, X, 0.0, 1.0), **EXACT)
    assert got.second is not None
    assert torch.equal(got.second, X)


def test_edict_undoes_its_step_to_zero() -> None:
    got = solve(PROBLEM, X, Grid([1.0, 0.0]).reversed(), EDICT())
    y = X + PROBLEM.eps(
        X * PROBLEM.alpha(0) / PROBLEM.alpha(1), 1.0
    )  # the network sees data, labelled σ = 1
    assert got.second is not None
    torch.testing.assert_close(got.second, y, **EXACT)
    torch.testing.assert_close(got.x, X + PROBLEM.eps(y, 1.0), **EXACT)


def test_float32_to_its_rounding() -> None:
    for solver in (BDIA(), OBELM(), EDICT(), Rex(), Rex(Heun())):
        trip = round_trip_error(PROBLEM, X.float(), VP_GRID, solver)
        assert 0 < trip.mse < 1e-6
        assert trip.decoded.dtype == torch.float32


def test_real_digits() -> None:
    digits = Digits()
    images = digits.data()[:2].double()
    grid = tau_linear(20, clock=digits.clock)
    for solver in (OBELM(), EDICT()):
        assert round_trip_error(digits, images, grid, solver).mse < 1e-20
    assert 1e-8 < round_trip_error(digits, images, grid, Rex()).mse < 1e-4  # the step to 0
    assert round_trip_error(digits, images, grid, Euler()).mse > 1e-3


@each
def test_a_sample_does_not_depend_on_the_others(solver: Solver) -> None:
    whole, one = (encode(PROBLEM, x, GRID, solver) for x in (X, X[3:4]))
    torch.testing.assert_close(whole.x[3:4], one.x, **EXACT)
    kept = X.clone()
    decode(PROBLEM, whole)
    assert torch.equal(X, kept)


@each
def test_path_and_recurrence(solver: Solver) -> None:
    """The usual tools of a solver: kept nodes, and a run from outside."""
    grid = log_snr(6, 10, 0.05)
    done = sample(PROBLEM, NOISE_16, grid, solver, keep=1)
    assert [p.sigma for p in done.path] == list(grid)
    assert torch.equal(done.path[-1].x, done.x)
    driven = drive(PROBLEM, NOISE_16 * 10, recurrence(solver, grid))
    torch.testing.assert_close(driven, done.x, rtol=1e-8, atol=1e-8)
    assert recurrence(solver, grid).kept >= 5  # every answer


def test_they_are_listed_apart() -> None:
    assert not {type(s) for s in TWO_STATE} & {type(s) for s in ALL}
    assert {"BDIA", "OBELM", "EDICT", "Rex"} <= {p.name for p in provided().values()}
    assert [s.order for s in TWO_STATE] == [2, 1, 2, 1, 1, 1, 2, 4]


def test_a_second_state_of_another_method() -> None:
    up = encode(PROBLEM, X, GRID, EDICT())
    with pytest.raises(
        StateError, match=r"state that EDICT\(\) has left is of no use to BDIA\(\). Go b"
    ):
        decode(PROBLEM, up, BDIA())
    with pytest.raises(StateError, match=r"EDICT\(\) has left is of no use to Heun\(\)"):
        decode(PROBLEM, up, Heun())
    with pytest.raises(StateError, match=r"EDICT\(\) has left is of no use to EDICT\(p=0.9\)"):
        decode(PROBLEM, up, EDICT(0.9))
    plain = dataclasses.replace(up, second=None)
    assert torch.equal(decode(PROBLEM, plain, Heun()).x, solve(PROBLEM, up.x, GRID, Heun()).x)
    assert decode(PROBLEM, encode(PROBLEM, X, GRID, Heun())).solver == Heun()


@pytest.mark.parametrize(
    "second", [X[:8], X[:, :1], X.float(), X.to("meta")], ids=["batch", "event", "dtype", "device"]
)
def test_a_pair_of_two_kinds(second: Tensor) -> None:
    with pytest.raises(
        StateError, match=r"two states of BDIA\(\) must be alike, but x is \(16, 2\), torch.float64"
    ):
        solve(PROBLEM, X, GRID, Continued(BDIA(), second))


def test_methods_of_one_state_have_no_second() -> None:
    with pytest.raises(StateError, match=r"for a TwoState method, not Heun\(\)"):
        Continued(Heun(), X)  # type: ignore[arg-type]
    assert encode(PROBLEM, X, GRID, Heun()).second is None
    with pytest.raises(GridError, match="draws noise"):
        encode(PROBLEM, X, GRID, DDIMEta(1.0))
    with pytest.raises(TypeError, match="one-step solver without noise such as Heun"):
        Rex(DDIMEta(1.0))
    with pytest.raises(TypeError, match="one-step solver without noise such as Heun"):
        Rex(BDIA())  # type: ignore[arg-type]


@each
def test_what_does_not_take_them(solver: Solver) -> None:
    near: Problem = Mixture1D(sigma_max=1.0, sigma_min=0.2)
    with pytest.raises(
        StateError, match=r"goes up by undoing its own steps, in which errors grow. T"
    ):
        log_prob(near, near.start(range(4)), karras(4, 1.0, 0.2), solver)
    with pytest.raises(StateError, match="invert needs a one-step method"):
        invert(PROBLEM, X, GRID, solver)


def test_bad_input() -> None:
    for make, text in (
        (lambda: BDIA(0.0), "BDIA needs 0 < gamma <= 1, but got gamma = 0.0"),
        (lambda: BDIA(1.5), "BDIA needs 0 < gamma <= 1"),
        (lambda: BDIA(math.nan), "BDIA needs 0 < gamma <= 1"),
        (lambda: EDICT(0.0), "EDICT needs 0 < p <= 1, but got p = 0.0"),
        (lambda: EDICT(1.1), "EDICT needs 0 < p <= 1"),
        (lambda: Rex(zeta=0), "Rex needs 0 < zeta <= 1, but got zeta = 0"),
        (lambda: Rex(zeta=2.0), "Rex needs 0 < zeta <= 1"),
    ):
        with pytest.raises(ValueError, match=text):
            make()
    with pytest.raises(StateError, match="Rex: chart must be a Chart"):
        Rex(chart="data")  # type: ignore[arg-type]
    with pytest.raises(NonFiniteError):
        round_trip_error(PROBLEM, X * math.nan, GRID, BDIA())
