"""DigitsUNet: the small U-Net for 1x8x8 images that the `digits` problem runs."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NO_CLASS = 10
"""The label that means "no class": ε is then that of all digits together."""


class TimeEmbedding(nn.Module):
    """sin and cos of π k g / 2, k = 1..16, with g = log(1 + t) / log(1000): smooth in log σ."""

    k: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("k", torch.arange(1.0, 17.0), persistent=False)  # not in the weights

    def forward(self, t: Tensor) -> Tensor:
        """(B,) times in [0, 999] -> (B, 32)."""
        g = torch.log1p(t) / math.log(1000)
        angle = (math.pi / 2) * g[:, None] * self.k
        return torch.cat((angle.sin(), angle.cos()), dim=1)


class Block(nn.Module):
    """skip(x) + conv(SiLU(norm(h) (1 + a) + b)),  h = conv(SiLU(norm(x))),  (a, b) linear in the embedding.

    The embedding is that of time and class.
    """

    def __init__(self, c_in: int, c_out: int, c_emb: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, c_in), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, c_out), nn.Conv2d(c_out, c_out, 3, padding=1)
        self.film = nn.Linear(c_emb, 2 * c_out)
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()
        nn.init.zeros_(self.conv2.weight)  # skip(x) before training

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.film(emb)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        out: Tensor = self.skip(x) + h
        return out


class DigitsUNet(nn.Module):
    """ε(x_t, t, class) for 1x8x8 images: one block each way at 8x8, four blocks at 4x4.

    Its output is added to its input x, which is close to ε at large σ. Smooth in x and t (SiLU, GroupNorm, no
    dropout), so that solvers show their order on it.
    """

    def __init__(self, outer: int = 32, inner: int = 64, c_emb: int = 64) -> None:
        """`outer` channels at 8x8, `inner` at 4x4, `c_emb` of the embedding of time and class."""
        super().__init__()
        self.time = nn.Sequential(
            TimeEmbedding(), nn.Linear(32, c_emb), nn.SiLU(), nn.Linear(c_emb, c_emb)
        )
        self.label = nn.Embedding(NO_CLASS + 1, c_emb)
        self.stem = nn.Conv2d(1, outer, 3, padding=1)
        self.encode = Block(outer, outer, c_emb)
        self.down = nn.Conv2d(outer, inner, 3, stride=2, padding=1)
        self.middle = nn.ModuleList(Block(inner, inner, c_emb) for _ in range(4))
        self.up = nn.Conv2d(inner, outer, 3, padding=1)
        self.decode = Block(2 * outer, outer, c_emb)
        self.norm, self.head = nn.GroupNorm(8, outer), nn.Conv2d(outer, 1, 3, padding=1)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """ε, (B, 1, 8, 8), at x = α x₀ + s ε.

        t      (B,) in [0, 999]
        label  (B,) in 0..9, or 10 for no class; None means 10 for all
        """
        if label is None:
            label = torch.full(t.shape, NO_CLASS, device=x.device)
        emb = F.silu(self.time(t.to(x.dtype)) + self.label(label))
        outer = self.encode(self.stem(x), emb)
        h = self.down(outer)
        for block in self.middle:
            h = block(h, emb)
        h = F.interpolate(self.up(h), scale_factor=2.0)
        h = self.decode(torch.cat((outer, h), dim=1), emb)
        out: Tensor = x + self.head(F.silu(self.norm(h)))
        return out
