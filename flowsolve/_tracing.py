"""What a trace of a solve by torch.compile takes as it stands: functions of Python values, computed outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def outside_the_trace(function: F) -> F:
    """The same function. torch.compile calls it once with the values it has, and keeps the answer as a constant.

    For functions of Python values alone, no tensors among them. It is torch.compiler.assume_constant_result,
    without the second that importing that takes.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
