"""What a network is given besides x and t: a class, a text embedding, a picture.

A tensor becomes the third argument, network(x, t, c), and a dictionary becomes keywords,
network(x, t, **c). Tensors in it, at any depth, have one row for each sample; numbers, tensors without
dimensions and everything else belong to all samples. A `BySeed` in the place of a tensor becomes one by
`ode.for_seeds(seeds)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Union

from flowsolve.errors import NetworkError
from flowsolve.ode.by_seed import BySeed
from flowsolve.ode.failure import failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import torch
    from torch import Tensor

CALL_ERRORS = (TypeError, IndexError, AttributeError, RuntimeError)
"""What a network raises that was called as it should not be."""

Condition = Union["Tensor", Mapping[str, Any], BySeed, None]


def check_kind(condition: object) -> None:
    """Raise NetworkError unless it is a tensor, `BySeed`, a dictionary whose keys are strings, or None."""
    import torch

    if isinstance(condition, Mapping):
        good = all(isinstance(k, str) for k in condition)
    else:
        good = condition is None or isinstance(condition, torch.Tensor | BySeed)
    if not good:
        raise NetworkError(
            "a condition is a tensor, given as network(x, t, c), or a dictionary, given as "
            f"network(x, t, **c), but got {condition!r:.80}."
        )


def ask(network: Callable[..., Tensor], x: Tensor, t: Tensor, condition: Condition) -> Tensor:
    """network(x, t, condition).

    Raises NetworkError where the condition's rows or device do not fit x, or where the call fails, with the
    network's own error as its cause: a TypeError, IndexError, AttributeError or RuntimeError.
    """
    for name, c in () if condition is None else rows(condition, "the condition"):
        if len(c) != len(x):
            raise NetworkError(
                f"{name} has shape {tuple(c.shape)} for {len(x)} samples: give one row for each, for "
                "example by c.expand(B, ...)."
            )
        if c.device != x.device:
            raise NetworkError(f"{name} is on {c.device}, but the state is on {x.device}.")
    try:
        if condition is None:
            return network(x, t)
        if isinstance(condition, Mapping):
            return network(x, t, **condition)
        return network(x, t, condition)
    except CALL_ERRORS as error:
        named = failed(error, x, t, condition)
        if named is error:
            raise
        raise named from error


def join(first: Any, second: Any, name: str = "the condition") -> Any:
    """One condition for two batches in one call: tensors with rows concatenated, everything else shared.

    Raises NetworkError where two tensors differ in shape, dtype or device, or where shared things differ.
    """
    import torch

    a, b = first, second
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) and a.ndim and b.ndim:
        if a.shape == b.shape and a.dtype == b.dtype and a.device == b.device:
            return torch.cat((a, b))
    elif isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() == b.keys():
            return {k: join(a[k], b[k], f"{name}[{k!r}]") for k in a}
    elif isinstance(a, list | tuple) and isinstance(b, list | tuple):
        if len(a) == len(b):
            return [join(p, q, f"{name}[{i}]") for i, (p, q) in enumerate(zip(a, b, strict=True))]
    elif isinstance(a, BySeed) and isinstance(b, BySeed):
        return _Both(a, b, name)
    elif a is b or (isinstance(a, str | int | float) and type(a) is type(b) and a == b):
        return a
    raise NetworkError(
        f"batched=True evaluates both sides at once, so {name} must be alike on both, but one is "
        f"{_described(a)} and the other {_described(b)}. Make them alike, or leave batched out: two passes."
    )


class _Both(BySeed):
    """The rows of two, one after the other, joined when the seeds are known."""

    def __init__(self, first: BySeed, second: BySeed, name: str) -> None:
        self.both, self.name = (first, second), name

    def __repr__(self) -> str:
        return "{!r} and {!r}".format(*self.both)

    def for_seeds(self, seeds: Iterable[int], device: torch.device | str = "cpu") -> Tensor:
        first, second = (one.for_seeds(seeds, device) for one in self.both)
        joined: Tensor = join(first, second, self.name)
        return joined


def rows(value: object, name: str) -> Iterator[tuple[str, Tensor]]:
    """Every tensor with rows in the condition, with its place, for example "the condition['y'][0]".

    Raises NetworkError for a `BySeed`, whose rows nobody has asked for.
    """
    import torch

    if isinstance(value, torch.Tensor):
        if value.ndim:
            yield name, value
    elif isinstance(value, BySeed):
        raise value.unresolved(name)
    elif isinstance(value, Mapping):
        for k, v in value.items():
            yield from rows(v, f"{name}[{k!r}]")
    elif isinstance(value, list | tuple):
        for i, v in enumerate(value):
            yield from rows(v, f"{name}[{i}]")


def first_rows(value: Any, n: int) -> Any:
    """The condition of the first n samples, in memory of its own."""
    return _changed(value, lambda rows: rows[:n].clone())


def for_each(value: Any, states: Sequence[Tensor]) -> Any:
    """The condition of several states in one batch: its rows once for every state whose samples they are.

    As it is where it has rows for all states together.
    """
    import torch

    sizes = {len(x) for x in states}

    def repeated(rows: Tensor) -> Tensor:
        return torch.cat([rows] * len(states)) if {len(rows)} == sizes else rows

    return _changed(value, repeated) if len(states) > 1 else value


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The condition with its tensors with rows changed."""
    import torch

    if isinstance(value, torch.Tensor):
        return change(value) if value.ndim else value
    if isinstance(value, Mapping):
        return {k: _changed(v, change) for k, v in value.items()}
    return [_changed(v, change) for v in value] if isinstance(value, list | tuple) else value


def _described(value: object) -> str:
    import torch

    if isinstance(value, torch.Tensor):
        return f"{tuple(value.shape)} of {value.dtype} on {value.device}"
    return f"a dictionary of {sorted(value)}" if isinstance(value, Mapping) else f"{value!r:.40}"
