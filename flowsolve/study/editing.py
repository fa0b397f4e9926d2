"""Editing: digits made into others, and how much of the image each way keeps.

By encoding (Song, Meng, Ermon 2021, Section 4.3) and from an inner level (SDEdit, Meng et al. 2022). Fresh
samples and real digits of the new class, which keep nothing of the image, stand beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from flowsolve.errors import StateError
from flowsolve.metrics.estimate import Estimate
from flowsolve.problems.digits import Digits
from flowsolve.study.editing_methods import Edit as Edit
from flowsolve.study.editing_methods import Edited as Edited
from flowsolve.study.editing_methods import Originals as Originals
from flowsolve.study.editing_methods import OtherDigit as OtherDigit
from flowsolve.study.editing_methods import encoded as encoded
from flowsolve.study.editing_methods import fresh as fresh
from flowsolve.study.editing_methods import inverted as inverted
from flowsolve.study.editing_methods import noised as noised
from flowsolve.study.results import Row
from flowsolve.study.runner import Task
from flowsolve.study.settings import Setup

if TYPE_CHECKING:
    from torch import Tensor

Classifier = Callable[["Tensor"], "Tensor"]

EDITS: tuple[Edit | OtherDigit, ...] = (
    *(Edit(encoded, w) for w in (1.0, 3.0)),
    *(Edit(inverted, w) for w in (1.0, 3.0)),
    *(Edit(noised, w, p) for w in (1.0, 3.0) for p in (0.3, 0.4, 0.5, 0.6)),
    *(Edit(fresh, w) for w in (1.0, 3.0)),
    OtherDigit(),
)


@dataclass(frozen=True, kw_only=True, repr=False)
class EditRow(Row):
    """One way to edit, on all images, each measure with its standard error.

    distance     the RMS over pixels of edit - image;  correlation: of the pixels of the two
    right        the share that the classifier reads as the new class; its error is the standard deviation
                 of the posterior Beta(k+1, n-k+1), which is not 0 at shares of 0 and 1
    nfe          evaluations up and down;  forwards: network passes per sample
    """

    KEY = (*Row.KEY, "edit", "solver", "grid", "grid_hash", "samples")

    edit: str
    solver: str
    grid: str
    grid_hash: str
    scale: float
    strength: float
    samples: int
    distance: float = math.nan
    distance_error: float = math.nan
    correlation: float = math.nan
    correlation_error: float = math.nan
    right: float = math.nan
    right_error: float = math.nan
    nfe: int = 0
    forwards: float = 0.0

    @property
    def name(self) -> str:
        return self.edit

    @property
    def result(self) -> str:
        kept, right = self.kept, self.right_share
        return f"distance {kept}  new class {right}  nfe {self.nfe}  {self.seconds:.1f} s"

    @property
    def kept(self) -> Estimate:
        """distance with its standard error."""
        return Estimate(self.distance, self.distance_error, 0.0)

    @property
    def right_share(self) -> str:
        """right and its error, in percent."""
        return f"{100 * self.right:.1f} ± {100 * self.right_error:.1f} %"


def edits(
    originals: Originals,
    classify: Classifier | None = None,
    ways: Iterable[Edit | OtherDigit] = EDITS,
) -> list[Task[EditRow]]:
    """Tasks for `collect`, one an edit.

    classify  (n, 1, 8, 8) -> classes (n,), int64: the shipped classifier unless told otherwise
    ways      the edits to measure, all of EDITS unless told otherwise
    """
    from flowsolve.problems.classifier import digits_classes

    common = Setup.of({"dtype": originals.noise.dtype}).stamp(Digits())
    return [
        Task(
            EditRow(
                **common, edit=str(edit), solver=repr(originals.solver), grid=originals.grid.name,
                grid_hash=originals.grid.digest, scale=edit.scale, strength=edit.strength,
                samples=originals.n,
            ),
            partial(_measured, originals, edit, classify or digits_classes),
        )
        for edit in ways
    ]  # fmt: skip


def _measured(
    originals: Originals, edit: Edit | OtherDigit, classify: Classifier, row: EditRow
) -> EditRow:
    import torch

    edited = edit(originals)
    x, y = originals.images.flatten(1), edited.x.flatten(1)
    distance, distance_error = _mean((y - x).square().mean(1).sqrt())
    a, b = (v - v.mean(1, keepdim=True) for v in (x, y))
    correlation, correlation_error = _mean(torch.nn.functional.cosine_similarity(a, b))
    classes = classify(edited.x)
    if classes.shape != originals.targets.shape:
        raise StateError(
            f"the classifier returned {tuple(classes.shape)} for {row.samples} images: one class for each."
        )
    k = int((classes.to(originals.targets) == originals.targets).sum())
    p = (k + 1) / (row.samples + 2)
    return replace(
        row, distance=distance, distance_error=distance_error, correlation=correlation,
        correlation_error=correlation_error, right=k / row.samples,
        right_error=math.sqrt(p * (1 - p) / (row.samples + 3)), nfe=edited.nfe,
        forwards=edited.forwards,
    )  # fmt: skip


def _mean(values: Tensor) -> tuple[float, float]:
    """(mean, standard error); the error of one value is NaN."""
    n = len(values)
    return float(values.mean()), float(values.std()) / math.sqrt(n) if n > 1 else math.nan
