"""Parameters of problems that cannot be, and names of problems: the whole texts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest
import torch

from flowsolve.errors import NameUnknown
from flowsolve.problems import Dataset, Gaussian, Mixture, Mixture1D, find_problem
from tests.helpers import says

WEIGHTS = "a mixture needs positive weights that sum to 1, one for each component, but got "
COVARIANCE = "a covariance must be a symmetric, non-negative 2 by 2 matrix, but got "
POINTS = "points must be finite and floating, (n, *event), not "
BAD_PROBLEMS: dict[str, tuple[Callable[[], object], str]] = {
    "weights do not sum to 1": (
        lambda: Mixture1D(weights=(0.3, 0.3)),
        WEIGHTS + "(0.3, 0.3) for 2 means",
    ),
    "a negative weight": (
        lambda: Mixture(weights=(-0.2, 0.5, 0.7)),
        WEIGHTS + "(-0.2, 0.5, 0.7) for 3 means and 3 widths.",
    ),
    "a weight too few": (
        lambda: Mixture1D(weights=(1.0,)),
        WEIGHTS + "(1.0,) for 2 means",
    ),
    "not symmetric": (
        lambda: Gaussian(covariance=((0.5, 0.3), (0.1, 0.4))),
        COVARIANCE + "((0.5, 0.3), (0.1, 0.4)).",
    ),
    "indefinite": (
        lambda: Gaussian(covariance=((0.1, 0.5), (0.5, 0.1))),
        COVARIANCE + "((0.1, 0.5), (0.5, 0.1)).",
    ),
    "one dimension too many": (
        lambda: Gaussian(mean=(0.0, 0.0), covariance=((1.0,),)),
        COVARIANCE + "((1.0,),).",
    ),
    "not symmetric, in a mixture": (
        lambda: Mixture((1.0,), ((0.0, 0.0),), (((1.0, 0.2), (0.0, 1.0)),)),
        COVARIANCE + "((1.0, 0.2), (0.0, 1.0)).",
    ),
    "NaN in the data": (
        lambda: Dataset(torch.tensor([[0.0, math.nan]])),
        POINTS + "(1, 2) of torch.float32.",
    ),
    "integer data": (
        lambda: Dataset(torch.ones(3, 2, dtype=torch.int64)),
        POINTS + "(3, 2) of torch.int64.",
    ),
    "no data": (lambda: Dataset(torch.ones(0, 2)), POINTS + "(0, 2) of torch.float32."),
}


@pytest.mark.parametrize("what", BAD_PROBLEMS)
def test_problem_parameters(what: str) -> None:
    call, text = BAD_PROBLEMS[what]
    says(ValueError, text, call)


def test_unknown_problem_lists_near_ones() -> None:
    says(
        NameUnknown,
        "there is no problem 'mixtur'. Did you mean mixture, mixture_1d?",
        lambda: find_problem("mixtur"),
    )
    error = says(NameUnknown, "there is no problem 'zzz'. ", lambda: find_problem("zzz"))
    assert re.search(
        r"Did you mean gaussian, mixture_1d, mixture, dataset, digits, photos, ", str(error)
    )
    assert repr(find_problem("mixture_1d")) == repr(Mixture1D())


def test_no_closed_form() -> None:
    says(
        NotImplementedError,
        f"{Mixture()!r} has no closed-form flow: see reference().",
        lambda: Mixture().flow(torch.ones(1, 2), 2.0, 1.0),
    )
