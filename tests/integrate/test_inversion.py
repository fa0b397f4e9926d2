"""Encoding against the exact flow, round trips and their orders."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from benchmarks.peer_code import Double
from flowsolve import (
    LOG_SIGMA,
    ODE,
    DiffusionODE,
    EpsPrediction,
    FlowPrediction,
    Grid,
    Guided,
    SeededNoise,
    Solution,
    Solver,
    WithNoise,
    linear_beta,
    log_snr,
    solve,
    tau_linear,
    uniform_t,
)
from flowsolve.errors import GridError, NonFiniteError, StateError
from flowsolve.integrate import encode, invert, round_trip_error
from flowsolve.problems import Mixture, Mixture1D, exact_network
from flowsolve_solvers import LMS, RK4, DDIMEta, DDIMInverse, DPMSolver3, DPMSolverPP2M, Euler, Heun

P, Q = Mixture(), Mixture1D()
CLOCK = linear_beta(between="log_sigma")
VP = uniform_t(20, P.clock.sigma(1.0), P.clock.sigma(1e-3), clock=P.clock)
GRID = log_snr(10, 10.0, 0.05)
X = solve(P, P.start(range(16), torch.float64), log_snr(100, 10, 0.05), RK4(LOG_SIGMA)).x


def inverse(ode: ODE, x: Tensor, grid: Grid, solver: Solver) -> Solution:
    return encode(ode, x, grid, DDIMInverse())


@pytest.mark.parametrize(
    ("solver", "order", "steps"),
    [
        (Euler(), 1, (40, 80, 160)),
        (DDIMInverse(), 1, (80, 160, 320)),
        (Heun(), 2, (40, 80, 160)),
        (DPMSolverPP2M(), 2, (40, 80, 160)),
        (RK4(LOG_SIGMA), 4, (20, 40, 80)),
    ],
    ids=repr,
)
def test_encoding_converges_to_the_exact_flow(
    solver: Solver, order: int, steps: tuple[int, ...]
) -> None:
    x = Q.flow(Q.start(range(8), torch.float64), 10, 0.05)
    exact = Q.flow(x, 0.05, 10)
    errors = [
        float((encode(Q, x, log_snr(n, 10, 0.05), solver).x - exact).square().mean().sqrt())
        for n in steps
    ]
    for a, b in pairwise(errors):
        assert abs(math.log2(a / b) - order) < 0.2


def test_encoded_data_have_the_law_of_noise() -> None:
    """Of a mixture at σ = 10: its mean and its variance, within five standard errors."""
    n = 4096
    g = torch.Generator().manual_seed(0)
    first = torch.rand(n, generator=g, dtype=torch.float64) < 0.3
    m, d = torch.where(first, -1.0, 0.8), torch.where(first, 0.3, 0.2)
    x = m + torch.hypot(d, torch.tensor(0.05)) * torch.randn(n, generator=g).double()
    top = encode(Q, x, log_snr(60, 10, 0.05), RK4(LOG_SIGMA)).x
    mean = 0.3 * -1 + 0.7 * 0.8
    variance = 100 + 0.3 * (0.3**2 + 1) + 0.7 * (0.2**2 + 0.64) - mean**2
    assert abs(float(top.mean()) - mean) < 5 * math.sqrt(variance / n)
    assert abs(float(top.var()) / variance - 1) < 5 * math.sqrt(2 / n)


@pytest.mark.parametrize(
    ("solver", "gain", "steps"),
    [
        (Euler(), 1, (320, 640, 1280)),
        (Heun(), 3, (40, 80, 160)),
        (DPMSolver3(), 3, (20, 40, 80)),
        (RK4(LOG_SIGMA), 5, (20, 40, 80)),
    ],
    ids=repr,
)
def test_a_round_trip_has_the_order_of_the_method(
    solver: Solver, gain: int, steps: tuple[int, ...]
) -> None:
    """And one more if that is even, because the leading errors up and down cancel."""
    trips = [round_trip_error(P, X, log_snr(n, 10, 0.05), solver) for n in steps]
    for n, a, b in zip(steps, trips, trips[1:], strict=False):
        assert abs(math.log2(a.mse / b.mse) / 2 - gain) < 0.25, n
    assert gain == solver.order + (solver.order % 2 == 0)


def test_what_a_round_trip_returns() -> None:
    trip = round_trip_error(P, X, GRID, Heun())
    up = solve(P, X, GRID.reversed(), Heun())
    down = solve(P, up.x, GRID, Heun())
    assert torch.equal(trip.encoded, up.x)
    assert torch.equal(trip.decoded, down.x)
    torch.testing.assert_close(trip.per_sample, (down.x - X).square().sum(1) / 2)
    assert trip.mse == pytest.approx(float(trip.per_sample.mean()))
    assert trip.stderr == pytest.approx(float(trip.per_sample.std()) / 4)
    assert math.isnan(round_trip_error(P, X[:1], GRID, Heun()).stderr)
    assert (trip.nfe_up, trip.nfe_down) == (20, 20)


@pytest.mark.parametrize("grid", [GRID, GRID.reversed(), GRID[:]], ids=["down", "up", "levels"])
def test_either_direction_of_the_grid(grid: Grid) -> None:
    got = encode(P, X, grid, LMS(3))
    assert torch.equal(got.x, solve(P, X, GRID.reversed(), LMS(3)).x)
    assert got.grid == GRID.reversed()
    assert round_trip_error(P, X, grid, LMS(3)).mse > 0


def test_from_zero() -> None:
    """The network sees the data as they are, under the label of the first level."""
    ode = DiffusionODE(exact_network(P, EpsPrediction(P.clock)), EpsPrediction(P.clock))
    got = encode(ode, X, GRID.to_zero(), Heun())
    eps = ode.network(X, torch.full((len(X),), P.clock.t(0.05), dtype=torch.float64))
    by_hand = solve(ode, X + 0.05 * eps, GRID.reversed(), Heun())
    torch.testing.assert_close(got.x, by_hand.x, rtol=1e-12, atol=1e-12)
    assert (got.nfe, got.forwards) == (21, 21)
    assert got.alpha == ode.alpha(10)


def test_to_infinity_is_unit_noise() -> None:
    ode = DiffusionODE(exact_network(P, FlowPrediction()), FlowPrediction())
    got = encode(ode, X, GRID.from_infinity().to_zero(), Heun())
    below = encode(ode, X, GRID.to_zero(), Heun())
    torch.testing.assert_close(got.x, ode.eps(below.x, 10.0))
    assert got.nfe == below.nfe + 1
    assert torch.equal(got.x_t, got.x)
    trip = round_trip_error(ode, X, GRID.from_infinity().to_zero(), Heun())
    assert trip.nfe_down == 22
    low, high = (
        round_trip_error(ode, X, log_snr(80, top, 0.05).from_infinity().to_zero(), Heun()).mse
        for top in (10, 100)
    )
    assert high < low / 50  # what is left is of the two steps at the ends


def test_forwards_of_guidance() -> None:
    two = DiffusionODE(exact_network(P, FlowPrediction()), FlowPrediction())
    got = encode(Guided(two, two, 2.0), X, GRID, Euler())
    assert (got.nfe, got.forwards) == (10, 20)
    got = invert(Guided(two, two, 2.0), X, GRID, Euler(), iterations=2, look=0, strict=False)
    assert (got.nfe, got.forwards) == (20, 40)


def published(x: Tensor, n: int, model: Callable[[Tensor, int], Tensor], to_one: bool) -> Tensor:
    """The loop of DDIMInverseScheduler ("leading", no clipping, ε), line by line, in x_t."""
    T, alphas_cumprod = len(CLOCK.alphas_cumprod), CLOCK.alphas_cumprod
    for i in range(n):
        t = i * (T // n)
        output = model(x, t)
        prev, t = t, min(t - T // n, T - 1)
        alpha_prod_t = alphas_cumprod[t] if t >= 0 else (1.0 if to_one else alphas_cumprod[0])
        alpha_prod_t_prev = alphas_cumprod[prev]
        x0 = (x - (1 - alpha_prod_t) ** 0.5 * output) / alpha_prod_t**0.5
        x = alpha_prod_t_prev**0.5 * x0 + (1 - alpha_prod_t_prev) ** 0.5 * output
    return x


@pytest.mark.parametrize("n", [1, 2, 10, 50])
def test_the_labels_of_diffusers(n: int) -> None:
    """The state still of the level below, under the label of the level stepped to."""
    kind = EpsPrediction(CLOCK)
    net = exact_network(P, kind)
    theirs = published(X, n, lambda x, t: net(x, torch.full((len(x),), float(t))), True)
    ode = DiffusionODE(net, kind)
    if n == 1:  # from 0 to σ_0, one level, which is no grid to encode on
        with pytest.raises(GridError, match="at least one step between finite levels"):
            encode(ode, X, tau_linear(1, clock=CLOCK), DDIMInverse())
        return
    got = encode(ode, X, tau_linear(n, clock=CLOCK), DDIMInverse())
    torch.testing.assert_close(got.x_t, theirs, rtol=1e-10, atol=1e-10)
    assert got.nfe == n
    reversed_ddim = encode(ode, X, tau_linear(n, clock=CLOCK), Euler())
    assert float((reversed_ddim.x_t - theirs).abs().max()) > 1e-3


def test_the_labels_of_diffusers_without_zero() -> None:
    """set_alpha_to_one=False: the first step goes nowhere, and costs an evaluation there, none here."""
    kind = EpsPrediction(CLOCK)
    net = exact_network(P, kind)
    theirs = published(X, 10, lambda x, t: net(x, torch.full((len(x),), float(t))), False)
    x = X * math.hypot(1, CLOCK.sigma(0))  # x̄ of x_t = X
    got = encode(
        DiffusionODE(net, kind), x, tau_linear(10, clock=CLOCK, final="first"), DDIMInverse()
    )
    torch.testing.assert_close(got.x_t, theirs, rtol=1e-10, atol=1e-10)
    assert got.nfe == 9


@pytest.mark.parity
@pytest.mark.parametrize("n", [2, 10, 50])
def test_diffusers_itself(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "diffusers is not installed: make parity, or pip install flowsolve[parity]"
    diffusers = pytest.importorskip("diffusers", reason=reason)
    module = importlib.import_module("diffusers.schedulers.scheduling_ddim_inverse")
    monkeypatch.setattr(module, "torch", Double(module.torch))
    scheduler = diffusers.DDIMInverseScheduler(clip_sample=False)
    scheduler.set_timesteps(n)
    net, x = exact_network(P, EpsPrediction(CLOCK)), X
    for t in scheduler.timesteps:
        x = scheduler.step(net(x, t.expand(len(x)).double()), t, x)[0]
    ode = DiffusionODE(net, EpsPrediction(CLOCK))
    got = encode(ode, X, tau_linear(n, clock=CLOCK), DDIMInverse())
    torch.testing.assert_close(got.x_t, x, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("how", [encode, invert, round_trip_error], ids=lambda f: f.__name__)
def test_bad_input(how: Callable[..., object]) -> None:
    with pytest.raises(GridError, match=r"DDIMEta.* draws noise, so it only goes down the grid"):
        how(WithNoise(P, SeededNoise(range(16))), X, GRID, DDIMEta(1.0))
    with pytest.raises(GridError, match=r"at least one step between finite .*\[1.0, 0.0\]"):
        how(P, X, [1.0, 0.0], Euler())
    with pytest.raises(StateError, match="not the class Euler; did you mean"):
        how(P, X, GRID, Euler)
    with pytest.raises(StateError, match=r"Use x.float\(\)"):
        how(P, X.long(), GRID, Euler())
    with pytest.raises(NonFiniteError):
        how(P, X * math.nan, GRID, Euler())


def test_an_encoder_of_another_shape() -> None:
    with pytest.raises(StateError, match=r"returned shape \(8, 2\) for data of \(16, 2\)"):
        round_trip_error(P, X, GRID, Euler(), encoder=lambda o, x, g, s: encode(o, x[:8], g, s))


def test_a_named_variant_as_encoder() -> None:
    trip = round_trip_error(P, X, GRID, Euler(), encoder=inverse)
    assert torch.equal(trip.encoded, encode(P, X, GRID, DDIMInverse()).x)
    assert trip.mse != round_trip_error(P, X, GRID, Euler()).mse


def test_the_step_of_ddim_inverse_has_order_one_down_too() -> None:
    exact = Q.flow(Q.start(range(8), torch.float64), 10, 0.05)
    steps = (80, 160, 320)
    errors = [
        float((solve(Q, Q.start(range(8), torch.float64), log_snr(n, 10, 0.05), DDIMInverse()).x
               - exact).square().mean().sqrt())
        for n in steps
    ]  # fmt: skip
    assert abs(math.log2(errors[0] / errors[-1]) / 2 - 1) < 0.2
