"""Noise from seeds: that of a sample follows from its seed alone, not from batch, dtype, device or order."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from flowsolve._arguments import reals, several, shown, whole
from flowsolve.errors import GridError, StateError
from flowsolve.ode.base import ODE, Wrapped
from flowsolve.ode.by_seed import check_seeds as check_seeds
from flowsolve.schedule.variable import SIGMA, Variable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def unit_noise(
    seeds: Iterable[int],
    event: tuple[int, ...],
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """N(0, I) of shape (len(seeds), *event), row i drawn from seed i alone.

    Drawn in float64 on the CPU and then cast: runs in all dtypes start at the same noise. The noise of steps is
    drawn in float32; this one is drawn once a run, and references that are kept and published figures stand on
    its bits. torch seeds with 32 bits: seeds that differ by 2³² have one noise.

    dtype and device are torch's defaults unless given. The copy to a GPU does not wait for what the GPU still
    has to do. Raises StateError for seeds or an event of the wrong kind, and ValueError for a dtype or device
    that cannot be.
    """
    import torch

    checked = check_seeds(seeds)
    if not checked:
        raise StateError("seeds must be a sequence of seeds such as range(64), but is empty.")
    z = _normal(checked, check_event(event), torch.float64)
    return moved(z, floating(dtype), usable(device))


def check_event(event: Iterable[int]) -> tuple[int, ...]:
    """The shape of one sample, of positive whole numbers. Raises StateError for anything else."""
    sizes = several("event", event, "sizes such as (3, 32, 32)", empty=True)
    return tuple(whole(f"event[{i}]", n, 1, StateError) for i, n in enumerate(sizes))


def floating(dtype: object) -> torch.dtype:
    """A floating dtype of torch, or that of its name; None is the default. Raises ValueError for another."""
    import torch

    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is None:
        return torch.get_default_dtype()
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(
            f"dtype must be a floating dtype of torch or its name, such as 'float32', not {shown(dtype)}."
        )
    return found


def usable(device: torch.device | str | None) -> torch.device:
    """The torch.device; None is the default. Raises ValueError for what is none, and for CUDA where none is."""
    import torch

    if device is None:
        return torch.get_default_device()
    try:
        if not isinstance(device, str | int | torch.device):
            raise RuntimeError
        found = torch.device(device)
    except RuntimeError:
        raise ValueError(
            f"device must be one of torch's such as 'cpu' or 'cuda', not {shown(device)}."
        ) from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {str(device)!r}, but torch finds no CUDA device here.")
    return found


def _normal(seeds: Sequence[int], event: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Rows of N(0, I) on the CPU, one a seed."""
    import torch

    generator = torch.Generator("cpu")
    z = torch.empty(len(seeds), *event, dtype=dtype, device="cpu")
    for seed, row in zip(seeds, z, strict=True):
        row.normal_(generator=generator.manual_seed(seed))
    return z


def moved(z: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The same in another dtype and place, without waiting for a GPU."""
    z = z.to(dtype)
    if device.type != "cuda":
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
    """The noise of stochastic methods: noise(x, s, t) is z ~ N(0, I), like x, for the step from s to t.

    A subclass gives `__call__`. `again` counts the visits of a method to the same interval, from 0: each has
    noise of its own. `on_host`: it is drawn on the CPU at every call, which no CUDA graph can hold.
    """

    on_host: ClassVar[bool] = False

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = tuple(check_seeds(seeds))

    @abstractmethod
    def __call__(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor: ...

    def _check(self, x: Tensor) -> None:
        if len(x) != len(self.seeds):
            raise StateError(
                f"there are {len(self.seeds)} seeds for {len(x)} samples: give one for each."
            )

    def _draw(self, x: Tensor, key: str) -> Tensor:
        """N(0, I) like x, float32 in every dtype; row i is a function of seed i and the key alone."""
        import torch

        words = (hashlib.sha256(f"{seed} {key}".encode()).digest() for seed in self.seeds)
        seeds = [int.from_bytes(word[:8], "little") >> 1 for word in words]
        return moved(_normal(seeds, tuple(x.shape[1:]), torch.float32), x.dtype, x.device)


class SeededNoise(Noise):
    """Independent noise for every interval and visit, a function of (seed, s, t, again) alone.

    So samples do not depend on how they are split into batches, and a run can be repeated or resumed. Two
    grids share noise only where they share an interval; BrownianNoise makes all grids share one path.
    torch's generator draws it on the CPU, in float32 for every dtype of the state; CPUs without AVX2 round it
    otherwise (2e-6). The generator keeps 32 bits of what it is seeded with: of n noises drawn in all, about
    n²/2³³ pairs are alike. CounterNoise has neither, and draws where the state is.
    """

    on_host = True

    def __call__(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        self._check(x)
        return self._draw(x, f"{s.hex()} {t.hex()}{_visit(again)}")


class BrownianNoise(Noise):
    """z = (W(τ_s) - W(τ_t))/√|τ_s - τ_t|, W one Brownian path for each seed, shared by all grids.

    levels    all levels of all grids that will use this noise. W is the sum of independent increments
              between neighbours among them
    variable  the time τ of the Brownian motion, σ unless given (as in k-diffusion)

    For strong errors, and for comparing numbers of steps on the same path. Steps up, and every visit to an
    interval after the first (again > 0), have a path of their own, which is shared by all grids too. Raises
    GridError for a level that is not in `levels`.
    """

    on_host = True

    def __init__(
        self, seeds: Sequence[int], levels: Iterable[float], variable: Variable = SIGMA
    ) -> None:
        super().__init__(seeds)
        known = reals("levels", levels, GridError)
        self.levels = sorted({s for s in known if s > 0 or variable == SIGMA})
        self.times = [variable.tau(s) for s in self.levels]

    def __call__(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        self._check(x)
        path = (" up" if t > s else "") + _visit(again)
        i, j = sorted((self._index(s), self._index(t)))
        total = x.new_zeros(x.shape)
        for k in range(i, j):
            width = self.times[k + 1] - self.times[k]
            total = total.add(self._draw(x, f"increment {k}{path}"), alpha=math.sqrt(width))
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
        if isinstance(noise, type) or not callable(noise):
            raise StateError(
                f"noise must be a Noise such as SeededNoise(range(64)), not {shown(noise)}."
            )
        self.source = noise

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        return self.source(x, s, t, again)


def _visit(again: int) -> str:
    """The end of a key; that of a first visit is empty."""
    return f" {again}" if again else ""
