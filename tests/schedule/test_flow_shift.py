"""Grids of flow matching: shifted times, a terminal, the shift by the size of an image."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

import flowsolve as fs
from flowsolve.errors import GridError, ScheduleError


def test_shifted_times() -> None:
    """t' = shift t/(1 + (shift-1)t), from ∞ to shift/(999 + ...), then 0."""
    grid = fs.flow_uniform(5, shift=3.0)
    times = [1 + (0.001 - 1) * i / 4 for i in range(5)]
    shifted = [3 * t / (1 + 2 * t) for t in times]
    assert grid[0] == math.inf
    assert [s / (1 + s) for s in grid[1:-1]] == pytest.approx(shifted[1:], rel=1e-12)
    assert grid[-1] == 0
    assert (grid.steps, len(fs.flow_uniform(1))) == (5, 2)


def test_stretched_to_a_terminal() -> None:
    grid = fs.flow_uniform(8, shift=2.0, terminal=0.1)
    assert grid[-2] / (1 + grid[-2]) == pytest.approx(0.1, rel=1e-12)
    plain = fs.flow_uniform(8, shift=2.0)
    for a, b in zip(grid[1:-1], plain[1:-1], strict=True):  # 1 - t' by one factor
        assert (1 + b) / (1 + a) == pytest.approx((1 + plain[-2]) * 0.9, rel=1e-12)


def test_dynamic_shift() -> None:
    assert fs.dynamic_shift(256) == pytest.approx(math.exp(0.5))
    assert fs.dynamic_shift(4096) == pytest.approx(math.exp(1.15))
    assert fs.dynamic_shift(2176) == pytest.approx(math.exp(0.825))
    assert fs.dynamic_shift(2176, kind="linear") == pytest.approx(0.825)


REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "no step": (
        lambda: fs.flow_uniform(0),
        GridError,
        "flow_uniform: a grid needs at least one step, but got n = 0.",
    ),
    "beyond 1": (
        lambda: fs.flow_uniform(4, first=1.5),
        GridError,
        "flow_uniform: need 0 < last <= first <= 1 and shift > 0, but got first = 1.5, last = 0.001, "
        "shift = 1.0.",
    ),
    "one step to a terminal": (
        lambda: fs.flow_uniform(1, terminal=0.1),
        GridError,
        "flow_uniform: terminal = 0.1 must lie between 0 and 1, and needs n > 1.",
    ),
    "shift of nothing": (
        lambda: fs.dynamic_shift(256, base_shift=-1.0, kind="linear"),
        ScheduleError,
        "a flow's shift must be positive, but mu = -1.0 gives -1.0.",
    ),
    "unknown kind": (
        lambda: fs.dynamic_shift(256, kind="cubic"),  # type: ignore[arg-type]
        ScheduleError,
        'kind must be "exponential" or "linear", but got \'cubic\'.',
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    call, kind, text = REFUSED[what]
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == text
