"""The probability-flow ODE dx̄/dσ = ε(x̄, σ), and an ODE around another.

Shapes: x is x̄ = x_t/α, (B, *event), in any floating dtype on any device; σ = s/α is a Python float.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from flowsolve._arguments import real, shown
from flowsolve.errors import StateError
from flowsolve.ode.by_seed import BySeed, check_seeds
from flowsolve.schedule.tracing import outside_the_trace

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Scales:
    """std, the deviation of a value of the data, and top, their largest principal deviation.

    Raises ValueError unless 0 < std, top < ∞.
    """

    std: float
    top: float

    def __post_init__(self) -> None:
        for name in ("std", "top"):
            if not 0 < real(f"Scales: {name}", getattr(self, name)) < math.inf:
                raise ValueError(
                    f"Scales: {name} must be above 0 and finite, but is {getattr(self, name)!r}."
                )


class ODE(ABC):
    """dx̄/dσ = ε(x̄, σ) = (x̄ - x₀(x̄, σ))/σ.  Subclasses give `eps`, and `x0` where it comes cheaper.

    sigma_range  (σ_max, σ_min) of its training, ∞ and 0 included; None where it does not know
    data_std     the deviation of a value of its data; None where it does not know
    scales       those of its data, where `flowsolve.scales` has measured them or the ODE knows; else None
    """

    _twice: ClassVar[
        tuple[str, ...]
    ] = ()  # attributes whose ODEs stand in others too: no parts of their own
    _sigma_range: tuple[float, float] | None = None
    data_std: float | None = None
    _scales: Scales | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """A class with an `eps` of its own answers several levels by it, unless it says how; `x0` likewise."""
        super().__init_subclass__(**options)
        for one, each in (("eps", "eps_each"), ("x0", "x0_each")):
            if one in vars(cls) and each not in vars(cls):
                setattr(cls, each, vars(ODE)[each])

    @property
    def scales(self) -> Scales | None:
        return self._scales

    @scales.setter
    def scales(self, found: Scales) -> None:
        self._scales = found

    @property
    def sigma_range(self) -> tuple[float, float] | None:
        return self._sigma_range

    @sigma_range.setter
    def sigma_range(self, ends: tuple[float, float]) -> None:
        self._sigma_range = ends

    @property
    def asked(self) -> bool:
        """Whether the last evaluation asked a network, or an ε in closed form, and so counts as one."""
        inner = self._components()
        return not inner or any(one.asked for one in inner)

    @abstractmethod
    def eps(self, x: Tensor, sigma: float) -> Tensor:
        """ε(x̄, σ), shape and dtype of x, for 0 < σ < ∞."""

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        """x₀ = x̄ - σ ε(x̄, σ), shape and dtype of x.  At σ = ∞, x is the unit noise x̄/σ."""
        return x.add(self.eps(x, sigma), alpha=-sigma)

    def eps_each(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        """[ε(x̄, σ), ...] of several states, each at its own level: here one after the other.

        xs      states of the same event; all of the same samples, where the ODE has rows for samples
        sigmas  the level of each, Python floats

        A `DiffusionODE` answers by one call of its network, and so do the wrappers of `flowsolve.ode` around
        it. The answers are new tensors.
        """
        return self._in_turn(self.eps, xs, sigmas)

    def x0_each(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        """[x₀(x̄, σ), ...], as `eps_each`."""
        return self._in_turn(self.x0, xs, sigmas)

    def _in_turn(
        self, ask: Callable[[Tensor, float], Tensor], xs: Sequence[Tensor], sigmas: Sequence[float]
    ) -> list[Tensor]:
        answers = (ask(x, sigma) for x, sigma in zip(xs, sigmas, strict=True))
        if len(xs) == 1 or self.is_ours():
            return list(answers)
        return [
            answer.clone() for answer in answers
        ]  # it may answer in a buffer that it uses again

    def alpha(self, sigma: float) -> float:
        """The signal scale α of x_t = α x̄, 1/√(1+σ²) unless the path says otherwise."""
        return 1 / math.hypot(1, sigma)

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        """A draw of N(0, I), shape and dtype of x, for the interval from level s to level t.

        The same interval and `again` give the same draw: a method that steps over an interval more than
        once counts its visits in `again`. Stochastic methods ask for it. Raises StateError unless a
        `WithNoise` around the ODE gives it.
        """
        raise StateError(
            "this method is stochastic and needs noise: wrap the ODE as WithNoise(ode, SeededNoise("
            "seeds)), one seed for each sample."
        )

    def with_forward_hook(self, hook: Callable[[int], None]) -> ODE:
        """The same ODE with `hook(rows)` called at every forward pass of its networks, if it has any.

        A copy whose attributes are hooked, where they are ODEs or lists, tuples or dictionaries of ODEs.
        """
        return self._mapped(
            lambda part: part.with_forward_hook(hook) if isinstance(part, ODE) else part
        )

    def for_seeds(self, seeds: Iterable[int], device: torch.device | str = "cpu") -> Self:
        """The same ODE for samples of these seeds: with their rows, on the device, wherever a `BySeed` stands.

        Itself where none does. Studies ask for it for each block of seeds, so that a sample's label does not
        depend on its block.
        """
        checked = check_seeds(seeds)
        return self._mapped(lambda part: part.for_seeds(checked, device))

    def _mapped(self, change: Callable[[ODE | BySeed], Any]) -> Self:
        """A copy with the ODEs and the rows by seed that it holds changed; itself if nothing does."""
        mine = {name: vars(self)[name] for name in self._attributes()}
        changed = {name: _mapped(value, change) for name, value in mine.items()}
        if all([changed[name] is value for name, value in mine.items()]):
            return self
        return self._with(**changed)

    def _with(self, **changed: Any) -> Self:
        """A copy with other attributes, by operations that torch.compile can trace."""
        other = object.__new__(type(self))
        for name in self._attributes():
            vars(other)[name] = changed.get(name, vars(self)[name])
        return other

    def _components(self) -> list[ODE]:
        """The ODEs among its attributes, and in lists and tuples of them."""
        values = [v for k, v in vars(self).items() if k not in self._twice]
        each = (v if type(v) in (list, tuple) else [v] for v in values)
        return [one for some in each for one in some if isinstance(one, ODE)]

    @outside_the_trace
    def _attributes(self) -> tuple[str, ...]:
        return tuple(vars(self))

    @outside_the_trace
    def is_ours(self) -> bool:
        """Whether it and all that it is made of are flowsolve's."""
        return all(type(part).__module__.startswith("flowsolve.") for part in parts(self))

    @outside_the_trace
    def may_keep(self) -> bool:
        """Whether it is made of an ODE that may keep an answer and give it again: see `asked`."""
        return any(type(part).asked is not ODE.asked for part in parts(self))


class Wrapped(ODE):
    """An ODE around another. Methods that a subclass does not override are those of the inner ODE."""

    def __init__(self, ode: ODE) -> None:
        if not isinstance(ode, ODE):
            raise StateError(f"{type(self).__name__} wraps an ODE, not {shown(ode)}.")
        self.ode = ode

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self.ode.eps(x, sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return self.ode.x0(x, sigma)

    def eps_each(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        return self.ode.eps_each(xs, sigmas)

    def x0_each(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        return self.ode.x0_each(xs, sigmas)

    def alpha(self, sigma: float) -> float:
        return self.ode.alpha(sigma)

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        return self.ode.noise(x, s, t, again)


def parts(ode: ODE) -> Iterator[ODE]:
    """The ODE, and all that it is made of."""
    yield ode
    for part in ode._components():
        yield from parts(part)


def leaves(ode: ODE) -> Iterator[ODE]:
    """The parts that are made of no other."""
    return (part for part in parts(ode) if not part._components())


def _mapped(value: Any, change: Callable[[ODE | BySeed], Any]) -> Any:
    """`value` with the ODEs and the rows by seed in it changed, or itself if nothing does."""
    if isinstance(value, ODE | BySeed):
        return change(value)
    if not isinstance(value, Mapping) and type(value) not in (list, tuple):
        return value
    old = list(value.values() if isinstance(value, Mapping) else value)
    new = [_mapped(one, change) for one in old]
    if all([a is b for a, b in zip(old, new, strict=True)]):  # as torch.compile traces it
        return value
    return dict(zip(value, new, strict=True)) if isinstance(value, Mapping) else type(value)(new)
