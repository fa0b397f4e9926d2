"""Conditions: how a network is given them, what they leave alone, and which do not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import (
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    solve,
)
from flowsolve.errors import NetworkError
from flowsolve.problems import Digits
from flowsolve_solvers import (
    Euler,
    Heun,
)
from tests.helpers import says
from tests.ode.guided import (
    CLASSES,
    DIGITS,
    GRID,
    IMAGES,
    NONE,
    X,
    conditional,
    of_tensor,
)


def test_a_condition_is_the_third_argument_or_keywords() -> None:
    seen: list[tuple[Any, ...]] = []

    def network(x: Tensor, t: Tensor, *rest: Any, **words: Any) -> Tensor:
        seen.append((rest, words))
        return torch.zeros_like(x)

    ode = DiffusionODE(network, EpsPrediction(VPSDE()))
    c = torch.ones(6, 4)
    shared = torch.tensor(2.0)
    words = {"text": c, "size": 64, "guess": shared, "more": {"ids": c, "pair": (c, None)}}
    ode.eps(X, 1.0)
    ode.given(c).eps(X, 1.0)
    ode.given(words).x0(X, 1.0)
    ode.given(words).given(None).eps(X, 1.0)
    assert [len(rest) for rest, _ in seen] == [0, 1, 0, 0]
    assert seen[1][0][0] is c
    assert seen[2][1] == words
    assert seen[3] == ((), {})
    assert ode.condition is None  # `given` makes copies


def test_given_keeps_the_rest() -> None:
    one = DiffusionODE(conditional, EpsPrediction(VPSDE()), condition=X, dtype=torch.float32)
    two = one.given(-X)
    assert (two.network, two.precondition, two.dtype) == (conditional, one.precondition, one.dtype)
    assert two.condition is not None
    assert one.condition is X
    assert isinstance(DIGITS.given(CLASSES), Digits)


def test_digits_with_labels_are_another_problem() -> None:
    assert DIGITS.given(CLASSES).digest != DIGITS.digest
    assert DIGITS.given({"label": CLASSES}).digest == DIGITS.given(CLASSES).digest
    assert DIGITS.given(NONE).eps(IMAGES, 1.0).equal(DIGITS.eps(IMAGES, 1.0))
    assert not DIGITS.given(CLASSES).eps(IMAGES, 1.0).allclose(DIGITS.eps(IMAGES, 1.0))


@pytest.mark.parametrize("c", [X, {"c": X}, {"c": X, "scale": 2.0, "more": [X, {"y": X}]}])
def test_forwards_are_counted_under_a_condition(c: Any) -> None:
    answer = solve(of_tensor(c), X, GRID, Heun())
    assert answer.nfe == answer.forwards == 12


ROWS = "the condition has shape (5, 2) for 6 samples: give one row for each, for example by "


def test_conditions_that_do_not_fit() -> None:
    says(NetworkError, ROWS, lambda: solve(of_tensor(X[:5]), X, GRID, Euler()))
    nested = {"c": X, "more": [X, {"y": X[:5]}]}
    says(
        NetworkError,
        "the condition['more'][1]['y'] has shape (5, 2) for 6 samples",
        lambda: solve(of_tensor(nested), X, GRID, Euler()),
    )
    says(
        NetworkError,
        "the condition is on meta, but the state is on cpu.",
        lambda: solve(of_tensor(X.to("meta")), X, GRID, Euler()),
    )
    kinds = (
        "a condition is a tensor, given as network(x, t, c), or a dictionary, given as network(x, "
        "t, **c), but got "
    )
    says(NetworkError, kinds + "'a cat'.", lambda: of_tensor("a cat"))
    says(NetworkError, kinds + "[1, 2].", lambda: of_tensor().given([1, 2]))  # type: ignore[arg-type]
    says(NetworkError, kinds + "{3: 4}.", lambda: of_tensor({3: 4}))
