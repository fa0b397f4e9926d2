"""Digits made into others: rows that are what they say, and what each way keeps."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from flowsolve import plot, tau_linear
from flowsolve.experiments.edit import (
    SETTINGS,
    Another,
    Edit,
    EditRow,
    Task,
    edit_rows,
    encoded,
    fresh,
    inverted,
    noised,
)
from flowsolve.problems import Digits
from flowsolve.problems.digits import digits_data
from flowsolve_solvers import DDIMEta, DPMSolverPP2M, Euler
from tests.test_bad_input import says

GRID = tau_linear(10, clock=Digits().clock)
TASK = Task(40, GRID, Euler())


def nearest(x: Tensor) -> Tensor:
    """The class of the nearest real digit, 98.8 % right where the digit itself is left out."""
    images, classes = digits_data()
    return classes[torch.cdist(x.float().flatten(1), images.flatten(1)).argmin(1)]


@cache
def measured() -> dict[str, EditRow]:
    some = (Edit(encoded), Edit(encoded, 3.0), Edit(noised, 3.0, 0.4), Edit(fresh), Another())
    return {row.edit: row for row in edit_rows(TASK, nearest, some)}


def test_the_task() -> None:
    images, classes = digits_data()
    assert torch.equal(TASK.images, images[:40])
    assert torch.equal(TASK.classes, classes[:40])
    assert not bool((TASK.targets == TASK.classes).any())
    assert set(TASK.targets.tolist()) == set(range(10))
    keys = {TASK.key, Task(41, GRID, Euler()).key, Task(40, GRID.last(9), Euler()).key,
            Task(40, GRID, DPMSolverPP2M()).key, Task(40, GRID, Euler(), torch.float64).key}  # fmt: skip
    assert len(keys) == 5
    assert Task(40, GRID, Euler()).key == TASK.key


@pytest.mark.parametrize("n", [0, 1798])
def test_as_many_digits_as_there_are(n: int) -> None:
    says(
        ValueError,
        f"there are 1797 digits to edit, 1 to 1797, but got n = {n}.",
        lambda: Task(n, GRID, Euler()),
    )


def test_the_classifier_of_this_file() -> None:
    images, classes = digits_data()
    distances = torch.cdist(images.flatten(1), images.flatten(1)).fill_diagonal_(math.inf)
    assert float((classes[distances.argmin(1)] == classes).float().mean()) == pytest.approx(
        0.988, abs=5e-4
    )


def test_rows_are_computed_one_by_one() -> None:
    """A setting's row does not depend on those around it, and is found again by its key."""
    asked = []

    def watched(x: Tensor) -> Tensor:
        asked.append(len(x))
        return nearest(x)

    rows = edit_rows(TASK, watched, (Edit(fresh), Edit(encoded)))
    assert asked == []
    first = next(rows)
    assert asked == [40]
    assert first == measured()[str(Edit(fresh))]
    assert first.key == (str(Edit(fresh)), TASK.key)
    assert len({str(s) for s in SETTINGS}) == len(SETTINGS)


def test_edits_take_the_new_class_and_keep_more_than_a_fresh_sample() -> None:
    """By three standard errors, in distance and in correlation, at 40 images."""
    rows = measured()
    base = rows["fresh, w = 1"]
    other = rows["another real digit"]
    for name in ("encoded, w = 1", "noised, w = 3, strength 0.4"):
        row = rows[name]
        assert row.error == ""
        assert row.right - 0.8 > 2 * row.right_err
        for far in (base, other):
            assert far.distance - row.distance > 2 * math.hypot(far.distance_err, row.distance_err)
            assert row.correlation - far.correlation > 2 * math.hypot(
                far.correlation_err, row.correlation_err
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
    task = Task(5, GRID, Euler())

    def back(sign: float) -> EditRow:
        class Same(Another):
            def __call__(self, task: Task):  # type: ignore[no-untyped-def]
                return super().__call__(task)._replace(x=sign * task.images)

        return next(edit_rows(task, lambda x: task.targets + 1, [Same()]))

    same, negative = back(1.0), back(-1.0)
    assert (same.distance, same.distance_err) == (0, 0)
    assert same.correlation == pytest.approx(1)
    assert negative.correlation == pytest.approx(-1)
    rms = task.images.flatten(1).square().mean(1).sqrt()
    assert negative.distance == pytest.approx(2 * float(rms.mean()))
    assert negative.distance_err == pytest.approx(2 * float(rms.std()) / math.sqrt(5))
    assert (same.right, same.right_err) == (0, pytest.approx(math.sqrt(1 / 7 * 6 / 7 / 8)))


def test_exact_inversion_comes_back_under_its_own_class() -> None:
    """Decoded under the class that it was encoded under, the image returns: nearer than after `encode`."""
    task = Task(3, GRID, Euler())
    own = task.source
    gaps = [
        float((how(task, own, GRID)[-1].x - task.images).square().mean().sqrt())
        for how in (inverted, encoded)
    ]
    assert gaps[0] < 0.01 < 0.1 < gaps[1]


def test_what_fails_leaves_a_row_that_says_why() -> None:
    rows = list(edit_rows(Task(3, GRID, DDIMEta(1.0)), nearest, (Edit(encoded), Another())))
    assert "so it only goes down the grid, not up" in rows[0].error
    assert math.isnan(rows[0].distance)
    assert rows[1].error == ""
    none = next(edit_rows(TASK, nearest, [Edit(noised, 1.0, 0.05)]))
    assert none.error.startswith("there is no step to take")
    wrong = next(edit_rows(Task(3, GRID, Euler()), lambda x: torch.zeros(2), [Another()]))
    assert wrong.error == "the classifier returned (2,) for 3 images: one class for each."


def test_the_figure() -> None:
    images = TASK.images[:3]
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
