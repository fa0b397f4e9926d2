"""Digits made into others: encoded under their class and decoded under a new one, or started half-way.

Song, Meng, Ermon 2021, Section 4.3 (encoding); Meng et al. 2022 (SDEdit). What an edit keeps of its
image is told by two measures, beside those of a fresh sample and of a real digit of the new class.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from flowsolve.errors import FlowsolveError, StateError
from flowsolve.fixed_point import invert
from flowsolve.grid import Grid
from flowsolve.guidance import Guided
from flowsolve.inversion import encode
from flowsolve.noise import unit_noise
from flowsolve.ode import ODE
from flowsolve.partial_start import partial_start, steps_kept
from flowsolve.problems.digits import Digits, digits_data
from flowsolve.problems.unet import NO_CLASS
from flowsolve.solution import Solution
from flowsolve.solve import sample, vp_start
from flowsolve.solver import Solver

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Classifier = Callable[["Tensor"], "Tensor"]


@dataclass(frozen=True, eq=False)
class Task:
    """The first n real digits, each to become another: digit i of class c is to be c + 1 + i mod 9, mod 10.

    grid, solver  up and down;  dtype: of all states. Raises MissingExtra without scikit-learn
    """

    n: int
    grid: Grid
    solver: Solver
    dtype: torch.dtype | None = None

    @cached_property
    def images(self) -> Tensor:
        """(n, 1, 8, 8), in [-1, 1]."""
        return digits_data()[0][: self.n].to(self.noise.dtype)

    @cached_property
    def classes(self) -> Tensor:
        """(n,), what they are."""
        return digits_data()[1][: self.n]

    @cached_property
    def targets(self) -> Tensor:
        """(n,), what they should become."""
        import torch

        return (self.classes + 1 + torch.arange(self.n) % 9) % 10

    @cached_property
    def noise(self) -> Tensor:
        """Like the images, from the seeds 0 to n - 1."""
        return unit_noise(range(self.n), Digits().event, self.dtype)

    @property
    def source(self) -> ODE:
        """Under the old classes, without guidance."""
        return Digits().given(self.classes)

    def target(self, scale: float) -> ODE:
        """Under the new classes, guided."""
        import torch

        digits = Digits()
        none = digits.given(torch.full_like(self.targets, NO_CLASS))
        return Guided(digits.given(self.targets), none, scale, batched=True)

    @property
    def key(self) -> str:
        """12 hexadecimal digits that differ when a row would."""
        parts = (Digits().digest, self.n, self.grid.digest, self.solver, self.noise.dtype)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


class Edited(NamedTuple):
    """The new images, and their cost for each sample."""

    x: Tensor
    nfe: int = 0
    forwards: float = 0.0


How = Callable[[Task, ODE, Grid], tuple[Solution, ...]]


def encoded(task: Task, ode: ODE, grid: Grid) -> tuple[Solution, ...]:
    """`encode` under the old class, and down under the new."""
    up = encode(task.source, task.images, grid, task.solver)
    return up, sample(ode, up.x, grid, task.solver, start=lambda sigma: 1.0)


def inverted(task: Task, ode: ODE, grid: Grid) -> tuple[Solution, ...]:
    """The same with `invert`, as far as its iterations come."""
    up = invert(task.source, task.images, grid, task.solver, strict=False)
    return up, sample(ode, up.x, grid, task.solver, start=lambda sigma: 1.0)


def noised(task: Task, ode: ODE, grid: Grid) -> tuple[Solution, ...]:
    """`partial_start` under the new class; the old one is not asked for."""
    return (partial_start(ode, task.images, task.noise, grid, task.solver, strength=1.0),)


def fresh(task: Task, ode: ODE, grid: Grid) -> tuple[Solution, ...]:
    """A sample of the new class from noise: what an edit is that keeps nothing."""
    return (sample(ode, task.noise, grid, task.solver, start=vp_start),)


@dataclass(frozen=True)
class Edit:
    """One way to edit.

    how       encoded, inverted, noised or fresh
    scale     w of the guidance on the way down;  strength: the part of the steps, as in `partial_start`
    """

    how: How
    scale: float = 1.0
    strength: float = 1.0

    def __str__(self) -> str:
        part = f", strength {self.strength:g}" if self.strength != 1 else ""
        return f"{self.how.__name__}, w = {self.scale:g}{part}"

    def __call__(self, task: Task) -> Edited:
        grid = task.grid.last(steps_kept(task.grid.steps, self.strength))
        walks = self.how(task, task.target(self.scale), grid)
        nfe, forwards = sum(w.nfe for w in walks), math.fsum(w.forwards for w in walks)
        return Edited(walks[-1].x, nfe, forwards)


@dataclass(frozen=True)
class Another:
    """Real digits of the new class, one for each image: what has nothing of the image."""

    scale: float = field(default=math.nan, init=False)
    strength: float = field(default=math.nan, init=False)

    def __str__(self) -> str:
        return "another real digit"

    def __call__(self, task: Task) -> Edited:
        import torch

        images, classes = digits_data()
        of = [images[classes == k] for k in range(10)]
        picked = [of[k][i % len(of[k])] for i, k in enumerate(task.targets.tolist())]
        return Edited(torch.stack(picked).to(task.images.dtype))


SETTINGS: tuple[Edit | Another, ...] = (
    *(Edit(encoded, w) for w in (1.0, 3.0)),
    *(Edit(inverted, w) for w in (1.0, 3.0)),
    *(Edit(noised, w, p) for w in (1.0, 3.0) for p in (0.3, 0.4, 0.5, 0.6)),
    *(Edit(fresh, w) for w in (1.0, 3.0)),
    Another(),
)


@dataclass(frozen=True)
class EditRow:
    """One setting on all images of a task, each measure with its standard error.

    distance     the RMS over pixels of edit - image;  correlation: of the pixels of the two
    right        the share that the classifier calls the new class; its error is the deviation of the
                 posterior Beta(k+1, n-k+1), which is not 0 at 0 and 1
    nfe          evaluations up and down;  forwards: network passes a sample
    error        why there is no measurement, or ""
    """

    edit: str
    task: str
    solver: str
    grid: str
    scale: float
    strength: float
    samples: int
    distance: float = math.nan
    distance_err: float = math.nan
    correlation: float = math.nan
    correlation_err: float = math.nan
    right: float = math.nan
    right_err: float = math.nan
    nfe: int = 0
    forwards: float = 0.0
    error: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes two rows the same one: (str(setting), task.key)."""
        return self.edit, self.task


def edit_rows(
    task: Task, classify: Classifier, settings: Iterable[Edit | Another] = SETTINGS
) -> Iterator[EditRow]:
    """Each setting's row, computed when it is asked for. A setting that fails leaves a row that says why.

    classify  (n, 1, 8, 8) -> classes (n,)
    """
    for setting in settings:
        row = EditRow(
            str(setting), task.key, repr(task.solver), str(task.grid), setting.scale,
            setting.strength, task.n,
        )  # fmt: skip
        try:
            yield _measured(row, task, setting(task), classify)
        except FlowsolveError as error:
            yield replace(row, error=str(error))


def _measured(row: EditRow, task: Task, edited: Edited, classify: Classifier) -> EditRow:
    import torch

    x, y = task.images.flatten(1), edited.x.flatten(1)
    distance, distance_err = _mean((y - x).square().mean(1).sqrt())
    a, b = (v - v.mean(1, keepdim=True) for v in (x, y))
    correlation, correlation_err = _mean(torch.nn.functional.cosine_similarity(a, b))
    classes = classify(edited.x)
    if classes.shape != task.targets.shape:
        raise StateError(
            f"the classifier returned {tuple(classes.shape)} for {row.samples} images: one class for each."
        )
    k = int((classes.to(task.targets) == task.targets).sum())
    p = (k + 1) / (row.samples + 2)
    return replace(
        row, distance=distance, distance_err=distance_err, correlation=correlation,
        correlation_err=correlation_err, right=k / row.samples,
        right_err=math.sqrt(p * (1 - p) / (row.samples + 3)), nfe=edited.nfe, forwards=edited.forwards,
    )  # fmt: skip


def _mean(values: Tensor) -> tuple[float, float]:
    """And its standard error, NaN for one value."""
    n = len(values)
    return float(values.mean()), float(values.std()) / math.sqrt(n) if n > 1 else math.nan
