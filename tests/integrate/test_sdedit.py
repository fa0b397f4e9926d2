"""A start half-way: where it starts, what it costs, what strength means, and its two ends."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from flowsolve import (
    Grid,
    SeededNoise,
    WithNoise,
    karras,
    partial_start,
    solve,
    unit_noise,
    ve_start,
)
from flowsolve.errors import GridError, NonFiniteError, StateError
from flowsolve.integrate import sample, steps_kept
from flowsolve.problems import Gaussian, Mixture
from flowsolve_solvers import DDIMEta, DPMSolverPP2M, Euler, Heun
from tests.helpers import says

MIXTURE = Mixture()
GRID = karras(9, 10.0, 0.05).to_zero()
NOISE = unit_noise(range(6), (2,), torch.float64)
DATA = unit_noise(range(100, 106), (2,), torch.float64) / 2


def test_it_is_the_data_with_noise_and_the_rest_of_the_grid() -> None:
    done = partial_start(MIXTURE, DATA, NOISE, GRID, DPMSolverPP2M(), strength=0.45, keep=1)
    x, k = DATA + GRID[6] * NOISE, 6
    torch.testing.assert_close(done.path[0].x, x, rtol=0, atol=1e-15)
    assert done.grid == Grid(GRID[k:])
    by_hand = sample(MIXTURE, x, Grid(GRID[k:]), DPMSolverPP2M(), start=lambda sigma: 1.0)
    torch.testing.assert_close(done.x, by_hand.x, rtol=0, atol=1e-14)
    assert done.nfe == by_hand.nfe == 4


@pytest.mark.parametrize(("solver", "nfe"), [(Euler(), 5), (Heun(), 9), (DPMSolverPP2M(), 5)])
def test_it_costs_the_steps_that_are_left(solver: Euler, nfe: int) -> None:
    assert partial_start(MIXTURE, DATA, NOISE, GRID, solver, strength=0.5).nfe == nfe


def test_by_sigma_it_starts_at_the_highest_level_at_or_under() -> None:
    for sigma, k in ((GRID[3], 3), (math.nextafter(GRID[3], 0), 4), (99.0, 0)):
        done = partial_start(MIXTURE, DATA, NOISE, GRID, Euler(), sigma=sigma)
        assert done.grid == Grid(GRID[k:])


def test_strength_0_leaves_the_data() -> None:
    done = partial_start(MIXTURE, DATA, NOISE, GRID, Euler(), strength=0.0)
    torch.testing.assert_close(done.x, DATA, rtol=0, atol=0)
    assert (done.nfe, done.grid.steps, done.alpha) == (0, 0, 1.0)
    above = partial_start(MIXTURE, DATA, NOISE, karras(9, 10.0, 0.05), Euler(), strength=0.0)
    torch.testing.assert_close(above.x, DATA + 0.05 * NOISE, rtol=0, atol=1e-15)


def test_strength_1_still_knows_the_data_but_not_from_infinity() -> None:
    """On N(m, v) the answer moves by data/(σ₀ noise) of its noise: √v/√(v + σ₀²) of the data, exactly."""
    gaussian = Gaussian((0.5,), ((0.25,),), sigma_max=10.0)
    data, noise = DATA[:, :1], NOISE[:, :1]
    fine = karras(40, 10.0, 0.01)
    moved = (
        partial_start(gaussian, data, noise, fine, Heun(), strength=1.0).x
        - solve(gaussian, noise * ve_start(10.0), fine, Heun()).x
    )
    torch.testing.assert_close(
        moved, data * math.hypot(0.5, 0.01) / math.hypot(0.5, 10), rtol=0.02, atol=0
    )
    top = Grid((math.inf, *GRID))
    got = partial_start(MIXTURE, DATA, NOISE, top, Euler(), strength=1.0)
    torch.testing.assert_close(got.x, sample(MIXTURE, NOISE, top, Euler()).x, rtol=0, atol=0)


def test_from_data_of_the_law_it_returns_the_law() -> None:
    """Samples with noise are samples of level σ, wherever the start is: their moments stay."""
    gaussian = Gaussian((0.5,), ((0.25,),))
    n = 4000
    data = 0.5 + 0.5 * unit_noise(range(n), (1,), torch.float64)
    noise = unit_noise(range(n, 2 * n), (1,), torch.float64)
    for strength in (0.3, 0.7):
        x = partial_start(
            gaussian, data, noise, karras(40, 10.0, 0.01), Heun(), strength=strength
        ).x
        assert abs(float(x.mean()) - 0.5) < 4 * 0.5 / math.sqrt(n)
        assert abs(float(x.std()) - 0.5) < 4 * 0.5 / math.sqrt(2 * n)


def test_a_stochastic_method_takes_its_noise_as_ever() -> None:
    ode = WithNoise(MIXTURE, SeededNoise(range(6)))
    done = partial_start(ode, DATA, NOISE, GRID, DDIMEta(1.0), strength=0.5)
    again = partial_start(ode, DATA, NOISE, GRID, DDIMEta(1.0), sigma=GRID[5])
    torch.testing.assert_close(done.x, again.x, rtol=0, atol=0)


def test_parts_of_a_grid() -> None:
    assert GRID.last(3) == Grid(GRID[-4:])
    assert GRID.last(GRID.steps) == GRID
    assert GRID.last(0)[:] == (0.0,)
    assert GRID.reversed().last(2) == Grid(GRID[:3]).reversed()
    assert GRID.below(1.0) == Grid([s for s in GRID if s <= 1.0])
    assert GRID.last(3).name == GRID.below(1.0).name == GRID.name
    for n in (-1, 11, 2.0, True):
        says(
            GridError,
            f"this grid ({GRID}) has no last {n!r} steps: ask for 0 to 10.",
            lambda n=n: GRID.last(n),
        )
    for grid, sigma in ((GRID, 0.01), (GRID, math.nan), (GRID.reversed(), 1.0)):
        says(GridError, f"to start under σ = {sigma!r} takes a falling grid with two levels",
             lambda grid=grid, sigma=sigma: grid.below(sigma))  # fmt: skip
    says(GridError, "there is no step to take: this grid has one level, σ = 0.0.",
         lambda: solve(MIXTURE, DATA, GRID.last(0), Euler()))  # fmt: skip


def test_errors() -> None:
    def start(
        noise: object = NOISE, data: object = DATA, grid: Grid = GRID, **options: object
    ) -> object:
        return partial_start(MIXTURE, data, noise, grid, Euler(), **options)  # type: ignore[arg-type]

    says(
        ValueError,
        "strength is a part of the steps, 0 to 1, but got 1.5.",
        lambda: start(strength=1.5),
    )
    says(
        ValueError,
        "strength is a part of the steps, 0 to 1, but got nan.",
        lambda: start(strength=math.nan),
    )
    for both in ({}, {"strength": 0.5, "sigma": 1.0}):
        says(
            ValueError,
            "give strength= (a part of the steps) or sigma=",
            lambda both=both: start(**both),
        )
    says(
        GridError,
        "a partial start goes from noise to data",
        lambda: start(grid=GRID.reversed(), strength=1.0),
    )
    says(
        StateError,
        "noise of (1, 2), torch.float64 on cpu does not fit data of (6, 2), torch.float64 on cpu. For many",
        lambda: start(NOISE[:1], strength=0.5),
    )
    says(StateError, "noise of (6, 2), torch.float32", lambda: start(NOISE.float(), strength=0.5))
    says(
        StateError,
        "the noise must be a floating-point tensor, but is int. Give torch.randn(B, *event), for example.",
        lambda: start(0, strength=0.5),
    )
    says(
        StateError,
        "the state must be a floating-point tensor",
        lambda: start(data=DATA.int(), strength=0.5),
    )
    says(
        ValueError,
        "the data go from 0 to 255, outside the span of -1 to 1. Scale them as the network's",
        lambda: start(
            data=torch.linspace(0, 255, 12, dtype=torch.float64).reshape(6, 2),
            strength=0.5,
            span=(-1, 1),
        ),
    )
    holes = DATA.clone()
    holes[2, 1] = math.nan
    says(
        ValueError,
        "the data go from nan to nan",
        lambda: start(data=holes, strength=0.5, span=(-1, 1)),
    )
    says(
        NonFiniteError,
        "the state is not finite at evaluation 1",
        lambda: start(data=holes, strength=0.5),
    )
    start(strength=0.5, span=(float(DATA.min()), float(DATA.max())))


@pytest.mark.parametrize(
    ("strength", "kept"), [(0.0, 0), (0.009, 0), (0.29, 28), (0.5, 50), (0.999, 99), (1.0, 100)]
)
def test_steps_kept(strength: float, kept: int) -> None:
    assert steps_kept(100, strength) == kept


@pytest.mark.parity
def test_steps_kept_are_those_of_diffusers() -> None:
    """Its get_timesteps on every strength of two digits; SD3's, from the other end, rounds up."""
    pytest.importorskip("diffusers", reason="diffusers is not installed: make parity")
    from diffusers import StableDiffusion3Img2ImgPipeline, StableDiffusionImg2ImgPipeline

    for steps in (1, 7, 20, 50):
        scheduler = SimpleNamespace(timesteps=torch.arange(steps), order=1)
        pipeline = SimpleNamespace(scheduler=scheduler)
        for i in range(101):
            taken, n = StableDiffusionImg2ImgPipeline.get_timesteps(pipeline, steps, i / 100, "cpu")
            assert steps_kept(steps, i / 100) == n == len(taken)
    taken, _ = StableDiffusion3Img2ImgPipeline.get_timesteps(
        SimpleNamespace(scheduler=SimpleNamespace(timesteps=torch.arange(10), order=1)),
        10,
        0.55,
        "cpu",
    )
    assert (len(taken), steps_kept(10, 0.55)) == (6, 5)
