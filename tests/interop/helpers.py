"""A mixture that networks are compared with, and what EDM's networks and labels share."""

from __future__ import annotations

import math

import numpy as np
import torch

from flowsolve import (
    ODE,
    VPSDE,
    EpsPrediction,
    squared_cosine,
)
from flowsolve.ode import VE, Precondition, Scaled
from flowsolve.problems import Mixture
from flowsolve.schedule import LogClock, iddpm_labels

PROBLEM = Mixture()
X = PROBLEM.start(range(6), torch.float64)
NOISE = X / PROBLEM.sigma_max
LEVELS = [80.0, 7.3, 1.0, 0.31, 0.0021]


def same_ode(ode: ODE, tolerance: float = 1e-12, problem: Mixture = PROBLEM) -> None:
    """ε and x₀ of the mixture at every level, relative to its scale there."""
    for sigma in LEVELS:
        x = X * sigma
        for got, want in [
            (ode.eps(x, sigma), problem.eps(x, sigma)),
            (ode.x0(x, sigma), problem.x0(x, sigma)),
        ]:
            assert float((got - want).abs().max()) <= tolerance * float(
                1 + want.abs().max() + x.abs().max()
            )


COSINE_CLOCK = squared_cosine()
TABLE = [COSINE_CLOCK.sigma(j) for j in range(999, -1, -1)]


def iddpm_u(M: int = 1000) -> list[float]:
    """u_j of Karras et al. 2022, Table 1: u_M = 0 and up."""
    u = np.zeros(M + 1)
    bar = np.sin(0.5 * np.pi * np.arange(M + 1) / M / 1.008) ** 2
    for j in range(M, 0, -1):
        u[j - 1] = math.sqrt((u[j] ** 2 + 1) / max(bar[j - 1] / bar[j], 0.001) - 1)
    return list(u[:-1])


IDDPM_U = iddpm_u()


def minus(sigma: float) -> float:
    return -1.0


EDM_FAMILIES: dict[str, Precondition] = {
    "vp": EpsPrediction(VPSDE(scale=999)),
    "ve": Scaled(EpsPrediction(LogClock(1, unit=2), VE), minus),
    "iddpm": EpsPrediction(iddpm_labels()),
}
