"""x̄(σ) between nodes: the order it keeps everywhere, whose polynomial it is, its ends, its cost, its errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import (
    DATA,
    LOG_SIGMA,
    NOISE,
    ODE,
    SIGMA,
    Grid,
    SeededNoise,
    Solution,
    Solver,
    encode,
    karras,
    log_snr,
    sample,
    solve,
    tabulate,
    uniform,
    unit_noise,
)
from flowsolve.analysis import Replay, observed_order
from flowsolve.errors import GridError, StateError
from flowsolve.ode import WithNoise
from flowsolve.problems import Digits, Gaussian, Mixture, Mixture1D
from flowsolve.solver import hermite
from flowsolve_solvers import (
    ALL,
    LMS,
    RK4,
    Adams,
    DDIMEta,
    DPMSolver3,
    DPMSolverAdaptive,
    DPMSolverPP2M,
    Euler,
    Heun,
    Midpoint,
    Scipy,
    Torchdiffeq,
    UniPC,
)
from tests.helpers import Asked

PROBLEM = Mixture1D(sigma_max=1.0, sigma_min=0.2)
FINEST = log_snr(640, PROBLEM.sigma_max, PROBLEM.sigma_min)
ENDS = karras(6, 10.0, 0.05).to_zero().from_infinity()


@cache
def exact() -> Solution:
    """The flow at every level of FINEST, which has three levels inside each of 160 steps."""
    return solve(PROBLEM, PROBLEM.start(range(3), torch.float64), FINEST, RK4(LOG_SIGMA), keep=1)


def test_the_exact_flow_is() -> None:
    for p in exact().path[::80]:
        flow = PROBLEM.flow(exact().path[0].x, FINEST[0], p.sigma)
        assert torch.allclose(p.x, flow, rtol=0, atol=1e-12)


def worst(solver: Solver, n: int) -> float:
    """The largest error at a half and at three quarters of any of n steps."""
    stride = FINEST.steps // n
    found = solve(PROBLEM, exact().path[0].x, Grid(FINEST[::stride]), solver, keep=1)
    inside = [p for i, p in enumerate(exact().path) if i % stride * 4 in (2 * stride, 3 * stride)]
    gap = found.at(p.sigma for p in inside) - torch.stack([p.x for p in inside])
    return float(gap.square().mean(1).sqrt().max())


@pytest.mark.parametrize("solver", ALL, ids=repr)
def test_the_order_of_the_nodes_is_kept_between_them_up_to_4(solver: Solver) -> None:
    n = 80 if solver.order > 3 else 40
    slope = math.log2(worst(solver, n) / worst(solver, 2 * n))
    low, high = min(solver.order, 4), solver.order
    assert low - 0.2 < slope < high + 0.2


@pytest.mark.parametrize("solver", [Scipy(), Torchdiffeq(rtol=1e-11, atol=1e-11)], ids=repr)
def test_between_the_nodes_of_an_adaptive_method_the_grid_decides(solver: Solver) -> None:
    steps = (10, 20, 40)
    assert observed_order(steps, [worst(solver, n) for n in steps]).order == pytest.approx(
        4, abs=0.2
    )


@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMSolver3(), RK4()], ids=repr)
def test_up_the_grid_too(solver: Solver) -> None:
    problem = Gaussian(sigma_max=1.0, sigma_min=0.2)
    errors = []
    for n in (20, 40):
        grid = uniform(n, 1.0, 0.2).reversed()
        x = problem.start(range(3), torch.float64) * 0.7
        middle = [(s + t) / 2 for s, t in pairwise(grid)]
        flow = torch.stack([problem.flow(x, 0.2, s) for s in middle])
        errors.append(
            float((solve(problem, x, grid, solver, keep=1).at(middle) - flow).abs().max())
        )
    assert math.log2(errors[0] / errors[1]) == pytest.approx(solver.order, abs=0.25)


# --- at the nodes, and at the ends ------------------------------------------------------------------


def from_infinity(solver: Solver) -> Solution:
    return sample(Mixture(), unit_noise(range(3), (2,), torch.float64), ENDS, solver, keep=1)


@pytest.mark.parametrize("solver", ALL, ids=repr)
def test_the_nodes_are_met_to_the_bit_and_from_both_sides(solver: Solver) -> None:
    found = from_infinity(solver)
    assert torch.equal(found.at(ENDS), torch.stack([p.x for p in found.path]))
    for p in found.path[1:]:
        near = [p.sigma * (1 + 1e-12), p.sigma * (1 - 1e-12)] if p.sigma else [1e-12]
        for sigma in near:
            assert torch.allclose(found.at(sigma), p.x, rtol=0, atol=1e-10), sigma


def test_from_infinity_and_to_zero_the_path_is_the_line_of_ddim() -> None:
    path = from_infinity(Heun()).path
    noise, last = path[0], path[-2]
    assert last.eps is not None
    above, below = from_infinity(Heun()).at((1000.0, last.sigma / 3))
    assert torch.allclose(above, noise.x0 + 1000 * noise.x, rtol=1e-14)
    assert torch.allclose(below, last.x0 + last.sigma / 3 * last.eps, rtol=0, atol=1e-14)


def test_encoded_the_ends_are_lines_too() -> None:
    data = from_infinity(Heun()).x
    found = encode(Mixture(), data, ENDS, Heun(), keep=1)
    s = found.path[1].sigma
    assert torch.equal(found.at(0), data)
    assert torch.allclose(found.at(s / 4), data + (found.path[1].x - data) / 4, atol=1e-14)
    high = found.path[-2]
    assert torch.equal(found.at(math.inf), found.x)
    assert torch.allclose(found.at(1e4), high.x + (1e4 - high.sigma) * found.x, rtol=1e-14)


def test_a_grid_of_the_two_ends_alone() -> None:
    x = unit_noise(range(2), (2,), torch.float64)
    found = sample(Mixture(), x, Grid([math.inf, 0.0]), Heun(), keep=1)
    assert torch.allclose(found.at(2.0), found.x + 2 * x)


def test_a_method_that_walks_to_zero_has_its_own_polynomial_there() -> None:
    x = Mixture().start(range(3), torch.float64)
    for solver in (LMS(3), LMS(3, start=Heun()), Adams(3, DATA, lower_order_final=True)):
        grid = karras(5, 10.0, 0.5).to_zero()
        found = solve(Mixture(), x, grid, solver, keep=1)
        ended = solve(Mixture(), x, Grid([*grid[:-1], 0.2]), solver).x
        assert torch.allclose(found.at(0.2), ended, rtol=0, atol=1e-13)
    # a step to 0 that is DDIM's, made by the method
    found = solve(Mixture(), x, grid, UniPC(correct=False), keep=1)
    line = found.path[-2].x0.lerp(found.path[-2].x, 0.2 / 0.5)
    assert torch.allclose(found.at(0.2), line, atol=1e-13)


# --- whose polynomial it is -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "solver",
    [
        Euler(),
        Euler(DATA),
        DPMSolverPP2M(guard=None),
        LMS(4, guard=None),
        Adams(3, DATA, guard=None),
        Adams(3, DATA, lower_order_final=True, guard=None),
        Adams(3, NOISE, SIGMA, Heun(), guard=None),
    ],
    ids=repr,
)
@pytest.mark.parametrize("rising", [False, True])
def test_a_step_ended_early(solver: Solver, rising: bool) -> None:
    """Where all evaluations are at nodes, x̄(σ) is where the method goes on the grid with σ for t."""
    down = karras(6, 10.0, 0.05)
    grid = down.reversed() if rising else down
    x = Mixture().start(range(3), torch.float64) * grid[0] / 10
    found = solve(Mixture(), x, grid, solver, keep=1)
    for i in range(2 if getattr(solver, "start", None) else 0, 6):
        sigma = 0.7 * grid[i] + 0.3 * grid[i + 1]
        levels = [*grid[: i + 1], sigma, *grid[i + 2 :]]
        other = Grid(levels[::-1]).reversed() if rising else Grid(levels)
        ended = solve(Mixture(), x, other, solver, keep=1).path[i + 1].x
        assert torch.allclose(found.at(sigma), ended, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("solver", [DPMSolverPP2M(), LMS(3), Adams(3, DATA), Adams(3)], ids=repr)
def test_a_long_step_has_as_many_points_between_its_ends(solver: Solver) -> None:
    """Fewer than the steps before it, and at its end it is the next node."""
    grid = Grid([10.0, 7.0, 5.0, 3.5, 0.05])
    found = solve(Mixture(), Mixture().start(range(3), torch.float64), grid, solver, keep=1)
    near = found.at(0.05 * (1 + 1e-9))
    torch.testing.assert_close(near, found.path[4].x, rtol=1e-7, atol=1e-7)
    euler = Euler().step(Mixture(), found.path[3].x, 3.5, 0.5)
    torch.testing.assert_close(found.at(0.5), euler, rtol=1e-12, atol=1e-12)


def test_without_the_slope_at_its_end_a_step_of_heun_has_its_own_polynomial() -> None:
    x, h = Mixture().start(range(3), torch.float64), -4.0
    for solver, at in ((Heun(), 1.0), (Midpoint(), 0.5)):
        a, b = solve(Mixture(), x, [10.0, 10.0 + h], solver, keep=1).path
        k1 = Mixture().eps(x, 10.0)
        k2 = Mixture().eps(x + at * h * k1, 10.0 + at * h)
        for u in (0.2, 0.5, 0.9):
            own = x + h * u * k1 + h * u * u / (2 * at) * (k2 - k1)
            assert torch.allclose(
                hermite([a, replace(b, answer=None)], 10.0 + u * h), own, atol=1e-13
            )


def test_the_cubic_is_exact_for_cubics() -> None:
    class Cubic(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return torch.full_like(x, 3 * sigma**2 - 4 * sigma + 0.5)

    found = solve(Cubic(), torch.ones(2, 1, dtype=torch.float64), [2.0, 0.4], RK4(), keep=1)
    sigma = 0.7
    there = 1 + (sigma**3 - 2 * sigma**2 + sigma / 2) - (8 - 8 + 1)
    assert torch.allclose(found.at(sigma), torch.full((2, 1), there, dtype=torch.float64))


def test_a_replayed_table_has_the_cubic() -> None:
    x = Mixture().start(range(3), torch.float64)
    grid = karras(6, 10.0, 0.05)
    table = Replay(tabulate(Heun(), grid))
    a, b = (solve(Mixture(), x, grid, s, keep=1).at(1.0) for s in (Heun(), table))
    assert torch.allclose(a, b, atol=1e-12)


# --- what it costs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solver", "to_zero", "above"),
    [
        (Euler(), 0, 1),
        (Heun(), 0, 1),
        (DPMSolverPP2M(), 0, 1),
        (LMS(3, start=Heun()), 0, 1),
        (RK4(), 0, 1),
        (UniPC(), 6, 6),  # evaluated where it was predicted, and corrected since
        (Scipy(), 6, 7),
        (DPMSolverAdaptive(), 6, 7),
    ],
    ids=repr,
)
def test_no_evaluation_beyond_what_the_path_counts(
    solver: Solver, to_zero: int, above: int
) -> None:
    for grid, extra in ((karras(6, 10.0, 0.05), above), (karras(6, 10.0, 0.05).to_zero(), to_zero)):
        ode = Asked(Mixture())
        noise = unit_noise(range(2), (2,), torch.float64)
        found = sample(ode, noise, grid, solver, keep=1)
        assert found.stats.get("observations", 0) == extra
        assert ode.calls == found.nfe + extra
        found.at(log_snr(20, 10.0, 0.05))
        assert ode.calls == found.nfe + extra


# --- shapes, dtypes, gradients ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("solver", [Euler(), Heun(), LMS(3), DPMSolverPP2M()], ids=repr)
def test_the_dtype_is_the_states(solver: Solver, dtype: torch.dtype) -> None:
    grid = karras(4, 10.0, 0.05).to_zero()
    found = sample(Mixture(), unit_noise(range(2), (2,), dtype), grid, solver, keep=1)
    for sigma in (10.0, 4, 1.0, 0.01, 0):
        assert (found.at(sigma).dtype, found.at(sigma).shape) == (dtype, (2, 2))
    many = found.at(iter([5.0, 0.3, 0.3]))
    assert (many.dtype, many.shape) == (dtype, (3, 2, 2))
    assert torch.equal(many[1], many[2])


def test_images_and_scalars() -> None:
    digits, mixture = Digits(), Mixture1D()
    noise = unit_noise(range(2), digits.event, torch.float32)
    grid = log_snr(5, digits.sigma_max, digits.sigma_min)
    assert sample(digits, noise, grid, Heun(), keep=1).at((3.0, 1.0)).shape == (2, 2, 1, 8, 8)
    x = mixture.start(range(4), torch.float64)
    found = solve(mixture, x, karras(5, 10.0, 0.05), Heun(), keep=1)
    assert found.at([3.0]).shape == (1, 4)
    assert torch.equal(found.at(torch.tensor([3.0, 2.0]))[1], found.at(2.0))


def test_gradients_go_through() -> None:
    x = Mixture().start(range(2), torch.float64).requires_grad_()
    found = solve(Mixture(), x, karras(4, 10.0, 0.05), Heun(), keep=1, grad=True)
    (slope,) = torch.autograd.grad(found.at(2.0).sum(), x)
    assert bool(slope.isfinite().all())
    assert float(slope.abs().min()) > 0


# --- what there is no answer to ---------------------------------------------------------------------


def solved(solver: Solver, keep: int = 1) -> Solution:
    ode = WithNoise(Mixture(), SeededNoise(range(2)))
    return solve(ode, Mixture().start(range(2)), karras(4, 10.0, 0.05), solver, keep=keep)


CASES: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: solved(Heun(), 0).at(1.0), StateError, "all 5 of them, but the path holds 0. Solve with keep=1."),
    (lambda: solved(Heun(), 2).at(1.0), StateError, "all 5 of them, but the path holds 3. Solve with keep=1."),
    (lambda: solved(DDIMEta()).at(1.0), StateError, "DDIMEta() draws noise, so between its nodes"),
    (lambda: solved(Heun()).at(11.0), GridError, "which goes from 10.0 to 0.05."),
    (lambda: solved(Heun()).at([1.0, 0.0]), GridError, "σ = 0.0 is outside of this path"),
    (lambda: solved(Heun()).at(math.nan), GridError, "σ = nan is outside"),
    (lambda: solved(Heun()).at([]), GridError, "needs at least one σ, but got none."),
]  # fmt: skip


@pytest.mark.parametrize(("ask", "error", "text"), CASES, ids=[c[2][:30] for c in CASES])
def test_what_has_no_answer_says_why(
    ask: Callable[[], object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        ask()
    assert text in str(caught.value)


def test_a_stochastic_method_at_eta_0_has_an_answer() -> None:
    assert torch.equal(solved(DDIMEta(eta=0.0)).at(1.0), solved(DDIMEta(eta=0.0)).at(1.0))
