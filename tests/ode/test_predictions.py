"""ε-, v-, x₀-, EDM- and flow-prediction are five ways to say one ODE, from σ = ∞ down to 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from flowsolve import (
    DATA,
    LOG_SIGMA,
    VPSDE,
    DiffusionODE,
    EDMClock,
    EDMPrediction,
    EpsPrediction,
    FlowClock,
    FlowPrediction,
    Grid,
    Solver,
    VPrediction,
    X0Prediction,
    karras,
    linear_beta,
    sample,
    solve,
)
from flowsolve.errors import NetworkError, ScheduleError
from flowsolve.ode.precondition import Precondition
from flowsolve.problems import Gaussian, Mixture, Mixture1D, exact_network
from flowsolve.schedule.clock import Clock
from flowsolve_solvers import RK4, Adams, DPMSolver3, DPMSolverPP2M, Euler, Heun, Scipy

VP = VPSDE()
PRECONDITIONS: list[Precondition] = [
    EpsPrediction(VP),
    EpsPrediction(linear_beta()),
    VPrediction(VP),
    VPrediction(linear_beta()),
    X0Prediction(VP),
    EDMPrediction(),
    EDMPrediction(sigma_data=1.3),
    FlowPrediction(),
    FlowPrediction(FlowClock(scale=1000)),
]
SOLVERS = [Euler(), Heun(), DPMSolver3(), DPMSolverPP2M(), Adams(3, DATA, LOG_SIGMA, Heun())]
PROBLEM = Mixture()
X = PROBLEM.start(range(8), torch.float64)
GRID = karras(12, 10, 0.05)
NOISE = Gaussian().start(range(8), torch.float64) / Gaussian().sigma_max  # unit, (8, 2)


def network_ode(precondition: Precondition, problem: Mixture = PROBLEM) -> DiffusionODE:
    return DiffusionODE(exact_network(problem, precondition), precondition)


@pytest.mark.parametrize("solver", [*SOLVERS, Scipy()], ids=repr)
@pytest.mark.parametrize("precondition", PRECONDITIONS, ids=repr)
def test_every_prediction_is_one_ode(precondition: Precondition, solver: Solver) -> None:
    exact = solve(PROBLEM, X, GRID, solver, keep=1)
    seen = solve(network_ode(precondition), X, GRID, solver, keep=1)
    # an adaptive method multiplies rounding by its number of steps
    tol = {"rtol": 1e-8 if solver.adaptive else 1e-10, "atol": 1e-10}
    for one, two in zip(exact.path, seen.path, strict=True):
        assert one.sigma == two.sigma
        torch.testing.assert_close(two.x, one.x, **tol)
        torch.testing.assert_close(two.x0, one.x0, **tol)
        torch.testing.assert_close(two.eps, one.eps, **tol)


@pytest.mark.parametrize("precondition", PRECONDITIONS, ids=repr)
def test_the_network_sees_its_own_inputs(precondition: Precondition) -> None:
    """c_in x̄ is the model's x_t (EDM: of unit variance), and t the clock's label of σ."""
    seen: list[tuple[Tensor, Tensor]] = []

    def network(x: Tensor, t: Tensor) -> Tensor:
        seen.append((x, t))
        return torch.zeros_like(x)

    ode = DiffusionODE(network, precondition)
    sigma = 2.5
    alpha = {FlowPrediction: 1 / 3.5, EDMPrediction: 1.0}.get(
        type(precondition), 1 / math.hypot(1, 2.5)
    )
    assert ode.alpha(sigma) == pytest.approx(alpha, rel=1e-15)
    eps, x0 = ode.eps(X, sigma), ode.x0(X, sigma)
    torch.testing.assert_close(x0 + sigma * eps, X, rtol=1e-13, atol=1e-13)
    for x, t in seen:
        assert t.shape == (len(X),)
        assert t.tolist() == [precondition.clock.t(sigma)] * len(X)
        if isinstance(precondition, EDMPrediction):
            alpha = 1 / math.hypot(sigma, precondition.sigma_data)
        torch.testing.assert_close(x, alpha * X, rtol=1e-14, atol=0)


def test_velocity_and_v_by_their_definitions() -> None:
    """u = ε - x₀ and v = α ε - s x₀ of the same point."""
    sigma, flow, v = 2.5, FlowPrediction(), VPrediction(VP)
    eps, x0 = PROBLEM.eps(X, sigma), PROBLEM.x0(X, sigma)
    for precondition, expected in [
        (flow, eps - x0),
        (v, (eps - sigma * x0) / math.hypot(1, sigma)),
        (EpsPrediction(VP), eps),
        (X0Prediction(VP), x0),
    ]:
        t = torch.full((len(X),), precondition.clock.t(sigma), dtype=torch.float64)
        x_t = X * precondition.alpha(sigma)
        got = exact_network(PROBLEM, precondition)(x_t, t)
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-11)
    norm, t = math.hypot(sigma, 0.5), torch.full((len(X),), math.log(sigma) / 4)
    got = exact_network(PROBLEM, EDMPrediction())(X / norm, t.double())
    expected = (x0 - 0.25 / norm**2 * X) / (0.5 * sigma / norm)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)  # t was float32


def test_what_networks_say_at_infinity() -> None:
    """Of unit noise: u = ε - E[x₀], v = -E[x₀], x₀ = E[x₀]."""
    mean = torch.tensor(PROBLEM.weights).double() @ torch.tensor(PROBLEM.means).double()
    clock, label = FlowClock(), torch.ones(len(NOISE), dtype=torch.float64)
    for precondition, expected in [
        (FlowPrediction(), NOISE - mean),
        (VPrediction(clock), -mean.expand(8, 2)),
        (X0Prediction(clock), mean.expand(8, 2)),
    ]:
        got = exact_network(PROBLEM, precondition)(NOISE, label)
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-7)


def ends(n: int) -> Grid:
    return karras(n, 20, 0.01).from_infinity().to_zero()


def test_a_flow_from_infinity_to_zero() -> None:
    """Head and tail are one evaluation each, and Heun keeps its order between them."""
    ode = network_ode(FlowPrediction())
    fine = sample(ode, NOISE, ends(1000), RK4(LOG_SIGMA)).x
    errors = []
    for n in (40, 80, 160):
        answer = sample(ode, NOISE, ends(n), Heun())
        assert answer.nfe == answer.forwards == 2 * n + 2
        errors.append(float((answer.x - fine).square().mean().sqrt()))
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert slopes == pytest.approx([2, 2], abs=0.2), errors


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_the_ends_of_a_flow_path(solver: Solver) -> None:
    """x̄₁ = E[x₀] + σ₁ noise after the head, and x̄_N = x₀ of the node before in the tail."""
    path = sample(network_ode(FlowPrediction()), NOISE, ends(10), solver, keep=1).path
    mean = torch.tensor(PROBLEM.weights).double() @ torch.tensor(PROBLEM.means).double()
    first, second, before, last = path[0], path[1], path[-2], path[-1]
    assert (first.sigma, last.sigma) == (math.inf, 0)
    torch.testing.assert_close(first.x0, mean.expand(8, 2), rtol=1e-6, atol=1e-7)
    assert first.eps is not None
    assert first.eps.equal(NOISE)
    assert first.x_t.equal(NOISE)
    torch.testing.assert_close(second.x, first.x0 + 20 * NOISE)
    assert (first.nfe, second.nfe) == (0, 1)
    assert last.eps is None
    assert last.x0 is last.x
    if not solver.reaches_zero:
        torch.testing.assert_close(last.x, before.x0, rtol=1e-13, atol=1e-13)
    else:  # Euler in the noise chart: the same step
        torch.testing.assert_close(last.x, before.x0, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "precondition",
    [VPrediction(FlowClock()), X0Prediction(FlowClock()), FlowPrediction()],
    ids=repr,
)
def test_zero_terminal_snr(precondition: Precondition) -> None:
    """v, x₀ and a velocity are finite at σ = ∞, given a clock with a label for it."""
    got = sample(network_ode(precondition), NOISE, ends(10), Heun()).x
    torch.testing.assert_close(
        got, sample(PROBLEM, NOISE, ends(10), Heun()).x, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("clock", [VP, FlowClock()], ids=repr)
def test_eps_is_blind_at_infinity(clock: Clock) -> None:
    with pytest.raises(ScheduleError, match="ε-network says nothing about x₀ at σ = ∞"):
        sample(network_ode(EpsPrediction(clock)), NOISE, ends(5), Heun())


@pytest.mark.parametrize(
    "precondition",
    [VPrediction(VP), X0Prediction(linear_beta()), EDMPrediction(), VPrediction(EDMClock())],
    ids=repr,
)
def test_a_clock_that_does_not_know_infinity(precondition: Precondition) -> None:
    with pytest.raises(ScheduleError, match="has no time for σ = inf"):
        sample(network_ode(precondition), NOISE, ends(5), Heun())


class Tiny(nn.Module):
    """ε of a unit Gaussian through a Linear layer, keeping what it was called with."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2, bias=False, dtype=dtype)
        nn.init.eye_(self.layer.weight)
        self.seen: list[tuple[torch.dtype, torch.dtype]] = []

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        self.seen.append((x.dtype, t.dtype))
        out: Tensor = self.layer(x)
        return out


def run(state: torch.dtype, weights: torch.dtype, **options: torch.dtype) -> tuple[Tensor, Tiny]:
    network = Tiny(weights)
    ode = DiffusionODE(network, EpsPrediction(linear_beta()), **options)
    return solve(ode, X.to(state), GRID, Heun()).x, network


@pytest.mark.parametrize(
    ("state", "weights", "label"),
    [
        (torch.float64, torch.float64, torch.float64),
        (torch.float32, torch.float32, torch.float32),
        (torch.bfloat16, torch.bfloat16, torch.float32),
        (torch.float16, torch.float16, torch.float32),
        (torch.float64, torch.float32, torch.float32),
        (torch.float64, torch.bfloat16, torch.float32),
        (torch.float32, torch.float64, torch.float64),
    ],
    ids=str,
)
def test_dtypes(state: torch.dtype, weights: torch.dtype, label: torch.dtype) -> None:
    """The state keeps its dtype, the network gets its own, the label never less than float32."""
    options = {} if state == weights else {"dtype": weights}
    x, network = run(state, weights, **options)
    assert x.dtype == state
    assert set(network.seen) == {(weights, label)}
    exact, _ = run(torch.float64, torch.float64)
    eps = max(torch.finfo(state).eps, torch.finfo(weights).eps)
    torch.testing.assert_close(x.double(), exact, rtol=20 * eps, atol=20 * eps)
    if (state, weights) != (torch.float64, torch.float64):
        assert not x.double().equal(exact)


def test_autocast() -> None:
    """The weights stay float32, the layer computes in bfloat16, and the state is float32."""
    x, network = run(torch.float32, torch.float32, autocast=torch.bfloat16)
    assert network.layer.weight.dtype == torch.float32
    assert x.dtype == torch.float32
    assert set(network.seen) == {(torch.float32, torch.float32)}
    plain, _ = run(torch.float32, torch.float32)
    assert not x.equal(plain)
    torch.testing.assert_close(x, plain, rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x, t: x.float(), r"returned torch.float32 for an input of torch.float64"),
        (lambda x, t: x.long(), r"returned torch.int64"),
        (lambda x, t: (x, t), r"returned a tuple of 2, not one tensor"),
        (lambda x, t: None, r"returned a NoneType, not one tensor"),
        (lambda x, t: x[:1], r"returned shape \(1, 2\) for an input of \(8, 2\)"),
        (lambda x, t: torch.cat([x, x], 1), r"If it also predicts a variance"),
        (lambda x, t: x.to("meta"), r"a tensor on meta for an input on cpu"),
    ],
)
def test_what_a_network_may_not_return(answer: Callable[..., object], message: str) -> None:
    ode = DiffusionODE(answer, EpsPrediction(VP))  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match=message):
        solve(ode, X, GRID, Euler())


def test_what_is_not_a_network() -> None:
    with pytest.raises(NetworkError, match="called as network"):
        DiffusionODE("unet", EpsPrediction(VP))  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match="must be an instance"):
        DiffusionODE(lambda x, t: x, EpsPrediction)  # type: ignore[arg-type]


def test_states_of_one_dimension() -> None:
    """A scalar event: the label has the state's whole shape (B,), and all is as for vectors."""
    problem = Mixture1D()
    x = problem.start(range(8), torch.float64)
    for precondition in PRECONDITIONS:
        ode = DiffusionODE(exact_network(problem, precondition), precondition)
        got = solve(ode, x, GRID, Heun()).x
        torch.testing.assert_close(got, solve(problem, x, GRID, Heun()).x, rtol=1e-10, atol=1e-10)
