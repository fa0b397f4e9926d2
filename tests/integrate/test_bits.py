"""Bits per dimension: dequantised data, the bound that they give, real images, errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from flowsolve import karras
from flowsolve.errors import StateError
from flowsolve.integrate import bits_per_dim, dequantise, log_prob, vp_prior
from flowsolve.problems import Digits, Mixture1D
from flowsolve_solvers import DPMSolverPP2M
from tests.helpers import says

X = torch.ones(3, 2)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_bits_of_the_uniform_law(levels: int) -> None:
    """The density that is 1/(2 + Δ) on every dimension: log₂ levels."""
    log_p = torch.full((3,), -12 * math.log(2 + 2 / (levels - 1)), dtype=torch.float64)
    bits = bits_per_dim(log_p, (3, 2, 2), levels)
    torch.testing.assert_close(bits, torch.full_like(bits, math.log2(levels)))


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_dequantise_fills_the_cell(levels: int) -> None:
    k = torch.randint(levels, (400, 2, 3), generator=torch.Generator().manual_seed(1))
    x = k * 2 / (levels - 1) - 1
    y = dequantise(x, levels, range(400))
    u = (y - x) / (2 / (levels - 1)) + 0.5
    assert float(u.min()) > -1e-3
    assert float(u.max()) < 1 + 1e-3
    assert abs(float(u.mean()) - 0.5) < 4 / math.sqrt(12 * u.numel())
    assert abs(float(u.var()) - 1 / 12) < 4 / math.sqrt(180 * u.numel())
    assert y[5:7].equal(dequantise(x[5:7], levels, [5, 6]))


def test_bits_bound_the_probability() -> None:
    """In one dimension, where the cell's probability is an integral: Jensen's inequality."""
    problem, levels, n = Mixture1D(), 17, 2000
    x = torch.full((n,), 0.5, dtype=torch.float64)
    bits = bits_per_dim(problem.log_density(dequantise(x, levels, range(n)), 0.05), (), levels)
    cell = torch.linspace(0.5 - 1 / 16, 0.5 + 1 / 16, 2001, dtype=torch.float64)
    exact = -math.log2(float(torch.trapezoid(problem.log_density(cell, 0.05).exp(), cell)))
    error = float(bits.std()) / math.sqrt(n)
    assert exact < float(bits.mean()) + 3 * error
    assert float(bits.mean()) - 3 * error < exact + 0.2  # and not far above


def test_digits() -> None:
    """Real images: fewer bits than uniform pixels, and Hutchinson within its error."""
    data = pytest.importorskip("sklearn.datasets").load_digits()
    x = torch.tensor(data.images[:3], dtype=torch.float32)[:, None] / 8 - 1
    problem = Digits()
    y = dequantise(x, 17, range(3))
    grid = karras(10, problem.sigma_max, problem.sigma_min)
    exact = log_prob(problem, y, grid, DPMSolverPP2M(), prior=vp_prior)
    got = log_prob(problem, y, grid, DPMSolverPP2M(), prior=vp_prior, probes=16)
    assert float(((got.log_p - exact.log_p) / got.stderr).abs().max()) < 4
    assert float(bits_per_dim(exact.log_p, problem.event, 17).max()) < math.log2(17)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (
            lambda: dequantise(X * 16, 17, range(3)),
            StateError,
            "dequantise needs values on 17 levels from -1 to 1, but one is 120 of their distance away. "
            "Whole numbers k become 2 k/16 - 1.",
        ),
        (lambda: dequantise(X * 0.3, 17, range(3)), StateError, "dequantise needs values on 17 "),
        (lambda: dequantise(X * math.nan, 17, range(3)), StateError, "dequantise needs values on "),
        (lambda: dequantise(X, 17, range(2)), StateError, "there are 2 seeds for 3 samples: give "),
        (
            lambda: dequantise(X, 1, range(3)),
            ValueError,
            "levels must be at least 2, such as 256 of 8 bits, but is 1.",
        ),
        (lambda: bits_per_dim(X[0], (2,), 0), ValueError, "levels must be at least 2, such as "),
    ],
)
def test_bad_data(call: Callable[[], object], kind: type[Exception], text: str) -> None:
    says(kind, text, call)
