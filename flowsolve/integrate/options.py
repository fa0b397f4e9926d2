"""The options that every run takes by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypedDict

from flowsolve._arguments import shown
from flowsolve.ode.noise import usable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Options(TypedDict, total=False):
    """`**options` of `solve`, `sample`, `encode`, `partial_start` and `inpaint`.

    keep     k keeps every k-th node in `Solution.path`, first and last included; 0 (the default) keeps none
    keep_on  where kept tensors go, for example "cpu"; None (the default) leaves them where they are
    grad     record gradients through the whole run; False by default
    check    look once at the result for NaN and ∞, the only read-back from the device; True by default. Inside
             torch.compile there are no values to look at
    on_step  on_step(k, sigma, x) is called with a copy of x̄ at grid[k], as soon as it is known and before
             anything is evaluated there: the start first, the answer last. What it raises ends the run
    """

    keep: int
    keep_on: torch.device | str | None
    grad: bool
    check: bool
    on_step: Callable[[int, float, Tensor], object] | None


def with_defaults(options: Options) -> Options:
    """All options. Raises TypeError for any other name, ValueError for a value that cannot be."""
    check_names(options, Options)
    chosen: Options = {"keep": 0, "keep_on": None, "grad": False, "check": True, "on_step": None}
    chosen.update(options)
    keep, keep_on = chosen["keep"], chosen["keep_on"]
    if not isinstance(keep, int) or keep < 0:
        raise ValueError(
            f"keep must be 0 (no path) or k >= 1 (every k-th node), but got {shown(keep)}."
        )
    if keep_on is not None:
        usable(keep_on)
    switches: tuple[Literal["grad", "check"], ...] = ("grad", "check")
    for name in switches:
        if chosen[name] not in (True, False):
            raise ValueError(f"{name} must be True or False, but got {shown(chosen[name])}.")
    if chosen["on_step"] is not None:
        _check_callback(chosen["on_step"])
    return chosen


def _check_callback(function: object) -> None:
    """Raise ValueError unless it can be called with (k, sigma, x)."""
    what = "on_step must be a function (k, sigma, x)"
    if not callable(function):
        raise ValueError(f"{what}, but got {shown(function)}.")
    try:
        inspect.signature(function).bind(0, 1.0, None)
    except TypeError as error:
        raise ValueError(f"{what}, but {shown(function)}: {error}.") from None
    except ValueError:  # a function of C, which does not say
        pass


def check_names(options: Mapping[str, object], kind: type) -> None:
    """Raise TypeError if the name of an option is not one of the TypedDict `kind`."""
    for name in options:
        if name not in kind.__annotations__:
            known = ", ".join(kind.__annotations__)
            raise TypeError(f"there is no option {name!r}. The options are {known}.")
