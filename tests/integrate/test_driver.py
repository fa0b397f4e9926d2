"""solve and sample: evaluations counted, budgets met, paths consistent, states left alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flowsolve import (
    ODE,
    SIGMA,
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    FlowPrediction,
    Grid,
    OneStep,
    Solution,
    Solver,
    karras,
    log_snr,
    sample,
    solve,
    unit_noise,
    ve_start,
    vp_start,
)
from flowsolve.errors import BudgetError, GridError, NonFiniteError, StateError
from flowsolve.integrate.cost import cost
from flowsolve.ode.noise import SeededNoise, WithNoise
from flowsolve.problems import Mixture, Mixture1D, exact_network
from flowsolve_solvers import (
    ALL,
    LMS,
    RK4,
    STOCHASTIC,
    Adams,
    DPMSolver3,
    DPMSolverPP2M,
    Euler,
    Heun,
    Scipy,
    Torchdiffeq,
    UniPC,
)

PROBLEM = Mixture()
X = PROBLEM.start(range(4), torch.float64)
GRID = karras(6, 10, 0.05)
ADAPTIVE: list[Solver] = [
    Torchdiffeq(),
    Torchdiffeq("bosh3", variable=SIGMA),
    Scipy(),
    Scipy("RK45", variable=SIGMA),
    Scipy("LSODA"),
]
EVERY = [*ALL, Torchdiffeq("rk4"), Torchdiffeq("midpoint", variable=SIGMA), *ADAPTIVE]
each = pytest.mark.parametrize("solver", ALL, ids=repr)
every = pytest.mark.parametrize("solver", EVERY, ids=repr)


def network_ode() -> DiffusionODE:
    precondition = EpsPrediction(VPSDE())
    return DiffusionODE(exact_network(PROBLEM, precondition), precondition)


# ------------------------------------------------------------------------------------ evaluations


class Tally(ODE):
    """A second, independent counter, inside the one of `solve`."""

    def __init__(self, ode: ODE) -> None:
        self.ode, self.calls = ode, 0

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.calls += 1
        return self.ode.eps(x, sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        self.calls += 1
        return self.ode.x0(x, sigma)


@pytest.mark.parametrize("grid", [GRID, GRID.to_zero(), GRID.from_infinity().to_zero()], ids=str)
@each
def test_cost_is_what_is_counted(solver: Solver, grid: Grid) -> None:
    tally = Tally(PROBLEM)
    answer = sample(tally, X / 10, grid, solver)
    assert answer.nfe == tally.calls == cost(solver, grid)
    assert answer.forwards == 0  # an exact problem has no network


EVALUATIONS = {Euler(): 1, Heun(): 2, RK4(): 4, DPMSolver3(): 3, DPMSolverPP2M(): 1, LMS(): 1}


@pytest.mark.parametrize("solver", EVALUATIONS, ids=repr)
def test_evaluations_a_step(solver: Solver) -> None:
    assert cost(solver, GRID) == EVALUATIONS[solver] * GRID.steps
    assert cost(Adams(4, start=DPMSolver3()), GRID) == 3 * 3 + 3
    assert cost(Heun(), karras(17, 80, 0.002).to_zero()) == 35  # EDM's 18 steps


@pytest.mark.parametrize("batch", [1, 3])
@every
def test_forwards_of_a_network(solver: Solver, batch: int) -> None:
    """Counted at the network, a sample: as many as evaluations without guidance."""
    calls = []

    def network(x: Tensor, t: Tensor) -> Tensor:
        calls.append(len(x))
        return inner(x, t)

    precondition = EpsPrediction(VPSDE())
    inner = exact_network(PROBLEM, precondition)
    answer = solve(DiffusionODE(network, precondition), X[:batch], GRID, solver)
    assert answer.nfe == answer.forwards == len(calls)
    assert set(calls) == {batch}


# ---------------------------------------------------------------------------------------- budgets


def spacing(n: int) -> Grid:
    return log_snr(n, 10, 0.05)


@pytest.mark.parametrize("to_zero", [False, True])
@each
def test_budgets_are_met_or_refused(solver: Solver, to_zero: bool) -> None:
    def grids(n: int) -> Grid:
        return spacing(n).to_zero() if to_zero else spacing(n)

    for budget in range(1, 21):
        if cost(solver, grids(1)) > budget:
            with pytest.raises(BudgetError, match=f"one step.*but nfe = {budget}"):
                sample(PROBLEM, X, grids, solver, nfe=budget)
            continue
        answer = sample(PROBLEM, X, grids, solver, nfe=budget)
        n = answer.grid.steps - to_zero
        assert answer.grid == grids(n)
        assert answer.nfe <= budget < cost(solver, grids(n + 1))


@pytest.mark.parametrize(("budget", "steps", "nfe"), [(10, 5, 10), (11, 5, 10), (2, 1, 2)])
def test_ten_evaluations_of_heun(budget: int, steps: int, nfe: int) -> None:
    answer = solve(PROBLEM, X, spacing, Heun(), nfe=budget)
    assert (answer.grid.steps, answer.nfe) == (steps, nfe)


@pytest.mark.parametrize("solver", ADAPTIVE, ids=repr)
def test_adaptive_methods_take_no_budget(solver: Solver) -> None:
    with pytest.raises(BudgetError, match=r"chooses its own evaluations.*max_nfe="):
        solve(PROBLEM, X, spacing, solver, nfe=10)


@pytest.mark.parametrize("nfe", [0, -3, 2.5, True, "10"])
def test_what_is_no_budget(nfe: Any) -> None:
    with pytest.raises(BudgetError, match="whole number of at least 1"):
        solve(PROBLEM, X, spacing, Heun(), nfe=nfe)


def test_budget_and_grid_do_not_mix() -> None:
    with pytest.raises(BudgetError, match="needs nfe="):
        solve(PROBLEM, X, spacing, Heun())
    with pytest.raises(BudgetError, match="not one grid"):
        solve(PROBLEM, X, GRID, Heun(), nfe=10)


# ------------------------------------------------------------------------------------------ paths


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
            assert p.x0.equal(p.x)
            assert p.x_t.equal(p.x)
            continue
        torch.testing.assert_close(p.x0, PROBLEM.x0(p.x, p.sigma), rtol=1e-9, atol=1e-9)
        assert p.eps is not None
        if math.isinf(p.sigma):
            assert p.alpha == 0
            assert p.eps.equal(p.x)
            assert p.x_t.equal(p.x)
        else:
            torch.testing.assert_close(p.eps, PROBLEM.eps(p.x, p.sigma), rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(p.x, p.x0 + p.sigma * p.eps, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(p.x_t, p.x / math.hypot(1, p.sigma), rtol=1e-14, atol=0)


@pytest.mark.parametrize("keep", [1, 4, 100])
@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
@every
def test_paths(solver: Solver, up: bool, keep: int) -> None:
    grid, x = (GRID.reversed(), X / 10) if up else (GRID, X)
    plain = solve(PROBLEM, x, grid, solver)
    tally = Tally(PROBLEM)
    answer = solve(tally, x, grid, solver, keep=keep)
    kept = sorted({*range(0, len(grid), keep), grid.steps})
    check_path(answer, x, kept)
    assert plain.path == ()
    assert answer.x.equal(plain.x)
    assert answer.nfe == plain.nfe  # what was asked for the path only is not the method's
    assert answer.stats.get("observations", 0) == tally.calls - answer.nfe
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
    answer = sample(PROBLEM, X, GRID.to_zero(), solver, keep=1, keep_on="meta")
    assert {p.x.device.type for p in answer.path} == {"meta"}
    assert {p.x0.device.type for p in answer.path} == {"meta"}
    assert {p.eps.device.type for p in answer.path if p.eps is not None} == {"meta"}
    assert answer.x.device.type == "cpu"
    path = sample(PROBLEM, X, GRID.to_zero(), solver, keep=1, keep_on="cpu").path
    assert all(p.x.device.type == "cpu" for p in path)


def test_keep_is_not_negative() -> None:
    with pytest.raises(ValueError, match="keep must be 0"):
        solve(PROBLEM, X, GRID, Heun(), keep=-1)


# ------------------------------------------------------------------------------- states, and others


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@each
def test_the_state_keeps_its_dtype(solver: Solver, dtype: torch.dtype) -> None:
    x = X.to(dtype)
    answer = solve(PROBLEM, x, GRID, solver, keep=1)
    assert {p.x.dtype for p in answer.path} == {dtype}
    assert answer.x.isfinite().all()
    exact = solve(PROBLEM, x.double(), GRID, solver).x
    loose = 500 * torch.finfo(dtype).eps
    torch.testing.assert_close(answer.x.double(), exact, rtol=loose, atol=loose)


@pytest.mark.parametrize(
    "solver", [Torchdiffeq(), Torchdiffeq("rk4"), Scipy(rtol=1e-5, atol=1e-5)], ids=repr
)
def test_float32_in_other_libraries(solver: Solver) -> None:
    """With tolerances that float32 can tell from its own rounding."""
    answer = solve(PROBLEM, X.float(), GRID, solver)
    assert answer.x.dtype == torch.float32
    exact = solve(PROBLEM, X, GRID, solver).x
    torch.testing.assert_close(answer.x.double(), exact, rtol=1e-3, atol=1e-3)


class Guarded(ODE):
    """Keeps every tensor that passes, to see that nobody writes into one."""

    def __init__(self) -> None:
        self.passed: list[tuple[Tensor, Tensor]] = []

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        out = PROBLEM.eps(x, sigma)
        self.passed += [(x, x.clone()), (out, out.clone())]
        return out


@every
def test_nothing_is_changed_in_place(solver: Solver) -> None:
    ode, x = Guarded(), X.clone()
    answer = solve(ode, x, GRID, solver, keep=1)
    assert x.equal(X)
    assert all(now.equal(then) for now, then in ode.passed)
    again = solve(ode, x, GRID, solver)
    assert again.x.equal(answer.path[-1].x)


@every
def test_interleaved_runs(solver: Solver) -> None:
    """One solver object drives two generators at once: its state is in the generators."""
    starts, grids = (X, X.flip(0) / 2), (GRID, log_snr(6, 9, 0.1))
    alone = [[*solver.steps(PROBLEM, x, g)] for x, g in zip(starts, grids, strict=True)]
    runs = [solver.steps(PROBLEM, x, g) for x, g in zip(starts, grids, strict=True)]
    both: list[list[Tensor]] = [[], []]
    for _ in range(GRID.steps):
        for run, states in zip(runs, both, strict=True):
            states.append(next(run))
    for one, two in zip(alone, both, strict=True):
        assert all(a.equal(b) for a, b in zip(one, two, strict=True))


@every
def test_determinism_without_random_numbers(solver: Solver) -> None:
    before = torch.get_rng_state()
    first, second = (solve(PROBLEM, X, GRID, solver) for _ in range(2))
    assert first.x.equal(second.x)
    assert first.nfe == second.nfe
    assert torch.get_rng_state().equal(before)


@each
def test_samples_do_not_see_each_other(solver: Solver) -> None:
    """Not so for adaptive methods, whose one error norm serves the whole batch."""
    whole = solve(PROBLEM, X, GRID, solver).x
    for i in range(len(X)):
        alone = solve(PROBLEM, X[i : i + 1], GRID, solver).x
        torch.testing.assert_close(whole[i : i + 1], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("solver", [*ALL, *STOCHASTIC], ids=repr)
def test_samples_do_not_see_each_other_to_the_bit(solver: Solver, dtype: torch.dtype) -> None:
    """With a network that does not mind its batch; 64 numbers a sample leave no odd ends of a vector."""

    class Rational(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return x * sigma / (x * x + sigma * sigma + 0.3)

    def run(x: Tensor, seeds: range) -> Tensor:
        return solve(WithNoise(Rational(), SeededNoise(seeds)), x, GRID, solver).x

    x = unit_noise(range(5), (64,), dtype) * GRID[0]
    whole = run(x, range(5))
    for i in range(5):
        assert whole[i : i + 1].equal(run(x[i : i + 1], range(i, i + 1)))
    assert whole[1:4].equal(run(x[1:4], range(1, 4)))


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 2, 4), (3, 1, 2, 2, 1)])
@each
def test_any_event_shape(solver: Solver, shape: tuple[int, ...]) -> None:
    class Gaussian(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return x * (sigma / (0.3 + sigma * sigma))

    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got = solve(Gaussian(), x, GRID, solver).x
    assert got.shape == shape
    flat = solve(Gaussian(), x.flatten()[:, None], GRID, solver).x
    assert got.flatten().equal(flat[:, 0])


@pytest.mark.parametrize("solver", [*ALL, Torchdiffeq(), Torchdiffeq("rk4")], ids=repr)
def test_gradients(solver: Solver) -> None:
    """d(answer·w)/dx against a central difference; and none unless asked for."""
    grid = karras(4, 3, 0.3)
    start = X / 4
    w = torch.linspace(-1, 1, X.numel(), dtype=torch.float64).reshape(X.shape)
    x = start.clone().requires_grad_()
    assert not solve(PROBLEM, x, grid, solver).x.requires_grad
    with torch.no_grad():
        assert not solve(PROBLEM, x, grid, solver, grad=True).x.requires_grad
    (solve(PROBLEM, x, grid, solver, grad=True).x * w).sum().backward()
    assert x.grad is not None
    direction = torch.cos(torch.arange(X.numel(), dtype=torch.float64)).reshape(X.shape)

    def value(step: float) -> float:
        return float((solve(PROBLEM, start + step * direction, grid, solver).x * w).sum())

    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    # an adaptive method's steps move with x, and no gradient sees that
    assert float((x.grad * direction).sum()) == pytest.approx(
        slope, rel=1e-2 if solver.adaptive else 1e-6
    )


def test_gradients_reach_the_network() -> None:
    layer = nn.Linear(2, 2, dtype=torch.float64)
    ode = DiffusionODE(lambda x, t: layer(x), EpsPrediction(VPSDE()))
    solve(ode, X, GRID, Heun(), grad=True).x.sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().min() > 0


def test_a_problem_first_asked_in_inference_mode_has_gradients_later() -> None:
    """What it keeps between calls is no inference tensor, which autograd could not save."""
    x = X.clone().requires_grad_()
    for problem in (Mixture((0.5, 0.5), ((0.0, 1.0), (2.0, 0.0)), 2 * (((1.0, 0.0), (0.0, 1.0)),)),
                    Mixture1D((0.25, 0.75))):  # fmt: skip
        with torch.inference_mode():
            problem.eps(X, 1.0)
        problem.eps(x, 1.0).sum().backward()
    assert x.grad is not None


# ------------------------------------------------------------------------------------ start and end


def test_starts() -> None:
    assert (ve_start(3), vp_start(3)) == (3, math.sqrt(10))
    noise = X / 10
    for start, factor in ((ve_start, 10), (vp_start, math.sqrt(101)), (lambda s: 7 * s, 70)):
        one = sample(PROBLEM, noise, GRID, Heun(), start=start).x
        torch.testing.assert_close(one, solve(PROBLEM, noise * factor, GRID, Heun()).x)
    default = sample(PROBLEM, noise, GRID, Heun()).x
    assert default.equal(sample(PROBLEM, noise, GRID, Heun(), start=ve_start).x)
    ends = GRID.from_infinity()
    one, two = (sample(PROBLEM, noise, ends, Heun(), start=f).x for f in (ve_start, vp_start))
    assert one.equal(two)  # from σ = ∞ the noise is taken as it is


@pytest.mark.parametrize("grid", [karras(60, 80, 0.02).to_zero(), karras(60, 80, 0.02)], ids=str)
@pytest.mark.parametrize("solver", [Heun(), DPMSolver3(), Adams(3, start=Heun())], ids=repr)
def test_samples_have_the_moments_of_the_data(solver: Solver, grid: Grid) -> None:
    problem = Mixture1D()
    noise = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = sample(problem, noise, grid, solver).x
    w, m, d = (torch.tensor(v) for v in (problem.weights, problem.means, problem.deviations))
    mean = float((w * m).sum())
    variance = float((w * (m * m + d * d)).sum()) - mean**2
    assert float(x.mean()) == pytest.approx(mean, abs=0.02)
    assert float(x.var()) == pytest.approx(variance, abs=0.02)
    assert float((x < 0).double().mean()) == pytest.approx(0.3, abs=0.01)


@each
def test_zero_is_reached_by_a_ddim_step_or_by_the_method(solver: Solver) -> None:
    near, end = (sample(PROBLEM, X / 10, g, solver).x for g in (GRID, GRID.to_zero()))
    tail = PROBLEM.x0(near, 0.05)
    if not solver.reaches_zero:
        assert end.equal(tail)
        with pytest.raises(GridError, match=r"sample\(\) takes the steps"):
            solve(PROBLEM, X, GRID.to_zero(), solver)
    else:
        assert end.equal(solve(PROBLEM, X, GRID.to_zero(), solver).x)
        # the level of `near` is reached otherwise if it is not the last: corrected, or at full order
        other = isinstance(solver, UniPC) or getattr(solver, "lower_order_final", False)
        torch.testing.assert_close(end, tail, rtol=0.1, atol=0.15 if other else 0.05)
        if isinstance(solver, Euler | Adams):  # the others: test_multistep
            own_step = isinstance(solver, Adams) and solver.points > 1
            assert ((end - tail).abs().max() > 1e-6) == own_step  # Euler's is the DDIM step


# ------------------------------------------------------------------------------------------- errors


@dataclass(frozen=True, repr=False)
class Yields(Solver):
    """So many states more than the grid has steps."""

    extra: int

    order = 0

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        for _ in range(grid.steps + self.extra):
            yield x


@pytest.mark.parametrize(("extra", "word"), [(-1, "fewer"), (-6, "fewer"), (1, "more")])
def test_too_few_and_too_many_states(extra: int, word: str) -> None:
    with pytest.raises(StateError, match=rf"Yields\(extra={extra}\) yielded {word} states"):
        solve(PROBLEM, X, GRID, Yields(extra))
    assert solve(PROBLEM, X, GRID, Yields(0)).nfe == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"solver": Heun}, StateError, r"did you mean Heun\(\)"),
        ({"solver": "heun"}, StateError, "Names are for the command line"),
        ({"ode": lambda x, t: x}, StateError, "ode must be an ODE"),
        ({"x": [1.0, 2.0]}, StateError, "but is list"),
        ({"x": torch.ones(3, 2, dtype=torch.int64)}, StateError, r"torch.int64. Use x.float\(\)"),
        ({"x": torch.tensor(1.0)}, StateError, r"its shape is \(\)"),
        ({"x": torch.ones(0, 2)}, StateError, r"its shape is \(0, 2\)"),
        ({"grid": [1.0]}, GridError, "at least two"),
        ({"grid": [math.inf, 1.0, 0.1]}, GridError, r"sample\(\) takes the steps"),
        ({"grid": [1.0, 0.1, 0.0]}, GridError, r"sample\(\) takes the steps"),
        ({"grid": Grid([1.0, 0.0]).reversed()}, GridError, r"sample\(\) takes the steps"),
    ],
)
def test_errors_at_the_boundary(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    call: dict[str, Any] = {"ode": PROBLEM, "x": X, "grid": GRID, "solver": Heun(), **change}
    with pytest.raises(error, match=message):
        solve(**call)


def test_sample_only_falls() -> None:
    with pytest.raises(GridError, match="σ must fall, but this grid rises"):
        sample(PROBLEM, X, GRID.reversed(), Heun())


class Breaks(ODE):
    """NaN or a shout from some evaluation on."""

    def __init__(self, at: float, value: float) -> None:
        self.at, self.value = at, value

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return x * self.value if sigma <= self.at else x / (1 + sigma)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_garbage_is_found(value: float) -> None:
    ode = Breaks(GRID[3], value)
    where = rf"answer is not finite at evaluation 4, σ = {GRID[3]:.6g}: 8 of 8 values"
    with pytest.raises(NonFiniteError, match=where):
        solve(ode, X, GRID, Euler())
    assert not solve(ode, X, GRID, Euler(), check=False).x.isfinite().any()


def test_a_start_that_is_not_finite() -> None:
    with pytest.raises(NonFiniteError, match="starting state is at fault"):
        solve(PROBLEM, X / 0, GRID, Euler())


def test_a_method_that_diverges() -> None:
    class Steep(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return torch.full_like(x, 1e308)

    with pytest.raises(NonFiniteError, match=r"at evaluation 2, .* The method diverged"):
        solve(Steep(), X, GRID, Euler())


@pytest.mark.parametrize("make", [Torchdiffeq, Scipy])
def test_adaptive_methods_say_where_they_stopped(make: Callable[[], Solver]) -> None:
    with pytest.raises(NonFiniteError, match=r"could not go on from σ = |not finite"):
        solve(Breaks(5, math.nan), X, GRID, make())


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@each
def test_on_a_gpu(solver: Solver, dtype: torch.dtype) -> None:
    x = X.to("cuda", dtype)
    answer = solve(PROBLEM, x, GRID, solver, keep=1, keep_on="cpu")
    assert answer.x.is_cuda
    assert answer.x.dtype == dtype
    assert {p.x.device.type for p in answer.path} == {"cpu"}
    here = solve(PROBLEM, x.cpu(), GRID, solver).x
    loose = 500 * torch.finfo(dtype).eps
    torch.testing.assert_close(answer.x.cpu(), here, rtol=loose, atol=loose)


@dataclass(frozen=True, repr=False)
class Reading(OneStep):
    """Euler that first looks at its state, as no method should."""

    order = 1

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        assert float(x.abs().max()) < 1e9
        return x + (t - s) * ode.eps(x, s)


def test_a_method_that_reads_its_state_can_be_costed() -> None:
    """Counted on a real tensor where nothing is not enough."""
    assert cost(Reading(), GRID) == GRID.steps
    assert solve(PROBLEM, X, spacing, Reading(), nfe=7).nfe == 7


class Seen(ODE):
    """Notes the level of every evaluation."""

    def __init__(self) -> None:
        self.levels: list[float] = []

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.levels.append(sigma)
        return PROBLEM.eps(x, sigma)


@each
def test_evaluations_lie_in_their_step(solver: Solver) -> None:
    ode = Seen()
    run = solver.steps(ode, X, GRID)
    for s, t in pairwise(GRID):
        next(run)
        assert all(t * (1 - 1e-12) <= level <= s * (1 + 1e-12) for level in ode.levels)
        ode.levels.clear()
