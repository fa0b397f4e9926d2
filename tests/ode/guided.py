"""What the tests of conditions and guidance share: two mixtures, the digits, and a network with a condition."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowsolve import (
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    FlowClock,
    Solver,
    log_snr,
)
from flowsolve.problems import Digits, Mixture
from flowsolve_solvers import (
    DPMSolver3,
    DPMSolverPP2M,
    Euler,
    Heun,
    UniPC,
)

ALL_OF_IT = Mixture(sigma_max=1.0, sigma_min=0.2)
PART = Mixture((0.625, 0.375), ALL_OF_IT.means[1:], ALL_OF_IT.covariances[1:])
X = ALL_OF_IT.start(range(6), torch.float64)
GRID = log_snr(6, 1.0, 0.2)
SOLVERS: list[Solver] = [Euler(), Heun(), DPMSolverPP2M(), DPMSolver3(), UniPC(3)]
CLASSES = torch.tensor([3, 1, 4, 1, 5, 9])
NONE = torch.full_like(CLASSES, 10)
DIGITS = Digits()
IMAGES = DIGITS.start(range(6))
FLOW = FlowClock()


def conditional(x: Tensor, t: Tensor, c: Tensor, **more: Any) -> Tensor:
    """An ε that its condition shifts."""
    return x * 0.3 + c


def of_tensor(c: Any = None) -> DiffusionODE:
    return DiffusionODE(conditional, EpsPrediction(VPSDE()), condition=c)


N = 6
COND, UNCOND = of_tensor(X), of_tensor(-X)
