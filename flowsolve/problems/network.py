"""A network of the user's own, as a problem that studies can be made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowsolve.errors import StateError
from flowsolve.ode.base import ODE, Wrapped
from flowsolve.problems.base import Problem
from flowsolve.schedule.clock import VPSDE, Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from flowsolve.metrics.features import Features


class NetworkProblem(Wrapped, Problem):
    """Any ODE with a shape and two ends: what `convergence` and `work_precision` need.

    ode        for example DiffusionODE(network, EpsPrediction(clock))
    event      the shape of one sample
    sigma_max  where it starts, x̄ = sigma_max · noise;  sigma_min: where it ends
    clock      for grids uniform in t
    digest     a text that names the network, such as a hash of its weights: with it references are
               cached and studies continue in another process; without it neither happens
    data       real samples (N, *event) on the scale of x₀, or a function that loads them: what the
               quality of samples is measured against
    features   what distances see of samples, (N, *event) -> (N, d); None for their values
    """

    summary = "a network of your own"
    is_network = True
    tolerance = 1e-8

    def __init__(
        self,
        ode: ODE,
        event: tuple[int, ...],
        sigma_max: float,
        sigma_min: float,
        *,
        clock: Clock | None = None,
        name: str = "own",
        digest: str = "",
        data: Tensor | Callable[[], Tensor] | None = None,
        features: Features | None = None,
    ) -> None:
        super().__init__(ode)
        self.name = name
        self._event, self._clock, self._digest = tuple(event), clock or VPSDE(), digest
        self._data, self._features = data, features
        self.sigma_max, self.sigma_min = float(sigma_max), float(sigma_min)
        self.check_ends()

    def __repr__(self) -> str:
        return f"NetworkProblem({self.name})"

    @property
    def event(self) -> tuple[int, ...]:
        """As given."""
        return self._event

    @property
    def clock(self) -> Clock:
        """As given."""
        return self._clock

    @property
    def digest(self) -> str:
        """As given, else one of this object's own."""
        return self._digest or super().digest

    def data(self) -> Tensor:
        """As given. Raises StateError if none was, or for another shape."""
        if self._data is None:
            return super().data()
        found = self._data() if callable(self._data) else self._data
        if tuple(found.shape[1:]) != self.event:
            raise StateError(
                f"the data of {self!r} must be (N, {', '.join(map(str, self.event))}), not "
                f"{tuple(found.shape)}."
            )
        return found

    @property
    def features(self) -> Features | None:
        """As given."""
        return self._features

    def with_forward_hook(self, hook: Callable[[int], None]) -> ODE:
        return self.ode.with_forward_hook(hook)
