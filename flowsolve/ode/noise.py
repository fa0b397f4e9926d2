"""Noise by seed: sample i is the same whatever the batch, the dtype, the device or the order of calls."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flowsolve.errors import GridError, StateError
from flowsolve.ode.base import ODE, Wrapped
from flowsolve.schedule.variable import SIGMA, Variable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def unit_noise(
    seeds: Iterable[int],
    event: tuple[int, ...],
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """N(0, I) of shape (len(seeds), *event), each sample from its own seed.

    Drawn in float64 on the CPU and then cast, so float32 and float64 runs start at the same place. The
    copy to a GPU does not wait for what the GPU still has to do.
    """
    import torch

    draws = [
        torch.randn(event, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        for seed in seeds
    ]
    z = torch.stack(draws).to(dtype or torch.get_default_dtype())
    if torch.device(device).type != "cuda":
        return z.to(device)
    return z.pin_memory().to(device, non_blocking=True)


class Noise(ABC):
    """What a stochastic method draws from: z ~ N(0, I) like x, for the levels between s and t."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = tuple(seeds)

    @abstractmethod
    def __call__(self, x: Tensor, s: float, t: float) -> Tensor: ...

    def _check(self, x: Tensor) -> None:
        if len(x) != len(self.seeds):
            raise StateError(
                f"there are {len(self.seeds)} seeds for {len(x)} samples: give one for each."
            )

    def _draw(self, x: Tensor, key: str) -> Tensor:
        """One standard normal for each seed, a function of the seed and the key alone."""
        words = (hashlib.sha256(f"{seed} {key}".encode()).digest() for seed in self.seeds)
        seeds = [int.from_bytes(word[:8], "little") >> 1 for word in words]
        return unit_noise(seeds, tuple(x.shape[1:]), x.dtype, x.device)


class SeededNoise(Noise):
    """Independent noise for every interval, a function of (seed, s, t, again) alone.

    again  for walking an interval more than once: another number is other noise of the same seeds

    The same sample comes out whatever the batch split, and a run can be repeated or resumed. Two
    grids share no noise unless they share an interval: for that see BrownianNoise.
    """

    def __init__(self, seeds: Sequence[int], again: int = 0) -> None:
        super().__init__(seeds)
        self.again = again

    def __call__(self, x: Tensor, s: float, t: float) -> Tensor:
        """z for the interval between s and t."""
        self._check(x)
        again = f" {self.again}" if self.again else ""  # the noise of before there was `again`
        return self._draw(x, f"{s.hex()} {t.hex()}{again}")


class BrownianNoise(Noise):
    """z = (W(τ_s) - W(τ_t))/√|τ_s - τ_t| of one Brownian path W per seed, shared by all grids.

    levels    every level that will be asked for: the union of the levels of all grids. Between
              neighbours of that union the increments are independent, so sums over it are exact.
    variable  the time τ of the Brownian motion, σ (as in k-diffusion) unless told otherwise

    For strong errors and for comparing step counts on the same path. Raises GridError for a level
    that is not in `levels`.
    """

    def __init__(
        self, seeds: Sequence[int], levels: Iterable[float], variable: Variable = SIGMA
    ) -> None:
        super().__init__(seeds)
        self.levels = sorted({float(s) for s in levels if s > 0 or variable == SIGMA})
        self.times = [variable.tau(s) for s in self.levels]

    def __call__(self, x: Tensor, s: float, t: float) -> Tensor:
        """The scaled increment between s and t."""
        self._check(x)
        i, j = sorted((self._index(s), self._index(t)))
        total = x.new_zeros(x.shape)
        for k in range(i, j):
            width = self.times[k + 1] - self.times[k]
            total = total.add(self._draw(x, f"increment {k}"), alpha=math.sqrt(width))
        scaled: Tensor = total / math.sqrt(self.times[j] - self.times[i])
        return scaled

    def _index(self, s: float) -> int:
        i = bisect_left(self.levels, s)
        if i == len(self.levels) or self.levels[i] != s:
            raise GridError(f"σ = {s!r} is not among the levels of this Brownian path.")
        return i


class WithNoise(Wrapped):
    """An ODE together with the noise of a stochastic method: an SDE."""

    def __init__(self, ode: ODE, noise: Noise) -> None:
        super().__init__(ode)
        self.source = noise

    def noise(self, x: Tensor, s: float, t: float) -> Tensor:
        """From the source."""
        return self.source(x, s, t)
