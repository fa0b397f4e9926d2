"""Options of solvers of a wrong kind: numbers that are none, texts for switches, arrays for texts."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch

import flowsolve_solvers
from flowsolve import Solver

CLASSES = [
    made
    for made in vars(flowsolve_solvers).values()
    if isinstance(made, type) and issubclass(made, Solver) and is_dataclass(made)
    if not inspect.isabstract(made)
    if made is not flowsolve_solvers.GaussianStart  # it is given tensors
]
OPTIONS = [
    (made, f.name, str(f.type))
    for made in CLASSES
    for f in fields(made)
    if str(f.type) in ("float", "bool", "int") or str(f.type).startswith("Literal")
]
WRONG: list[Any] = [None, "no", np.ones(3), torch.empty(0), torch.ones(2, 2), [1], {}, dict]


@pytest.mark.parametrize(("made", "name", "kind"), OPTIONS)
def test_an_option_of_a_wrong_kind(made: Any, name: str, kind: str) -> None:
    """Comparing it once ended in a TypeError of Python, or in torch's "Boolean value of Tensor"."""
    for wrong in WRONG:
        with pytest.raises((TypeError, ValueError)) as caught:
            made(**{name: wrong})
        assert str(caught.traceback[-1].statement).lstrip().startswith("raise")
        assert made.__name__ in str(caught.value) or name in str(caught.value)


@pytest.mark.parametrize(("made", "name", "kind"), [o for o in OPTIONS if o[2] == "float"])
def test_a_number_of_numpy_or_torch_is_a_float(made: Any, name: str, kind: str) -> None:
    """The same method, and the same label in figures and rows."""
    plain = made()
    value = getattr(plain, name)
    for given in (np.float64(value), torch.tensor(float(value), dtype=torch.float64)):
        again = made(**{name: given})
        assert again == plain
        assert repr(again) == repr(plain)
        assert type(getattr(again, name)) in (int, float)
