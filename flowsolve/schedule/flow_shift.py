"""Grids of flow matching. The shift t' = shift t/(1 + (shift-1)t) of t = σ/(1+σ) is σ' = shift σ."""

from __future__ import annotations

import math
from typing import Literal

from flowsolve._arguments import real, whole
from flowsolve.errors import GridError, ScheduleError
from flowsolve.schedule.grid import Grid


def dynamic_shift(
    image_seq_len: int,
    base_shift: float = 0.5,
    max_shift: float = 1.15,
    base_seq_len: int = 256,
    max_seq_len: int = 4096,
    *,
    kind: Literal["exponential", "linear"] = "exponential",
) -> float:
    """e^μ (or μ, "linear"), μ on the line through (base_seq_len, base_shift), (max_seq_len, max_shift).   Flux.

    image_seq_len  the number of image tokens, for Flux (height/16) (width/16)

    The shift of `flow_uniform` for an image of this size. Raises ScheduleError unless it is positive.
    """
    image_seq_len = whole("dynamic_shift: image_seq_len", image_seq_len, 1, ScheduleError)
    slope = (max_shift - base_shift) / (max_seq_len - base_seq_len)
    return shift_of(base_shift + slope * (image_seq_len - base_seq_len), kind)


def shift_of(mu: float, kind: Literal["exponential", "linear"] = "exponential") -> float:
    """e^μ ("exponential") or μ ("linear"). Raises ScheduleError unless it is positive."""
    if kind not in ("exponential", "linear"):
        raise ScheduleError(f'kind must be "exponential" or "linear", but got {kind!r}.')
    mu = real("a flow's shift: mu", mu, ScheduleError)
    shift = math.exp(mu) if kind == "exponential" else mu
    if not 0 < shift < math.inf:
        raise ScheduleError(f"a flow's shift must be positive, but mu = {mu!r} gives {shift!r}.")
    return shift


def flow_uniform(
    n: int,
    *,
    shift: float = 1.0,
    first: float = 1.0,
    last: float = 0.001,
    terminal: float | None = None,
) -> Grid:
    """t_i even from `first` to `last`, t' = shift t/(1 + (shift-1)t), σ_i = t'/(1-t'), i < n; then 0.   SD3.

    terminal  if given, all 1 - t' are scaled so that the last t' before 0 is this (LTX-Video)

    n steps, which cost Euler n evaluations. first = 1 is σ = ∞. Raises GridError for times outside (0, 1], no
    step, or a shift that is not positive.
    """
    n = whole("flow_uniform: n", n, error=GridError)
    for name, value in (("shift", shift), ("first", first), ("last", last)):
        real(f"flow_uniform: {name}", value, GridError)
    if n < 1:
        raise GridError(f"flow_uniform: a grid needs at least one step, but got n = {n}.")
    if not (0 < last <= first <= 1 and 0 < shift < math.inf):
        raise GridError(
            f"flow_uniform: need 0 < last <= first <= 1 and shift > 0, but got first = {first!r}, "
            f"last = {last!r}, shift = {shift!r}."
        )
    times = [first + (last - first) * (i / max(n - 1, 1)) for i in range(n)]
    levels = [shift * odds(t) for t in times]
    if terminal is not None:
        if not 0 < real("flow_uniform: terminal", terminal, GridError) < 1 or math.isinf(
            levels[-1]
        ):
            raise GridError(
                f"flow_uniform: terminal = {terminal!r} must lie between 0 and 1, and needs n > 1."
            )
        levels = [(1 + s) / (1 + levels[-1]) / (1 - terminal) - 1 for s in levels]
    name = "flow_uniform" if shift == 1 else f"flow_uniform(shift={shift:.6g})"
    return Grid((*levels, 0.0), name)


def odds(t: float) -> float:
    """σ = t/(1-t), and ∞ at t = 1."""
    return math.inf if t == 1 else t / (1 - t)
