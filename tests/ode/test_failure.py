"""A network that fails at its call: the error says what it was called with, its own words, and the mend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flowsolve import DiffusionODE, EpsPrediction, linear_beta, log_snr, sample
from flowsolve.errors import NetworkError, StateError
from flowsolve_solvers import Euler
from tests.helpers import says

KIND = EpsPrediction(linear_beta())
X = torch.ones(2, 3, 4, 4)
GRID = log_snr(3, 10.0, 0.1)
LABELS, CONV, LINEAR = nn.Embedding(100, 3), nn.Conv2d(3, 3, 3, padding=1), nn.Linear(4, 4)
MISSING = "It wants more than x and t: give it as DiffusionODE(..., condition=c) or ode.given(c)."
NAMES = "A tensor is given as network(x, t, c) and a dictionary as network(x, t, **c): give what it takes."
WHOLE = (
    "It looks up whole numbers. For labels: DiffusionODE(lambda x, t: network(x, t.round().long()), ...); "
    "classes are given as integers."
)
TABLE = (
    "A label or a class lies outside the network's table: compare the label t, which the clock makes, with the "
    "number of levels that it was trained on, and classes with the number of its classes."
)
CAST = "Cast the network, network.to(x.dtype), or say DiffusionODE(..., dtype=...) for the dtype it works in."
SHAPE = "Is (B, *event) the shape that it was trained on?"
HELD = (
    f"{SHAPE} Classes that it holds for one batch size are given as DiffusionODE(..., condition=BySeed(...)) "
    "instead, a row for each sample."
)
CLASSES = torch.arange(16)


def up(rows: Tensor) -> Tensor:
    return rows[:, :, None, None]


CASES: dict[str, tuple[Callable[..., Any], Any, Tensor, type[Exception], str]] = {
    "a forgotten condition": (lambda x, t, y: x, None, X, TypeError, MISSING),
    "a forgotten optional condition": (
        lambda x, t, y=None: x + y.sum(), None, X, AttributeError, MISSING,
    ),
    "a condition that it does not take": (lambda x, t: x, torch.ones(2), X, TypeError, NAMES),
    "another name": (lambda x, t, y: x, {"c": torch.ones(2)}, X, TypeError, NAMES),
    "float labels for a table": (lambda x, t: x + up(LABELS(t)), None, X, RuntimeError, WHOLE),
    "labels used as indices": (
        lambda x, t: x + up(LABELS.weight[t]), None, X, IndexError, WHOLE,
    ),
    "a label out of range": (lambda x, t: x + up(LABELS(t.long())), None, X, IndexError, TABLE),
    "a class out of range": (
        lambda x, t, y: x + up(LABELS(y)), torch.tensor([1, 200]), X, IndexError, TABLE,
    ),
    "float classes": (lambda x, t, y: x + up(LABELS(y)), torch.ones(2), X, RuntimeError, WHOLE),
    "a float32 network": (lambda x, t: CONV(x), None, X.double(), RuntimeError, CAST),
    "a float32 layer": (lambda x, t: LINEAR(x), None, X.double(), RuntimeError, CAST),
    "another number of channels": (lambda x, t: CONV(x), None, X[:, :2], RuntimeError, SHAPE),
    "another width": (lambda x, t: LINEAR(x), None, X[..., :3], RuntimeError, SHAPE),
    "classes of another batch size": (
        lambda x, t: x + up(LABELS(CLASSES)), None, X, RuntimeError, HELD,
    ),
    "classes of another batch size, concatenated": (
        lambda x, t: torch.cat([LABELS(t.long() * 0), LABELS(CLASSES)], 1), None, X, RuntimeError, HELD,
    ),
    "a bug of its own": (lambda x, t: x + 1 + "a", None, X, TypeError, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_call_the_cause_and_the_mend(case: str) -> None:
    network, condition, x, cause, mend = CASES[case]
    ode = DiffusionODE(network, KIND, condition=condition)
    start = (
        f"the network failed when it was called with x {tuple(x.shape)} of {x.dtype} on cpu, t (2,)"
    )
    error = says(NetworkError, start, lambda: sample(ode, x, GRID, Euler()))
    assert type(error.__cause__) is cause
    assert str(error.__cause__).splitlines()[0].rstrip(".") in str(error)
    assert str(error).endswith(mend)


def test_the_values_of_labels_and_classes_are_named() -> None:
    ode = DiffusionODE(lambda x, t, y: x + up(LABELS(y)), KIND, condition=torch.tensor([1, 200]))
    with pytest.raises(
        NetworkError, match=r"= 258\.093, c \(2,\) of torch\.int64 on cpu from 1 to 200\. Ind"
    ):
        ode.eps(X, 1.0)
    words = ode.given({"y": torch.tensor([1, 200]), "guess": True})
    with pytest.raises(
        NetworkError, match=r"c\['y'\] \(2,\) of torch\.int64 .*c\['guess'\] a bool\. Type"
    ):
        words.eps(X, 1.0)


@pytest.mark.parametrize(
    "error",
    [
        StateError("ours"),
        torch.OutOfMemoryError("memory"),
        NotImplementedError(),
        ZeroDivisionError("bug"),
    ],
)
def test_other_errors_pass_as_they_are(error: Exception) -> None:
    def network(x: Tensor, t: Tensor) -> Tensor:
        raise error

    with pytest.raises(type(error)) as found:
        DiffusionODE(network, KIND).eps(X, 1.0)
    assert found.value is error
    assert error.__cause__ is None


def test_swapped_arguments() -> None:
    for second in (CONV, lambda x, t: x):
        says(
            NetworkError,
            "the network comes first, DiffusionODE(network, precondition), but got EpsPrediction(",
            lambda second=second: DiffusionODE(KIND, second),
        )
    says(NetworkError, "precondition must be an instance such as", lambda: DiffusionODE(CONV, CONV))
