"""Parameters of clocks of a wrong kind, and those of numpy and torch."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch

from flowsolve import VPSDE, FlowClock
from flowsolve.errors import ScheduleError
from flowsolve.schedule import VESDE, AngleClock, DiscreteClock, ve_index

OPTIONS = [
    (made, f.name)
    for made in (VPSDE, VESDE, FlowClock, AngleClock)
    for f in fields(made)
    if f.type == "float"
]
WRONG: list[Any] = [None, "no", True, np.ones(3), torch.empty(0), [1], dict]


@pytest.mark.parametrize(("made", "name"), OPTIONS)
def test_a_parameter_is_a_number(made: Any, name: str) -> None:
    needed = {"sigma_min": 0.01, "sigma_max": 50.0} if made is VESDE else {}
    for wrong in WRONG:
        with pytest.raises(ScheduleError, match=rf"^{made.__name__}: {name} must be a number"):
            made(**{**needed, name: wrong})
    plain = made(**needed)
    same = made(**{**needed, name: np.float64(getattr(plain, name))})
    assert same == plain
    assert repr(same) == repr(plain)


@pytest.mark.parametrize("table", ["no", 3, None, [0.9, "a"], np.ones((2, 2))])
def test_a_table_is_of_numbers(table: Any) -> None:
    with pytest.raises((ScheduleError, TypeError), match="alphas_cumprod"):
        DiscreteClock(table)


def test_the_table_of_a_clock_may_be_an_array() -> None:
    table = (0.9, 0.5, 0.1)
    assert DiscreteClock(np.array(table)) == DiscreteClock(table)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("n", "low"), [(None, 0.01), (1, 0.01), (2.5, 0.01), (10, None), (10, "a")]
)
def test_ve_index(n: Any, low: Any) -> None:
    with pytest.raises(ScheduleError, match="ve_index"):
        ve_index(n, low, 50.0)
