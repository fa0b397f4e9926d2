"""Spacings by a formula: functions (n, sigma_max, sigma_min) -> Grid of n steps, n + 1 levels with both ends.

EDM's "n steps, the last to zero" is `karras(n - 1, 80, 0.002).to_zero()`. All raise GridError for n < 1 and
unless 0 <= sigma_min < sigma_max < ∞.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from flowsolve._arguments import instance, real, whole
from flowsolve.errors import GridError
from flowsolve.schedule.clock import Clock
from flowsolve.schedule.grid import Grid


def ramp(
    n: int, sigma_max: float, sigma_min: float, name: str, *, infinite: bool = False
) -> list[float]:
    """The fractions 0, 1/n, ..., 1. Raises GridError for arguments that no spacing takes.

    infinite  whether σ_max may be ∞
    """
    n = whole(f"{name}: n", n, error=GridError)
    if n < 1:
        raise GridError(f"{name}: a grid needs at least one step, but got n = {n}.")
    for end, value in (("sigma_max", sigma_max), ("sigma_min", sigma_min)):
        real(f"{name}: {end}", value, GridError)
    if not 0 <= sigma_min < sigma_max or (math.isinf(sigma_max) and not infinite):
        raise GridError(
            f"{name}: need 0 <= sigma_min < sigma_max < inf, but got sigma_max = {sigma_max!r}, "
            f"sigma_min = {sigma_min!r}. Add the ends ∞ and 0 with .from_infinity(), .to_zero()."
        )
    return [i / n for i in range(n + 1)]


def with_ends(sigma_max: float, inner: Iterable[float], sigma_min: float, name: str) -> Grid:
    """The Grid of `inner` with its first and last level replaced by the exact ends, against rounding."""
    middle = list(inner)[1:-1]
    return Grid((sigma_max, *middle, sigma_min), name)


def karras(n: int, sigma_max: float, sigma_min: float, rho: float = 7.0) -> Grid:
    """σ_i = (σ_max^(1/ρ) + i/n (σ_min^(1/ρ) - σ_max^(1/ρ)))^ρ.     Karras et al. 2022, Eq. 5."""
    fractions, rho = ramp(n, sigma_max, sigma_min, "karras"), real("karras: rho", rho, GridError)
    if rho == 0:
        raise GridError("karras: rho = 0 has no grid; its limit, even in log σ, is log_snr.")
    a, b = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    name = "karras" if rho == 7 else f"karras(rho={rho:g})"
    return with_ends(sigma_max, ((a + r * (b - a)) ** rho for r in fractions), sigma_min, name)


def log_snr(n: int, sigma_max: float, sigma_min: float) -> Grid:
    """log σ_i uniform, and so λ_i = -log σ_i, half the log-SNR.    Lu et al. 2022a, Section 4."""
    return _exponential(n, sigma_max, sigma_min, 1.0, "log_snr")


def exponential(n: int, sigma_max: float, sigma_min: float, rho: float = 1.0) -> Grid:
    """log σ_i = log σ_min + (1 - i/n)^ρ log(σ_max/σ_min): k-diffusion's (poly)exponential.

    With ρ = 1 it has the levels of `log_snr`.
    """
    rho = real("exponential: rho", rho, GridError)
    if not rho > 0:
        raise GridError(f"exponential: need rho > 0, but got rho = {rho!r}.")
    name = "exponential" if rho == 1 else f"exponential(rho={rho:g})"
    return _exponential(n, sigma_max, sigma_min, rho, name)


def _exponential(n: int, sigma_max: float, sigma_min: float, rho: float, name: str) -> Grid:
    fractions = ramp(n, sigma_max, sigma_min, name.partition("(")[0])
    if sigma_min == 0:
        raise GridError(
            "a grid uniform in log σ cannot end at 0: give sigma_min > 0, then .to_zero()."
        )
    width = math.log(sigma_max / sigma_min)
    inner = (sigma_min * math.exp((1 - r) ** rho * width) for r in fractions)
    return with_ends(sigma_max, inner, sigma_min, name)


def uniform(n: int, sigma_max: float, sigma_min: float) -> Grid:
    """σ_i = σ_max + i/n (σ_min - σ_max)."""
    fractions = ramp(n, sigma_max, sigma_min, "uniform")
    inner = (sigma_max + r * (sigma_min - sigma_max) for r in fractions)
    return with_ends(sigma_max, inner, sigma_min, "uniform")


def uniform_t(
    n: int, sigma_max: float, sigma_min: float, *, clock: Clock, power: float = 1
) -> Grid:
    """σ_i = σ(t_i), with t_i^(1/p) uniform from t(σ_max)^(1/p) to t(σ_min)^(1/p).

    p = power; 1 is uniform in time. Raises GridError for p != 1 on a clock with negative times.
    """
    fractions = ramp(n, sigma_max, sigma_min, "uniform_t")
    instance("clock", clock, Clock, "VPSDE()")
    power = real("uniform_t: power", power, GridError)
    if power == 0:
        raise GridError("uniform_t: power = 0 has no grid. 1 is uniform in time, 2 in its root.")
    first, last = clock.t(sigma_max), clock.t(sigma_min)
    if power != 1 and last < 0:
        raise GridError(
            f"{clock} gives negative times (t = {last:.4g}), which have no power {power}."
        )
    a, b = (first, last) if power == 1 else (first ** (1 / power), last ** (1 / power))
    inner = [clock.sigma((a + r * (b - a)) ** power) for r in fractions[1:-1]]
    named = {1.0: "uniform_t", 2.0: "quadratic_t"}
    name = named.get(float(power), f"uniform_t(power={power:g})")
    return with_ends(sigma_max, (sigma_max, *inner, sigma_min), sigma_min, f"{name}[{clock}]")


def quadratic_t(n: int, sigma_max: float, sigma_min: float, *, clock: Clock) -> Grid:
    """σ_i = σ(t_i), √t_i uniform.               Song, Meng, Ermon 2021, Appendix D.2."""
    return uniform_t(n, sigma_max, sigma_min, clock=clock, power=2)
