"""PerturbedProblem: a problem whose network is disturbed, and whose answer is that of the network as it was."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from flowsolve._arguments import instance, whole
from flowsolve.errors import StateError
from flowsolve.ode.base import ODE, Wrapped
from flowsolve.ode.noise import SeededNoise
from flowsolve.ode.perturbed import (
    ConstantError,
    GaussianError,
    Quantised,
    Reused,
    Rounded,
    check_size,
)
from flowsolve.problems.base import Problem, check_problem
from flowsolve.problems.network import NetworkProblem
from flowsolve.schedule.clock import Clock

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.metrics.features import Features


@dataclass(frozen=True)
class Perturbation:
    """How an ODE is disturbed for samples of these seeds, and what rows and figures call that.

    name   with its numbers, "gaussian:0.01": rows of one name are rows of one perturbation
    wrap   (ode, seeds) -> ODE
    lasts  evaluations that one answer of the network serves; budgets of evaluations are filled with as many
    """

    name: str
    wrap: Callable[[ODE, Sequence[int]], ODE]
    lasts: int = 1


def gaussian(size: float) -> Perturbation:
    """ε + δ rms(ε) z,  another z ~ N(0, I) at every level."""
    size = check_size("gaussian", size)
    return Perturbation(
        f"gaussian:{size:g}", lambda ode, seeds: GaussianError(ode, size, SeededNoise(seeds))
    )


def constant(size: float) -> Perturbation:
    """ε + δ c,  the same c ~ N(0, I) at every level."""
    size = check_size("constant", size)
    return Perturbation(
        f"constant:{size:g}", lambda ode, seeds: ConstantError(ode, size, SeededNoise(seeds))
    )


def bfloat16() -> Perturbation:
    """The network's input and answer rounded to bfloat16."""
    return Perturbation("bfloat16", lambda ode, seeds: Rounded(ode, "bfloat16"))


def float16() -> Perturbation:
    """The network's input and answer rounded to float16."""
    return Perturbation("float16", lambda ode, seeds: Rounded(ode, "float16"))


def int8() -> Perturbation:
    """The network's answer rounded to 256 values between the least and the largest of a sample."""
    return Perturbation("int8", lambda ode, seeds: Quantised(ode))


def reuse(every: int) -> Perturbation:
    """The network asked at every k-th evaluation, and its answer used k times."""
    every = whole("reuse: every", every, 1)
    return Perturbation(f"reuse:{every}", lambda ode, seeds: Reused(ode, every), every)


PERTURBATIONS = (gaussian, constant, bfloat16, float16, int8, reuse)


class PerturbedProblem(Wrapped, Problem):
    """A problem under a perturbation. Studies measure its errors against the trajectories of `problem`.

    The network of a NetworkProblem is disturbed itself. Errors that follow from seeds need `for_seeds(seeds)`,
    which studies call. Raises StateError unless problem is a Problem and perturbation a Perturbation, and for a
    problem that is perturbed already: `Perturbation.wrap` can do two things.
    """

    exact = False
    _twice = ("_plain",)

    def __init__(self, problem: Problem, perturbation: Perturbation) -> None:
        check_problem(problem)
        instance("perturbation", perturbation, Perturbation, "gaussian(0.01)")
        if problem.perturbation:
            raise StateError(
                f"{problem!r} is perturbed already. Make one Perturbation whose wrap does both."
            )
        self._by = perturbation
        self.name, self.sigma_max, self.sigma_min = (
            problem.name,
            problem.sigma_max,
            problem.sigma_min,
        )
        self.perturbation, self.lasts = perturbation.name, perturbation.lasts
        self._set(problem, ())

    def _set(self, problem: Problem, seeds: Sequence[int]) -> None:
        self._plain = problem
        network = problem.ode if isinstance(problem, NetworkProblem) else problem
        self.ode = self._by.wrap(network, seeds)

    def __repr__(self) -> str:
        return f"PerturbedProblem({self._plain!r}, {self.perturbation})"

    @property
    def unperturbed(self) -> Problem:
        return self._plain

    @property
    def digest(self) -> str:
        both = f"{self._plain.digest} {self.perturbation}"
        return hashlib.sha256(both.encode()).hexdigest()[:12]

    def for_seeds(self, seeds: Iterable[int], device: torch.device | str = "cpu") -> Self:
        seeds, other = tuple(seeds), copy.copy(self)
        other._set(self._plain.for_seeds(seeds, device), seeds)
        return other

    def between(self, sigma_max: float, sigma_min: float) -> PerturbedProblem:
        """The same problem from sigma_max to sigma_min, under the same perturbation."""
        return PerturbedProblem(self._plain.between(sigma_max, sigma_min), self._by)

    def with_forward_hook(self, hook: Callable[[int], None]) -> ODE:
        return self.ode.with_forward_hook(hook)

    @property
    def event(self) -> tuple[int, ...]:
        return self._plain.event

    @property
    def clock(self) -> Clock:
        return self._plain.clock

    @property
    def is_network(self) -> bool:  # type: ignore[override]
        return self._plain.is_network

    @property
    def levels(self) -> int | None:  # type: ignore[override]
        return self._plain.levels

    @property
    def features(self) -> Features | None:
        return self._plain.features

    def data(self) -> Tensor:
        """The data of the problem."""
        return self._plain.data()
