"""Errors on purpose: their size, what they leave alone, and how evaluations are counted that ask no network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import (
    DATA,
    FLOW,
    LOG_SIGMA,
    ODE,
    VPSDE,
    Clip,
    DiffusionODE,
    EpsPrediction,
    FlowPrediction,
    Grid,
    Guided,
    SeededNoise,
    Solver,
    karras,
    log_snr,
    sample,
    solve,
)
from flowsolve.errors import StateError
from flowsolve.ode import ConstantError, GaussianError, Quantised, Reused, Rounded
from flowsolve.problems import Digits, Gaussian, Letters, Mixture, exact_network
from flowsolve_solvers import RK4, Adams, Euler, Heun, Torchdiffeq, UniPC
from tests.helpers import Asked, says

SEEDS = range(6)
DIGITS = Digits()
IMAGES = DIGITS.start(SEEDS, torch.float64)
PROBLEM = Mixture(sigma_max=1.0, sigma_min=0.2)
X = PROBLEM.start(SEEDS, torch.float64)
LEVELS = (157.0, 3.0, 0.05)

KINDS: dict[str, Callable[[ODE, range], ODE]] = {
    "gaussian": lambda ode, seeds: GaussianError(ode, 0.01, SeededNoise(seeds)),
    "constant": lambda ode, seeds: ConstantError(ode, 0.01, SeededNoise(seeds)),
    "bfloat16": lambda ode, seeds: Rounded(ode),
    "int8": lambda ode, seeds: Quantised(ode),
    "reuse": lambda ode, seeds: Reused(ode, 2),
}


def rms(x: Tensor) -> float:
    return float(x.double().square().mean().sqrt())


def each(x: Tensor) -> Tensor:
    return x.flatten(1).square().mean(1).sqrt()


# ------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("size", [1e-3, 0.1])
@pytest.mark.parametrize("sigma", LEVELS)
def test_the_gaussian_error_has_its_relative_size_and_is_another_at_every_level(
    sigma: float, size: float
) -> None:
    x = DIGITS.start(range(64), torch.float64) * (sigma / 157)
    ode = GaussianError(DIGITS, size, SeededNoise(range(64)))
    eps = DIGITS.eps(x, sigma)
    z = (ode.eps(x, sigma) - eps) / (size * each(eps).reshape(-1, 1, 1, 1))
    assert rms(z) == pytest.approx(1, abs=0.03)  # 4096 values
    assert abs(float(z.mean())) < 0.05
    other = SeededNoise(range(64))(x, 2 * sigma, 2 * sigma)
    assert abs(float((z * other).mean())) < 0.05
    torch.testing.assert_close(z, SeededNoise(range(64))(x, sigma, sigma), rtol=1e-8, atol=1e-8)


def test_the_constant_error_is_one_direction_of_unit_size_at_all_levels() -> None:
    ode = ConstantError(PROBLEM, 0.01, SeededNoise(range(4096)))
    x = PROBLEM.start(range(4096), torch.float64)
    one, other = ((ode.eps(x * s, s) - PROBLEM.eps(x * s, s)) / 0.01 for s in (0.9, 0.3))
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    assert rms(one) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("kind", ["gaussian", "constant"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_size_zero_changes_no_bit(kind: str, dtype: torch.dtype) -> None:
    make = {"gaussian": GaussianError, "constant": ConstantError}[kind]
    for inner in (DIGITS, PROBLEM):
        x = inner.start(SEEDS, dtype)
        ode = make(inner, 0, SeededNoise(SEEDS))
        for sigma in LEVELS:
            assert torch.equal(ode.eps(x, sigma), inner.eps(x, sigma))
            assert torch.equal(ode.x0(x, sigma), inner.x0(x, sigma))


def test_asked_at_every_evaluation_changes_no_bit() -> None:
    for inner, x in ((DIGITS, IMAGES), (PROBLEM, X)):
        grid = karras(6, inner.sigma_max, inner.sigma_min)
        assert torch.equal(
            solve(Reused(inner, 1), x, grid, Heun()).x, solve(inner, x, grid, Heun()).x
        )


def test_bfloat16_rounds_what_the_network_sees_and_what_it_says() -> None:
    def rounded(x: Tensor) -> Tensor:
        return x.to(torch.bfloat16).to(x.dtype)

    def network(x: Tensor, t: Tensor) -> Tensor:
        assert torch.equal(x, rounded(x))
        return torch.sin(3 * x)

    pre = EpsPrediction(VPSDE())
    plain = DiffusionODE(network, pre)
    for sigma in LEVELS:
        c = pre(sigma)
        answer = rounded(torch.sin(3 * rounded(IMAGES * c.c_in)))
        found = Rounded(plain).eps(IMAGES, sigma)
        torch.testing.assert_close(found, answer, rtol=1e-12, atol=0)
    # a closed form has no network: its ε is rounded, and its x̄
    found = Rounded(PROBLEM).eps(X, 0.5)
    assert torch.equal(found, rounded(PROBLEM.eps(rounded(X), 0.5)))
    torch.testing.assert_close(Rounded(PROBLEM).x0(X, 0.5), X - 0.5 * found)
    # half a unit in the last of 8 bits, uniformly distributed: some 0.0017 of the answer
    big = torch.randn(8, 10000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert 0.0014 < rms(rounded(big) - big) / rms(big) < 0.002
    half = Rounded(PROBLEM, "float16").eps(X, 0.5)
    assert torch.equal(half, half.half().double())


def test_int8_has_256_values_a_sample_and_an_error_of_a_uniform_one() -> None:
    found = Quantised(DIGITS).eps(IMAGES, 3.0)
    eps = DIGITS.eps(IMAGES, 3.0)
    low, high = (f(eps.flatten(1), 1) for f in (torch.amin, torch.amax))
    h = ((high - low) / 255).reshape(-1, 1, 1, 1)
    assert float(((found - eps).abs() / h).max()) <= 0.5 + 1e-9
    assert rms((found - eps) / h) == pytest.approx(1 / math.sqrt(12), rel=0.1)
    steps = (found - low.reshape(h.shape)) / h
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-9)
    few = Quantised(DIGITS, 3).eps(IMAGES, 3.0)
    assert {len(row.unique()) for row in few.flatten(1)} == {3}


def test_a_sample_whose_values_are_alike_keeps_them_and_an_overflow_shows() -> None:
    class Flat(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return torch.tensor([[0.3, 0.3], [0.1, math.inf], [0.0, 1.0]])

    found = Quantised(Flat()).eps(torch.zeros(3, 2), 1.0)
    assert found[0].tolist() == pytest.approx([0.3, 0.3])
    assert not found[1].isfinite().all()
    assert found[2].tolist() == [0.0, 1.0]


# ------------------------------------------------------------------------- samples by themselves


@pytest.mark.parametrize("network", [True, False], ids=["network", "closed form"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_does_not_depend_on_its_batch(kind: str, network: bool) -> None:
    inner, x = (DIGITS, IMAGES) if network else (PROBLEM, X)
    grid = log_snr(5, inner.sigma_max, inner.sigma_min)
    make = KINDS[kind]
    whole = solve(make(inner, SEEDS), x, grid, Adams()).x
    parts = [
        solve(make(inner, s), x[s.start : s.stop], grid, Adams()).x for s in (range(4), range(4, 6))
    ]
    # a matrix product may sum in another order for another batch, and rounding may then fall the other way
    close = 1e-2 if kind in ("bfloat16", "int8") and network else 1e-9
    torch.testing.assert_close(torch.cat(parts), whole, rtol=close, atol=close)
    assert torch.equal(solve(make(inner, SEEDS), x, grid, Adams()).x, whole)


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64], ids=str
)
@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_dtypes_are_those_of_the_state(kind: str, dtype: torch.dtype) -> None:
    letters = Letters().for_seeds(SEEDS)
    for inner in (letters, PROBLEM):
        ode, x = KINDS[kind](inner, SEEDS), inner.start(SEEDS, dtype)
        before = x.clone()
        for sigma in (0.9, 0.3):
            for answer in (ode.eps, ode.x0):
                out = answer(x, sigma)
                assert (out.shape, out.dtype) == (x.shape, dtype)
        assert torch.equal(x, before)


def test_at_infinity() -> None:
    flow = FlowPrediction()
    network = DiffusionODE(exact_network(PROBLEM, flow), flow)
    for inner in (network, PROBLEM):
        for kind, make in KINDS.items():
            found, plain = make(inner, SEEDS).x0(X, math.inf), inner.x0(X, math.inf)
            if kind in ("gaussian", "constant", "reuse"):
                assert torch.equal(found, plain)
            else:
                assert rms(found - plain) < 0.02


def test_they_compose() -> None:
    noise = SeededNoise(SEEDS)
    both = GaussianError(Rounded(DIGITS), 0.01, noise)
    rounded = Rounded(DIGITS)
    eps = rounded.eps(IMAGES, 3.0)
    assert rms(both.eps(IMAGES, 3.0) - eps) == pytest.approx(0.01 * rms(eps), rel=0.1)
    clipped = Clip(both).x0(IMAGES, 3.0)
    assert float(clipped.abs().max()) <= 1
    assert both.alpha(3.0) == DIGITS.alpha(3.0)


# ------------------------------------------------------------------------------ answers used again


@pytest.mark.parametrize(("every", "asked"), [(1, 7), (2, 4), (3, 3), (7, 1), (9, 1)])
def test_the_network_is_asked_at_every_kth_evaluation(every: int, asked: int) -> None:
    grid = log_snr(7, 1.0, 0.2)
    seen = Asked(PROBLEM)
    run = solve(Reused(seen, every), X, grid, Euler())
    assert seen.levels == list(grid[:7:every])
    assert run.nfe == asked
    counted = solve(Reused(DIGITS, every), IMAGES / 157, grid, Euler())
    assert counted.nfe == counted.forwards == counted.per_sample == asked


def test_euler_on_an_epsilon_used_again_takes_longer_steps() -> None:
    """In the noise chart: x̄ moves along a line between the levels where the network is asked."""
    grid = log_snr(8, 1.0, 0.2)
    again = solve(Reused(PROBLEM, 2), X, grid, Euler()).x
    torch.testing.assert_close(
        again, solve(PROBLEM, X, Grid(grid[::2]), Euler()).x, rtol=1e-12, atol=0
    )


def test_every_run_has_a_memory_of_its_own() -> None:
    ode, grid = Reused(DIGITS, 3), karras(8, 157.0, 0.02)
    first = solve(ode, IMAGES, grid, Adams(), keep=1)
    again = solve(ode, IMAGES, grid, Adams())
    assert torch.equal(first.x, again.x)
    assert first.nfe == again.nfe == 3
    few = solve(ode, IMAGES[:2], grid, Adams())
    torch.testing.assert_close(few.x, first.x[:2], rtol=1e-9, atol=1e-9)
    # outside of a run the network is asked, so what was kept at the last node belongs to it
    torch.testing.assert_close(first.path[-1].x0, DIGITS.x0(first.x, 0.02))
    other = IMAGES * 0.5
    assert torch.equal(ode.eps(other, 3.0), DIGITS.eps(other, 3.0))


def test_what_was_kept_is_nobody_elses() -> None:
    """A method may write into an answer, and a network into its last one."""

    class Writes(Solver):
        order = 1

        def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
            for s, t in pairwise(grid):
                x = x + ode.eps(x, s).mul_(t - s)
                yield x

    buffer = torch.empty_like(X)

    def network(x: Tensor, t: Tensor) -> Tensor:
        return torch.mul(x, 0.5, out=buffer)

    grid = log_snr(6, 1.0, 0.2)
    for inner in (PROBLEM, DiffusionODE(network, EpsPrediction(VPSDE()))):
        expected = solve(Reused(inner, 3), X, grid, Euler()).x
        torch.testing.assert_close(solve(Reused(inner, 3), X, grid, Writes()).x, expected)


def test_a_part_that_is_asked_makes_an_evaluation() -> None:
    grid = log_snr(6, 1.0, 0.2)
    again = Reused(PROBLEM, 2)
    assert solve(Clip(again), X, grid, Euler()).nfe == 3
    assert solve(Guided(again, Reused(PROBLEM, 2), 2.0), X, grid, Euler()).nfe == 3
    assert solve(Guided(again, PROBLEM, 2.0), X, grid, Euler()).nfe == 6


def test_adaptive_methods_run_too() -> None:
    run = solve(Reused(PROBLEM, 2), X, Grid((1.0, 0.2)), Torchdiffeq(rtol=1e-2, atol=1e-2))
    assert run.x.isfinite().all()


@pytest.mark.parametrize("solver", [Heun(), Adams(3, start=Heun()), RK4(LOG_SIGMA)], ids=repr)
def test_an_answer_used_again_makes_every_method_first_order(solver: Solver) -> None:
    fine = solve(PROBLEM, X, log_snr(900, 1.0, 0.2), RK4(LOG_SIGMA)).x
    coarse, finer = (
        rms(solve(Reused(PROBLEM, 3), X, log_snr(n, 1.0, 0.2), solver).x - fine) for n in (60, 240)
    )
    assert math.log(coarse / finer) / math.log(4) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("every", [2, 3])
@pytest.mark.parametrize("solver", [Adams(), Adams(3, FLOW), UniPC(3)], ids=repr)
def test_a_multistep_method_then_has_this_share_of_the_error_of_ddim(
    solver: Solver, every: int
) -> None:
    """(k - 1)/k, with as many answers."""
    fine = solve(PROBLEM, X, log_snr(900, 1.0, 0.2), RK4(LOG_SIGMA)).x
    ddim = solve(PROBLEM, X, log_snr(100, 1.0, 0.2), Euler())
    again = solve(Reused(PROBLEM, every), X, log_snr(100 * every, 1.0, 0.2), solver)
    assert again.nfe == ddim.nfe == 100
    share = rms(again.x - fine) / rms(ddim.x - fine)
    assert share == pytest.approx((every - 1) / every, rel=0.05)


def test_heun_whose_second_answer_is_the_first_again_is_ddim() -> None:
    grid = log_snr(9, 1.0, 0.2)
    again = solve(Reused(PROBLEM, 2), X, grid, Heun()).x
    torch.testing.assert_close(again, solve(PROBLEM, X, grid, Euler()).x, rtol=1e-12, atol=0)


# ------------------------------------------------------------------------------------------ wrong


def test_wrong_arguments() -> None:
    noise = SeededNoise(SEEDS)
    for size in (-1, math.nan, math.inf):
        text = f"GaussianError needs a finite size of 0 or more, such as 0.01, but got {size!r}."
        says(ValueError, text, lambda s=size: GaussianError(PROBLEM, s, noise))  # type: ignore[misc]
    says(
        StateError,
        "noise must be a Noise such as SeededNoise(range(64)), not 3.",
        lambda: ConstantError(PROBLEM, 0.1, 3),  # type: ignore[arg-type]
    )
    says(
        StateError,
        "there are 6 seeds for 2 samples: give one for each.",
        lambda: GaussianError(PROBLEM, 0.1, noise).eps(X[:2], 0.5),
    )
    says(
        ValueError,
        "dtype must be a floating dtype of torch or its name, such as 'float32', not 'int8'.",
        lambda: Rounded(PROBLEM, "int8"),
    )
    says(
        ValueError,
        "Quantised: levels must be a whole number of at least 2, but got 1.",
        lambda: Quantised(PROBLEM, 1),
    )
    says(
        ValueError,
        "Reused: every must be a whole number of at least 1, but got 0.",
        lambda: Reused(PROBLEM, 0),
    )
    says(StateError, "Rounded wraps an ODE, not 3.", lambda: Rounded(3))  # type: ignore[arg-type]


def test_samples_too() -> None:
    noise = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    run = sample(Reused(DIGITS, 2), noise, karras(6, 157.0, 0.02).to_zero(), Euler())
    assert run.nfe == 4


# -------------------------------------------------------------- what docs/perturbed.md derives


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
def test_a_constant_error_shifts_the_ends_of_gaussian_data(scale: float) -> None:
    """By δ c s asinh(σ/s) between two levels, for N(0, s²)."""
    data = Gaussian((0.0,), ((scale**2,),), sigma_max=80.0, sigma_min=0.002)
    x = data.start(SEEDS, torch.float64)
    ode = ConstantError(data, 0.01, SeededNoise(SEEDS))
    end = solve(ode, x, log_snr(200, 80.0, 0.002), RK4(LOG_SIGMA)).x
    c = SeededNoise(SEEDS)(x, 0.0, 0.0)
    # at σ_min the shift is √(s²+σ²) asinh, and σ_min is far below s
    shift = -0.01 * c * scale * (math.asinh(80 / scale) - math.asinh(0.002 / scale))
    torch.testing.assert_close(end - data.flow(x, 80.0, 0.002), shift, rtol=1e-4, atol=0)


@pytest.mark.parametrize("r", [1.5, 3.0, 5.0])
def test_far_from_the_data_a_step_of_the_data_chart_has_its_share_of_it(r: float) -> None:
    """(r-1)/L of one point and (r-1)²(1-L)/L² of two, L = log r, in units of an exact step's."""

    class Point(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return x / sigma + 1

    step = math.log(r)
    shares = ((r - 1) / step, (r - 1) ** 2 * (1 - step) / step**2)
    grid, x = Grid([r**-i for i in range(7)]), torch.zeros(1, 1, dtype=torch.float64)
    for points, share in enumerate(shares, 1):
        path = solve(Point(), x, grid, Adams(points, DATA, guard=None), keep=1).path
        z = [float(p.x) / p.sigma for p in path[-2:]]
        assert z[0] - z[1] == pytest.approx(share * step, rel=1e-10)
    # in the noise chart the exact solution, σ times log σ, is a polynomial of two points: once begun it stays
    path = solve(Point(), x, Grid([1.2**-i for i in range(40)]), Adams(2, guard=None), keep=1).path
    z = [float(p.x) / p.sigma for p in path[-2:]]
    assert z[0] - z[1] == pytest.approx(math.log(1.2), rel=1e-3)
