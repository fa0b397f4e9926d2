"""flowsolve and k-diffusion on the same levels with the same denoiser, state for state, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.peer_code import k_diffusion_sampling
from flowsolve import DATA, LOG_SIGMA, Grid, Solver, karras, linear_beta, log_snr, sample, trailing
from flowsolve_solvers import (
    LMS,
    Adams,
    DPMSolver2,
    DPMSolverFast,
    DPMSolverPP2M,
    DPMSolverPP2S,
    DPMSolverPP3MSDE,
    Euler,
    Heun,
    PublishedDPMSolver,
)
from tests.parity.helpers import NFES, NOISE, PROBLEM, TIGHT, difference, note, worst

pytestmark = pytest.mark.parity

try:
    peer: Any = k_diffusion_sampling()
except ImportError as missing:
    pytest.skip(str(missing), allow_module_level=True)


@pytest.fixture(autouse=True)
def _in_double() -> Iterator[None]:
    """Their tensors made of floats are then float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module", autouse=True)
def _print() -> Iterator[None]:
    worst.clear()
    yield
    for name, value in worst.items():
        print(f"{value:9.1e}  {name}")


class Denoiser:
    """model(x, σ of each sample) = x₀, and how often it was called."""

    def __init__(self) -> None:
        self.nfe = 0

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.nfe += 1
        assert bool((sigma == sigma[0]).all())
        return PROBLEM.x0(x, float(sigma[0]))


def theirs(name: str, grid: Grid, **options: Any) -> tuple[Tensor, int]:
    model = Denoiser()
    sigmas = torch.tensor(grid.levels)
    x = getattr(peer, f"sample_{name}")(model, NOISE * grid[0], sigmas, disable=True, **options)
    return x, model.nfe


def no_noise(s: Tensor, t: Tensor) -> Tensor:
    raise AssertionError("eta = 0 draws no noise")


QUIET = {"eta": 0.0, "noise_sampler": no_noise}
PAIRS: dict[str, tuple[str, dict[str, Any], Solver]] = {
    "euler": ("euler", {}, Euler()),
    "euler, DATA": ("euler", {}, Euler(DATA)),
    "heun": ("heun", {}, Heun()),
    "dpm_2": ("dpm_2", {}, DPMSolver2()),
    **{f"lms {k}": ("lms", {"order": k}, LMS(k, guard=None)) for k in (1, 2, 3, 4)},
    "dpmpp_2m": ("dpmpp_2m", {}, DPMSolverPP2M(guard=None)),
    "dpmpp_2m, published": ("dpmpp_2m", {}, PublishedDPMSolver(2)),
    "dpmpp_2m_sde, midpoint": ("dpmpp_2m_sde", QUIET, DPMSolverPP2M(guard=None)),
    "dpmpp_2m_sde, heun": (
        "dpmpp_2m_sde",
        {**QUIET, "solver_type": "heun"},
        Adams(2, DATA, LOG_SIGMA, guard=None),
    ),
    "dpmpp_2s_ancestral": ("dpmpp_2s_ancestral", {**QUIET, "noise_sampler": None}, DPMSolverPP2S()),
}
LABELS = partial(trailing, clock=linear_beta())
SPACINGS: dict[str, Callable[[int], Grid]] = {
    "karras": partial(karras, sigma_max=80.0, sigma_min=0.01),
    "karras to 0": lambda n: karras(n, 80.0, 0.01).to_zero(),
    "log_snr": partial(log_snr, sigma_max=10.0, sigma_min=0.05),
    "labels": lambda n: LABELS(n),
}


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("name", PAIRS)
def test_state_for_state(name: str, spacing: str) -> None:
    sampler, options, solver = PAIRS[name]
    for n in NFES:
        grid = SPACINGS[spacing](n)
        if sampler == "dpmpp_2m_sde" and grid[1] == 0:
            continue  # they cannot: below
        x, nfe = theirs(sampler, grid, **options)
        mine = sample(PROBLEM, NOISE, grid, solver)
        assert mine.nfe == nfe
        assert note(name, difference(mine.x, x)) <= TIGHT


@pytest.mark.parametrize("nfe", [1, 2, 3, 4, 5, 6, 10, 50])
def test_dpm_fast(nfe: int) -> None:
    """The orders 3, ..., 3, 2, 1 on nfe // 3 + 1 steps uniform in log σ: exactly nfe evaluations."""
    model = Denoiser()
    x = peer.sample_dpm_fast(model, NOISE * 10.0, 0.05, 10.0, nfe, disable=True)
    mine = sample(PROBLEM, NOISE, log_snr(nfe // 3 + 1, 10.0, 0.05), DPMSolverFast(nfe))
    assert mine.nfe == model.nfe == nfe
    assert note("dpm_fast", difference(mine.x, x)) <= TIGHT


@pytest.mark.parametrize("n", NFES)
def test_three_points(n: int) -> None:
    """dpmpp_3m_sde at η = 0: Euler, the exact two-point step, then three points less a factor 2.

    PublishedDPMSolver(3) is the multistep code, whose second step is the midpoint rule; Adams(3) has
    the factor. All three are the same up to their second step, or their third.
    """
    grid = karras(n, 80.0, 0.01)
    x, nfe = theirs("dpmpp_3m_sde", grid, **QUIET)
    mine = sample(PROBLEM, NOISE, grid, DPMSolverPP3MSDE(eta=0, published=True, guard=None))
    assert mine.nfe == nfe
    assert note("dpmpp_3m_sde", difference(mine.x, x)) <= TIGHT
    code = difference(sample(PROBLEM, NOISE, grid, PublishedDPMSolver(3)).x, x)
    exact = difference(sample(PROBLEM, NOISE, grid, Adams(3, DATA, LOG_SIGMA, guard=None)).x, x)
    assert code <= TIGHT if n == 1 else 1e-9 < code < 0.5  # one other step, forgotten with n
    assert exact <= TIGHT if n < 3 else 1e-3 < exact < 0.5


def test_one_step_to_zero_is_too_short_for_their_sde_samplers() -> None:
    """dpmpp_2m_sde keeps an h that its step to 0 never made."""
    grid = LABELS(1)
    assert grid.steps == 1
    with pytest.raises(UnboundLocalError):
        theirs("dpmpp_2m_sde", grid, **QUIET)


def test_levels_that_repeat_are_refused() -> None:
    """A zero-length step: k-diffusion divides by h = 0 there, and a Grid is never made."""
    x = peer.sample_dpmpp_2m(
        Denoiser(), NOISE * 2, torch.tensor([2.0, 1.0, 1.0, 0.5]), disable=True
    )
    assert bool(x.isnan().all())
    with pytest.raises(ValueError, match="must fall at every step"):
        Grid([2.0, 1.0, 1.0, 0.5])
