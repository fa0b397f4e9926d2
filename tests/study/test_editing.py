"""Digits made into others: rows that are what they say, and what each way keeps."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from flowsolve import plot, tau_linear
from flowsolve.errors import SamplesError
from flowsolve.problems import Digits
from flowsolve.problems.classifier import digits_classes
from flowsolve.problems.digits import digits_data
from flowsolve.study.editing import (
    EDITS,
    Edit,
    EditRow,
    Originals,
    OtherDigit,
    edits,
    encoded,
    fresh,
    inverted,
    noised,
)
from flowsolve.study.runner import collect
from flowsolve_solvers import DDIMEta, DPMSolverPP2M, Euler
from tests.helpers import says

GRID = tau_linear(10, clock=Digits().clock)
DIGITS = Originals(40, GRID, Euler())


def nearest(x: Tensor) -> Tensor:
    """The class of the nearest real digit, 98.8 % right where the digit itself is left out."""
    images, classes = digits_data()
    return classes[torch.cdist(x.float().flatten(1), images.flatten(1)).argmin(1)]


@cache
def measured() -> dict[str, EditRow]:
    some = (Edit(encoded), Edit(encoded, 3.0), Edit(noised, 3.0, 0.4), Edit(fresh), OtherDigit())
    return {row.edit: row for row in collect(edits(DIGITS, nearest, some))}


def test_the_originals() -> None:
    images, classes = digits_data()
    assert torch.equal(DIGITS.images, images[:40])
    assert torch.equal(DIGITS.classes, classes[:40])
    assert not bool((DIGITS.targets == DIGITS.classes).any())
    assert set(DIGITS.targets.tolist()) == set(range(10))


def test_rows_of_other_originals_are_others() -> None:
    others = (Originals(41, GRID, Euler()), Originals(40, GRID.last(9), Euler()),
              Originals(40, GRID, DPMSolverPP2M()), Originals(40, GRID, Euler(), torch.float64))  # fmt: skip
    keys = [task.row.key for o in (DIGITS, *others) for task in edits(o)]
    assert len({*keys}) == len(keys) == 5 * len(EDITS)
    assert [t.row.key for t in edits(Originals(40, GRID, Euler()))] == keys[: len(EDITS)]


@pytest.mark.parametrize("n", [0, 1798])
def test_as_many_digits_as_there_are(n: int) -> None:
    says(
        SamplesError,
        f"there are 1797 digits to edit, 1 to 1797, but got n = {n}.",
        lambda: Originals(n, GRID, Euler()),
    )


def test_the_classifier_of_this_file() -> None:
    images, classes = digits_data()
    distances = torch.cdist(images.flatten(1), images.flatten(1)).fill_diagonal_(math.inf)
    assert float((classes[distances.argmin(1)] == classes).float().mean()) == pytest.approx(
        0.988, abs=5e-4
    )


def test_rows_are_computed_one_by_one_and_found_again(tmp_path: Path) -> None:
    asked = []

    def watched(x: Tensor) -> Tensor:
        asked.append(len(x))
        return nearest(x)

    tasks = edits(DIGITS, watched, (Edit(fresh), Edit(encoded)))
    assert asked == []
    first = collect(tasks[:1], tmp_path / "rows.jsonl")[0]
    assert asked == [40]
    assert replace(first, seconds=0) == replace(measured()[str(Edit(fresh))], seconds=0)
    assert collect(tasks, tmp_path / "rows.jsonl")[0] == first
    assert asked == [40, 40]


def test_the_classes_are_the_shipped_classifiers_unless_told() -> None:
    row = collect(edits(DIGITS, ways=[OtherDigit()]))[0]
    x = OtherDigit()(DIGITS).x
    assert row.right == float((digits_classes(x) == DIGITS.targets).float().mean())


def test_edits_take_the_new_class_and_keep_more_than_a_fresh_sample() -> None:
    """By three standard errors, in distance and in correlation, at 40 images."""
    rows = measured()
    base = rows["fresh, w = 1"]
    other = rows["another real digit"]
    for name in ("encoded, w = 1", "noised, w = 3, strength 0.4"):
        row = rows[name]
        assert row.error == ""
        assert row.right - 0.8 > 2 * row.right_error
        for far in (base, other):
            assert far.distance - row.distance > 2 * math.hypot(
                far.distance_error, row.distance_error
            )
            assert row.correlation - far.correlation > 2 * math.hypot(
                far.correlation_error, row.correlation_error
            )
    assert rows["encoded, w = 3"].distance > rows["encoded, w = 1"].distance, "guidance keeps less"


def test_the_cost_is_counted_both_ways() -> None:
    cost = {name: (row.nfe, row.forwards) for name, row in measured().items()}
    assert cost == {
        "encoded, w = 1": (20, 20.0), "encoded, w = 3": (20, 30.0),
        "noised, w = 3, strength 0.4": (4, 8.0), "fresh, w = 1": (10, 10.0), "another real digit": (0, 0.0),
    }  # fmt: skip


def test_the_measures() -> None:
    """Of an image against itself and its negative, and a classifier that is never right."""
    task = Originals(5, GRID, Euler())

    def back(sign: float) -> EditRow:
        class Same(OtherDigit):
            def __call__(self, task: Originals):  # type: ignore[no-untyped-def]
                return super().__call__(task)._replace(x=sign * task.images)

        return collect(edits(task, lambda x: task.targets + 1, [Same()]))[0]

    same, negative = back(1.0), back(-1.0)
    assert (same.distance, same.distance_error) == (0, 0)
    assert same.correlation == pytest.approx(1)
    assert negative.correlation == pytest.approx(-1)
    rms = task.images.flatten(1).square().mean(1).sqrt()
    assert negative.distance == pytest.approx(2 * float(rms.mean()))
    assert negative.distance_error == pytest.approx(2 * float(rms.std()) / math.sqrt(5))
    assert (same.right, same.right_error) == (0, pytest.approx(math.sqrt(1 / 7 * 6 / 7 / 8)))


def test_exact_inversion_comes_back_under_its_own_class() -> None:
    """Decoded under the class that it was encoded under, the image returns: nearer than after `encode`."""
    task = Originals(3, GRID, Euler())
    own = task.source
    gaps = [
        float((how(task, own, GRID)[-1].x - task.images).square().mean().sqrt())
        for how in (inverted, encoded)
    ]
    assert gaps[0] < 0.01 < 0.1 < gaps[1]


def test_what_fails_leaves_a_row_that_says_why() -> None:
    rows = collect(edits(Originals(3, GRID, DDIMEta(1.0)), nearest, (Edit(encoded), OtherDigit())))
    assert "so it only goes down the grid, not up" in rows[0].error
    assert math.isnan(rows[0].distance)
    assert rows[1].error == ""
    none = collect(edits(DIGITS, nearest, [Edit(noised, 1.0, 0.05)]))[0]
    assert "there is no step to take" in none.error
    wrong = collect(edits(Originals(3, GRID, Euler()), lambda x: torch.zeros(2), [OtherDigit()]))[0]
    assert wrong.error.endswith("the classifier returned (2,) for 3 images: one class for each.")


def test_the_figure() -> None:
    images = DIGITS.images[:3]
    figure = plot.edits(
        {"original": images, "edited": -images}, ["0 → 1", "1 → 3", "2 → 5"], "by DDIM"
    )
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 6
    assert [a.get_title() for a in figure.axes] == ["0 → 1", "1 → 3", "2 → 5", "", "", ""]
    assert [a.get_ylabel() for a in figure.axes[::3]] == ["original", "edited"]
    drawn = figure.axes[4].images[0].get_array()
    assert torch.equal(torch.tensor(drawn)[1:-1, 1:-1], -images[1, 0])
    for rows, columns in (({"a": images, "b": images[:2]}, ()), ({"a": images}, ("x",)), ({}, ())):
        says(ValueError, "edits draws rows of equally many images under as many headings",
             lambda rows=rows, columns=columns: plot.edits(rows, columns))  # fmt: skip
