"""Whole labels: what codes pass to a network that was trained at t = 0, 1, ..., T-1 and asked between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flowsolve.errors import ScheduleError
from flowsolve.schedule import Clock


@dataclass(frozen=True, repr=False)
class WholeLabels(Clock):
    """t(σ) = round(t'(σ)) or ⌊t'(σ)⌋, t' the label of another clock; σ(t) and its rate are that clock's.

    by = "round":    to the nearest, half to even: diffusers' DPM-Solver, DEIS and UniPC on Karras levels.
         "truncate": down: the same schedulers on exponential, beta and flow levels (409.97 gives 409).
    What the network is told then moves in jumps, while σ does not.
    """

    clock: Clock
    by: Literal["round", "truncate"] = "round"

    def __post_init__(self) -> None:
        if self.by not in ("round", "truncate"):
            raise ScheduleError(f'by must be "round" or "truncate", but got {self.by!r}.')

    def sigma(self, t: float) -> float:
        """The inner clock's."""
        return self.clock.sigma(t)

    def t(self, sigma: float) -> float:
        """The inner clock's label, made whole."""
        t = self.clock.t(sigma)
        # a table's own σ comes back as 998.9999999
        return float(round(t) if self.by == "round" or abs(t - round(t)) < 1e-6 else int(t))

    def rate(self, t: float) -> float:
        """The inner clock's."""
        return self.clock.rate(t)
