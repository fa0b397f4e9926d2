"""Noise by counter: integer operations on the state's own device make it, and nothing is drawn on the host."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from flowsolve.ode.noise import SeededNoise, moved

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WORD = 0xFFFFFFFF
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85


def philox(counter: Sequence[Any], key: Sequence[int], rounds: int = 10) -> tuple[Any, ...]:
    """Four random words for each counter.                     Philox4x32: Salmon, Moraes, Dror, Shaw 2011.

        c₀ ← high(M₁ c₂) ⊕ k₀ ⊕ c₁,   c₁ ← low(M₁ c₂)
        c₂ ← high(M₀ c₀) ⊕ k₁ ⊕ c₃,   c₃ ← low(M₀ c₀),   k ← k + W   in every round

    counter  four words from 0 below 2³², ints or tensors of int64 that broadcast;  key: two words

    A product is that of 64 bits without a sign, though int64 has one. Its upper bits in c₁ and c₃ do no harm:
    high and xor come to words only by the mask.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = ((p1 >> 32) ^ k0 ^ c1) & WORD, p1, ((p0 >> 32) ^ k1 ^ c3) & WORD, p0
        k0, k1 = (k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD
    return c0, c1 & WORD, c2, c3 & WORD


def box_muller(r: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """√(-2 ln u) (cos 2πv, sin 2πv),  u = (r + ½)/2³², v = a/2³², in float64.

    So u is never 0, and normals end at 6.76. Devices differ in the last bits of float64, which are rounded off.
    """
    radius = r.double().add_(0.5).mul_(2.0**-32).log_().mul_(-2).sqrt_()
    angle = a.double().mul_(math.pi * 2.0**-31)
    return angle.cos().mul_(radius), angle.sin_().mul_(radius)


def normals(seeds: Tensor, size: int, interval: Sequence[Any]) -> Tensor:
    """float32 N(0, I) of shape (B, size), of the words of the seeds, (2, B, 1), and three of an interval."""
    import torch

    low, high = seeds
    # masked, so that Triton's compiler does not take it for an address, of 32 bits
    index = torch.arange((size + 3) // 4, device=seeds.device) & WORD
    words = philox((index, interval[2], low, high), interval[:2])
    parts = (*box_muller(*words[:2]), *box_muller(*words[2:]))
    return torch.stack([part.float() for part in parts], -1).flatten(1)[:, :size].contiguous()


class CounterNoise(SeededNoise):
    """SeededNoise by a counter: the noise of an element follows from (seed, s, t, again) and its index alone.

    compiled  by torch.compile: a few kernels in place of 130, after some seconds for the first draw of a shape.
              A run that is compiled as a whole does not need it

    Philox4x32-10 makes it where the state is, and nothing is copied from the host or read back. Its integers
    are the same on every device. So is the noise, float32 for every dtype, in every batch and order, compiled
    or not; only where devices differ in the last bit of float64 may that of float32 differ, rarely. It is other
    noise than SeededNoise's. The device needs float64.

    The key is 64 bits of a hash of the interval; the counter is a quarter of the index, 32 more bits of the
    hash, and the seed. So the noises of two seeds are never alike.
    """

    on_host = False

    def __init__(self, seeds: Sequence[int], *, compiled: bool = False) -> None:
        super().__init__(seeds)
        self.compiled = compiled
        self._words: dict[torch.device, Tensor] = {}

    def _draw(self, x: Tensor, key: str) -> Tensor:
        import torch

        interval: Sequence[Any] = hashed(key)
        draw = normals
        if self.compiled and not torch.compiler.is_compiling():
            draw = _compiled()
            # a compiler takes numbers for constants
            interval = [torch.full((1, 1), word, device=x.device) for word in interval]
        z = draw(self._seed_words(x.device), x.shape[1:].numel(), interval)
        return z.reshape(x.shape).to(x.dtype)

    def _seed_words(self, where: torch.device) -> Tensor:
        """Their low words and their high ones, (2, B, 1), copied to a device once."""
        import torch

        if where in self._words:
            return self._words[where]
        words = [[seed & WORD for seed in self.seeds], [seed >> 32 for seed in self.seeds]]
        made = torch.tensor(words, dtype=torch.int64, device="cpu")[..., None]
        made = moved(made, torch.int64, where)
        if type(made) is torch.Tensor:  # and none that a tracer made, which has no values
            self._words[where] = made
        return made


def hashed(key: str) -> tuple[int, ...]:
    """Three words of SHA-256."""
    digest = hashlib.sha256(key.encode()).digest()
    return tuple(int.from_bytes(digest[i : i + 4], "little") for i in (0, 4, 8))


# what torch.compiler.assume_constant_result does; a compiler would not trace hashlib, and this loads no torch
vars(hashed)["_dynamo_marked_constant"] = True


@cache
def _compiled() -> Callable[..., Tensor]:
    import torch

    return torch.compile(normals, fullgraph=True)
