"""A number with its standard error and its bias, by the jackknife over two sample sets.

The jackknife computes the number again with one group of samples left out, for each group. The bootstrap,
which draws n samples with replacement, is not used: its sets hold copies. A Fréchet distance, biased upwards
by O(d/n), is biased once more in every replicate; the nearest neighbour of a sample is its copy; and unbiased
statistics over pairs become biased. The jackknife repeats no sample, and estimates the bias as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve._arguments import whole

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A value, its standard error and its bias; printed as value ± error.

    value  as its paper defines it
    error  one standard error, from both sets together; NaN where none was computed
    bias   the jackknife's estimate of how far `value` lies above the truth on average: 0 for an unbiased
           statistic, NaN where none was computed or where the jackknife cannot give it
    """

    value: float
    error: float
    bias: float

    @property
    def corrected(self) -> float:
        """value - bias, which sets of different sizes may be compared by. Its error is somewhat larger."""
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
    left_out  for each set its B values θ_b, each without one of the B equal groups of that set; θ̄ their mean
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


def random_groups(x: Tensor, groups: int, seed: int) -> Tensor:
    """(N,): the group of each sample, 0 to groups - 1, all 0 if groups = 0; sizes differ by at most one.

    At random, because data sets are often sorted, and groups of neighbours would differ too much.
    """
    return (random_order(len(x), seed) % max(groups, 1)).to(x.device)


def random_order(n: int, seed: int) -> Tensor:
    """0 to n - 1 in an order that follows from the seed, on the CPU."""
    import torch

    generator = torch.Generator("cpu").manual_seed(whole("seed", seed))
    return torch.randperm(n, generator=generator, device="cpu")


def limit_groups(groups: int, *sets: Sized) -> int:
    """min(groups, size of the smallest set), so that no group is empty. Raises ValueError for 1, or below 0."""
    if whole("groups", groups) == 1 or groups < 0:
        raise ValueError(f"groups = {groups!r}: the error needs 2 or more, or 0 for none.")
    return min([groups, *map(len, sets)])


def leave_out(value: Callable[[Tensor], float], x: Tensor, groups: int, seed: int) -> list[float]:
    """value(x without group b) for every group b."""
    groups = limit_groups(groups, x)
    group = random_groups(x, groups, seed)
    return [value(x[group != b]) for b in range(groups)]
