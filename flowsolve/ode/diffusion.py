"""DiffusionODE: a network and its Precondition as the ODE dx̄/dσ = ε(x̄, σ).

Shapes: x is x̄ = x_t/α, (B, *event), in any floating dtype on any device; σ = s/α is a Python float.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from flowsolve.errors import NetworkError
from flowsolve.ode.base import ODE
from flowsolve.ode.condition import ask, check_kind, for_each
from flowsolve.ode.ownership import asked, changed, kept, multiple, writes
from flowsolve.ode.precondition import Precondition
from flowsolve.ode.relabelled import Relabelled
from flowsolve.schedule.tracing import pinned

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.ode.condition import Condition
    from flowsolve.ode.precondition import Coefs, Path


Network = Callable[..., "Tensor"]


class DiffusionODE(ODE):
    """A network F as an ODE:  x₀ = c_skip x̄ + c_out F(c_in x̄, t),  ε = (x̄ - x₀)/σ.   EDM, Eq. 7.

    network       (x, t) -> F; x is c_in x̄, (B, *event), and t the label, (B,), at least float32. F must
                  have the shape, dtype and device of x.
    precondition  what F means: EpsPrediction(clock), VPrediction(clock), FlowPrediction(), ...
    condition     what else the network is given: a tensor c as network(x, t, c), a dictionary as
                  network(x, t, **c). Its tensors have one row for each sample and are passed as they
                  are: they must have the dtype that the network takes.
    dtype         the dtype of the network where it differs from the state's: x is cast to it, F back.
                  That of a torch Module whose parameters all have one is known without it; a Module with
                  weights in half precision that casts inside sees more with dtype=torch.float32.
    autocast      a dtype for torch.autocast around the network (weights stay as they are).

    F may be a buffer that the network uses again, and the network may write into its x: neither changes an
    answer. Where x is the caller's own (c_in = 1) the first call gets a copy, and so does every other one in
    inference mode or of a network that was seen to write.

    Raises NetworkError if F is not one tensor like x, if the condition does not fit the batch, and where the
    network fails. It is no torch Module.
    """

    def __init__(
        self,
        network: Network,
        precondition: Precondition,
        *,
        condition: Condition = None,
        dtype: torch.dtype | None = None,
        autocast: torch.dtype | None = None,
    ) -> None:
        if isinstance(network, Precondition):
            raise NetworkError(
                f"the network comes first, DiffusionODE(network, precondition), but got {network!r} first."
            )
        if not callable(network):
            raise NetworkError(f"a network is called as network(x, t), but got {network!r}.")
        if not isinstance(precondition, Precondition):
            raise NetworkError(
                f"precondition must be an instance such as EpsPrediction(clock), not {precondition!r}."
            )
        check_kind(condition)
        self._sigma_range = precondition.clock.sigma_range
        self.data_std = getattr(precondition, "sigma_data", None)
        self.network, self.precondition, self.condition = network, precondition, condition
        self.dtype, self.autocast = dtype, autocast
        self._weight = _weight(network)
        self._writes: list[bool | None] = [None]  # into its input; shared by copies of this ODE

    def given(self, condition: Condition) -> Self:
        """The same network under another condition."""
        check_kind(condition)
        return self._with(condition=condition)

    def told(self, levels: Mapping[float, float], path: Path | None = None) -> Self:
        """The same network, told the level levels[σ] at σ: see `Relabelled`."""
        return self._with(precondition=Relabelled(self.precondition, levels, path))

    def _components(self) -> list[ODE]:
        """None: it is made of a network."""
        return []

    def alpha(self, sigma: float) -> float:
        return self.precondition.alpha(sigma)

    def with_forward_hook(self, hook: Callable[[int], None]) -> DiffusionODE:
        network = self.network

        def hooked(x: Tensor, *rest: Any, **condition: Any) -> Tensor:
            hook(len(x))
            return network(x, *rest, **condition)

        return self._with(network=hooked)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        """c_skip x̄ + c_out F."""
        c = pinned(self.precondition).at(sigma)
        return self._combine(x, c, c.c_skip, c.c_out)

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        """(1 - c_skip)/σ x̄ - c_out/σ F."""
        c = pinned(self.precondition).at(sigma)
        return self._combine(x, c, c.e_skip, c.e_out)

    def x0_each(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        if len(xs) < 2:
            return super().x0_each(xs, sigmas)
        coefs = [pinned(self.precondition).at(sigma) for sigma in sigmas]
        return self._combine_each(xs, coefs, [(c.c_skip, c.c_out) for c in coefs])

    def eps_each(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        if len(xs) < 2:
            return super().eps_each(xs, sigmas)
        coefs = [pinned(self.precondition).at(sigma) for sigma in sigmas]
        return self._combine_each(xs, coefs, [(c.e_skip, c.e_out) for c in coefs])

    def _combine_each(
        self, xs: Sequence[Tensor], coefs: list[Coefs], weights: list[tuple[float, float]]
    ) -> list[Tensor]:
        """[a x̄ + b F, ...] of several states, the rows of all in one call of the network."""
        import torch

        pairs = [*zip(xs, coefs, strict=True)]
        inner = self._cast(torch.cat([x * c.c_in for x, c in pairs]))
        label = torch.cat([_label(inner, len(x), c.t) for x, c in pairs])
        out, _ = self._network(inner, label, for_each(self.condition, xs))
        parts = torch.split(out.to(xs[0].dtype), [len(x) for x in xs])
        return [_affine(a, x, b, f) for x, (a, b), f in zip(xs, weights, parts, strict=True)]

    def _combine(self, x: Tensor, c: Coefs, a: float, b: float) -> Tensor:
        """a x̄ + b F, by one call of the network, which may write into its input and keep its answer."""
        x_in = x if c.c_in == 1 else multiple(x, c.c_in)
        inner = self._cast(x_in)
        if inner is x:
            inner = self._lent(x)
        before = writes(inner)
        out, references = self._network(inner, _label(inner, len(x), c.t), self.condition)
        wrote = writes(inner) != before
        if wrote and inner is x:
            raise changed("the network")
        if before is not None:
            self._writes[0] = wrote or bool(self._writes[0])
        f: Tensor = out if out.dtype == x.dtype else out.to(x.dtype)
        if a == c.c_in and not (wrote and inner is x_in):  # a flow network: a x̄ is the scaled input
            return x_in.add(f, alpha=b)
        if a == 0 and b == 1:
            return f.clone() if f is out and kept(out, references) else f
        del x_in, inner  # frees memory of the size of a state
        return _affine(a, x, b, f)

    def _cast(self, x: Tensor) -> Tensor:
        """x in the dtype that the network takes."""
        dtype = self.dtype or (None if self._weight is None else self._weight.dtype)
        return x if dtype is None else x.to(dtype)

    def _network(self, x: Tensor, label: Tensor, condition: Condition) -> tuple[Tensor, int]:
        """What the network answers, and how many references to it there are."""
        with self._autocast(x):
            out, references = asked(ask, self.network, x, label, condition)
        any_dtype = bool(self.dtype or self._weight is not None or self.autocast)
        _check(out, x, any_dtype)
        return out, references

    def _lent(self, x: Tensor) -> Tensor:
        """x itself for a network that was seen to leave it alone, where a change would show; else a copy."""
        safe = self._writes[0] is False and writes(x) is not None
        return x if safe else multiple(x, 1.0)

    def _autocast(self, x: Tensor) -> AbstractContextManager[object]:
        if self.autocast is None:
            return nullcontext()
        import torch

        return torch.autocast(x.device.type, self.autocast)


def _weight(network: Network) -> Tensor | None:
    """A parameter of a Module whose floating parameters have one dtype: it changes with the Module's."""
    import torch

    while isinstance(network, partial):
        network = network.func
    module = getattr(network, "__self__", network)  # of a bound method
    if not isinstance(module, torch.nn.Module):
        return None
    weights = [p for p in module.parameters() if p.is_floating_point()]
    dtypes = {p.dtype for p in weights}
    return weights[0] if len(dtypes) == 1 and weights[0].dtype.itemsize > 1 else None


def _label(x: Tensor, rows: int, t: float) -> Tensor:
    """t for every row, at least in float32: in half precision 751 would be rounded to 752."""
    import torch

    return x.new_full((rows,), t, dtype=torch.float32 if x.dtype.itemsize < 4 else x.dtype)


def _affine(a: float, x: Tensor, b: float, f: Tensor) -> Tensor:
    """a x + b f in as few operations as the numbers allow."""
    if a == 0:
        return f * b
    if b == 1:
        return f.add(x, alpha=a)
    if a == 1:
        return x.add(f, alpha=b)
    return (f * b).add_(x, alpha=a)


def _check(out: object, x: Tensor, any_dtype: bool) -> None:
    """Raise NetworkError unless `out` is one tensor like x. Its values are not looked at."""
    import torch

    if not isinstance(out, torch.Tensor):
        count = f" of {len(out)}" if isinstance(out, tuple | list) else ""
        raise NetworkError(
            f"the network returned a {type(out).__name__}{count}, not one tensor. Wrap it, for "
            "example: lambda x, t: network(x, t)[0] (or .sample for a diffusers model)."
        )
    if out.shape != x.shape:
        hint = ""
        if out.ndim == x.ndim > 1 and out.shape[1] == 2 * x.shape[1]:
            hint = " If it also predicts a variance, keep the first half of the channels."
        raise NetworkError(
            f"the network returned shape {tuple(out.shape)} for an input of {tuple(x.shape)}.{hint}"
        )
    if out.device != x.device:
        raise NetworkError(
            f"the network returned a tensor on {out.device} for an input on {x.device}."
        )
    if not out.is_floating_point() or (out.dtype != x.dtype and not any_dtype):
        raise NetworkError(
            f"the network returned {out.dtype} for an input of {x.dtype}. Cast the network, or say "
            "DiffusionODE(..., dtype=...) for the dtype it works in."
        )
