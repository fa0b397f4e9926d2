"""Digits made into others: encoded under their class and decoded under a new one, or started half-way.

Song, Meng, Ermon 2021, Section 4.3 (encoding); Meng et al. 2022 (SDEdit). What an edit keeps of its
image is told by two measures, beside those of a fresh sample and of a real digit of the new class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flowsolve.errors import FlowsolveError, StateError
from flowsolve.experiments.edit_ways import Another as Another
from flowsolve.experiments.edit_ways import Edit as Edit
from flowsolve.experiments.edit_ways import Edited as Edited
from flowsolve.experiments.edit_ways import Task as Task
from flowsolve.experiments.edit_ways import encoded as encoded
from flowsolve.experiments.edit_ways import fresh as fresh
from flowsolve.experiments.edit_ways import inverted as inverted
from flowsolve.experiments.edit_ways import noised as noised

if TYPE_CHECKING:
    from torch import Tensor

Classifier = Callable[["Tensor"], "Tensor"]

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
