"""The ways to make a digit into another, and the digits that are edited."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from flowsolve.errors import SamplesError
from flowsolve.integrate.driver import sample
from flowsolve.integrate.fixed_point import invert
from flowsolve.integrate.inversion import encode
from flowsolve.integrate.sdedit import partial_start, steps_kept
from flowsolve.integrate.solution import Solution
from flowsolve.integrate.starting import vp_start
from flowsolve.ode.base import ODE
from flowsolve.ode.guidance import Guided
from flowsolve.ode.noise import unit_noise
from flowsolve.problems.digits import Digits, digits_data
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Originals:
    """The first n real digits, each to become another: digit i of class c is to be c + 1 + i mod 9, mod 10.

    grid, solver  up and down;  dtype: of all states

    Raises SamplesError unless 1 <= n <= 1797, MissingExtra without scikit-learn.
    """

    n: int
    grid: Grid
    solver: Solver
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        most = len(digits_data()[0])
        if not 1 <= self.n <= most:
            raise SamplesError(
                f"there are {most} digits to edit, 1 to {most}, but got n = {self.n!r}."
            )

    @cached_property
    def images(self) -> Tensor:
        """(n, 1, 8, 8), in [-1, 1]."""
        return digits_data()[0][: self.n].to(self.noise.dtype)

    @cached_property
    def classes(self) -> Tensor:
        """(n,), the classes of the images."""
        return digits_data()[1][: self.n]

    @cached_property
    def targets(self) -> Tensor:
        """(n,), the classes that they are to become."""
        import torch

        return (self.classes + 1 + torch.arange(self.n, device="cpu") % 9) % 10

    @cached_property
    def noise(self) -> Tensor:
        """Unit noise like the images, from the seeds 0 to n - 1."""
        return unit_noise(range(self.n), Digits().event, self.dtype, "cpu")

    @property
    def source(self) -> ODE:
        """The ODE under the old classes, without guidance."""
        return Digits().given(self.classes)

    def target(self, scale: float) -> ODE:
        """The ODE under the new classes, guided."""
        import torch

        from flowsolve.problems.unet import NO_CLASS

        digits = Digits()
        none = digits.given(torch.full_like(self.targets, NO_CLASS))
        return Guided(digits.given(self.targets), none, scale, batched=True)


class Edited(NamedTuple):
    """The new images, and their cost for each sample."""

    x: Tensor
    nfe: int = 0
    forwards: float = 0.0


Method = Callable[[Originals, ODE, Grid], tuple[Solution, ...]]


def encoded(of: Originals, ode: ODE, grid: Grid) -> tuple[Solution, ...]:
    """`encode` under the old class, then down under the new."""
    up = encode(of.source, of.images, grid, of.solver)
    return up, sample(ode, up.x, grid, of.solver, start=lambda sigma: 1.0)


def inverted(of: Originals, ode: ODE, grid: Grid) -> tuple[Solution, ...]:
    """The same with `invert`, 20 iterations a step; 100 give the same edits."""
    up = invert(of.source, of.images, grid, of.solver, iterations=20, strict=False)
    return up, sample(ode, up.x, grid, of.solver, start=lambda sigma: 1.0)


def noised(of: Originals, ode: ODE, grid: Grid) -> tuple[Solution, ...]:
    """`partial_start` under the new class alone."""
    return (partial_start(ode, of.images, of.noise, grid, of.solver, strength=1.0),)


def fresh(of: Originals, ode: ODE, grid: Grid) -> tuple[Solution, ...]:
    """A sample of the new class from noise, which keeps nothing of the image."""
    return (sample(ode, of.noise, grid, of.solver, start=vp_start),)


@dataclass(frozen=True)
class Edit:
    """One way to edit.

    how       encoded, inverted, noised or fresh
    scale     w of the guidance on the way down;  strength: the part of the steps, as in `partial_start`
    """

    how: Method
    scale: float = 1.0
    strength: float = 1.0

    def __str__(self) -> str:
        part = f", strength {self.strength:g}" if self.strength != 1 else ""
        return f"{self.how.__name__}, w = {self.scale:g}{part}"

    def __call__(self, of: Originals) -> Edited:
        grid = of.grid.last(steps_kept(of.grid.steps, self.strength))
        walks = self.how(of, of.target(self.scale), grid)
        nfe, forwards = sum(w.nfe for w in walks), math.fsum(w.forwards for w in walks)
        return Edited(walks[-1].x, nfe, forwards)


@dataclass(frozen=True)
class OtherDigit:
    """A real digit of the new class for each image, which keeps nothing of the image."""

    scale: float = field(default=math.nan, init=False)
    strength: float = field(default=math.nan, init=False)

    def __str__(self) -> str:
        return "another real digit"

    def __call__(self, of: Originals) -> Edited:
        import torch

        images, classes = digits_data()
        every = [images[classes == k] for k in range(10)]
        picked = [every[k][i % len(every[k])] for i, k in enumerate(of.targets.tolist())]
        return Edited(torch.stack(picked).to(of.images.dtype))
