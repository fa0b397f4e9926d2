"""Flow matching and interpolants: velocities in either direction of time and of either sign."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

from flowsolve._arguments import real
from flowsolve.errors import NetworkError
from flowsolve.ode.diffusion import DiffusionODE, Network
from flowsolve.ode.precondition import (
    FLOW,
    VP,
    FlowPrediction,
    Path,
    Precondition,
    Scaled,
    VPrediction,
)
from flowsolve.schedule.clock import Clock, FlowClock
from flowsolve.schedule.labels import AngleClock, Reversed

End = Literal[0, 1]


def from_velocity(
    network: Network,
    *,
    data_at: End = 0,
    points_to: End = 1,
    time_scale: float = 1.0,
    path: Path = FLOW,
    **options: Any,
) -> DiffusionODE:
    """F = dx_t/dt of x_t = (1-t) x₀ + tε (data_at=0), or of x_t = t x₀ + (1-t) ε (data_at=1).

    data_at     where the data are: 0 in Stable Diffusion 3, Flux and diffusers; 1 in Lipman et al. 2023, Liu,
                Gong and Liu 2023, torchcfm and SiT's code
    points_to   1: F points to larger t, as dx_t/dt does.  0: it is -dx_t/dt
    time_scale  the network's label is time_scale · t, for example 1000; F is per unit of t all the same
    path        FLOW, or VP for cos(πt/2) and sin(πt/2) in place of 1-t and t (SiT's GVP, Ma et al. 2024)
    options     as of DiffusionODE
    """
    return DiffusionODE(network, velocity(data_at, points_to, time_scale, path), **options)


def velocity(
    data_at: End = 0, points_to: End = 1, time_scale: float = 1.0, path: Path = FLOW
) -> Precondition:
    """The precondition of `from_velocity`, for training too. Raises NetworkError."""
    ends = all(isinstance(end, int) and end in (0, 1) for end in (data_at, points_to))
    known = isinstance(path, Path) and path in (FLOW, VP)
    if not (ends and known and real("time_scale", time_scale, NetworkError) > 0):
        raise NetworkError(
            "a velocity needs data_at and points_to 0 or 1, time_scale > 0 and path FLOW or VP, but got "
            f"data_at = {data_at!r}, points_to = {points_to!r}, time_scale = {time_scale!r}, path = {path!r}."
        )
    clock: Clock = FlowClock(scale=time_scale) if path == FLOW else AngleClock(time_scale)
    if data_at == 1:
        clock = Reversed(clock, time_scale)
    u = FlowPrediction(clock) if path == FLOW else VPrediction(clock)
    # towards the noise, dx_t/dt is ε - x₀ on FLOW, and π/2 v on VP
    factor = (1.0 if path == FLOW else math.pi / 2) * (-1 if points_to == data_at else 1)
    return u if factor == 1 else Scaled(u, partial(_constant, factor))


def _constant(factor: float, sigma: float) -> float:
    return factor
