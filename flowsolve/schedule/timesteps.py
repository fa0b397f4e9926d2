"""Grids whose levels are those of labels τ, a subset of the labels 0 ... T-1 of a discrete clock.

The same name means different labels in different codes. With T = 1000 and n = 10 (followed by 0 or σ_0):

    tau_linear, leading             900, 800, ..., 0        leading, variant="dpm"      900, 810, ..., 90
    trailing                        999, 899, ..., 99
    linspace                        999, 888, ..., 0        linspace, variant="dpm"     999, 899, ..., 100
    tau_quadratic                   800, 632, ..., 0

variant  "ddim": as diffusers' DDIM, DDPM and PNDM (and, for leading and trailing, Euler, Heun, LMS and KDPM2);
         "dpm": as its DPM-Solver, DEIS, UniPC and SA-Solver; "euler": linspace without rounding
final    the level after the last label, "zero" (in diffusers set_alpha_to_one or final_sigmas_type="zero") or
         "first", σ_0 of the table (set_alpha_to_one=False or final_sigmas_type="sigma_min"). A step of length
         zero, from σ_0 to σ_0, is left out
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from flowsolve._arguments import shown, whole
from flowsolve.errors import GridError
from flowsolve.schedule.discrete import DiscreteClock
from flowsolve.schedule.grid import Grid

Final = Literal["zero", "first"]


def tau_linear(n: int, *, clock: DiscreteClock, final: Final = "zero") -> Grid:
    """τ_i = ⌊i T/n⌋, i < n.                              Song, Meng, Ermon 2021, Appendix D.2.

    Their code takes all multiples of ⌊T/n⌋ below T, which is the same if n divides T, else more than n labels.
    """
    T = _table(n, clock, final, "tau_linear")
    return _grid((i * T // n for i in range(n)), clock, final, "tau_linear")


def tau_quadratic(n: int, *, clock: DiscreteClock, final: Final = "zero") -> Grid:
    """τ_i = ⌊0.8 T (i/(n-1))²⌋, i < n.                   Song, Meng, Ermon 2021, Appendix D.2.

    It starts at 0.8 T, as in their code. Labels that repeat near 0 are taken once, so that for large n there
    are fewer than n steps; in their code the repeated ones are steps of length zero.
    """
    T = _table(n, clock, final, "tau_quadratic")
    top, last = math.sqrt(T * 0.8), max(n - 1, 1)  # rounded in the same order as their code
    taus = (int((top if i == last else i * (top / last)) ** 2) for i in range(n))
    return _grid(taus, clock, final, "tau_quadratic")


def leading(
    n: int,
    *,
    clock: DiscreteClock,
    steps_offset: int = 0,
    variant: Literal["ddim", "dpm"] = "ddim",
    final: Final = "zero",
) -> Grid:
    """τ_i = i ⌊T/n⌋ + steps_offset, i < n; in "dpm" i ⌊T/(n+1)⌋, 0 < i <= n.     diffusers, "leading".

    The first label is low if n does not divide T: 852 for n = 7, T = 1000.
    """
    whole("leading: steps_offset", steps_offset, error=GridError)
    name = _named("leading", steps_offset=(steps_offset, 0), variant=(variant, "ddim"))
    T = _table(n, clock, final, name)
    dpm = _dpm(variant, ("ddim", "dpm"), name, n, clock)
    stride = T // (n + dpm)
    return _grid((i * stride + steps_offset for i in range(dpm, n + dpm)), clock, final, name)


def trailing(n: int, *, clock: DiscreteClock, final: Final = "zero") -> Grid:
    """τ_i = round(T - i T/n) - 1, i < n, half to even.     diffusers, "trailing", for all its schedulers.

    T/n is rounded as in np.arange(T, 0, -T/n), which decides the halves: 936, not 937, for n = 48, T = 1000.
    """
    T = _table(n, clock, final, "trailing")
    stride = T - (T - T / n)
    return _grid((round(T - i * stride) - 1 for i in range(n)), clock, final, "trailing")


def linspace(
    n: int,
    *,
    clock: DiscreteClock,
    variant: Literal["ddim", "dpm", "euler"] = "ddim",
    final: Final = "zero",
) -> Grid:
    """τ_i = round(i (T-1)/(n-1)), i < n; in "dpm" round(i (T-1)/n), 0 < i <= n.   diffusers, "linspace".

    "euler" does not round, and σ between labels is the clock's (diffusers interpolates σ linearly).
    """
    name = _named("linspace", variant=(variant, "ddim"))
    T = _table(n, clock, final, name)
    dpm = _dpm(variant, ("ddim", "dpm", "euler"), name, n, clock)
    last = max(n - 1 + dpm, 1)
    labels = (T - 1.0 if i == last else i * ((T - 1) / last) for i in range(dpm, n + dpm))
    return _grid(labels if variant == "euler" else map(round, labels), clock, final, name)


def _dpm(variant: str, known: tuple[str, ...], name: str, n: int, clock: DiscreteClock) -> int:
    """1 for the variant "dpm", which takes n + 1 labels and leaves out the lowest; else 0."""
    if variant not in known:
        raise GridError(f"{name}: variant = {variant!r} is not one of {', '.join(known)}.")
    T = len(clock.alphas_cumprod)
    if variant == "dpm" and n >= T:
        raise GridError(
            f"{name}: {clock} has {T} labels, too few for n = {n} steps and the label left out."
        )
    return int(variant == "dpm")


def _table(n: int, clock: DiscreteClock, final: str, name: str) -> int:
    """T, the size of the clock's table. Raises GridError for arguments that no such grid takes."""
    if not isinstance(clock, DiscreteClock):
        raise GridError(
            f"{name}: labels 0 ... T-1 belong to a discrete clock such as linear_beta(), but got "
            f"{clock!r}. On a continuous clock take uniform_t or quadratic_t."
        )
    T = len(clock.alphas_cumprod)
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise GridError(f"{name}: n must be a whole number of at least 1, but got n = {n!r}.")
    if n > T:
        raise GridError(f"{name}: {clock} has {T} labels, too few for n = {n} steps.")
    if final not in ("zero", "first"):
        raise GridError(f'{name}: final must be "zero" or "first" (σ_0), but got {final!r}.')
    return T


def _named(name: str, **options: tuple[object, object]) -> str:
    """The name, with the options that differ from their defaults."""
    given = ", ".join(
        f"{k}={v}" for k, (v, default) in options.items() if shown(v) != shown(default)
    )
    return f"{name}({given})" if given else name


def _grid(labels: Iterable[float], clock: DiscreteClock, final: Final, name: str) -> Grid:
    """The Grid of these labels, in any order and perhaps repeated, and of the final level."""
    falling = sorted(set(labels), reverse=True)
    top = len(clock.alphas_cumprod) - 1
    if falling[-1] < 0 or falling[0] > top:
        raise GridError(
            f"{name}: the labels go from {falling[0]} to {falling[-1]}, but {clock} has labels from "
            f"{top} to 0. Lower steps_offset, or take fewer steps."
        )
    levels = [clock.sigma(t) for t in falling]
    if final == "zero":
        levels.append(0.0)
    elif falling[-1] > 0:
        levels.append(clock.sigma(0))
    full = f"{name}[{clock}]" if final == "zero" else f"{name}[{clock}], to σ_0"
    if len(levels) < 2:
        raise GridError(f"{full}: the only label is 0, which leaves no step to σ_0.")
    return Grid(levels, full)
