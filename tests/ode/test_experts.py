"""Several networks, each for its range of σ: who is asked, what is counted, and what the border costs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve.errors import StateError
from flowsolve.problems import Mixture1D
from flowsolve_solvers import DPMSolverPP2M, Euler, Heun

NOISY = Mixture1D()
CLEAN = replace(NOISY, means=tuple(1.1 * m for m in NOISY.means))
BORDER = 1.0
X = NOISY.start(range(16), torch.float64)


def network(value: float) -> fs.DiffusionODE:
    def answer(x: Tensor, t: Tensor) -> Tensor:
        return torch.full_like(x, value)

    return fs.DiffusionODE(answer, fs.EpsPrediction(fs.linear_beta()))


def test_each_is_asked_in_its_range_and_all_are_counted_together() -> None:
    ode = fs.Experts(network(1.0), fs.Experts(network(2.0), network(3.0), 0.5), 2.0)
    x = torch.zeros(4, 2)
    for sigma, value in ((10.0, 1), (2.0, 1), (1.99, 2), (0.5, 2), (0.49, 3)):
        assert torch.equal(ode.eps(x, sigma), torch.full_like(x, value))
        assert torch.equal(ode.x0(x, sigma), x - sigma * value)
    result = fs.solve(ode, x, fs.Grid((4.0, 2.0, 1.0, 0.25, 0.1)), Euler())
    assert (result.nfe, result.forwards) == (4, 4)
    assert torch.equal(
        result.x, torch.full_like(x, (2 - 4) + (1 - 2) + 2 * (0.25 - 1) + 3 * (0.1 - 0.25))
    )


def test_each_may_have_a_guidance_of_its_own() -> None:
    strong = fs.Guided(network(1.0), network(0.0), 3.0)
    ode = fs.Experts(strong, network(1.0), 1.0)
    result = fs.solve(ode, torch.zeros(2, 1), fs.Grid((2.0, 1.0, 0.5)), Euler())
    assert (result.nfe, result.forwards) == (2, 4)
    # at σ = 2 and at the border 1 the noisy one is asked, with ε = 3; its two networks are
    assert torch.equal(result.x, torch.full((2, 1), 3 * (1.0 - 2.0) + 3 * (0.5 - 1.0)))


def errors(solver: fs.Solver, n: int) -> tuple[float, float]:
    """In one solve, and in two with a level at the border."""
    levels = list(fs.karras(n, NOISY.sigma_max, NOISY.sigma_min))
    k = min(range(1, n), key=lambda i: abs(math.log(levels[i] / BORDER)))
    levels[k] = BORDER
    want = CLEAN.flow(NOISY.flow(X, levels[0], BORDER), BORDER, levels[-1])
    one = fs.solve(fs.Experts(NOISY, CLEAN, BORDER), X, fs.Grid(levels), solver).x
    first = fs.solve(NOISY, X, fs.Grid(levels[: k + 1]), solver).x
    two = fs.solve(CLEAN, first, fs.Grid(levels[k:]), solver).x
    first, second = (float((x - want).square().mean().sqrt()) for x in (one, two))
    return first, second


@pytest.mark.parametrize("solver", [Heun(), DPMSolverPP2M()], ids=repr)
def test_two_solves_keep_the_order_and_one_does_not(solver: fs.Solver) -> None:
    (_, coarse), (one, two) = errors(solver, 160), errors(solver, 320)
    assert 1.8 < math.log2(coarse / two) < 2.2
    assert one > 3 * two


@pytest.mark.parametrize("boundary", [0.0, math.inf, math.nan, "1"])
def test_wrong_boundaries(boundary: object) -> None:
    with pytest.raises(StateError, match="boundary"):
        fs.Experts(NOISY, CLEAN, boundary)  # type: ignore[arg-type]


def test_wrong_odes() -> None:
    with pytest.raises(StateError, match="Experts takes two ODEs, not 3"):
        fs.Experts(NOISY, 3, 1.0)  # type: ignore[arg-type]
    with pytest.raises(StateError, match="Experts wraps an ODE, not None"):
        fs.Experts(None, NOISY, 1.0)  # type: ignore[arg-type]
