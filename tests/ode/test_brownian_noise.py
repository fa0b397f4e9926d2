"""The noise of one Brownian path: the covariances of its increments, and levels that it lacks."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import log_snr
from flowsolve.errors import GridError
from flowsolve.ode.noise import BrownianNoise, SeededNoise
from flowsolve.problems import Mixture

PROBLEM = Mixture()
SEEDS = range(8)
UNIT = PROBLEM.start(SEEDS, torch.float64) / PROBLEM.sigma_max
LEVELS = (10.0, 5.0, 2.0, 1.0, 0.3, 0.0)


class Free(BrownianNoise):
    """Increment k is the k-th basis vector: what comes out are its coefficients."""

    def _draw(self, x: Tensor, key: str) -> Tensor:
        out = torch.zeros_like(x)
        out[:, int(key.split()[-1])] = 1.0
        return out


def overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    shared = max(0.0, min(a[0], b[0]) - max(a[1], b[1]))
    return shared / math.sqrt((a[0] - a[1]) * (b[0] - b[1]))


INTERVALS = [(s, t) for i, s in enumerate(LEVELS) for t in LEVELS[i + 1 :]]


def test_brownian_covariances_by_algebra() -> None:
    """Variance 1; the correlation is the shared length over the geometric mean: 0 if disjoint."""
    noise = Free([0], LEVELS)
    rows = torch.cat([noise(torch.zeros(1, 5, dtype=torch.float64), s, t) for s, t in INTERVALS])
    want = torch.tensor(
        [[overlap(a, b) for b in INTERVALS] for a in INTERVALS], dtype=torch.float64
    )
    torch.testing.assert_close(rows @ rows.T, want, rtol=1e-14, atol=1e-14)


def test_brownian_covariances_by_draws() -> None:
    noise = BrownianNoise([1, 2], LEVELS)
    x = torch.zeros(2, 20_000, dtype=torch.float64)
    rows = torch.stack([noise(x, s, t).ravel() for s, t in INTERVALS])
    want = torch.tensor(
        [[overlap(a, b) for b in INTERVALS] for a in INTERVALS], dtype=torch.float64
    )
    assert float((torch.corrcoef(rows) - want).abs().max()) < 4 / math.sqrt(40_000) * 1.5
    assert float((rows.var(1) - 1).abs().max()) < 0.04
    assert float(rows.mean(1).abs().max()) < 0.025


def test_seeded_noise_is_independent_from_interval_to_interval() -> None:
    noise = SeededNoise([1, 2])
    x = torch.zeros(2, 20_000, dtype=torch.float64)
    rows = torch.stack([noise(x, s, t).ravel() for s, t in INTERVALS])
    off = torch.corrcoef(rows) - torch.eye(len(rows), dtype=torch.float64)
    assert float(off.abs().max()) < 0.03


def test_two_step_counts_share_a_path() -> None:
    """What the coarse grid gets is the sum of what the fine one gets."""
    noise = BrownianNoise(SEEDS, log_snr(8, 10.0, 0.05))
    fine, x = log_snr(8, 10.0, 0.05), UNIT
    for i in range(0, 8, 4):
        parts = [noise(x, s, t) * math.sqrt(s - t) for s, t in pairwise(fine[i : i + 5])]
        whole = noise(x, fine[i], fine[i + 4]) * math.sqrt(fine[i] - fine[i + 4])
        torch.testing.assert_close(sum(parts), whole, rtol=1e-12, atol=1e-12)


def test_brownian_level_unknown() -> None:
    with pytest.raises(GridError, match=r"σ = 0\.7 is not among the levels of this Brownian path"):
        BrownianNoise(SEEDS, LEVELS)(UNIT, 1.0, 0.7)
