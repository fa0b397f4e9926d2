"""check: a network asked four times on one or two samples, and a report of what is wrong with its answers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve._arguments import reals, shown
from flowsolve.errors import ScheduleError, StateError
from flowsolve.ode.base import ODE, leaves
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.ode.meeting import Ends, Finding, examine
from flowsolve.ode.noise import far_wider

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Report:
    """What `check` found. Its text is the report.

    problems  what is wrong, doubtful or handled, and how to mend it;  ok: none of it is fatal
    asked     on what it was found
    spread    the RMS by which two answers to one input differ, over that of the answers
    """

    asked: str
    problems: tuple[Finding, ...]
    spread: float = math.nan

    @property
    def ok(self) -> bool:
        return not any(p.fatal for p in self.problems)

    def __str__(self) -> str:
        if not self.problems:
            same = "the same" if self.spread == 0 else f"the same to {self.spread:.0e}"
            lines = [
                "  shape, dtype and device are those of the state",
                f"  two answers to one input are {same}",
                "  the input is left as it was, and every answer is new",
            ]
            return "\n".join([f"{self.asked}: no problem found", *lines])
        found = [
            f"  {'wrong' if p.fatal else 'doubtful' if p.doubt else 'handled'}: {p}"
            for p in self.problems
        ]
        works = "it runs, but look again" if any(p.doubt for p in self.problems) else "it works"
        verdict = works if self.ok else "it cannot be used as it is"
        return "\n".join([f"{self.asked}: {verdict}", *found])

    __repr__ = __str__


def check(ode: ODE, noise: Tensor, *, ends: Ends | None = None) -> Report:
    """Ask every network of the ODE about the first two samples: at σ_max, at σ_min, and twice more at σ_max.

    ode    as `sample` takes it, under its conditions; one with `BySeed` as `ode.for_seeds(seeds)`
    noise  unit noise as `sample` takes it, (B, *event): its shape, dtype and device are those of the run
    ends   (σ_max, σ_min) of the run; unless given those of the problem, or the widest within 80 and 0.002
           that the network has labels for

    What is looked for: shape, dtype and device of the answer, and values that are not finite; a condition that
    is missing, of another length or kind; labels that the network does not take; answers that change from call
    to call; an input that is changed in place; an output buffer that is used again; noise that is not of unit
    deviation; labels that the network rounds, where they span 10 or more. Where σ_max is 10 or more, also a
    wrong meaning: the answer there holds more or less of the noise than its Precondition takes for granted, by
    the sign, by what is predicted or by the end of time.
    Raises StateError for what is no ODE, or no state.
    """
    import torch

    if not isinstance(ode, ODE):
        raise StateError(
            f"ode must be an ODE such as DiffusionODE(network, precondition), not {ode!r:.80}."
        )
    if not isinstance(noise, torch.Tensor) or not noise.is_floating_point() or not noise.numel():
        raise StateError(f"noise must be floating-point, (B, *event), not {noise!r:.80}.")
    levels = _ends(ode) if ends is None else reals("ends", ends)
    if len(levels) != 2:
        raise ValueError(f"ends are two levels, the highest and the lowest, but got {shown(ends)}.")
    high, low = levels
    shape = f"{tuple(noise[:2].shape)} of {str(noise.dtype)[6:]} on {noise.device}"
    asked = f"{type(ode).__name__} asked about {shape}, σ = {high:.4g} and {low:.4g}"
    found = [*_deviation(noise)]
    more, spread = examine(ode, noise[:2], (high, low), {len(noise): ode}, steps=True)
    return Report(asked, (*more, *found), spread)


def _deviation(noise: Tensor) -> Iterator[Finding]:
    found = far_wider(noise)
    if found is not None:
        yield Finding(
            f"the noise has a deviation of {found:.3g}, but `sample` takes unit noise and multiplies it by σ "
            "itself: leave the multiplication out."
        )


def _ends(ode: ODE) -> Ends:
    """The ends of a problem, or the widest within 80 and 0.002 that every network has labels for."""
    given = getattr(ode, "sigma_max", None), getattr(ode, "sigma_min", None)
    if given[0] and given[1]:
        return float(given[0]), float(given[1])
    parts = [leaf.precondition for leaf in leaves(ode) if isinstance(leaf, DiffusionODE)]

    def known(sigma: float) -> bool:
        try:
            return all(p(sigma) for p in parts)
        except ScheduleError:
            return False

    rise = [0.002 * 40000 ** (i / 400) for i in range(401)]
    inside = [sigma for sigma in rise if known(sigma)] or [1.0]
    return inside[-1], inside[0]
