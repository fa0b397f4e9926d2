"""UNet: the small network, for signals and images, that the problems with weights run."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NO_CLASS = 10
"""The label of DigitsUNet that means "no class": ε is then that of all digits together."""


class TimeEmbedding(nn.Module):
    """sin and cos of π k g / 2, k = 1..n, with g(t) from 0 to 1 over the times of the clock."""

    k: Tensor

    def __init__(self, g: Callable[[Tensor], Tensor], n: int) -> None:
        super().__init__()
        self.g = g
        self.register_buffer("k", torch.arange(1.0, n + 1), persistent=False)  # not in the weights

    def forward(self, t: Tensor) -> Tensor:
        """(B,) times -> (B, 2 n)."""
        angle = (math.pi / 2) * self.g(t)[:, None] * self.k
        return torch.cat((angle.sin(), angle.cos()), dim=1)


class Block(nn.Module):
    """skip(x) + conv(SiLU(norm(h) (1 + a) + b)),  h = conv(SiLU(norm(x))),  (a, b) linear in the embedding.

    The embedding is that of time and class.
    """

    def __init__(
        self, conv: type[nn.Conv1d | nn.Conv2d], c_in: int, c_out: int, c_emb: int
    ) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, c_in), conv(c_in, c_out, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, c_out), conv(c_out, c_out, 3, padding=1)
        self.film = nn.Linear(c_emb, 2 * c_out)
        self.skip = conv(c_in, c_out, 1) if c_in != c_out else nn.Identity()
        nn.init.zeros_(self.conv2.weight)  # skip(x) before training

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        film = self.film(emb).reshape(len(x), -1, *[1] * (x.ndim - 2))
        scale, shift = film.chunk(2, dim=1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        out: Tensor = self.skip(x) + h
        return out


class UNet(nn.Module):
    """F(x, t, class): one block each way at the outer size, `middle` blocks at half of it.

    event        (channels, length) or (channels, height, width) of x
    g            times of the clock -> [0, 1], smooth
    frequencies  of g: few, and the network is smooth in time
    widths       channels at the outer size and at half of it;  c_emb: of the embedding of time and class
    patch        2: the outer size is half of that of x
    classes      labels 0..classes-1, and `classes` itself for no class; 0: the network takes no label
    residual     whether the output is added to x, which is close to ε at large σ

    Smooth in x and t (SiLU, GroupNorm, no dropout), so that solvers show their order on it.
    """

    def __init__(
        self,
        event: tuple[int, ...],
        g: Callable[[Tensor], Tensor],
        *,
        frequencies: int = 8,
        widths: tuple[int, int] = (32, 64),
        c_emb: int = 64,
        middle: int = 4,
        patch: int = 1,
        classes: int = 0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        flat = len(event) == 2
        conv = nn.Conv1d if flat else nn.Conv2d
        head = conv if patch == 1 else nn.ConvTranspose1d if flat else nn.ConvTranspose2d
        kernel, stride = (3, 1) if patch == 1 else (4, 2)  # patches overlap: no seams are seen
        outer, inner = widths
        self.residual, self.classes = residual, classes
        self.time = nn.Sequential(
            TimeEmbedding(g, frequencies),
            nn.Linear(2 * frequencies, c_emb),
            nn.SiLU(),
            nn.Linear(c_emb, c_emb),
        )
        if classes:
            self.label = nn.Embedding(classes + 1, c_emb)
        self.stem = conv(event[0], outer, kernel, stride, padding=1)
        self.encode = Block(conv, outer, outer, c_emb)
        self.down = conv(outer, inner, 3, stride=2, padding=1)
        self.middle = nn.ModuleList(Block(conv, inner, inner, c_emb) for _ in range(middle))
        self.up = conv(inner, outer, 3, padding=1)
        self.decode = Block(conv, 2 * outer, outer, c_emb)
        self.norm = nn.GroupNorm(8, outer)
        self.head = head(outer, event[0], kernel, stride, padding=1)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """F, shape and dtype of x, at x = c_in x̄.

        x      (B, *event)
        t      (B,) times of the clock
        label  (B,); None means no class for all
        """
        emb = self.time(t.to(x.dtype))
        if self.classes:
            none = torch.full(t.shape, self.classes, device=x.device)
            emb = emb + self.label(none if label is None else label)
        emb = F.silu(emb)
        outer = self.encode(self.stem(x), emb)
        h = self.down(outer)
        for block in self.middle:
            h = block(h, emb)
        h = F.interpolate(self.up(h), scale_factor=2.0)
        h = self.decode(torch.cat((outer, h), dim=1), emb)
        out: Tensor = self.head(F.silu(self.norm(h)))
        return x + out if self.residual else out


def _in_log_t(t: Tensor) -> Tensor:
    """log(1 + t)/log(1000), smooth in log σ."""
    return torch.log1p(t) / math.log(1000)


class DigitsUNet(UNet):
    """ε(x_t, t, class) for 1x8x8 images, t in [0, 999]: one block each way at 8x8, four at 4x4."""

    def __init__(self) -> None:
        super().__init__((1, 8, 8), _in_log_t, frequencies=16, classes=NO_CLASS, residual=True)


def photos_unet() -> UNet:
    """EDM's F for 3x16x16 patches, t = ln(σ)/4 for σ from 0.002 to 80."""
    return UNet((3, 16, 16), _in_edm_t, widths=(48, 64), middle=3, patch=2)


def signals_unet() -> UNet:
    """v for 1x40 signals, t in [0, 999]."""
    return UNet((1, 40), _in_t, widths=(48, 64))


def letters_unet() -> UNet:
    """ε - x₀ for 1x16x16 letters, t in [0, 1], labels 0..25 and 26 for no class."""
    return UNet((1, 16, 16), _as_it_is, widths=(48, 64), middle=3, patch=2, classes=26)


def _in_edm_t(t: Tensor) -> Tensor:
    return (t + 1.6) / 2.7


def _in_t(t: Tensor) -> Tensor:
    return t / 1000


def _as_it_is(t: Tensor) -> Tensor:
    return t


NETWORKS: dict[str, Callable[[], UNet]] = {
    "digits": DigitsUNet,
    "photos": photos_unet,
    "signals": signals_unet,
    "letters": letters_unet,
}
"""The architectures of the weights in this folder, by the problem's name."""
