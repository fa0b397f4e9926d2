"""Whose memory an answer is, and whether an input was written to: seen without looking at a value.

A network may return the same buffer at every call (CUDA graphs, static outputs): what is kept of one answer
would then change with the next. It may also write into the tensor that it was given.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from flowsolve.errors import NetworkError
from flowsolve.ode.base import ODE, Wrapped
from flowsolve.schedule.tracing import compiling

if TYPE_CHECKING:
    from torch import Tensor


def asked(function: Callable[..., Any], *args: Any) -> tuple[Any, int]:
    """(function(*args), how many references to it there are here)."""
    out = function(*args)
    return out, 0 if compiling() else sys.getrefcount(out)


def kept(out: Tensor, references: int) -> bool:
    """Whether something else still holds the memory of an answer, as `asked` has returned it.

    Also true of memory that is not PyTorch's own, such as a NumPy array. Costs no operation: owners are
    counted, of the tensor, of its storage, and of the tensor that it is a view of, and compared with those of
    an answer that nobody else holds.
    """
    if compiling():
        return True
    try:
        owners = _owners(out, references)
    except (NotImplementedError, RuntimeError):  # under a transform of torch.func: no memory to see
        return True
    return owners != _alone(len(owners) > 4)


def _owners(out: Tensor, references: int) -> tuple[int, ...]:
    import torch

    storage, base = out.untyped_storage(), out._base
    count = torch._C._storage_Use_Count(storage._cdata)
    own = references, storage.resizable(), count, _holders(out)
    return own if base is None else (*own, sys.getrefcount(base), _holders(base))


def _holders(x: Tensor) -> int:
    """The owners of the tensor outside Python, such as a scripted module."""
    count: Callable[[], int] | None = getattr(x, "_use_count", None)
    return 0 if count is None else count()


@cache
def _alone(view: bool) -> tuple[int, ...]:
    """The owners of a new tensor, or of a view of one."""
    import torch

    with torch.inference_mode(False):
        return _owners(*asked(lambda: torch.empty(1).view(1) if view else torch.empty(1)))


def owned(function: Callable[..., Any], *args: Any) -> Any:
    """function(*args), copied if it is a tensor whose memory something else holds."""
    import torch

    out, references = asked(function, *args)
    return out.clone() if isinstance(out, torch.Tensor) and kept(out, references) else out


def writes(x: Tensor) -> int | None:
    """How often PyTorch has written to x; None for tensors of inference mode, which do not count."""
    return None if compiling() or x.is_inference() else x._version


def multiple(x: Tensor, c: float) -> Tensor:
    """c x, a new tensor that counts writes, in inference mode too."""
    import torch

    if compiling() or not torch.is_inference_mode_enabled():
        return x * c
    with torch.inference_mode(False), torch.no_grad():
        return x * c


def own(ode: ODE) -> ODE:
    """The ODE itself if it is flowsolve's, whose answers are new, else `Owned`."""
    return ode if ode.is_ours() else Owned(ode)


class Owned(Wrapped):
    """The same ODE, whose answers are the caller's own: copied where the ODE holds on to them.

    Raises NetworkError if x was written to, where that can be seen (not in inference mode).
    """

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self._asked(self.ode.eps, x, sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return self._asked(self.ode.x0, x, sigma)

    def eps_each(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        return self._asked_each(self.ode.eps_each, xs, sigmas)

    def x0_each(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        return self._asked_each(self.ode.x0_each, xs, sigmas)

    def _asked_each(
        self, answer: Callable[..., list[Tensor]], xs: Sequence[Tensor], sigmas: Sequence[float]
    ) -> list[Tensor]:
        before = [writes(x) for x in xs]
        out = answer(xs, sigmas)
        if [writes(x) for x in xs] != before:
            raise changed(type(self.ode).__name__)
        return out

    def _asked(self, answer: Callable[[Tensor, float], Tensor], x: Tensor, sigma: float) -> Tensor:
        before = writes(x)
        out: Tensor = owned(answer, x, sigma)
        if writes(x) != before:
            raise changed(type(self.ode).__name__)
        return out


def changed(name: str) -> NetworkError:
    """The error of what writes into the caller's state."""
    return NetworkError(
        f"{name} changed the state that it was given in place, and with it the answer of the run. Let it "
        "work on x.clone(), or leave out the operation that ends in _ (or has inplace=True, out=)."
    )
