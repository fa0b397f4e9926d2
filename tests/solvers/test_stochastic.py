"""What every method with noise must do: its evaluations, its noise, its seeds, its errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import (
    ODE,
    DiffusionODE,
    EpsPrediction,
    Grid,
    Solver,
    karras,
    linear_beta,
    sample,
    solve,
    tabulate,
)
from flowsolve.errors import GridError, ScheduleError, StateError, TableError
from flowsolve.integrate.cost import cost
from flowsolve.ode.base import Wrapped
from flowsolve.problems import Mixture, exact_network
from flowsolve_solvers import (
    DDIM_ETA,
    DDPM,
    EDM,
    ER_SDE,
    ERSDE,
    SEEDS2,
    SEEDS3,
    STOCHASTIC,
    Ancestral,
    DDIMEta,
    DPM2Ancestral,
    DPMSolverPP2M,
    DPMSolverPP2MSDE,
    DPMSolverPP3MSDE,
    DPMSolverPPSDE,
    Euler,
    GradientEstimation,
    Heun,
    SASolver,
)
from flowsolve_solvers.ddim import posterior
from tests.helpers import noisy, says

each = pytest.mark.parametrize("solver", STOCHASTIC, ids=repr)
PROBLEM = Mixture()
SEEDS = range(8)
UNIT = PROBLEM.start(SEEDS, torch.float64) / PROBLEM.sigma_max
GRID = karras(6, 10.0, 0.05)


class NoiseAsked(Wrapped):
    """No noise, and a note of what was asked for."""

    def __init__(self, ode: ODE) -> None:
        super().__init__(ode)
        self.intervals: list[tuple[float, float]] = []

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        self.intervals.append((s, t))
        return torch.zeros_like(x)


NFE = {
    DDIMEta: 1,
    DPMSolverPP2MSDE: 1,
    DPMSolverPP3MSDE: 1,
    GradientEstimation: 1,
    SASolver: 1,
    ERSDE: 1,
    DPMSolverPPSDE: 2,
    SEEDS2: 2,
    SEEDS3: 3,
}
PARTS = {DPMSolverPPSDE: 2, SEEDS2: 2, SEEDS3: 3}  # noises a step, side by side; 1 of the others


@each
@pytest.mark.parametrize("n", [1, 2, 7])
def test_nfe(solver: Solver, n: int) -> None:
    """Evaluations a step, and one for the step to 0."""
    if isinstance(solver, Ancestral | EDM):
        each_step = 1 if solver.method == Euler() else 2
    else:
        each_step = NFE[type(solver)]
    grid = karras(n, 10.0, 0.05)
    for levels, want in ((grid, n * each_step), (grid.to_zero(), n * each_step + 1)):
        assert sample(noisy(PROBLEM), UNIT, levels, solver).nfe == want == cost(solver, levels)


@each
def test_noise_is_asked_for_once_and_inside_the_step(solver: Solver) -> None:
    """One interval a step (several, side by side, where stages are noisy too), and EDM's in the last."""
    assert solver.stochastic
    ode, grid = NoiseAsked(PROBLEM), GRID.to_zero()
    sample(ode, UNIT, grid, solver)
    want = [*pairwise(grid)] if isinstance(solver, EDM) else [*pairwise(GRID)]
    parts = PARTS.get(type(solver), 1)
    assert len(ode.intervals) == parts * len(want)
    assert [s for s, _ in ode.intervals[::parts]] == [s for s, _ in want]
    assert [t for _, t in ode.intervals[parts - 1 :: parts]] == [t for _, t in want]
    assert all(a[1] == b[0] for a, b in pairwise(ode.intervals))


@each
def test_same_seeds_same_samples_whatever_the_batch(solver: Solver) -> None:
    def run(seeds: Sequence[int]) -> Tensor:
        return sample(noisy(PROBLEM, seeds), UNIT[seeds[0] : seeds[-1] + 1], GRID, solver).x

    whole = run(range(8))
    assert torch.equal(whole, run(range(8)))
    # the weights of a batch of 3 and of 5 are the same numbers, but not torch's sums over them
    torch.testing.assert_close(
        torch.cat([run(range(3)), run(range(3, 8))]), whole, rtol=1e-11, atol=1e-11
    )
    other = sample(noisy(PROBLEM, range(100, 108)), UNIT, GRID, solver).x
    assert float((other - whole).abs().min()) > 1e-6


@each
def test_float32_follows_float64(solver: Solver) -> None:
    want = sample(noisy(PROBLEM), UNIT, GRID, solver).x
    got = sample(noisy(PROBLEM), UNIT.float(), GRID, solver).x
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), want, rtol=1e-3, atol=1e-3)


@each
def test_errors_of_every_method_with_noise(solver: Solver) -> None:
    with pytest.raises(GridError, match="draws noise, so it only goes down the grid, not up"):
        solve(noisy(PROBLEM), UNIT, GRID.reversed(), solver)
    with pytest.raises(StateError, match="this method is stochastic and needs noise: wrap the ODE"):
        sample(PROBLEM, UNIT, GRID, solver)
    with pytest.raises(StateError, match="there are 3 seeds for 8 samples: give one for each"):
        sample(noisy(PROBLEM, range(3)), UNIT, GRID, solver)
    with pytest.raises(TableError, match="draws noise"):
        tabulate(solver, GRID)


BAD: dict[str, Callable[[], object]] = {
    "DDIMEta needs 0 <= eta <= 1": lambda: DDIMEta(1.1),
    "eta = 1 with larger_variance": lambda: DDIMEta(0.5, True),
    "Ancestral needs 0 <= eta <= 1": lambda: DPM2Ancestral(1.5),
    "DPMSolverPPSDE needs 0 <= eta <= 1": lambda: DPMSolverPPSDE(-0.1),
    "DPMSolverPPSDE needs 0 < r <= 1": lambda: DPMSolverPPSDE(r=0.0),
    "DPMSolverPP2MSDE needs eta >= 0": lambda: DPMSolverPP2MSDE(-1.0),
    "DPMSolverPP3MSDE needs eta >= 0": lambda: DPMSolverPP3MSDE(math.inf),
    "SASolver has 1 to 8 points in its predictor, a whole number, but got predictor = 0": lambda: (
        SASolver(predictor=0)
    ),
    "but got predictor = 2.0": lambda: SASolver(predictor=2.0),  # type: ignore[arg-type]
    "SASolver has 0 to 8 points in its corrector, .* corrector = 2.0": lambda: SASolver(
        corrector=2.0  # type: ignore[arg-type]
    ),
    "ERSDE has 1 to 8 points, a whole number, but got points = 0": lambda: ERSDE(0),
    "ERSDE has 1 to 3 points, a whole number, but got points = 4": lambda: ERSDE(4, published=True),
    "ERSDE needs eta >= 0": lambda: ERSDE(eta=-0.1),
    "Ancestral needs eta >= 0, but got eta = inf": lambda: Ancestral(eta=math.inf, family=ER_SDE),
    "EDM needs s_churn, s_noise >= 0": lambda: EDM(-1.0),
    "s_tmin <= s_tmax": lambda: EDM(s_tmin=2.0, s_tmax=1.0),
    "posterior needs 0 <= t < s": lambda: posterior(1.0, 1.0),
    "posterior needs 0 <= eta <= 1": lambda: posterior(2.0, 1.0, 1.1),
}


@pytest.mark.parametrize("text", BAD)
def test_bad_arguments(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        BAD[text]()


def test_a_family_without_a_noise_scale() -> None:
    with pytest.raises(StateError, match="family must be a NoiseScale, but is DDIM_ETA"):
        ERSDE(family=DDIM_ETA)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [lambda m: EDM(method=m), Ancestral])
def test_the_inner_method_is_an_ode_method(make: Callable[[object], object]) -> None:
    for method in (DDIMEta(), DPMSolverPP2M(), Heun):
        with pytest.raises(TypeError, match="method must be a one-step solver without noise"):
            make(method)


def test_edm_churns_before_the_step_to_0() -> None:
    """One of two steps, so γ = 0.6/2: x₀ is asked at 1.3 s, and only inside [s_tmin, s_tmax]."""
    x, grid = UNIT * 2, Grid([4.0, 2.0, 0.0])
    for ends, gammas in (
        ((0.0, 9.0), (0.3, 0.3)),
        ((0.0, 3.0), (0.0, 0.3)),
        ((3.0, 9.0), (0.3, 0.0)),
    ):
        solver, ode, want = EDM(0.6, *ends, 1.1, Euler()), noisy(PROBLEM), x
        for s, t, gamma in ((4.0, 2.0, gammas[0]), (2.0, 0.0, gammas[1])):
            z, high = ode.noise(x, s, t), s * (1 + gamma)
            want = want + 1.1 * math.sqrt(high**2 - s**2) * z
            want = want + (t - high) * PROBLEM.eps(want, high)
        got = solve(ode, x, grid, solver).x
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


def test_larger_variance_draws_nothing_in_the_last_step() -> None:
    """T-35: diffusers' fixed_large adds √β noise to the final x₀ unless the grid ends at t = 0."""
    ode = NoiseAsked(PROBLEM)
    sample(ode, UNIT, GRID.to_zero(), DDPM(True))
    assert ode.intervals == [*pairwise(GRID)]
    x = UNIT * 2
    torch.testing.assert_close(DDPM(True).step(PROBLEM, x, 2.0, 0.0), PROBLEM.x0(x, 2.0))


def test_churn_over_the_top_of_a_clock_is_named() -> None:
    """ŝ = (1 + γ) s can lie above the last label although s does not."""
    clock = linear_beta()
    precondition = EpsPrediction(clock)
    ode = noisy(DiffusionODE(exact_network(Mixture(), precondition), precondition), range(2))
    grid = karras(8, 150.0, 0.05).to_zero()
    noise = torch.zeros(2, 2, dtype=torch.float64)
    says(
        ScheduleError,
        "EDM() raises σ = 150 by its churn to 212.132, and there: σ = 212.13203435596",
        lambda: sample(ode, noise, grid, EDM()),
    )
    assert sample(ode, noise, grid, EDM(s_tmax=100.0)).nfe == 17
