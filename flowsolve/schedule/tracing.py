"""How torch.compile traces a run: weights and coefficients are constants, computed once outside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")


def outside_the_trace(method: F) -> F:
    """The same method of Python numbers. torch.compile calls it and takes its answer as a constant.

    The object that has it must be `pinned`. torch.compiler.assume_constant_result, without importing torch.
    """
    method._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return method


def pinned(thing: T) -> T:
    """The same thing. What torch.compile traces from here on holds for this very object, and no other."""
    id(thing)
    return thing


def compiling() -> bool:
    """Whether torch.compile or torch.export is tracing, where a tensor has no memory yet."""
    import torch

    return torch.compiler.is_compiling()
