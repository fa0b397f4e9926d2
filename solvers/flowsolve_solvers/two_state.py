"""Reversible samplers, by two-step methods (BDIA, O-BELM) and by coupled states (EDICT, Rex)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.solver import DATA, Chart, OneStep, TwoState, check_noise_free, check_option
from flowsolve_solvers.ddim_inverse import DDIMInverse
from flowsolve_solvers.euler import Euler

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["BDIA", "EDICT", "OBELM", "Rex"]

Pair = tuple["Tensor", "Tensor"]
_EULER: OneStep = Euler()


class TwoStep(TwoState):
    """x_t = x_s + (t - s) ε_s + w (x_r - x_s - (r - s) ε_s), levels r, s, t one after the other.

    Solved for x_r it is the same formula from t to r, with 1/w. y is the state of the level before;
    where none is given the first step is DDIM's, and from σ = 0 that of `DDIMInverse`. ε is never
    evaluated at the level stepped to, so the methods step to σ = 0 themselves.
    """

    reaches_zero = True

    @abstractmethod
    def weight(self, ode: ODE, r: float, s: float, t: float) -> float:
        """w > 0 for r > s > t."""

    def pairs(self, ode: ODE, x: Tensor, y: Tensor | None, grid: Grid) -> Iterator[Pair]:
        r, s = grid[:2]
        if y is None:
            y = (_EULER if r > 0 else DDIMInverse()).step(ode, x, r, s)
        before, x = x, y
        yield x, before
        for t in grid[2:]:
            w = 1 / self.weight(ode, t, s, r) if grid.rising else self.weight(ode, r, s, t)
            slope = ode.eps(x, s)
            before, x = x, x.lerp(before, w).add_(slope, alpha=(t - s) - w * (r - s))
            r, s = s, t
            yield x, before


@dataclass(frozen=True, repr=False)
class BDIA(TwoStep):
    """x_t = x_s + (t - s) ε_s + w (x_r - x_s - (r - s) ε_s), w = γ α_r/α_t.      BDIA: Zhang et al. 2024.

    1 evaluation a step. In the model's scale, x = α x̄: γ x_r - γ DDIM(x_s; s→r) + DDIM(x_s; s→t). γ = 1 is
    its own inverse and has order 2 where neighbouring steps are nearly equal; where α = 1 and the steps
    are equal it is O-BELM. γ < 1 has order 1, and upwards multiplies errors by 1/γ at every step.
    """

    gamma: float = 1.0

    @property
    def order(self) -> int:
        return 2 if self.gamma == 1 else 1

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise ValueError(f"BDIA needs 0 < gamma <= 1, but got gamma = {self.gamma!r}.")

    def weight(self, ode: ODE, r: float, s: float, t: float) -> float:
        return self.gamma * ode.alpha(r) / ode.alpha(t)


@dataclass(frozen=True, repr=False)
class OBELM(TwoStep):
    """x_t = x_s + (t-s) ε_s + w (x_r - x_s - (r-s) ε_s), w = (t-s)²/(s-r)².      O-BELM: Wang et al. 2024.

    1 evaluation a step, order 2: the w at which the terms of second order cancel, on any grid; on
    equal steps w = 1, the midpoint rule over two steps (leapfrog). It is its own inverse. Upwards, errors
    grow as the square of the length of the steps.
    """

    order = 2

    def weight(self, ode: ODE, r: float, s: float, t: float) -> float:
        return ((t - s) / (s - r)) ** 2


class Coupled(TwoState):
    """Two states of one level, equal at the start."""

    @abstractmethod
    def down(self, ode: ODE, x: Tensor, y: Tensor, s: float, t: float, *, odd: bool) -> Pair:
        """The pair at t from the pair at s > t. odd: true in every second step, counted from the top."""

    @abstractmethod
    def up(self, ode: ODE, x: Tensor, y: Tensor, s: float, t: float, *, odd: bool) -> Pair:
        """The pair at s that `down` takes to this pair at t."""

    def pairs(self, ode: ODE, x: Tensor, y: Tensor | None, grid: Grid) -> Iterator[Pair]:
        y = x if y is None else y
        for i, (s, t) in enumerate(pairwise(grid)):
            if grid.rising:
                x, y = self.up(ode, x, y, t, s, odd=(grid.steps - 1 - i) % 2 == 1)
            else:
                x, y = self.down(ode, x, y, s, t, odd=i % 2 == 1)
            yield x, y


@dataclass(frozen=True, repr=False)
class EDICT(Coupled):
    """a = x + (t-s) ε(y), b = y + (t-s) ε(a α_t/α_s); x = p a + q b, y = p b + q x.    Wallace et al. 2023.

    2 evaluations a step, both under the label of s, though a is at t; q = 1 - p. Order 1. alternate: the
    lines of a and b change places in every second step, as in the authors' code; without that, or
    with p = 1, x and y drift apart in large steps. Upwards x - y is multiplied by 1/p² a step.
    """

    p: float = 0.93
    alternate: bool = True

    order = 1
    reaches_zero = True

    def __post_init__(self) -> None:
        if not 0 < self.p <= 1:
            raise ValueError(f"EDICT needs 0 < p <= 1, but got p = {self.p!r}.")

    def down(self, ode: ODE, x: Tensor, y: Tensor, s: float, t: float, *, odd: bool) -> Pair:
        swap = odd and self.alternate
        a, b = (y, x) if swap else (x, y)
        a = a.add(ode.eps(b, s), alpha=t - s)
        b = b.add(ode.eps(a * (ode.alpha(t) / ode.alpha(s)), s), alpha=t - s)
        x, y = (b, a) if swap else (a, b)
        x = y.lerp(x, self.p)
        return x, x.lerp(y, self.p)

    def up(self, ode: ODE, x: Tensor, y: Tensor, s: float, t: float, *, odd: bool) -> Pair:
        swap = odd and self.alternate
        y = x.lerp(y, 1 / self.p)
        x = y.lerp(x, 1 / self.p)
        a, b = (y, x) if swap else (x, y)
        b = b.add(ode.eps(a * (ode.alpha(t) / ode.alpha(s)), s), alpha=s - t)
        a = a.add(ode.eps(b, s), alpha=s - t)
        return (b, a) if swap else (a, b)


@dataclass(frozen=True, repr=False)
class Rex(Coupled):
    """x_t = Φ(y_s; s→t) + ζ c (x_s - y_s), y_t = x_t + c (y_s - Φ(x_t; t→s)), c = t/s.    Blasingame, Liu 2026.

    Φ is the step of `method`, any one-step method: twice its evaluations, and its order. This is McCallum
    and Foster's coupling (2024) of z = x̄/σ; the paper's Runge-Kutta methods are in z and 1/σ too. As c < 1,
    x - y is damped downwards and grows upwards. chart=NOISE couples x̄ itself, c = 1: downwards x and y
    drift apart. Rex() with 1 - ζ = 0.001 shows its order 1 on tens of steps, and again on tens of
    thousands; between, its error changes sign. Φ needs ε at t, so σ = 0 is left to `sample`.
    """

    method: OneStep = _EULER
    zeta: float = 0.999
    chart: Chart = DATA

    @property
    def order(self) -> int:
        return self.method.order

    def __post_init__(self) -> None:
        check_noise_free(self.method)
        check_option(self, "chart", Chart)
        if not 0 < self.zeta <= 1:
            raise ValueError(f"Rex needs 0 < zeta <= 1, but got zeta = {self.zeta!r}.")

    def down(self, ode: ODE, x: Tensor, y: Tensor, s: float, t: float, *, odd: bool) -> Pair:
        c = self.chart.kept(s, t)
        x = self.method.step(ode, y, s, t).add(x - y, alpha=self.zeta * c)
        return x, x.add(y - self.method.step(ode, x, t, s), alpha=c)

    def up(self, ode: ODE, x: Tensor, y: Tensor, s: float, t: float, *, odd: bool) -> Pair:
        """Solved for y_s, then for x_s."""
        c = self.chart.kept(s, t)
        y = self.method.step(ode, x, t, s).add(y - x, alpha=1 / c)
        return y.add(x - self.method.step(ode, y, s, t), alpha=1 / (self.zeta * c)), y
