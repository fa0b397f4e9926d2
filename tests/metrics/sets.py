"""What the tests of distances share: two sets of samples, and all the distances."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from flowsolve.metrics import (
    Estimate,
    energy,
    frechet,
    kid,
    mmd,
    precision,
    recall,
    sliced_wasserstein,
)

Distance = Callable[..., Estimate]
SETS = [frechet, sliced_wasserstein, energy, kid, mmd, precision, recall]
named = pytest.mark.parametrize("distance", SETS, ids=lambda f: f.__name__)


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, Y = normal(60, 5, 0) * 1.3 + 0.2, normal(70, 5, 1)
