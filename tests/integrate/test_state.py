"""States: dtype, shape and batch independence, nothing changed in place, gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from flowsolve import (
    ODE,
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    Solver,
    karras,
    log_snr,
    solve,
    unit_noise,
)
from flowsolve.ode import SeededNoise, WithNoise
from flowsolve.problems import Mixture, Mixture1D
from flowsolve_solvers import ALL, STOCHASTIC, Heun, Scipy, Torchdiffeq
from tests.integrate.helpers import GRID, PROBLEM, X, each, every


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
