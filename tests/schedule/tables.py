"""What the tests of clocks share: the tables, their lengths, the conventions between entries."""

from __future__ import annotations

from flowsolve import (
    linear_beta,
    scaled_linear_beta,
    squared_cosine,
)

TABLES = [linear_beta, scaled_linear_beta, squared_cosine]
LENGTHS = [10, 100, 1000]
CURVES = ["smooth", "log_sigma", "log_alpha"]  # the conventions that rise everywhere


def times(low: float, high: float, n: int = 501) -> list[float]:
    return [low, *(low + (high - low) * i / n for i in range(1, n)), high]
