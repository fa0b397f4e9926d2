"""NetworkProblem: the user's network, or any other ODE, as a problem that studies can be made of."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

from flowsolve._arguments import instance, real, shown, text
from flowsolve.errors import GridError, StateError
from flowsolve.ode.base import ODE, Wrapped, leaves
from flowsolve.ode.by_seed import BySeed
from flowsolve.ode.modules import modules
from flowsolve.ode.noise import check_event
from flowsolve.problems.base import Problem
from flowsolve.schedule.clock import VPSDE, Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from flowsolve.metrics.features import Features


class NetworkProblem(Wrapped, Problem):
    """An ODE together with what `convergence`, `work_precision` and the experiments need besides ε.

    ode        for example DiffusionODE(network, EpsPrediction(clock))
    event      the shape of one sample
    sigma_max  where it starts, x̄ = sigma_max · noise
    sigma_min  where it ends
    name       how rows and figures call it; unless given, the class or function of the network
    digest     a text that names the network and its condition, such as a hash of its weights and labels,
               those by seed (`BySeed`) too: with it references are cached and studies continue in another
               process; without it neither happens
    data       real samples x₀, (N, *event), or a function that loads them, which generated samples are
               compared with
    features   (N, *event) -> (N, d), applied to samples before distances are taken; None for their values

    Grids that are uniform in t take the clock of its labels, or VPSDE() where it has none, unless
    `with_clock` gives another.
    """

    summary = "a network given by the user"
    is_network = True
    tolerance = 1e-8

    def __init__(
        self,
        ode: ODE,
        event: tuple[int, ...],
        sigma_max: float,
        sigma_min: float,
        *,
        name: str | None = None,
        digest: str = "",
        data: Tensor | Callable[[], Tensor] | None = None,
        features: Features | None = None,
    ) -> None:
        super().__init__(ode)
        self.named = name is not None
        self.name = _called(ode) if name is None else text("name", name, StateError)
        self._event, self._digest, self._data = (
            check_event(event),
            text("digest", digest, StateError),
            data,
        )
        self._features = features
        self._clock: Clock = _known_clock(ode) or VPSDE()
        self.sigma_max = real("sigma_max", sigma_max, GridError)
        self.sigma_min = real("sigma_min", sigma_min, GridError)
        self.check_ends()

    def __repr__(self) -> str:
        return f"NetworkProblem({self.name})"

    @property
    def event(self) -> tuple[int, ...]:
        return self._event

    @property
    def clock(self) -> Clock:
        return self._clock

    def with_clock(self, clock: Clock) -> NetworkProblem:
        """The same problem with another clock for grids that are uniform in t."""
        instance("clock", clock, Clock, "VPSDE()")
        other = copy.copy(self)
        other._clock = clock
        return other

    @property
    def digest(self) -> str:
        return self._digest or super().digest

    def _mapped(self, change: Callable[[ODE | BySeed], Any]) -> Self:
        other = super()._mapped(change)
        if other is not self:
            other._digest = self.digest  # for other seeds it is the same problem
        return other

    def data(self) -> Tensor:
        """The samples given. Raises StateError if there are none, or for another shape."""
        import torch

        if self._data is None:
            return super().data()
        found = self._data() if callable(self._data) else self._data
        shape = tuple(getattr(found, "shape", ()))
        if not isinstance(found, torch.Tensor) or shape[1:] != self.event or not shape:
            got = shape if isinstance(found, torch.Tensor) else shown(found)
            raise StateError(
                f"the data of {self!r} must be a tensor ({', '.join(['N', *map(str, self.event)])}), not {got}."
            )
        return found

    @property
    def features(self) -> Features | None:
        return self._features

    def with_forward_hook(self, hook: Callable[[int], None]) -> ODE:
        return self.ode.with_forward_hook(hook)


def _called(ode: ODE) -> str:
    """The class of the module that the first network of `ode` is, or its own name; else that of the ODE."""
    leaf = next(leaves(ode))
    network = getattr(leaf, "network", None)
    if not callable(network):
        return type(leaf).__name__
    module = next(modules(network), None)
    name = getattr(network, "__name__", "") if module is None else type(module).__name__
    return name if name.isidentifier() else "network"


def _known_clock(ode: ODE) -> Clock | None:
    """That of the labels of its first network."""
    found = getattr(getattr(next(leaves(ode)), "precondition", None), "clock", None)
    return found if isinstance(found, Clock) else None
