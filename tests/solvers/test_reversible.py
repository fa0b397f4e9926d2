"""Methods that undo their own steps: exactness, orders, and the formulas of their papers in x_t = α x̄."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowsolve import (
    LOG_SIGMA,
    NOISE,
    ODE,
    VPSDE,
    Continued,
    DiffusionODE,
    EpsPrediction,
    FlowPrediction,
    Grid,
    Guided,
    OneStep,
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
    tabulate,
    tau_linear,
    uniform,
    uniform_t,
)
from flowsolve.analysis.stages import drive, recurrence
from flowsolve.errors import GridError, NonFiniteError, StateError
from flowsolve.integrate.likelihood import log_prob
from flowsolve.problems import Digits, Mixture, Mixture1D, Problem, exact_network
from flowsolve.schedule.grid import Spacing
from flowsolve.solver.plugins import provided
from flowsolve.study import convergence
from flowsolve.study.certificate import measuring_steps
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

P = Mixture()
NOISE_16 = P.start(range(16), torch.float64) / P.sigma_max
X = solve(P, NOISE_16 * 10, log_snr(100, 10, 0.05), RK4(LOG_SIGMA)).x
VP = uniform_t(20, P.clock.sigma(1.0), P.clock.sigma(1e-3), clock=P.clock)
GRID = log_snr(20, 10, 0.05)
each = pytest.mark.parametrize("solver", TWO_STATE, ids=repr)
EXACT = {"rtol": 1e-10, "atol": 1e-10}


class Same(ODE):
    """Another path of the same ODE, of α = 1."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return P.eps(x, sigma)

    def alpha(self, sigma: float) -> float:
        return 1.0


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


@pytest.mark.parametrize("grid", [VP, GRID, karras(20, 80, 0.02), GRID.to_zero()], ids=str)
@each
def test_there_and_back(solver: Solver, grid: Grid) -> None:
    trip = round_trip_error(P, X, grid, solver)
    if grid[-1] > 0 or solver.reaches_zero:
        assert trip.mse < 1e-20
    else:  # the step to 0 is DDIM's, which has no inverse
        by_hand = P.x0(X + 0.05 * P.eps(X * P.alpha(0) / P.alpha(0.05), 0.05), 0.05)
        torch.testing.assert_close(trip.decoded, by_hand, **EXACT)
        assert trip.mse > 1e-9
    assert round_trip_error(P, X, grid, Heun()).mse > 1e-7


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
    trip = round_trip_error(P, X, GRID, solver)
    assert (trip.nfe_up, trip.nfe_down) == (up, down)
    assert sample(P, NOISE_16, GRID, solver).nfe == up
    assert sample(P, NOISE_16, lambda n: karras(n, 10, 0.05), solver, nfe=25).nfe <= 25
    flow = DiffusionODE(exact_network(P, FlowPrediction()), FlowPrediction())
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
    up = solve(P, X, grid.reversed(), solver, keep=1)
    assert up.second is not None
    largest = max(float(v.abs().max()) for v in (up.second, *(point.x for point in up.path)))
    assert float((decode(P, up).x - X).abs().max()) < 1e-9 * largest


def test_the_second_state_is_what_comes_back() -> None:
    for solver in TWO_STATE:
        up = encode(P, X, GRID, solver)
        assert up.second is not None
        assert up.second.shape == X.shape
        alone = decode(P, dataclasses.replace(up, second=None))
        assert float((alone.x - X).square().mean()) > 1e-8


@each
def test_noise_comes_back_from_a_sample_and_its_second_state(solver: Solver) -> None:
    made = sample(P, NOISE_16, GRID, solver)
    assert made.second is not None
    assert isinstance(solver, TwoState)
    back = encode(P, made.x, GRID, Continued(solver, made.second))
    torch.testing.assert_close(back.x, NOISE_16 * 10, rtol=1e-8, atol=1e-8)
    again = decode(P, back)
    torch.testing.assert_close(again.x, made.x, rtol=1e-8, atol=1e-8)
    assert rms(encode(P, made.x, GRID, solver).x - NOISE_16 * 10) > 1e-6


@each
def test_the_ends(solver: Solver) -> None:
    """A step of `trajectory` at an end leaves no second state there, and is not undone."""
    flow = DiffusionODE(exact_network(P, FlowPrediction()), FlowPrediction())
    top = GRID.from_infinity()
    up = encode(flow, X, top, solver)
    assert up.second is None
    torch.testing.assert_close(up.x, flow.eps(encode(flow, X, GRID, solver).x, 10.0))
    assert decode(flow, up).x.isfinite().all()
    down = sample(P, NOISE_16, GRID.to_zero(), solver)
    assert (down.second is None) == (not solver.reaches_zero)
    rising = GRID.to_zero().reversed()
    if solver.reaches_zero:
        assert torch.equal(encode(P, X, rising, solver).x, solve(P, X, rising, solver).x)
    else:
        with pytest.raises(GridError, match=r"sample\(\) takes the steps"):
            solve(P, X, rising, solver)


@pytest.mark.parametrize("solver", [BDIA(), OBELM()], ids=repr)
def test_the_first_step_up_from_zero_is_that_of_trajectory(solver: Solver) -> None:
    got = solve(P, X, Grid([1.0, 0.0]).reversed(), solver)
    torch.testing.assert_close(got.x, DDIMInverse().step(P, X, 0.0, 1.0), **EXACT)
    assert got.second is not None
    assert torch.equal(got.second, X)


def test_edict_undoes_its_step_to_zero() -> None:
    got = solve(P, X, Grid([1.0, 0.0]).reversed(), EDICT())
    y = X + P.eps(X * P.alpha(0) / P.alpha(1), 1.0)  # the network sees data, labelled σ = 1
    assert got.second is not None
    torch.testing.assert_close(got.second, y, **EXACT)
    torch.testing.assert_close(got.x, X + P.eps(y, 1.0), **EXACT)


def test_float32_to_its_rounding() -> None:
    for solver in (BDIA(), OBELM(), EDICT(), Rex(), Rex(Heun())):
        trip = round_trip_error(P, X.float(), VP, solver)
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


CLOCK = VPSDE()
NET = exact_network(P, EpsPrediction(CLOCK))
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
    top, bottom = VP[0], VP[-1]
    x = X * 10
    theirs = published(x * parts(top)[0], VP) / parts(bottom)[0]
    torch.testing.assert_close(solve(NETWORK, x, VP, solver).x, theirs, rtol=1e-9, atol=1e-9)


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
    assert rms(solve(P, X, grid, BDIA()).x - two) > 1e-3  # where α changes, it is another method


def test_symmetric_methods_are_their_own_inverse() -> None:
    """O-BELM's formula with the levels the other way round, and BDIA's with γ = 1."""
    levels = GRID.reversed()

    def up(weight: Callable[[float, float, float], float]) -> Tensor:
        before, x = X, X + (levels[1] - levels[0]) * P.eps(X, levels[0])
        for r, s, t in zip(levels, levels[1:], levels[2:], strict=False):
            w, eps = weight(r, s, t), P.eps(x, s)
            before, x = x, x + (t - s) * eps + w * (before - x - (r - s) * eps)
        return x

    torch.testing.assert_close(
        encode(P, X, GRID, OBELM()).x, up(lambda r, s, t: ((t - s) / (s - r)) ** 2), **EXACT
    )
    torch.testing.assert_close(
        encode(P, X, GRID, BDIA()).x, up(lambda r, s, t: P.alpha(r) / P.alpha(t)), **EXACT
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

    class Point(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return (x - 0.5) / sigma

    done = solve(Point(), X, GRID, Rex())
    torch.testing.assert_close(done.x, 0.5 + (X - 0.5) * 0.05 / 10, **EXACT)
    torch.testing.assert_close(done.second, done.x, **EXACT)


def test_what_they_are_as_samplers() -> None:
    """RMS errors on 20 steps of σ = 152 to 0.01, as docs/inversion.md has them."""
    x = NOISE_16 * VP[0]
    fine = solve(P, x, log_snr(400, VP[0], VP[-1]), RK4(LOG_SIGMA)).x
    error = {s: rms(solve(P, x, VP, s).x - fine) for s in (*TWO_STATE, Euler(), Heun())}
    assert error[BDIA()] < error[OBELM()] < error[Euler()] / 2
    assert error[BDIA(0.5)] < error[Euler()]
    assert error[EDICT(alternate=False)] > 3 * error[EDICT()] > 6 * error[Euler()]
    assert error[Rex()] < error[Euler()]
    assert error[Rex(Heun())] < 1.5 * error[Heun()]
    zero, almost = VP.to_zero(), log_snr(600, VP[0], 1e-4)
    fine = solve(P, x, almost, RK4(LOG_SIGMA)).x
    to_zero = {s: rms(solve(P, x, zero, s).x - fine) for s in (BDIA(), OBELM())}
    assert to_zero[BDIA()] > 2 * error[BDIA()]
    assert to_zero[OBELM()] == pytest.approx(error[OBELM()], rel=0.05)


def test_rex_couples_the_data_chart() -> None:
    x = NOISE_16 * VP[0]
    fine = solve(P, x, log_snr(400, VP[0], VP[-1]), RK4(LOG_SIGMA)).x
    error = {s: rms(solve(P, x, VP, s).x - fine) for s in (Rex(), Rex(chart=NOISE))}
    assert error[Rex(chart=NOISE)] > 20 * error[Rex()]


def test_what_grows_upwards() -> None:
    """BDIA's γ = 1/2 doubles the flaw of its first step at every level, Rex multiplies it by s/t."""
    exact = solve(P, X, log_snr(400, VP[0], VP[-1]).reversed(), RK4(LOG_SIGMA)).x

    def error(solver: Solver, n: int) -> float:
        grid = uniform_t(n, VP[0], VP[-1], clock=P.clock)
        return rms(encode(P, X, grid, solver).x - exact) / VP[0]

    coarse, fine = error(BDIA(0.5), 20), error(BDIA(0.5), 30)
    assert coarse > 1000
    assert fine > 500 * coarse
    assert error(Rex(), 20) > 3
    for solver in (BDIA(), OBELM()):
        assert error(solver, 100) < error(solver, 20) / 2 < 0.5


@each
def test_a_sample_does_not_depend_on_the_others(solver: Solver) -> None:
    whole, one = (encode(P, x, GRID, solver) for x in (X, X[3:4]))
    torch.testing.assert_close(whole.x[3:4], one.x, **EXACT)
    kept = X.clone()
    decode(P, whole)
    assert torch.equal(X, kept)


@each
def test_path_and_recurrence(solver: Solver) -> None:
    """The usual tools of a solver: kept nodes, and a run from outside."""
    grid = log_snr(6, 10, 0.05)
    done = sample(P, NOISE_16, grid, solver, keep=1)
    assert [p.sigma for p in done.path] == list(grid)
    assert torch.equal(done.path[-1].x, done.x)
    driven = drive(P, NOISE_16 * 10, recurrence(solver, grid))
    torch.testing.assert_close(driven, done.x, rtol=1e-8, atol=1e-8)
    assert recurrence(solver, grid).kept >= 5  # every answer


def test_they_are_listed_apart() -> None:
    assert not {type(s) for s in TWO_STATE} & {type(s) for s in ALL}
    assert {"BDIA", "OBELM", "EDICT", "Rex"} <= {p.name for p in provided().values()}
    assert [s.order for s in TWO_STATE] == [2, 1, 2, 1, 1, 1, 2, 4]


def test_a_second_state_of_another_method() -> None:
    up = encode(P, X, GRID, EDICT())
    with pytest.raises(
        StateError, match=r"state that EDICT\(\) has left is of no use to BDIA\(\). Go b"
    ):
        decode(P, up, BDIA())
    with pytest.raises(StateError, match=r"EDICT\(\) has left is of no use to Heun\(\)"):
        decode(P, up, Heun())
    with pytest.raises(StateError, match=r"EDICT\(\) has left is of no use to EDICT\(p=0.9\)"):
        decode(P, up, EDICT(0.9))
    plain = dataclasses.replace(up, second=None)
    assert torch.equal(decode(P, plain, Heun()).x, solve(P, up.x, GRID, Heun()).x)
    assert decode(P, encode(P, X, GRID, Heun())).solver == Heun()


@pytest.mark.parametrize(
    "second", [X[:8], X[:, :1], X.float(), X.to("meta")], ids=["batch", "event", "dtype", "device"]
)
def test_a_pair_of_two_kinds(second: Tensor) -> None:
    with pytest.raises(
        StateError, match=r"two states of BDIA\(\) must be alike, but x is \(16, 2\), torch.float64"
    ):
        solve(P, X, GRID, Continued(BDIA(), second))


def test_methods_of_one_state_have_no_second() -> None:
    with pytest.raises(StateError, match=r"for a TwoState method, not Heun\(\)"):
        Continued(Heun(), X)  # type: ignore[arg-type]
    assert encode(P, X, GRID, Heun()).second is None
    with pytest.raises(GridError, match="draws noise"):
        encode(P, X, GRID, DDIMEta(1.0))
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
        invert(P, X, GRID, solver)


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
        round_trip_error(P, X * math.nan, GRID, BDIA())
