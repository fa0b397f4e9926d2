"""A number and its standard error from resampling: the jackknife of two sample sets.

The bootstrap is not used. It draws samples twice, so it sees sets of fewer distinct samples than there
are: a Fréchet distance, biased upwards by O(d/n), is biased again in every replicate, a nearest
neighbour falls on its own copy, and unbiased statistics of pairs lose that property. The jackknife
leaves samples out and repeats none, and gives the bias as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """value ± error.

    value  as its paper defines it
    error  one standard error, of both sets; NaN where none was asked for
    bias   the jackknife's estimate of how far `value` lies above the truth on average; 0 for a statistic
           that is unbiased, NaN where none was asked for or none can be found so
    """

    value: float
    error: float
    bias: float

    @property
    def corrected(self) -> float:
        """value - bias: comparable between sets of different sizes, at a somewhat larger error."""
        return self.value - self.bias

    def __str__(self) -> str:
        if 0 < self.error < 1e-6:
            return f"{self.value:.2e} ± {self.error:.1e}"
        if not 0 < self.error < math.inf:
            return f"{self.value:.4g} ± {self.error:.2g}"
        places = max(0, 1 - math.floor(math.log10(self.error)))  # two digits of the error
        return f"{self.value:.{places}f} ± {self.error:.{places}f}"


def jackknife(value: float, *left_out: Iterable[float] | Tensor) -> Estimate:
    """error² = Σ (B-1)/B Σ_b (θ_b - θ̄)²,  bias = Σ (B-1)(θ̄ - θ).      Efron 1982, chapters 2 and 3.

    value     θ, of all samples
    left_out  for each set the B values θ_b, each without one of B equal groups of that set
    """
    variance = bias = 0.0
    for side in left_out:
        thetas = [float(v) for v in side]
        if not thetas:
            return Estimate(value, math.nan, math.nan)
        mean = math.fsum(thetas) / len(thetas)
        spread = math.fsum((v - mean) ** 2 for v in thetas)
        variance += (len(thetas) - 1) / len(thetas) * spread
        bias += (len(thetas) - 1) * (mean - value)
    return Estimate(value, math.sqrt(variance), bias)


def labels(x: Tensor, groups: int, seed: int) -> Tensor:
    """Of each sample its group in 0..groups-1 (all 0 without any), at random: data sets come in an order."""
    import torch

    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return (order % max(groups, 1)).to(x.device)


def count_groups(groups: int, *sets: Tensor) -> int:
    """Groups, of single samples where there are fewer of those. Raises ValueError for 1, or below 0."""
    if groups == 1 or groups < 0:
        raise ValueError(f"groups = {groups!r}: the error needs 2 or more, or 0 for none.")
    return min([groups, *map(len, sets)])


def leave_out(value: Callable[[Tensor], float], x: Tensor, groups: int, seed: int) -> list[float]:
    """value(x without group b) for every group b."""
    groups = count_groups(groups, x)
    group = labels(x, groups, seed)
    return [value(x[group != b]) for b in range(groups)]
