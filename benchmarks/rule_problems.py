"""The problems that the default rule was made on, and those it was held to: the split of docs/default.md."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from flowsolve.problems import (
    Dataset,
    Digits,
    Letters,
    Mixture,
    Mixture1D,
    Photos,
    Signals,
    digits_data,
)


def mixture(
    seed: int, k: int, scale: np.ndarray, width: np.ndarray, ends: tuple[float, float]
) -> Mixture:
    """k random Gaussians: means of deviation `scale` in each coordinate, covariances near width²."""
    g, d = np.random.default_rng(seed), len(scale)
    w = g.dirichlet(np.ones(k) * 3)
    m = g.normal(size=(k, d)) * scale
    m -= (w[:, None] * m).sum(0) * 0.7
    covariances = []
    for _ in range(k):
        a = g.normal(size=(d, d)) / math.sqrt(d)
        c = np.diag(width) @ (a @ a.T * 0.5 + np.eye(d) * 0.5) @ np.diag(width)
        covariances.append(tuple(map(tuple, ((c + c.T) / 2).tolist())))
    return Mixture(tuple(w.tolist()), tuple(map(tuple, m.tolist())), tuple(covariances), *ends)


def even(seed: int, k: int, d: int, spread: float, width: float, *ends: float) -> Mixture:
    """As far in every direction."""
    return mixture(seed, k, np.ones(d) * spread, np.ones(d) * width, (ends[0], ends[1]))


def falling(
    seed: int, k: int, d: int, top: float, width: float, decay: float, *ends: float
) -> Mixture:
    """With deviations that fall as i^-decay, as those of images do."""
    scale = top * np.arange(1, d + 1) ** -decay
    return mixture(seed, k, scale, width * scale / scale.max(), (ends[0], ends[1]))


def ring(n: int, r: float, width: float, *ends: float) -> Mixture:
    """n round Gaussians on a circle."""
    means = tuple(
        (r * math.cos(2 * math.pi * i / n), r * math.sin(2 * math.pi * i / n)) for i in range(n)
    )
    return Mixture((1 / n,) * n, means, (((width**2, 0.0), (0.0, width**2)),) * n, *ends)


def points(seed: int, n: int, d: int) -> Tensor:
    """n points of deviation 0.6."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).double() * 0.6


def some_digits(k: int, seed: int) -> Tensor:
    """k real digits."""
    images, _ = digits_data()
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:k]
    return images[chosen].double()


MADE_ON = {
    "d1": lambda: Mixture1D((0.3, 0.5, 0.2), (-1.2, 0.3, 1.4), (0.15, 0.3, 0.1), 80.0, 0.002),
    "ring8": lambda: ring(8, 1.0, 0.05, 157.0, 0.01),
    "m5d8": lambda: even(1, 5, 8, 0.5, 0.25, 80.0, 0.002),
    "pts30d16": lambda: Dataset(points(5, 30, 16), 80.0, 0.1),
    "pow64top8": lambda: falling(2, 6, 64, 8.0, 4.0, 1.0, 80.0, 0.02),
    "d3top20": lambda: even(3, 4, 3, 15.0, 4.0, 80.0, 0.02),
    "lat64top30": lambda: falling(4, 5, 64, 20.0, 12.0, 0.7, 14.6, 0.03),
    "m3d2": lambda: even(6, 3, 2, 0.8, 0.3, 20.0, 0.01),
    "digits": Digits,
    "signals": Signals,
    "photos": Photos,
}
HELD = {
    "d1b": lambda: Mixture1D((0.5, 0.5), (-0.6, 0.9), (0.05, 0.4), 80.0, 0.005),
    "ring20r3": lambda: ring(20, 3.0, 0.2, 80.0, 0.002),
    "m8d4": lambda: even(11, 8, 4, 1.0, 0.2, 157.0, 0.01),
    "m4d12": lambda: even(12, 4, 12, 0.4, 0.3, 80.0, 0.002),
    "pow32top15": lambda: falling(13, 5, 32, 12.0, 7.0, 0.8, 80.0, 0.002),
    "digits200": lambda: Dataset(some_digits(200, 3), 157.0, 0.3),
    "top100d8": lambda: even(15, 5, 8, 80.0, 25.0, 80.0, 0.05),
    "lat16top6": lambda: even(16, 6, 16, 2.0, 1.0, 14.6, 0.03),
    "letters": Letters,
}
