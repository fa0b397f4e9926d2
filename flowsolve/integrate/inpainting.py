"""Inpainting by replacement: in the known part x₀ is the data, and the rest follows the network.

The known part then moves along the straight line data + σ ε to the data. This holds at every evaluation of
every method, so each keeps its order. The result is not a sample of p(unknown | known): at large σ the
network sees the known part under noise, and so uses too little of it. docs/editing.md measures this;
`Repaint` reduces it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Unpack

from flowsolve.errors import StateError
from flowsolve.integrate.sdedit import EditOptions, partial_start
from flowsolve.ode.base import ODE, Wrapped
from flowsolve.ode.clipping import Limited
from flowsolve.ode.noise import SeededNoise, WithNoise, check_seeds
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver, check_solver

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.integrate.solution import Solution


class Known(Limited):
    """x₀ ← known where the mask is true,  ε ← (x̄ - x₀)/σ.              Song et al. 2021, Appendix I.2, on x₀.

    known  data, (B, *event), like the state; its values where the mask is false are not used
    mask   boolean, True where known; of known's shape, or one that broadcasts to it

    Raises StateError for a mask that is not boolean or does not fit, and for a state unlike `known`.
    """

    def __init__(self, ode: ODE, known: Tensor, mask: Tensor) -> None:
        import torch

        super().__init__(ode)
        if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool:
            kind = mask.dtype if isinstance(mask, torch.Tensor) else type(mask).__name__
            raise StateError(
                f"the mask must be a boolean tensor, True where the data are known, but is {kind}. Of a "
                "picture of the known part: picture > 0.5; of one of the hole: picture < 0.5."
            )
        if not isinstance(known, torch.Tensor) or not known.is_floating_point():
            raise StateError(f"known must be a floating-point tensor, not {known!r:.80}.")
        if mask.device != known.device or not _fits(mask.shape, known.shape):
            raise StateError(
                f"a mask of {tuple(mask.shape)} on {mask.device} does not fit known data of "
                f"{tuple(known.shape)} on {known.device}."
            )
        self.known, self.mask = known, mask

    def limit(self, x0: Tensor) -> Tensor:
        """The known data, and x₀ in the rest."""
        k = self.known
        if (x0.shape, x0.dtype, x0.device) != (k.shape, k.dtype, k.device):
            raise StateError(
                f"the known data are {tuple(k.shape)}, {k.dtype} on {k.device}, but the state is "
                f"{tuple(x0.shape)}, {x0.dtype} on {x0.device}. They must be alike: known.expand_as(state)."
            )
        return k.where(self.mask, x0)


def _fits(shape: Sequence[int], onto: Sequence[int]) -> bool:
    """Whether the first broadcasts to the second."""
    pairs = zip(reversed(shape), reversed(onto), strict=False)
    return len(shape) <= len(onto) and all(a in (1, b) for a, b in pairs)


def inpaint(
    ode: ODE,
    known: Tensor,
    mask: Tensor,
    noise: Tensor,
    *,
    grid: Grid | Iterable[float],
    solver: Solver,
    **options: Unpack[EditOptions],
) -> Solution:
    """`partial_start` of `Known` over the whole grid: x̄ = known + σ₀ noise, and σ₀ noise in the rest.

    known, mask  as in `Known`;  noise: N(0, I), like known
    solver       any; with `Repaint(solver, ...)` the result is nearer to p(unknown | known)
    options      of `partial_start`: see `EditOptions`

    To begin from a guess of the rest: partial_start(Known(ode, known, mask), guess, noise, grid, solver,
    strength=0.8). On a grid to 0 the known part of the answer is `known` (to rounding, if the method reaches 0
    itself), else known + σ noise. Raises as `Known` and `partial_start` do.
    """
    held = Known(ode, known, mask)
    data = known.where(mask, 0.0)
    return partial_start(held, data, noise, grid, solver, strength=1.0, **options)


@dataclass(frozen=True, repr=False)
class Repaint(Solver):
    """x̄_s = x̄_t + √(s²-t²) z, and from s down to t again.                  Lugmayr et al. 2022, Algorithm 1.

    solver   the method down
    repeats  how often each part of the grid is run over in all; 1: no repeat
    seeds    one for each sample, of z and of the noise of a stochastic method; None: the ODE's own noise
    jump     the steps of a part, counted from the last positive level. The paper's schedule: fewer steps, left
             over at the top, are made once, and so are the steps from σ = ∞ and to 0

    A multistep method starts anew in each part. For an ODE without a known part the distribution of the
    result stays: Restart sampling (Xu et al. 2023). `order` is that of the solver.
    """

    solver: Solver
    repeats: int
    seeds: Sequence[int] | None = None
    jump: int = 1

    def __post_init__(self) -> None:
        check_solver(self.solver)
        if self.seeds is not None:
            object.__setattr__(self, "seeds", check_seeds(self.seeds))
        for name in ("repeats", "jump"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"Repaint: {name} is a whole number from 1, but got {value!r}.")

    @property
    def order(self) -> int:
        return self.solver.order

    @property
    def stochastic(self) -> bool:
        return True

    @property
    def adaptive(self) -> bool:
        return self.solver.adaptive

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        """The states of the last run over each part."""
        if self.seeds is not None:
            ode = WithNoise(ode, SeededNoise(self.seeds))
        runs = [_Visit(ode, k, self.repeats) for k in range(self.repeats)]
        jump = self.jump if self.repeats > 1 else grid.steps
        cuts = sorted({0, *range(grid.steps, -1, -jump)})
        for i, k in pairwise(cuts):
            part = grid.part(i, k)
            s, t = part[0], part[-1]
            for noisy in runs[: -1 if k - i == jump else 0]:
                x = deque(self.solver.steps(noisy, x, part), maxlen=1).pop()
                x = x.add(noisy.noise(x, t, s), alpha=math.sqrt((s - t) * (s + t)))
            for state in self.solver.steps(runs[-1], x, part):
                x = state
                yield x


class _Visit(Wrapped):
    """The ODE on the k-th of several visits to a part of the grid, which all have noise of their own."""

    def __init__(self, ode: ODE, k: int, visits: int) -> None:
        super().__init__(ode)
        self.k, self.visits = k, visits

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        return self.ode.noise(x, s, t, self.k + self.visits * again)
