"""Noise from seeds: that of a sample follows from its seed alone, not from batch, dtype, device or order."""

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
    """N(0, I) of shape (len(seeds), *event), row i drawn from seed i alone.

    Drawn in float64 on the CPU and then cast, so that runs in float32 and float64 start at the same noise.
    The copy to a GPU does not wait for what the GPU still has to do.
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


def far_wider(x: Tensor, implied: float = 1.0) -> float | None:
    """The RMS of x if it is over twice what is implied, and beyond chance; else None. Reads x back."""
    import torch

    n, wide = x.numel(), torch.promote_types(x.dtype, torch.float32)
    found = float(torch.linalg.vector_norm(x.detach(), dtype=wide)) / math.sqrt(n)
    # the RMS of n draws has the deviation 1/√(2n): 8 times that is left to chance
    return found if found > implied * max(2.0, 1 + 8 / math.sqrt(2 * n)) else None


class Noise(ABC):
    """The noise of stochastic methods: noise(x, s, t) is z ~ N(0, I), like x, for the step from s to t."""

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
        """N(0, I) like x; row i is a function of seed i and the key alone."""
        words = (hashlib.sha256(f"{seed} {key}".encode()).digest() for seed in self.seeds)
        seeds = [int.from_bytes(word[:8], "little") >> 1 for word in words]
        return unit_noise(seeds, tuple(x.shape[1:]), x.dtype, x.device)


class SeededNoise(Noise):
    """Independent noise for every interval (s, t), a function of (seed, s, t, again) alone.

    again  a method that steps over an interval more than once takes another number each time

    So samples do not depend on how they are split into batches, and a run can be repeated or resumed. Two
    grids share noise only where they share an interval; BrownianNoise makes all grids share one path.
    """

    def __init__(self, seeds: Sequence[int], again: int = 0) -> None:
        super().__init__(seeds)
        self.again = again

    def __call__(self, x: Tensor, s: float, t: float) -> Tensor:
        self._check(x)
        again = (
            f" {self.again}" if self.again else ""
        )  # 0 leaves the key as it was before `again` existed
        return self._draw(x, f"{s.hex()} {t.hex()}{again}")


class BrownianNoise(Noise):
    """z = (W(τ_s) - W(τ_t))/√|τ_s - τ_t|, W one Brownian path for each seed, shared by all grids.

    levels    all levels of all grids that will use this noise. W is the sum of independent increments
              between neighbours among them
    variable  the time τ of the Brownian motion, σ unless given (as in k-diffusion)

    For strong errors, and for comparing numbers of steps on the same path. Raises GridError for a level
    that is not in `levels`.
    """

    def __init__(
        self, seeds: Sequence[int], levels: Iterable[float], variable: Variable = SIGMA
    ) -> None:
        super().__init__(seeds)
        self.levels = sorted({float(s) for s in levels if s > 0 or variable == SIGMA})
        self.times = [variable.tau(s) for s in self.levels]

    def __call__(self, x: Tensor, s: float, t: float) -> Tensor:
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
    """An ODE together with the noise that a stochastic method asks for."""

    def __init__(self, ode: ODE, noise: Noise) -> None:
        super().__init__(ode)
        self.source = noise

    def noise(self, x: Tensor, s: float, t: float) -> Tensor:
        return self.source(x, s, t)
