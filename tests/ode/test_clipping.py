"""Limits of x₀: literal formulas, ε recomputed and ε kept, and what the kinks cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import (
    DATA,
    LOG_SIGMA,
    ODE,
    Clip,
    DiffusionODE,
    FlowPrediction,
    Grid,
    Guided,
    Solver,
    Threshold,
    karras,
    log_snr,
    sample,
    solve,
)
from flowsolve.errors import GridError, NonFiniteError, StateError
from flowsolve.problems import Digits, Mixture, exact_network
from flowsolve_solvers import RK4, DPMSolver3, DPMSolverPP2M, Euler, Heun, Midpoint, UniPC
from tests.helpers import says

PROBLEM = Mixture(sigma_max=1.0, sigma_min=0.2)
PART = Mixture((0.625, 0.375), PROBLEM.means[1:], PROBLEM.covariances[1:])
X = PROBLEM.start(range(8), torch.float64)
GRID = karras(6, 1.0, 0.2).to_zero()
DIGITS = Digits()
IMAGES = DIGITS.start(range(4), torch.float64)


def clipped(x0: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(x0, x0.new_tensor(-0.4)), x0.new_tensor(0.6))


def thresholded(x0: Tensor, ratio: float = 0.8, maximum: float = math.inf) -> Tensor:
    """Saharia et al. 2022, Section 2.3, with the cap of diffusers."""
    s = torch.quantile(x0.abs().reshape(len(x0), -1), ratio, dim=1).clamp(1, maximum)
    s = s.reshape(-1, *[1] * (x0.ndim - 1))
    return x0.clamp(-s, s) / s


LIMITS: dict[str, tuple[Callable[..., ODE], Callable[[Tensor], Tensor]]] = {
    "clip": (lambda ode, **k: Clip(ode, -0.4, 0.6, **k), clipped),
    "threshold": (lambda ode, **k: Threshold(ode, 0.8, **k), thresholded),
    "capped": (
        lambda ode, **k: Threshold(ode, 0.8, 1.1, **k),
        lambda x0: thresholded(x0, 0.8, 1.1),
    ),
}


def times(ode: ODE, factor: float) -> ODE:
    """The ODE of factor · x₀."""

    class Times(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return (x - factor * ode.x0(x, sigma)) / sigma

    return Times()


STRONG = times(PROBLEM, 3)  # something to limit


# ---------------------------------------------------------------------------------- ε recomputed


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("what", LIMITS)
def test_x0_is_limited_and_eps_follows(what: str, sigma: float) -> None:
    make, limit = LIMITS[what]
    ode, expected = make(STRONG), limit(STRONG.x0(X, sigma))
    assert not expected.allclose(STRONG.x0(X, sigma))  # something was limited
    torch.testing.assert_close(ode.x0(X, sigma), expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(ode.eps(X, sigma), (X - expected) / sigma, rtol=1e-12, atol=1e-12)
    low, high = (-0.4, 0.6) if what == "clip" else (-1, 1)
    if what != "capped":
        assert ode.x0(X, sigma).min() >= low
        assert ode.x0(X, sigma).max() <= high


@pytest.mark.parametrize("ratio", [0.001, 0.5, 0.9, 0.995, 1.0])
@pytest.mark.parametrize("shape", [(3, 1), (3, 2), (3, 3, 17, 5)])
def test_the_quantile_is_torchs(ratio: float, shape: tuple[int, ...]) -> None:
    x0 = 5 * torch.randn(shape, generator=torch.Generator().manual_seed(1)).double()
    got = Threshold(STRONG, ratio).limit(x0)
    torch.testing.assert_close(got, thresholded(x0, ratio), rtol=1e-12, atol=1e-12)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        low = Threshold(STRONG, ratio).limit(x0.to(dtype))
        assert low.dtype == dtype
        expected = thresholded(x0.to(dtype).float(), ratio).to(dtype)
        one = max(torch.finfo(dtype).eps, 1e-6)  # a unit in the last place
        torch.testing.assert_close(low, expected, rtol=one, atol=one)


def test_more_values_than_torch_quantile_takes() -> None:
    x0 = torch.linspace(-4, 4, 2**24 + 2).reshape(1, -1)
    with pytest.raises(RuntimeError, match="too large"):
        torch.quantile(x0.abs(), 0.5, dim=1)
    got = Threshold(STRONG, 0.5).limit(x0)
    assert float((got - (x0 / 2).clamp(-1, 1)).abs().max()) < 1e-6  # assert_close takes a second


def test_inside_the_limits_nothing_changes() -> None:
    weak = times(PROBLEM, 0.5)
    plain = sample(weak, X, GRID, Euler(), keep=1)
    assert all(float(p.x0.abs().max()) < 1 for p in plain.path)
    for keep in (None, GRID):
        for ode in (Clip(weak, keep_eps=keep), Threshold(weak, keep_eps=keep)):
            torch.testing.assert_close(
                sample(ode, X, GRID, Euler()).x, plain.x, rtol=1e-12, atol=1e-12
            )


def test_at_infinity() -> None:
    """The head is L(x₀) + σ₁ noise, ε kept or not."""
    flow = FlowPrediction()
    inner = DiffusionODE(exact_network(PROBLEM, flow), flow)
    grid = GRID.from_infinity()
    for keep in (None, grid, GRID):
        ode = Clip(inner, -0.05, 0.1, keep_eps=keep)
        head = sample(ode, X, grid, Euler(), keep=1).path[1].x
        expected = PROBLEM.x0(X, math.inf).clamp(-0.05, 0.1) + X
        torch.testing.assert_close(head, expected, rtol=1e-6, atol=1e-6)


# ----------------------------------------------------------------------------------------- ε kept


def ddim(
    ode: ODE, x: Tensor, grid: Grid, limit: Callable[[Tensor], Tensor], recompute: bool
) -> list[Tensor]:
    """DDIM as diffusers writes it, in x_t and ᾱ; recompute is its use_clipped_model_output."""
    a = [1 / (1 + s * s) for s in grid]
    sample, states = math.sqrt(a[0]) * x, []
    for (now, then), s in zip(pairwise(a), grid, strict=False):
        pred_epsilon = ode.eps(sample / math.sqrt(now), s)
        pred_original = (sample - math.sqrt(1 - now) * pred_epsilon) / math.sqrt(now)
        pred_original = limit(pred_original)
        if recompute:
            pred_epsilon = (sample - math.sqrt(now) * pred_original) / math.sqrt(1 - now)
        sample = math.sqrt(then) * pred_original + math.sqrt(1 - then) * pred_epsilon
        states.append(sample)
    return states


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("what", LIMITS)
@pytest.mark.parametrize("solver", [Euler(), Euler(DATA)], ids=repr)
def test_every_state_is_that_of_diffusers_formulas(
    solver: Solver, what: str, recompute: bool
) -> None:
    make, limit = LIMITS[what]
    ode = make(STRONG) if recompute else make(STRONG, keep_eps=GRID)
    states = ddim(STRONG, X, GRID, limit, recompute)
    path = sample(ode, X, GRID, solver, keep=1).path
    for point, state in zip(path[1:], states, strict=True):
        torch.testing.assert_close(point.x_t, state, rtol=1e-11, atol=1e-11)
    other = ddim(STRONG, X, GRID, limit, not recompute)[-1]
    assert float((other - states[-1]).abs().max()) > 0.02  # they are two methods


@pytest.mark.parametrize("what", LIMITS)
def test_kept_eps_is_a_correction_as_large_as_cfgpps(what: str) -> None:
    """x₀ + s/(s - t) (L(x₀) - x₀), and L(x₀) in the step to 0 and after the last level."""
    make, limit = LIMITS[what]
    for grid in (GRID, Grid(GRID[:-1]), GRID.from_infinity()):
        ode = make(STRONG, keep_eps=grid)
        for s, t in pairwise(GRID):
            x0 = STRONG.x0(X, s)
            expected = x0 + s / (s - t) * (limit(x0) - x0)
            torch.testing.assert_close(ode.x0(X, s), expected, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(
                X + (t - s) * ode.eps(X, s),
                limit(x0) + t * STRONG.eps(X, s),
                rtol=1e-11,
                atol=1e-11,
            )
        torch.testing.assert_close(ode.x0(X, 0.2), limit(STRONG.x0(X, 0.2)), rtol=1e-12, atol=1e-12)


def test_up_the_grid() -> None:
    """Diffusers' inverse DDIM keeps ε too: x_t = L(x₀) + t ε, t > s."""
    up = Grid(GRID[:-1]).reversed()
    got = solve(Clip(STRONG, -0.4, 0.6, keep_eps=up), X, up, Euler()).x
    x = X
    for s, t in pairwise(up):
        x = clipped(STRONG.x0(x, s)) + t * STRONG.eps(x, s)
    torch.testing.assert_close(got, x, rtol=1e-11, atol=1e-11)


# --------------------------------------------------------------------------- orders, costs, garbage


@pytest.mark.parametrize("what", ["clip", "threshold"])
def test_kinks_limit_every_method_to_order_two(what: str) -> None:
    """Where x₀ meets the limit, ε has a kink in x: a step over it is wrong by O(h²), once in a path."""
    guided = Guided(PART, PROBLEM, 3.0)
    ode: ODE = Clip(guided, -0.7, 0.7) if what == "clip" else Threshold(guided, 0.9)
    x = PROBLEM.start(range(128), torch.float64)
    fine = solve(ode, x, log_snr(900, 1.0, 0.2), RK4(LOG_SIGMA)).x

    def error(solver: Solver, n: int) -> float:
        found = solve(ode, x, log_snr(n, 1.0, 0.2), solver).x
        return float((found - fine).square().mean().sqrt())

    for solver, order in [
        (Euler(), 1), (Heun(), 2), (DPMSolverPP2M(), 2),
        (DPMSolver3(), 2), (UniPC(3), 2), (RK4(LOG_SIGMA), 2),
    ]:  # fmt: skip
        # the place of the kinks in a step moves single errors: two grids at each end
        coarse, finer = (
            math.sqrt(error(solver, n) * error(solver, round(1.3 * n))) for n in (24, 120)
        )
        slope = math.log(coarse / finer) / math.log(5)
        print(f"{what}, {solver!r}: {slope:.2f}, declared {solver.order}")
        assert abs(slope - order) < 0.3


@pytest.mark.parametrize("what", LIMITS)
def test_a_limit_costs_nothing(what: str) -> None:
    make, _ = LIMITS[what]
    grid = karras(5, 10.0, 0.1)
    for ode in (make(DIGITS), make(DIGITS, keep_eps=grid)):
        answer = solve(ode, IMAGES / 15.7, grid, Euler())
        assert answer.nfe == answer.forwards == 5
    assert solve(make(DIGITS), IMAGES / 15.7, grid, Heun()).forwards == 10


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("keep", [None, GRID], ids=["recomputed", "kept"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("what", LIMITS)
def test_a_limit_hides_no_overflow(
    what: str, dtype: torch.dtype, keep: Grid | None, bad: float
) -> None:
    """Clipped, an infinite x₀ would be 1 and look like an answer."""

    class Spoilt(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            out = x.clone()
            out[1, 0] = bad
            return out

    ode = LIMITS[what][0](Spoilt(), keep_eps=keep)
    assert not ode.x0(X.to(dtype), 1.0)[1].isfinite().all()
    assert ode.x0(X.to(dtype), 1.0)[0].isfinite().all()  # no other sample's
    with pytest.raises(NonFiniteError, match="not finite at evaluation 1"):
        sample(ode, X.to(dtype), GRID, Euler())


def test_bad_input() -> None:
    says(
        ValueError,
        "Clip needs low < high, but got low = 1, high = -1.",
        lambda: Clip(PROBLEM, 1, -1),
    )
    says(ValueError, "Clip needs low < high, but got low = nan", lambda: Clip(PROBLEM, math.nan))
    for ratio, maximum in ((0.0, 2.0), (1.5, 2.0), (0.9, 0.5), (math.nan, 2.0), (0.9, math.nan)):
        text = (
            "Threshold needs 0 < ratio <= 1 and maximum >= 1, but got ratio = "
            f"{ratio!r}, maximum = {maximum!r}."
        )
        says(ValueError, text, lambda r=ratio, m=maximum: Threshold(PROBLEM, r, m))  # type: ignore[misc]
    says(StateError, "Clip wraps an ODE, not 3.", lambda: Clip(3))  # type: ignore[arg-type]
    says(
        GridError,
        "keep_eps is the Grid that is walked, or None, not True.",
        lambda: Threshold(PROBLEM, keep_eps=True),  # type: ignore[arg-type]
    )
    kept = Clip(PROBLEM, keep_eps=GRID)
    for solver, grid in ((Midpoint(), GRID), (Euler(), karras(7, 1.0, 0.2))):
        with pytest.raises(
            GridError, match=r"is not a level of the grid \(karras, 7 steps, σ 1 to 0"
        ):
            sample(kept, X, grid, solver)
