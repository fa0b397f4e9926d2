"""What a network was given when it failed, and what may mend it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flowsolve.errors import FlowsolveError, NetworkError

if TYPE_CHECKING:
    from torch import Tensor

# what PyTorch and Python say, and what to do about it
_MENDS = (
    (
        r"missing \d+ required|NoneType",
        "It wants more than x and t: give it as DiffusionODE(..., condition=c) or ode.given(c).",
    ),
    (
        r"takes .*positional argument|unexpected keyword|multiple values",
        "A tensor is given as network(x, t, c) and a dictionary as network(x, t, **c): give what it takes.",
    ),
    (
        r"scalar types: Long|indices.*(Long|Int)|must be (long|integer)|used as indices",
        "It looks up whole numbers. For labels: DiffusionODE(lambda x, t: network(x, t.round().long()), ...); "
        "classes are given as integers.",
    ),
    (
        r"out of range|out of bounds|device-side assert",
        "A label or a class lies outside the network's table: compare the label t, which the clock makes, with "
        "the number of levels that it was trained on, and classes with the number of its classes.",
    ),
    (
        r"(same|mixed) dtype|expected (scalar type|m1)|[Ii]nput type .* (weight|bias) type",
        "Cast the network, network.to(x.dtype), or say DiffusionODE(..., dtype=...) for the dtype it works in.",
    ),
    (
        r"same device|on cpu|is on cuda|device type",
        "Put the network where the state is: network.to(x.device).",
    ),
    (
        r"non-singleton dimension 0|Sizes of tensors must match",
        "Is (B, *event) the shape that it was trained on? Classes that it holds for one batch size are given "
        "as DiffusionODE(..., condition=BySeed(...)) instead, a row for each sample.",
    ),
    (
        r"[Ss]izes? of tensor|shape|size mismatch|channels|dimension|expected input",
        "Is (B, *event) the shape that it was trained on?",
    ),
)


def failed(error: Exception, x: Tensor, t: Tensor, condition: Any) -> Exception:
    """NetworkError with the call and the error of the network; `error` itself where that is no wrong call."""
    import torch

    if isinstance(
        error, FlowsolveError | torch.OutOfMemoryError | NotImplementedError | RecursionError
    ):
        return error
    said = str(error).strip().splitlines() or [""]
    mend = next((m for pattern, m in _MENDS if re.search(pattern, str(error))), "")
    more = "" if condition is None else f", {_described(condition, 'c')}"
    return NetworkError(
        f"the network failed when it was called with {_described(x, 'x')}, {_described(t, 't')}{more}. "
        f"{type(error).__name__}: {said[0].rstrip('.')}. {mend}".rstrip()
    )


def _described(value: Any, name: str) -> str:
    import torch

    if isinstance(value, torch.Tensor):
        what = f"{name} {tuple(value.shape)} of {value.dtype} on {value.device}"
        return what + _range(value) if name != "x" and value.numel() else what
    if isinstance(value, dict):
        return (
            ", ".join(_described(v, f"{name}[{k!r}]") for k, v in value.items()) or f"{name} {{}}"
        )
    return f"{name} a {type(value).__name__}"


def _range(value: Tensor) -> str:
    """From its least to its largest value, where they can still be read."""
    try:
        low, high = (float(v) for v in value.detach().aminmax())
    except (RuntimeError, TypeError):
        return ""
    return f" = {low:g}" if low == high else f" from {low:g} to {high:g}"
