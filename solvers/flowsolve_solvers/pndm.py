"""PNDM, S-PNDM, PLMS and iPNDM: Adams-Bashforth with the weights of equal steps, whatever the steps are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowsolve.schedule import LOG_SIGMA, Variable
from flowsolve.solver import GUARD, OneStep, guarded, outside_the_trace
from flowsolve_solvers._multistep import Multistep, check_guard, check_points
from flowsolve_solvers.runge_kutta import Heun

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE

__all__ = ["IPNDM", "PLMS", "PNDM", "SPNDM", "PseudoRK4"]

EQUAL_STEPS = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


@dataclass(frozen=True, repr=False)
class _EqualSteps(Multistep):
    """x_t = x_s + (t - s) Σ_j w_j e_j, w those of equal steps and e the last values of ε, the newest first.

    The weights of four points amplify too much for a long step, which takes three (`guarded`); guard=None
    as published.
    """

    guard: float | None = field(default=GUARD, kw_only=True)

    reaches_zero = True

    def __post_init__(self) -> None:
        check_points(self, most=4)
        check_guard(self)

    @outside_the_trace
    def weights(self, nodes: tuple[float, ...], s: float, t: float) -> Sequence[float]:
        def equal(newest: tuple[float, ...]) -> Sequence[float]:
            return tuple((t - s) * w for w in EQUAL_STEPS[len(newest) - 1])

        return guarded(equal, nodes, s, t, self.guard)


@dataclass(frozen=True, repr=False)
class PseudoRK4(OneStep):
    """x_t = x_s + (t - s) (e₁ + 2e₂ + 2e₃ + e₄)/6.          Liu, Ren, Lin, Zhao 2022, Eq. 13.

    4 evaluations a step, order 2 (4 only if the middle level m is (s + t)/2): Kutta's weights with
    every stage a DDIM step, e₂ and e₃ at m, half-way from s to t in `variable`.
    """

    variable: Variable = LOG_SIGMA

    order = 2

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        m = self.variable.sigma((self.variable.tau(s) + self.variable.tau(t)) / 2)
        e1 = ode.eps(x, s)
        e2 = ode.eps(x.add(e1, alpha=m - s), m)
        e3 = ode.eps(x.add(e2, alpha=m - s), m)
        e4 = ode.eps(x.add(e3, alpha=t - s), t)
        return x.add(e1.add(e2, alpha=2).add(e3, alpha=2).add(e4), alpha=(t - s) / 6)


@dataclass(frozen=True, repr=False)
class PNDM(_EqualSteps):
    """x_t = x_s + (t - s) (55e₀ - 59e₁ + 37e₂ - 9e₃)/24.   F-PNDM: Liu et al. 2022, Eq. 12-13.

    Pseudo-Runge-Kutta for the first three steps (4 evaluations each), then 1 evaluation a step.
    Order 2 on any smooth grid, as the weights are those of equal steps in σ; order 4 only if the
    steps are equal in σ. Adams(4, NOISE, SIGMA, start=...) has the weights of the steps as they are.
    """

    points: int = 4
    start: OneStep = PseudoRK4()

    order = 2


def SPNDM(*, guard: float | None = GUARD) -> PNDM:
    """x_t = x_s + (t - s) (3e₀ - e₁)/2 after a Heun step.   S-PNDM: Liu et al. 2022.

    N + 1 evaluations for N steps, order 2. PLMS has its start and four points.
    """
    return PNDM(2, Heun(), guard=guard)


@dataclass(frozen=True, repr=False)
class IPNDM(_EqualSteps):
    """x_t = x_s + (t - s) (55e₀ - 59e₁ + 37e₂ - 9e₃)/24, from one point up.    Zhang and Chen 2023, App. H.

    1 evaluation a step, order min(points, 2). With the weights of the steps as they are it is LMS; the
    code that is called ipndm_v has others (`IPNDMV`).
    """

    points: int = 4

    @property
    def order(self) -> int:
        """The first step is Euler's, and the weights are those of equal steps: 2 at most."""
        return min(self.points, 2)


@dataclass(frozen=True, repr=False)
class PLMS(_EqualSteps):
    """x_t = x_s + (t - s) (55e₀ - 59e₁ + 37e₂ - 9e₃)/24 after a Heun step.   PLMS in codes.

    2, 3 and then 4 points from the second step on; S-PNDM stays at 2 (`SPNDM`). N + 1 evaluations for N
    steps, order 2: diffusers' PNDM with skip_prk_steps, whose first two evaluations are the two of
    Heun's step.
    """

    order = 2
    points = 4
    start = Heun()
    start_steps = 1
