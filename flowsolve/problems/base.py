"""What a study needs of an ODE besides ε: where it starts and ends, and its answer where one is known."""

from __future__ import annotations

import copy
import hashlib
import math
import secrets
from collections.abc import Iterable
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, ClassVar, Self
from weakref import WeakKeyDictionary

from flowsolve.errors import GridError, StateError
from flowsolve.ode.base import ODE
from flowsolve.ode.noise import unit_noise
from flowsolve.schedule.clock import VPSDE, Clock

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.metrics.features import Features

_UNIQUE: WeakKeyDictionary[object, str] = WeakKeyDictionary()


class Problem(ODE):
    """An ODE with a shape, two ends and a clock.

    event      the shape of one sample
    sigma_max  where it starts, x̄ = sigma_max · noise
    sigma_min  where it ends
    clock      the time that grids uniform in t use
    tolerance  the relative accuracy that its reference is computed to
    exact      whether `flow` is a closed form;  is_network  whether ε is a trained network
    levels     how many whole levels its data have from -1 to 1, None if they are continuous
    """

    name: str
    summary: ClassVar[str]
    sigma_max: float
    sigma_min: float
    tolerance: ClassVar[float] = 1e-11
    exact: ClassVar[bool] = False
    is_network: ClassVar[bool] = False
    levels: ClassVar[int | None] = None

    @property
    def event(self) -> tuple[int, ...]:
        """The shape of one sample."""
        raise NotImplementedError

    @property
    def clock(self) -> Clock:
        """The continuous VP-SDE's, unless the problem has one of its own."""
        return VPSDE()

    @property
    def digest(self) -> str:
        """12 hexadecimal digits that differ when the problem differs.

        From the repr of a dataclass, which holds all its parameters. Any other problem gets one of
        its own for each object, so that no reference is ever taken for another's; override it with
        a hash of what defines the problem to have references cached and studies continued.
        """
        if is_dataclass(self):
            return hashlib.sha256(repr(self).encode()).hexdigest()[:12]
        return _UNIQUE.setdefault(self, secrets.token_hex(6))

    def between(self, sigma_max: float, sigma_min: float) -> Self:
        """The same problem from sigma_max to sigma_min. Raises GridError unless σ falls."""
        other = copy.copy(self)
        object.__setattr__(other, "sigma_max", sigma_max)  # frozen dataclasses among them
        object.__setattr__(other, "sigma_min", sigma_min)
        other.check_ends()
        return other

    def check_ends(self) -> None:
        """Raise GridError unless 0 < sigma_min < sigma_max < ∞."""
        if not 0 < self.sigma_min < self.sigma_max < math.inf:
            raise GridError(
                f"{self.name} needs 0 < sigma_min < sigma_max < inf, but got sigma_max = "
                f"{self.sigma_max!r} and sigma_min = {self.sigma_min!r}."
            )

    def start(
        self,
        seeds: Iterable[int],
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """x̄ = sigma_max · noise, (len(seeds), *event), the noise of each sample from its seed."""
        return unit_noise(seeds, self.event, dtype, device) * self.sigma_max

    def flow(self, x: Tensor, s: float, t: float) -> Tensor:
        """The exact x̄ at t of the trajectory through x at s, if `exact`; float64, like x in shape."""
        raise NotImplementedError(f"{self!r} has no closed-form flow: see reference().")

    def data(self) -> Tensor:
        """Real samples, (N, *event), that quality is measured against, on the scale of x₀.

        Raises StateError unless the problem has some, MissingExtra where a package is needed.
        """
        raise StateError(
            f"{self!r} has no data to compare samples with. Override data(), or give "
            "NetworkProblem(..., data=tensor)."
        )

    @property
    def features(self) -> Features | None:
        """What distances should see of its samples, (N, *event) -> (N, d); None for their values."""
        return None


def seeded() -> torch.Generator:
    """The generator of every problem's draws of its own law."""
    import torch

    return torch.Generator().manual_seed(0)
