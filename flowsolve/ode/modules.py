"""The networks of an ODE, the torch modules in them, and what those do otherwise while they train."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, TypeGuard
from weakref import WeakSet

from flowsolve.ode.base import ODE, leaves

if TYPE_CHECKING:
    from torch import nn

DEPTH = 4  # wrappers around a module that are looked through
_WARNED: WeakSet[nn.Module] = WeakSet()


def modules(network: Callable[..., Any]) -> Iterator[nn.Module]:
    """The torch modules that a callable holds, through at most DEPTH wrappers.

    Itself; the object of a bound method; the function and arguments of a partial; what a function closes over,
    its defaults, and what it names of its own file; the attributes of any other object that can be called.
    """
    seen, level = set[int](), [network]
    for _ in range(DEPTH + 1):
        level = [*{id(v): v for v in level if id(v) not in seen}.values()]
        seen.update(map(id, level))
        yield from (value for value in level if _is_module(value))
        inner = (v for value in level if not _is_module(value) for v in _held(value))
        level = [v for v in inner if callable(v) and not isinstance(v, type)]


def _held(value: Any) -> list[Any]:
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, MethodType):
        return [value.__self__]
    if isinstance(value, FunctionType):
        cells = [c.cell_contents for c in value.__closure__ or () if _full(c)]
        named = [value.__globals__.get(name) for name in value.__code__.co_names]
        own = [
            v for v in named if _is_module(v) or getattr(v, "__module__", "") == value.__module__
        ]
        return [*cells, *(value.__defaults__ or ()), *own]
    return [*getattr(value, "__dict__", {}).values()]


def _is_module(value: Any) -> TypeGuard[nn.Module]:
    import torch

    return isinstance(value, torch.nn.Module)


def _full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # not yet assigned
        return False


def in_training(network: Callable[..., Any]) -> list[str]:
    """The kinds of layers in train mode that then draw random numbers or look at the whole batch."""
    found = (m for root in modules(network) if root.training for m in root.modules())
    return [*dict.fromkeys(type(m).__name__ for m in found if m.training and _differs(m))]


def _differs(layer: nn.Module) -> bool:
    from torch import nn
    from torch.nn.modules.batchnorm import _BatchNorm

    if isinstance(layer, _BatchNorm | nn.RReLU):
        return True
    name = type(layer).__name__.lower()
    rates = [
        "dropout",
        *(["p", "drop_prob", "drop_rate"] if "drop" in name or "depth" in name else []),
    ]
    return any(isinstance(p := getattr(layer, rate, None), float) and p > 0 for rate in rates)


def warn_of_training(ode: ODE) -> None:
    """Warn, once for each module, of networks in train mode with dropout or batch norm. Asks no network."""
    for leaf in leaves(ode):
        network = getattr(leaf, "network", None)
        for root in modules(network) if callable(network) else ():
            if root.training and root not in _WARNED and (kinds := in_training(root)):
                _WARNED.add(root)
                warnings.warn(
                    f"{type(root).__name__} is in train mode with {', '.join(kinds)}, so that its answers "
                    "change from call to call or depend on the whole batch, and the samples with them. "
                    "Call .eval() on it.",
                    stacklevel=4,
                )
