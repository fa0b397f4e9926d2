"""Where sampling starts: the factor that makes x̄ at σ₀ of unit noise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowsolve._arguments import real, shown
from flowsolve.errors import StateError
from flowsolve.ode.noise import far_wider
from flowsolve.schedule.tracing import compiling

if TYPE_CHECKING:
    from torch import Tensor


def ve_start(sigma: float) -> float:
    """x̄ = σ noise: pure noise, as EDM and k-diffusion start. The default of `sample`."""
    return sigma


def vp_start(sigma: float) -> float:
    """x̄ = √(1+σ²) noise: x_T ~ N(0, I) on a variance-preserving path, as DDPM and DDIM start."""
    return math.hypot(1, sigma)


def start_scale(start: Callable[[float], float], sigma: float) -> float:
    """start(σ), a number. Raises StateError for what is no function of one level."""
    if not callable(start):
        raise StateError(f"start must be a function of σ₀ such as vp_start, not {shown(start)}.")
    try:
        found = start(sigma)
    except TypeError as error:
        raise StateError(
            f"start is called as start(σ₀), such as vp_start, but {shown(start)} fails so: {error}."
        ) from error
    return real("start(σ₀)", found, StateError)


def warn_of_scaled_noise(x: Tensor, sigma: float, factor: float) -> None:
    """Warn of a start far wider than its σ implies, on the CPU: on a device looking would wait for it.

    Noise that is taken as it is, by a factor of 1, is not looked at.
    """
    implied = max(factor, math.hypot(1, sigma))
    seen = factor != 1 and x.device.type == "cpu" and not compiling()
    found = far_wider(x, implied) if seen else None
    if found is not None:
        warnings.warn(
            f"the start has a deviation of {found:.3g} at σ = {sigma:.4g}, where unit noise gives "
            f"{implied:.4g}. `sample` multiplies the noise by σ itself: give it unit noise, or what is "
            "scaled already with start=lambda sigma: 1.",
            stacklevel=3,
        )
