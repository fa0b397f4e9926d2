"""Starts: the far field, where every network sees nearly a Gaussian, in one step and at most one evaluation.

A start takes the first step of the grid, from σ_max to s, where s is still well above the data's largest
deviation, and a method the rest. There the flow is nearly that of N(0, c² I), which keeps z = x̄/√(c²+σ²). Up a
grid, from data to noise, the method takes every step.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flowsolve.ode import ODE
from flowsolve.solver import DATA, NOISE, VELOCITY, Solver, TwoState, Velocity, check_option
from flowsolve_solvers._multistep import Evaluated
from flowsolve_solvers.multistep import Adams

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.schedule import Grid
    from flowsolve.solver import Point

_ADAMS = Adams()  # frozen, so one will do for all

__all__ = ["AFS", "CorrectedStart", "GaussianStart", "RescaledStart"]


@dataclass(frozen=True, repr=False)
class Around(Solver):
    """A solver around `method`."""

    method: Solver = _ADAMS

    def __post_init__(self) -> None:
        check_option(self, "method", Solver)
        if isinstance(self.method, TwoState):
            raise self._refused()

    def _refused(self) -> TypeError:
        return TypeError(
            f"{type(self).__name__} takes a method that steps from level to level, not {self.method!r}."
        )

    @property
    def order(self) -> int:
        return 1

    @property
    def adaptive(self) -> bool:
        return self.method.adaptive

    @property
    def stochastic(self) -> bool:
        return self.method.stochastic

    @property
    def reaches_zero(self) -> bool:
        return self.method.reaches_zero

    @property
    def event(self) -> tuple[int, ...] | None:
        return self.method.event

    @property
    def leaves_zero(self) -> bool:
        return self.method.leaves_zero

    @property
    def leaves_infinity(self) -> bool:
        return self.method.leaves_infinity

    @property
    def reaches_infinity(self) -> bool:
        return self.method.reaches_infinity


class Started(Around):
    """The first step by a start, the others by `method`, which may be adaptive."""

    @property
    def leaves_infinity(self) -> bool:
        return True

    @abstractmethod
    def first(self, ode: ODE, x: Tensor, s: float, t: float) -> tuple[Tensor, ODE]:
        """x̄ at t, and the ODE that the method goes on with, where it may know an answer."""

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, None, Any]:
        if grid.rising:
            return (yield from self.method.steps(ode, x, grid))
        x, known = self.first(ode, x, grid[0], grid[1])
        yield x
        if grid.steps == 1:
            return None
        return (yield from self.method.steps(known, x, grid.part(1, grid.steps)))

    def dense(self, path: Sequence[Point], i: int, sigma: float) -> Tensor:
        """In the first step z is linear in atan σ; then as in `method`."""
        if path[0].sigma < path[-1].sigma:
            return self.method.dense(path, i, sigma)
        if i:
            return self.method.dense(path[1:], i - 1, sigma)
        return VELOCITY.line(path[0], path[1], sigma)


@dataclass(frozen=True, repr=False)
class AFS(Around):
    """ε(x̄, σ_max) := x̄/√(1+σ_max²) in the method's first step.         AFS: Dockhorn, Vahdat, Kreis 2022.

    As they give it: the noise itself stands for the first answer, which is not asked for, and stays among
    the values of a multistep method. One evaluation less than the method; order 1.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method.adaptive:
            raise self._refused()

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        s = grid[0]
        if grid.rising:
            yield from self.method.steps(ode, x, grid)
            return
        if math.isinf(s):  # where ε is x, and the mean of the data is taken for 0
            known = Evaluated(ode, DATA, x, s, x * 0)
        else:
            known = Evaluated(ode, NOISE, x, s, x / math.hypot(1, s))
        yield from self.method.steps(known, x, grid)

    def dense(self, path: Sequence[Point], i: int, sigma: float) -> Tensor:
        return self.method.dense(path, i, sigma)


@dataclass(frozen=True, repr=False)
class RescaledStart(Started):
    """x_t = √((c²+t²)/(c²+s²)) x_s:  the exact flow of data N(0, c² I) in the first step.

    No evaluation in the first step; order 1, and exact for those data. c = scale.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        Velocity(self.scale)

    def first(self, ode: ODE, x: Tensor, s: float, t: float) -> tuple[Tensor, ODE]:
        return x * Velocity(self.scale).kept(s, t), ode


@dataclass(frozen=True, repr=False)
class CorrectedStart(RescaledStart):
    """z_t = z_s + F(z_s, t) (θ_t - θ_s):  z = x̄/√(c²+σ²), θ = atan(σ/c), F asked at the end of the first step.

    The rescaled start, then Euler's step in VELOCITY with the F found there. The x₀ found is the first value
    of the method, so no evaluation is spent. The network is never asked above t. Order min(method's, 2).
    """

    @property
    def order(self) -> int:
        return min(self.method.order, 2)

    def first(self, ode: ODE, x: Tensor, s: float, t: float) -> tuple[Tensor, ODE]:
        chart = Velocity(self.scale)
        x = x * chart.kept(s, t)
        x0 = ode.x0(x, t)
        value = chart.of(x, x0 if chart.takes_x0(t) else (x - x0) / t, t)
        x = chart.advance(x, t, t, [chart.u(t) - chart.u(s)], [value])
        return x, Evaluated(ode, DATA, x, t, x0)


@dataclass(frozen=True, repr=False, eq=False)
class GaussianStart(Started):
    """x_t = μ + Σ √((λ+t²)/(λ+s²)) u uᵀ(x_s - μ):  the exact flow of data N(μ, C), C = Σ λ u uᵀ.

    No evaluation in the first step; order 1, and exact for such data. mean (*event); covariance (d, d) of the
    flattened event, in any floating dtype; `GaussianStart.of` estimates both from data. At s = ∞ x is the
    unit noise. Its weights are matrices, so it has no table.
    """

    mean: Tensor = field(kw_only=True)
    covariance: Tensor = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        d = self.mean.numel()
        if tuple(self.covariance.shape) != (d, d):
            raise ValueError(
                f"GaussianStart: the covariance of a mean of {tuple(self.mean.shape)} is ({d}, {d}), "
                f"but it has {tuple(self.covariance.shape)}."
            )

    @property
    def event(self) -> tuple[int, ...]:
        return tuple(self.mean.shape)

    @classmethod
    def of(cls, method: Solver, data: Tensor) -> GaussianStart:
        """With the mean and the covariance of data (N, *event)."""
        flat = data.flatten(1).double()
        covariance = flat.T.cov().reshape(flat.shape[1], -1)
        return cls(method, mean=data.double().mean(0), covariance=covariance)

    @cached_property
    def _principal(self) -> tuple[Tensor, Tensor]:
        """λ and the u, in the columns of a matrix."""
        import torch

        return tuple(torch.linalg.eigh(self.covariance.double()))

    def first(self, ode: ODE, x: Tensor, s: float, t: float) -> tuple[Tensor, ODE]:
        values, vectors = (part.to(x.device) for part in self._principal)
        spread = values.clamp_min(0)
        if math.isinf(s):
            factor, around = (spread + t * t).sqrt(), x.flatten(1).double()
        else:
            factor = ((spread + t * t) / (spread + s * s)).sqrt()
            around = (x - self.mean.to(x)).flatten(1).double()
        moved = around @ (vectors * factor) @ vectors.T
        return moved.to(x.dtype).reshape(x.shape).add(self.mean.to(x)), ode
