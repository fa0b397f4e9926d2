"""Problem: an ODE with what a study needs besides ε: shape, ends, clock, data, and the flow if it is known."""

from __future__ import annotations

import copy
import hashlib
import math
import secrets
from collections.abc import Iterable
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self
from weakref import WeakKeyDictionary

from flowsolve._arguments import instance, real, several, shown
from flowsolve.errors import GridError, StateError
from flowsolve.ode.base import ODE, Scales
from flowsolve.ode.noise import unit_noise
from flowsolve.schedule.clock import VPSDE, Clock

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.metrics.features import Features

_UNIQUE: WeakKeyDictionary[object, str] = WeakKeyDictionary()


class Problem(ODE):
    """An ODE with the shape of a sample, two ends and a clock.

    event       the shape of one sample
    sigma_max   where it starts, x̄ = sigma_max · noise
    sigma_min   where it ends
    clock       the clock of grids that are uniform in t
    tolerance   the relative accuracy of its reference
    exact       whether `flow` gives the exact solution
    is_network  whether ε is a trained network
    levels      how many values, evenly from -1 to 1, its data take (17 grey levels of the digits); None if any

    Of a PerturbedProblem `perturbation` is the name and `lasts` how many evaluations one answer serves.
    """

    name: str
    summary: ClassVar[str]
    sigma_max: float
    sigma_min: float
    tolerance: ClassVar[float] = 1e-11
    exact: ClassVar[bool] = False
    is_network: ClassVar[bool] = False
    levels: ClassVar[int | None] = None
    perturbation: str = ""
    lasts: int = 1

    @property  # type: ignore[misc]  # the problem's ends are its own
    def sigma_range(self) -> tuple[float, float]:
        return self.sigma_max, self.sigma_min

    @property
    def event(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def unperturbed(self) -> Problem:
        """The problem whose trajectories its errors are measured against: itself, unless it is perturbed."""
        return self

    @property
    def clock(self) -> Clock:
        """VPSDE(), unless a subclass says otherwise."""
        return VPSDE()

    @property
    def digest(self) -> str:
        """12 hexadecimal digits that differ when the problem differs; cached references are found by them.

        Of a dataclass, a hash of its repr, which holds all its parameters. Of any other problem, random digits
        for each object: no reference is reused, and no study continues in another process. Override this
        with a hash of whatever defines the problem to have both.
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
        for name in ("sigma_max", "sigma_min"):
            real(f"{self.name}: {name}", getattr(self, name), GridError)
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
        """The exact x̄ at level t of the solution through x at level s, in float64; only if `exact`."""
        raise NotImplementedError(f"{self!r} has no closed-form flow: see reference().")

    def data(self) -> Tensor:
        """Real samples x₀, (N, *event), that generated samples are compared with.

        Raises StateError if the problem has none, MissingExtra if a package is missing that holds them.
        """
        raise StateError(
            f"{self!r} has no data to compare samples with. Override data(), or give "
            "NetworkProblem(..., data=tensor)."
        )

    @property
    def features(self) -> Features | None:
        """The features that distances take of its samples, (N, *event) -> (N, d); None for their values."""
        return None


def scales_of(covariance: Tensor) -> Scales:
    """The scales of data of this covariance, (d, d)."""
    import torch

    values = torch.linalg.eigvalsh(covariance.double())
    return Scales(math.sqrt(float(values.mean())), math.sqrt(float(values[-1])))


def check_problem(problem: object) -> None:
    """Raise StateError unless it is a Problem; an ODE is told how it becomes one."""
    if isinstance(problem, ODE) and not isinstance(problem, Problem):
        raise StateError(
            f"problem must be a Problem, not the ODE {shown(problem)}. Give NetworkProblem(ode, event, "
            "sigma_max, sigma_min)."
        )
    instance("problem", problem, Problem, "Mixture() or NetworkProblem(...)")


def numbers(name: str, value: object, depth: int) -> Any:
    """Lists, arrays or tensors of numbers as tuples, `depth` deep. Raises StateError for anything else."""
    if depth == 0:
        return real(name, value, StateError)
    parts = several(name, value, "numbers" if depth == 1 else "rows of numbers")
    return tuple(numbers(f"{name}[{i}]", part, depth - 1) for i, part in enumerate(parts))


def seeded() -> torch.Generator:
    """The generator with seed 0 that problems draw their `data` with."""
    import torch

    return torch.Generator("cpu").manual_seed(0)
