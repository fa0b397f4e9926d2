"""The two scales of the data that grids and charts need, measured by two evaluations, or guessed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flowsolve._arguments import shown
from flowsolve.errors import StateError
from flowsolve.ode.base import ODE, Scales, parts

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 8  # noises


def scales(ode: ODE, noise: Tensor) -> Scales:
    """std and top of the data that the ODE leads to, by two evaluations. Kept as `ode.scales`.

    noise  N(0, I), (B, *event), B at least 8, such as 16; a condition of the ODE has as many rows

    With D = x₀(x̄, σ): for Gaussian data of covariance C it is Cov D = C²/(C + σ²), whose largest eigenvalue t
    gives top² = (t + √(t² + 4tσ²))/2, and Cov(x̄, D) = C, whose trace is d std². D is asked at σ = 40 first,
    then near the top found there. Raises StateError for fewer noises, and where no levels are known.
    """
    import torch

    if not isinstance(noise, torch.Tensor) or noise.ndim < 1 or len(noise) < LEAST:
        got = tuple(noise.shape) if isinstance(noise, torch.Tensor) else shown(noise)
        raise StateError(
            f"scales needs {LEAST} unit noises or more, such as 16, (B, *event), not {got}."
        )
    high, _ = sigma_range(ode)
    with torch.no_grad():
        first = min(40.0, high)
        x = noise * (math.hypot(1, first) if math.isinf(high) else high * _kept(high, first))
        data = ode.x0(x, first)
        t = _largest(_centred(data)) / math.sqrt(len(noise) - 1)
        top = math.sqrt(first * first * t / (first - t)) if t < first else math.inf
        s = min(max(top, 0.5), first / 1.5)
        # one Euler step of the velocity chart, z = x̄/√(1+σ²), with the F found at `first`
        f = ((x - data) / first - first * data) / math.hypot(1, first)
        x = x * _kept(first, s) + f * (math.hypot(1, s) * (math.atan(s) - math.atan(high)))
        a, b = _centred(x), _centred(ode.x0(x, s))
        t = _largest(b) ** 2 / (len(noise) - 1)
        spread = max(float((a * b).sum()), float((b * b).sum())) / (len(noise) - 1)
    top = math.sqrt((t + math.sqrt(t * t + 4 * t * s * s)) / 2)
    found = Scales(math.sqrt(spread / b.shape[1]), top)
    object.__setattr__(ode, "_scales", found)  # frozen dataclasses among them
    return found


def known_scales(ode: ODE, event: tuple[int, ...]) -> Scales:
    """Those that were measured, of the ODE or of one inside it; else a guess from the shape of a sample."""
    measured = next((p.scales for p in parts(ode) if p.scales is not None), None)
    if measured is not None:
        return measured
    return guessed_scales(
        event, next((p.data_std for p in parts(ode) if p.data_std is not None), None)
    )


def guessed_scales(event: tuple[int, ...], std: float | None = None) -> Scales:
    """std is EDM's σ_data, else 1/2, and top = std max(4, √(0.3 d)) for d values: of images in [-1, 1]."""
    std = 0.5 if std is None else std
    return Scales(std, std * max(4.0, math.sqrt(0.3 * math.prod(event))))


def sigma_range(ode: ODE) -> tuple[float, float]:
    """(σ_max, σ_min) that the ODE, or one inside it, knows. Raises StateError if none does."""
    known = next((p.sigma_range for p in parts(ode) if p.sigma_range is not None), None)
    if known is None:
        raise StateError(
            f"{shown(ode)} does not know the levels that it was trained on. Give it them: "
            "ode.sigma_range = (80.0, 0.002), from noise to data."
        )
    return known


def _kept(s: float, t: float) -> float:
    return math.hypot(1, t) / math.hypot(1, s)


def _centred(x: Tensor) -> Tensor:
    flat = x.reshape(len(x), -1).double()
    return flat - flat.mean(0)


def _largest(x: Tensor) -> float:
    import torch

    return float(torch.linalg.matrix_norm(x, 2))
