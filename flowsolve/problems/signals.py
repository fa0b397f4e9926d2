"""Signals: a trained network that ships with the package, for 1x40 signals of MNIST-1D, and their making."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowsolve.ode.precondition import VPrediction
from flowsolve.problems.shipped import Shipped
from flowsolve.schedule.betas import squared_cosine

if TYPE_CHECKING:
    from torch import Tensor

TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
"""The digits 0 to 9 as 12 heights each.                 Greydanus, Kobak 2020, MNIST-1D (Apache-2.0)."""


class Signals(Shipped):
    """A v-network on 1x40 signals, squared cosine schedule, T = 1000, at continuous t from 995 to 0.

    Labels above 995 (σ to 2e4) are noise alone. Trained by examples/train_networks.py; data, licence and
    quality are in SIGNALS.md beside this file.
    """

    name = "signals"
    event = (1, 40)
    summary = "a real v-network: U-Net on 1x40 signals of MNIST-1D, squared cosine, T = 1000"

    def __init__(self) -> None:
        super().__init__(VPrediction(squared_cosine()))
        self.sigma_max, self.sigma_min = self.clock.sigma(995.0), self.clock.sigma(0.0)

    def data(self) -> Tensor:
        """2048 signals. See `signals_data`."""
        return signals_data()


def signals_data(n: int = 2048, seed: int = 0) -> Tensor:
    """n signals (n, 1, 40), float32, of mean 0 and deviation 1 over all of them.    MNIST-1D, its make_dataset.

    The template of a random digit, padded with 36 to 60 zeros and stretched to 72 points, times 0.8 to 1.2,
    rolled by 0 to 47 points, with smooth noise where it is zero and a little white noise everywhere, sheared,
    and read at 40 points. A function of n and the seed alone.
    """
    import torch
    from torch.nn import functional as F

    g = torch.Generator("cpu").manual_seed(seed)

    def uniform() -> Tensor:
        return torch.rand(n, 1, generator=g, device="cpu", dtype=torch.float64)

    def white(points: int) -> Tensor:
        return torch.randn(n, points, generator=g, device="cpu", dtype=torch.float64)

    x = torch.tensor(TEMPLATES, dtype=torch.float64, device="cpu")
    x = (x - x.mean(1, keepdim=True)) / x.std(1, correction=0, keepdim=True)
    x = F.pad((x - x[:, :1]) / 6 + 1e-8, (0, 60))  # 1e-8 tells the ends of a digit from zeros
    x = x[(10 * uniform()).long()[:, 0]]
    length = 48 + (25 * uniform()).floor()
    at = torch.arange(72, device="cpu") / 71 * (length - 1)
    x = _read(x, at) * (0.8 + 0.4 * uniform())
    place = (torch.arange(72, device="cpu") - (48 * uniform()).long()) % 72
    x = x.gather(1, place)
    bell = torch.arange(-8.0, 9.0, device="cpu", dtype=torch.float64).square().div(-8).exp()
    smooth = F.conv1d(0.25 * white(88)[:, None], (bell / bell.sum())[None, None])[:, 0]
    x = torch.where(x == 0, smooth, x) + 0.02 * white(72)
    x = x - 0.75 * (uniform() - 0.5) * torch.linspace(
        -0.5, 0.5, 72, device="cpu", dtype=torch.float64
    )
    x = _read(x, torch.linspace(0, 71, 40, device="cpu", dtype=torch.float64).expand(n, 40))
    return ((x - MEAN) / DEVIATION).float()[:, None]


MEAN, DEVIATION = -0.0062, 0.1537


def _read(x: Tensor, at: Tensor) -> Tensor:
    """x between its points, linear."""
    left = at.floor().long().clamp(max=x.shape[1] - 2)
    a, b = x.gather(1, left), x.gather(1, left + 1)
    return a + (at - left) * (b - a)
