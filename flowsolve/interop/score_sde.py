"""score-SDE: networks that give the score ∇ log p_t(x_t) = -ε/s, and the sub-VP path.    Song et al. 2021.

What the networks of score_sde return before its `get_score_fn` differs: on VP and sub-VP ε itself at label
999 t, on VE the score at label σ:

    VP       DiffusionODE(network, EpsPrediction(VPSDE(scale=999)))
    sub-VP   DiffusionODE(network, EpsPrediction(SubVPSDE(scale=999), SUB_VP))
    VE       from_score(network, SigmaClock(), VE)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from flowsolve.ode.diffusion import DiffusionODE, Network
from flowsolve.ode.precondition import VP, EpsPrediction, Path, Scaled
from flowsolve.schedule.clock import VPSDE, Clock


@dataclass(frozen=True, repr=False)
class SubVPSDE(VPSDE):
    """σ = 2 sinh(B/2), B = β_min t + (β_max - β_min) t²/2; s = 1 - e^-B.      Song et al. 2021, Eq. 29."""

    def sigma(self, t: float) -> float:
        """2 sinh(B/2)."""
        return 2 * math.sinh(self._log_snr(self._inside(t, 0, self.scale) / self.scale) / 2)

    def t(self, sigma: float) -> float:
        """VP's t with the same B: there σ² = e^B - 1."""
        b = 2 * math.asinh(self._positive(sigma) / 2)
        return super().t(math.sqrt(math.expm1(b)))

    def rate(self, t: float) -> float:
        """β(t) √(1 + σ²/4)."""
        beta = self.beta_min + (self.beta_max - self.beta_min) * t / self.scale
        return beta * math.hypot(1, self.sigma(t) / 2) / self.scale


def from_score(
    score: Network, clock: Clock = VPSDE(), path: Path = VP, **options: Any
) -> DiffusionODE:
    """ε = -s · score(x_t, t), s = σα.                                              Song et al. 2021, Eq. 13.

    clock  t(σ), VPSDE() with t in [0, 1] unless told otherwise; VESDE() and path=VE; SubVPSDE() and path=SUB_VP
    options  as of DiffusionODE
    """
    return DiffusionODE(score, score_of(clock, path), **options)


def score_of(clock: Clock, path: Path = VP) -> Scaled:
    """The precondition of `from_score`, for training too: F = -ε/s."""
    factor: Callable[[float], float] = partial(_minus_one_over_s, path)
    return Scaled(EpsPrediction(clock, path), factor)


def _minus_one_over_s(path: Path, sigma: float) -> float:
    return -1 / (sigma * path.alpha(sigma))
