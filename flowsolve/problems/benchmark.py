"""The exact problems of the standing benchmark: OPEN to develop on, HELD to judge by, each by its name.

The split was written down before anything was measured on them, and no default of this package was made on any:
new seeds, new shapes. Both sides have small and large dimension, data of scale 1 and far above, and the levels
of linear β (157 to 0.01), EDM (80 to 0.002), scaled linear β (14.6 to 0.03) and flow matching (999 to 0.001).
`problems.Digits`, `Signals` and `Photos`, on which the default rule was made, are the open networks, `Letters`
the held one.

Numbers are rounded to nine decimals, so that every machine makes the same problem: a digest of each is part of
the benchmark's version.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from flowsolve.problems.base import Problem
from flowsolve.problems.dataset import Dataset
from flowsolve.problems.digits import Digits
from flowsolve.problems.letters import Letters
from flowsolve.problems.mixture import Mixture, Mixture1D
from flowsolve.problems.photos import Photos
from flowsolve.problems.signals import Signals, signals_data

if TYPE_CHECKING:
    from torch import Tensor

Ends = tuple[float, float]
Shape = tuple[int, int]
BETA, EDM, LATENT, FLOW = (157.0, 0.01), (80.0, 0.002), (14.6, 0.03), (999.0, 0.001)


@dataclass(frozen=True)
class _Named(Mixture):
    """A mixture that is called by its name. Hashed as the object that it is: its covariances are long."""

    name: str = ""
    __hash__ = object.__hash__


@dataclass(frozen=True)
class _Line(Mixture1D):
    name: str = ""


class _Points(Dataset):
    def __init__(self, name: str, points: Tensor, ends: Ends) -> None:
        super().__init__(points, *ends)
        self.name = name


def _mixture(name: str, seed: int, means: Any, widths: Any, ends: Ends) -> Problem:
    """Gaussians N(Q m, Q C Qᵀ):  m ~ N(0, means²), C = W (A Aᵀ/d + I) W/2, W = widths, A normal, Q a rotation.

    means, widths  the deviations (k, d) of the means and (d,) of the Gaussians, before the rotation
    """
    import numpy as np

    g, (k, d) = np.random.default_rng(seed), means.shape
    w = g.dirichlet(4 * np.ones(k)).round(9)
    w[-1] = 1 - w[:-1].sum()
    q, _ = np.linalg.qr(g.normal(size=(d, d)))
    m = g.normal(size=(k, d)) * means
    m -= w @ m
    a = widths[:, None] * g.normal(size=(k, d, d))
    c = (a @ a.transpose(0, 2, 1) / d + np.diag(widths**2)) / 2
    c = (q @ c @ q.T).round(9)
    c = (c + c.transpose(0, 2, 1)) / 2
    return _Named(w.tolist(), (m @ q.T).round(9).tolist(), c.tolist(), *ends, name=name)


def _even(name: str, seed: int, shape: Shape, scale: Ends, ends: Ends) -> Problem:
    """As far in every direction: deviations of the means, and of the Gaussians."""
    import numpy as np

    return _mixture(name, seed, np.full(shape, scale[0]), np.full(shape[1], scale[1]), ends)


def _falling(name: str, seed: int, shape: Shape, scale: Ends, ends: Ends) -> Problem:
    """Means of deviations a i^-p, (a, p) = scale, as those of images fall, and Gaussians half as wide."""
    import numpy as np

    along = scale[0] * np.arange(1.0, shape[1] + 1) ** -scale[1]
    return _mixture(name, seed, np.tile(along, (shape[0], 1)), along / 2, ends)


def _ring(name: str, n: int, r: float, width: float, ends: Ends) -> Problem:
    """n round Gaussians on a circle."""
    angles = [2 * math.pi * (i + 0.5) / n for i in range(n)]
    means = [(round(r * math.cos(a), 9), round(r * math.sin(a), 9)) for a in angles]
    round_one = ((width**2, 0.0), (0.0, width**2))
    return _Named((1 / n,) * n, tuple(means), (round_one,) * n, *ends, name=name)


def _points(name: str, seed: int, shape: Shape, spread: float, ends: Ends) -> Problem:
    """Points of N(0, spread²)."""
    import numpy as np
    import torch

    points = np.random.default_rng(seed).normal(size=shape) * spread
    return _Points(name, torch.from_numpy(points.round(9)), ends)


OPEN: dict[str, Callable[[], Problem]] = {
    "line4": lambda: _Line((0.1, 0.4, 0.3, 0.2), (-1.6, -0.5, 0.6, 1.3), (0.1, 0.2, 0.25, 0.08), *EDM,
                           name="line4"),
    "plane5": lambda: _even("plane5", 101, (5, 2), (0.9, 0.15), BETA),
    "points24": lambda: _points("points24", 102, (60, 24), 0.7, (80.0, 0.15)),
    "falling32": lambda: _falling("falling32", 103, (6, 32), (9.0, 0.9), EDM),
    "latent64": lambda: _even("latent64", 104, (5, 64), (0.8, 0.7), LATENT),
}  # fmt: skip
HELD: dict[str, Callable[[], Problem]] = {
    "line3": lambda: _Line((0.25, 0.6, 0.15), (-0.9, 0.2, 1.1), (0.06, 0.35, 0.12), *BETA, name="line3"),
    "ring12": lambda: _ring("ring12", 12, 2.0, 0.1, EDM),
    "large3": lambda: _even("large3", 201, (5, 3), (25.0, 6.0), (80.0, 0.02)),
    "even6": lambda: _even("even6", 202, (7, 6), (0.6, 0.2), FLOW),
    "latent16": lambda: _falling("latent16", 203, (6, 16), (5.0, 0.6), LATENT),
    "points20": lambda: _points("points20", 204, (40, 20), 0.5, (157.0, 0.12)),
    "signals80": lambda: _Points("signals80", signals_data(80, 205).double().flatten(1), (160.0, 0.3)),
    "falling64": lambda: _falling("falling64", 206, (5, 64), (12.0, 1.0), EDM),
}  # fmt: skip
OPEN_NETWORKS = {"digits": Digits, "signals": Signals, "photos": Photos}
HELD_NETWORKS = {"letters": Letters}


@cache
def __getattr__(name: str) -> Problem:
    """The problem of that name, for `flowsolve compare flowsolve.problems.benchmark:ring12`."""
    made = {**OPEN, **HELD}.get(name)
    if made is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return made()
