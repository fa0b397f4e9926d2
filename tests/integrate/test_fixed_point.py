"""invert: the exact inverse of a step, how it converges, and what does not."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from flowsolve import LOG_SIGMA, ODE, Grid, Solver, linear_beta, log_snr, sample, solve, uniform_t
from flowsolve.errors import ConvergenceError, StateError
from flowsolve.integrate import Inversion, invert, round_trip_error
from flowsolve.problems import Mixture, Mixture1D
from flowsolve_solvers import LMS, RK4, DDIMInverse, DPMSolverPP2M, Euler, Heun, Scipy, UniPC

P, Q = Mixture(), Mixture1D()
CLOCK = linear_beta(between="log_sigma")
VP = uniform_t(20, P.clock.sigma(1.0), P.clock.sigma(1e-3), clock=P.clock)
GRID = log_snr(10, 10.0, 0.05)
X = solve(P, P.start(range(16), torch.float64), log_snr(100, 10, 0.05), RK4(LOG_SIGMA)).x


@pytest.mark.parametrize("solver", [Euler(), Heun(), DDIMInverse(), RK4(LOG_SIGMA)], ids=repr)
@pytest.mark.parametrize("grid", [VP, VP.to_zero(), VP.from_infinity().to_zero()], ids=str)
def test_the_exact_inverse(solver: Solver, grid: Grid) -> None:
    """On 20 steps of a coarse grid; the method down gives every level back."""
    got = invert(P, X, grid, solver)
    assert got.converged
    assert got.residuals.shape == (grid.steps, len(X))
    assert float(got.residuals.max()) <= got.tolerance == 64 * torch.finfo(X.dtype).eps
    assert got.grid == grid.reversed()
    back = sample(P, got.x, grid, solver, start=lambda s: 1.0)
    assert float((back.x - X).square().mean()) < 1e-20


def test_acceleration_is_what_converges() -> None:
    """Where a step is not a contraction, the plain iteration stays at 1e-3; with memory it falls and falls.

    In two dimensions two changes are all that there are.
    """

    def mse(iterations: int, memory: int) -> float:
        how = partial(invert, iterations=iterations, look=0, memory=memory, strict=False)
        trip = round_trip_error(P, X, VP, Euler(), encoder=how)
        assert trip.nfe_up == 20 * iterations
        return trip.mse

    plain, one, two = ([mse(k, m) for k in (5, 10, 40)] for m in (0, 1, 2))
    assert min(plain) > 1e-4
    assert one[0] < 1e-6
    assert one[1] < 1e-9
    assert one[2] < 1e-24
    assert two[1] < 1e-24
    assert mse(10, 10) < 1e-18
    assert round_trip_error(P, X, VP, Euler()).mse > 1e-3


def test_on_a_contraction_both_reach_the_same() -> None:
    grid = log_snr(40, 10, 0.05)
    plain, fast = (invert(P, X, grid, Euler(), memory=m) for m in (0, 10))
    torch.testing.assert_close(plain.x, fast.x, rtol=1e-9, atol=1e-9)
    assert fast.nfe < plain.nfe


def test_full_memory_solves_a_linear_step_in_as_many_iterations_as_dimensions() -> None:
    """As GMRES does, to which Anderson's acceleration is equivalent there: Walker and Ni 2011."""

    class Linear(ODE):
        """ε = A x, with a step that is no contraction."""

        a = torch.tensor([0.9, -0.5, 2.0, -3.0], dtype=torch.float64)

        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return x * self.a

    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    full, part = (
        invert(Linear(), x, Grid([2, 1]), Euler(), iterations=6, look=0, memory=m, strict=False)
        for m in (4, 3)
    )
    torch.testing.assert_close(full.x, x / (1 - Linear.a), rtol=1e-10, atol=1e-10)
    assert full.converged
    assert not part.converged


def test_float32_to_its_rounding() -> None:
    trip = round_trip_error(P, X.float(), VP, Euler(), encoder=invert)
    assert 0 < trip.mse < 1e-8
    assert trip.decoded.dtype == torch.float32


def test_looks_save_evaluations_and_change_nothing_converged() -> None:
    often, never = (invert(P, X, VP, Euler(), look=k) for k in (1, 0))
    assert never.nfe == 100 * 20
    assert often.nfe < never.nfe / 2
    assert torch.equal(often.x, never.x)


def test_a_sample_does_not_depend_on_the_others() -> None:
    whole = invert(P, X, VP, Euler())
    one = invert(P, X[3:4], VP, Euler())
    torch.testing.assert_close(whole.x[3:4], one.x, rtol=1e-12, atol=1e-12)
    assert one.nfe <= whole.nfe


def test_other_shapes() -> None:
    x = Q.flow(Q.start(range(4), torch.float64), 10, 0.05)
    assert round_trip_error(Q, x, GRID, Heun(), encoder=invert).mse < 1e-20

    class Images(ODE):
        """ε of N(0, 1/4) for every pixel."""

        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return x * (sigma / (0.25 + sigma * sigma))

    images = torch.randn(2, 3, 4, 4, dtype=torch.float64) / 2
    assert round_trip_error(Images(), images, GRID, Heun(), encoder=invert).mse < 1e-20
    zero = torch.zeros_like(images)
    assert torch.equal(invert(Images(), zero, GRID.to_zero(), Euler()).x, zero)


def test_what_does_not_converge_says_so_and_loses_nothing() -> None:
    with pytest.raises(
        ConvergenceError,
        match=r"Euler\(\) did not converge in 3 iterations for \d+ of 16 samples: the largest relative "
        r"residual is .*, at the step between σ = .* and .*, and the tolerance is 1.4e-14. Allow more "
        r"iterations, a finer grid or a larger tolerance; with strict=False",
    ) as raised:
        invert(P, X, VP, Euler(), iterations=3)
    kept = raised.value.partial
    loose = invert(P, X, VP, Euler(), iterations=3, strict=False)
    assert isinstance(kept, Inversion)
    assert not kept.converged
    assert torch.equal(kept.x, loose.x)
    assert torch.equal(kept.residuals, loose.residuals)
    assert kept.nfe == 60
    up = VP.reversed()
    first = invert(P, X, Grid(up[1::-1]), Euler(), iterations=3, strict=False)
    f = X - Euler().step(P, first.x, up[1], up[0])
    by_hand = f.square().mean(1).sqrt() / (X.square().mean(1).sqrt() + up[0])
    torch.testing.assert_close(kept.residuals[0], by_hand)


@pytest.mark.parametrize("solver", [LMS(3), DPMSolverPP2M(), UniPC(2), Scipy()], ids=repr)
def test_methods_with_a_past(solver: Solver) -> None:
    with pytest.raises(StateError, match=r"one-step method such as Euler\(\) or Heun\(\), not "):
        invert(P, X, GRID, solver)
    assert round_trip_error(P, X, GRID, solver).mse < 1


@pytest.mark.parametrize(
    "bad", [{"iterations": 0}, {"look": -1}, {"memory": -1}, {"tolerance": 0.0}], ids=str
)
def test_bad_numbers(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="look >= 0, memory >= 0 and tolerance > 0, but got iter"):
        invert(P, X, GRID, Euler(), **bad)  # type: ignore[arg-type]
