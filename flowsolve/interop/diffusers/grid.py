"""n -> Grid: the levels that diffusers' schedulers take, with the level after the last one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from flowsolve.errors import GridError
from flowsolve.schedule.discrete import DiscreteClock
from flowsolve.schedule.flow_shift import flow_uniform, odds
from flowsolve.schedule.grid import Grid, Spacing
from flowsolve.schedule.spacings import karras, log_snr
from flowsolve.schedule.timesteps import Final, leading, linspace, trailing
from flowsolve.schedule.tuned import beta

Levels = Literal["", "karras", "exponential", "beta"]
SPACED: dict[str, Spacing] = {"karras": karras, "exponential": log_snr, "beta": beta}


@dataclass(frozen=True)
class TableSpacing:
    """The levels of a table ᾱ_t that a scheduler takes, and then 0 or the table's first σ_0.

    spacing     how labels are placed: "leading", "trailing" or "linspace", with `steps_offset`
    levels      a spacing in σ instead, between two levels of the table, or sigma_max and sigma_min
    variant     the class's own rule: "ddim", "dpm", or "ve" (Euler, Heun, LMS, KDPM2: linspace without
                rounding, σ linear between labels)
    final       "zero" for a last step to 0, "first" for one to σ_0
    keep        how many labels are left after `lambda_min_clipped`; None: all
    log_linear  Euler's interpolation_type: n steps even in log σ over the whole table, none to 0
    rising      turn the grid around (DDIMInverse)
    """

    clock: DiscreteClock
    variant: Literal["ddim", "dpm", "ve"]
    spacing: str = "leading"
    steps_offset: int = 0
    levels: Levels = ""
    final: Final = "zero"
    sigma_max: float | None = None
    sigma_min: float | None = None
    keep: int | None = None
    log_linear: bool = False
    rising: bool = False

    def __call__(self, n: int) -> Grid:
        """The grid of n evaluations of a one-evaluation method."""
        name = f"{self.levels or self.spacing}[{self.clock}]"
        if self.levels:
            top, low = self._ends(n)
            inner = _spaced(self.levels, n, self.sigma_max or top, self.sigma_min or low)
        elif self.log_linear:
            return log_snr(n, *self._ends(n))
        else:
            inner = self._labelled(n)
        last = self.clock.sigma(0) if self.final == "first" else 0.0
        if self.rising and last == 0:  # no network is asked at σ = 0
            return Grid(inner, name).reversed()
        if inner[-1] > last * (1 + 1e-9):  # a step of no length is left out
            inner = [*inner, last]
        grid = Grid(inner, name if self.final == "zero" else f"{name}, to σ_0")
        return grid.reversed() if self.rising else grid

    def _ends(self, n: int) -> tuple[float, float]:
        """The ends of `levels`: those of the table for the DPM-Solver family, else of the labelled levels."""
        if self.variant == "dpm" or self.log_linear:
            return self.clock.sigma(len(self.clock.alphas_cumprod) - 1), self.clock.sigma(0)
        labelled = self._labelled(n)
        return labelled[0], labelled[-1]

    def _labelled(self, n: int) -> list[float]:
        T = len(self.clock.alphas_cumprod)
        keep = T if self.keep is None else self.keep
        short = replace(self.clock, alphas_cumprod=self.clock.alphas_cumprod[:keep])
        if self.spacing == "trailing" and keep < T:  # from `keep`, by strides of T
            labels = (round(keep - i * (T / n)) - 1 for i in range(n))
            return [self.clock.sigma(t) for t in labels if t >= 0]
        if self.spacing == "trailing":
            grid = trailing(n, clock=short)
        elif self.spacing == "leading":
            grid = leading(
                n,
                clock=short,
                steps_offset=self.steps_offset,
                variant="dpm" if self.variant == "dpm" else "ddim",
            )
        elif self.variant == "ve":
            linear = replace(short, between="sigma")
            grid = linspace(n, clock=linear, variant="euler")
        else:
            grid = linspace(n, clock=short, variant=self.variant)
        return list(grid[:-1])


@dataclass(frozen=True)
class FlowSpacing:
    """Flow matching's levels t' = shift t/(1 + (shift-1)t), t even from 1 to an end; then t = 0.

    end       "1/T", or "1/n", which pipelines such as Flux's pass; or "open": n + 1 even values from 1 to
              1/T without the lowest one (UniPC)
    terminal  shift_terminal of the config, if it is set
    levels    another spacing, in t', between the ends of these levels
    final     "zero" for a last step to 0, "first" for none
    top       above 0: the first level is t' = 1 - top in place of σ = ∞
    twice     shift the end twice, as FlowMatchEulerDiscreteScheduler does
    """

    shift: float = 1.0
    end: Literal["1/T", "1/n", "open"] = "1/T"
    terminal: float | None = None
    levels: Levels = ""
    final: Final = "zero"
    top: float = 0.0
    T: int = 1000
    twice: bool = False

    def __call__(self, n: int) -> Grid:
        """The grid of n evaluations of a one-evaluation method."""
        steps = max(n, 1)
        ends = {"1/T": 1 / self.T, "1/n": 1 / steps, "open": (1 + (steps - 1) / self.T) / steps}
        last = ends[self.end]
        if self.twice:
            last = self.shift * last / (1 + (self.shift - 1) * last)
        grid = flow_uniform(n, shift=self.shift, last=last, terminal=self.terminal)
        levels = list(grid[:-1])
        if self.levels:
            t = [1.0 if math.isinf(s) else s / (1 + s) for s in (levels[0], levels[-1])]
            levels = [odds(u) for u in _spaced(self.levels, n, *t)]
        if self.top:
            levels[0] = odds(1 - self.top)
        name = f"flow {self.levels}" if self.levels else grid.name
        return Grid([*levels, 0.0] if self.final == "zero" else levels, name)


@dataclass(frozen=True)
class SolverFlowSpacing:
    """The flow levels of diffusers' DPM-Solver and DEIS: t even from 1 - 1/T down in n steps, shifted.

    They begin below t = 1, at a finite σ. After the n levels comes 0, unless final is "first".
    """

    shift: float = 1.0
    T: int = 1000
    final: Final = "zero"

    def __call__(self, n: int) -> Grid:
        """The grid of n evaluations of a one-evaluation method."""
        if n < 1:
            raise GridError(f"a grid needs at least one step, but got n = {n}.")
        times = [(1 - 1 / self.T) * (n - i) / n for i in range(n)]
        levels = [self.shift * odds(t) for t in times]
        return Grid([*levels, 0.0] if self.final == "zero" else levels, "flow, DPM-Solver's")


@dataclass(frozen=True)
class RangeSpacing:
    """n levels from sigma_max to sigma_min, Karras's or even in log σ, and then 0 unless final is "first"."""

    levels: Levels
    sigma_max: float
    sigma_min: float
    rho: float = 7.0
    final: Final = "zero"

    def __call__(self, n: int) -> Grid:
        """The grid of n evaluations of a one-evaluation method."""
        options = {"rho": self.rho} if self.levels == "karras" else {}
        inner = _spaced(self.levels, n, self.sigma_max, self.sigma_min, **options)
        return Grid([*inner, 0.0] if self.final == "zero" else inner, self.levels)


@dataclass(frozen=True)
class SineSpacing:
    """α x̄ has noise s = sin²(πu/2), u = 1, 1 - 1/n, ..., 0:  from σ = ∞ to 0.            IPNDMScheduler."""

    def __call__(self, n: int) -> Grid:
        """The grid of n evaluations of a one-evaluation method."""
        if n < 1:
            raise GridError(f"a grid needs at least one step, but got n = {n}.")
        noise = [math.sin(math.pi / 2 * (1 - i / n)) ** 2 for i in range(1, n)]
        return Grid([math.inf, *(s / math.sqrt(1 - s * s) for s in noise), 0.0], "sine")


def _spaced(levels: str, n: int, top: float, low: float, **options: float) -> list[float]:
    if math.isinf(top):
        raise GridError(
            f"{levels} levels cannot begin at σ = ∞ (zero terminal SNR). Take as_shipped=True for "
            "diffusers' σ = 4096 in its place, or another spacing."
        )
    make: Callable[..., Grid] = SPACED[levels]
    return [top] if n == 1 else list(make(n - 1, top, low, **options))
