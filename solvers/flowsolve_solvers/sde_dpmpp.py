"""DPM-Solver++ on the SDE of the diffusion: k-diffusion's dpmpp_sde, 2m_sde and 3m_sde.    Lu et al. 2022b."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.solver import GUARD, OneStep, Solver, guarded, phi, within
from flowsolve_solvers._multistep import check_guard
from flowsolve_solvers.eta import DDIM_ETA, SDE_ETA, Eta, check_eta
from flowsolve_solvers.published import taylor_weights

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["DPMSolverPP2MSDE", "DPMSolverPP3MSDE", "DPMSolverPPSDE"]


@dataclass(frozen=True, repr=False)
class DPMSolverPPSDE(OneStep):
    """x_t = (d/s) x_s + (1 - d/s) D̄ + v z, D̄ = D_s + (D_m - D_s)/(2r).    k-diffusion's sample_dpmpp_sde.

    2 evaluations a step; D = x₀(x, σ), m = s^(1-r) t^r, and x_m is the same step without D̄, to m.
    Weak order 2, strong order 1. Weak order 2 needs one Brownian motion (in σ) for the stage and the
    step: z is made of the noise of (s, m), which the stage has, and that of (m, t). Independent noises
    for (s, m) and (s, t), which is what torch.randn gives k-diffusion, are weak order 1.
    """

    eta: float = 1.0
    r: float = 0.5
    family: Eta = DDIM_ETA

    order = 2

    def __post_init__(self) -> None:
        if not 0 < self.r <= 1:
            raise ValueError(f"DPMSolverPPSDE needs 0 < r <= 1, but got r = {self.r!r}.")
        check_eta(self)

    @property
    def stochastic(self) -> bool:
        return self.eta > 0

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        m = s ** (1 - self.r) * t**self.r
        D = ode.x0(x, s)
        d, v = self.family.split(s, m, self.eta)
        x_m = D.lerp(x, d / s)
        z = ode.noise(x, s, m) if v > 0 else None
        if z is not None:
            x_m = x_m.add(z, alpha=v)
        D_bar = D.lerp(ode.x0(x_m, m), 1 / (2 * self.r))
        d, v = self.family.split(s, t, self.eta)
        x_t = D_bar.lerp(x, d / s)
        if z is None:
            return x_t
        x_t = x_t.add(z, alpha=v * math.sqrt((s - m) / (s - t)))
        return x_t.add(ode.noise(x, m, t), alpha=v * math.sqrt((m - t) / (s - t))) if m > t else x_t


@dataclass(frozen=True, repr=False)
class DPMSolverPP2MSDE(Solver):
    """x_t = (d/s) x_s + (1 - d/s) D̄ + v z, D̄ = D + w h/h₋ (D - D₋).     k-diffusion's sample_dpmpp_2m_sde.

    1 evaluation a step; h = log(s/t), w = 1/2 ("midpoint") or, with heun=True, the exact weight
    1/(1 - e^-H) - 1/H, H = log(s/d). The first step is DDIM's with η.
    Weak order 2, strong order 1. η = 0 is DPMSolverPP2M, and with heun Adams(2, DATA). A step that is long
    against the one before it has D̄ = D (`flowsolve.solver.guarded`); guard=None is as published.
    """

    eta: float = 1.0
    heun: bool = False
    family: Eta = SDE_ETA
    guard: float | None = field(default=GUARD, kw_only=True)

    order = 2

    def __post_init__(self) -> None:
        check_guard(self)
        check_eta(self)

    @property
    def stochastic(self) -> bool:
        return self.eta > 0

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        D_prev, h_prev = None, 0.0
        for s, t in pairwise(grid):
            D, h = ode.x0(x, s), math.log(s / t)
            d, v = self.family.split(s, t, self.eta)
            D_bar = D
            if D_prev is not None:
                H = math.log(s / d)
                w = (phi(2, -H) / phi(1, -H) if self.heun else 0.5) * h / h_prev
                if self.guard is None or within((1 + w, -w), -math.expm1(-abs(H)), self.guard):
                    D_bar = D_prev.lerp(D, 1 + w)
            D_prev, h_prev = D, h
            z = ode.noise(x, s, t) if v > 0 else None
            x = D_bar.lerp(x, d / s)
            if z is not None:
                x = x.add(z, alpha=v)
            yield x


@dataclass(frozen=True, repr=False)
class DPMSolverPP3MSDE(Solver):
    """x_t = (d/s) x_s + (1 - d/s) D + φ₂ D' - 2φ₃ D'' + v z.         k-diffusion's sample_dpmpp_3m_sde.

    1 evaluation a step; H = log(s/d), φ₂ = 1 - (1 - e^-H)/H, φ₃ = φ₂/H - 1/2 < 0, and D', D'' are h
    and h²/2 times the derivatives in log(1/σ), h = log(s/t), of the parabola through the last three D.
    published=True leaves out the 2, as k-diffusion does. (diffusers' sde-dpmsolver++ of order 3 has
    φ₂/H + 1/2 and is order 1.)
    A step that is long against those before it takes fewer D (`flowsolve.solver.guarded`); guard=None is as
    published. Weak order 2, as the first two steps and the noise allow no more; strong order 1. η = 0 is
    Adams(3, DATA).
    """

    eta: float = 1.0
    published: bool = False
    family: Eta = SDE_ETA
    guard: float | None = field(default=GUARD, kw_only=True)

    order = 2

    def __post_init__(self) -> None:
        check_guard(self)
        check_eta(self)

    @property
    def stochastic(self) -> bool:
        return self.eta > 0

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        nodes: tuple[float, ...] = ()
        values: list[Tensor] = []
        for s, t in pairwise(grid):
            nodes, values = (s, *nodes[:2]), [ode.x0(x, s), *values[:2]]
            d, v = self.family.split(s, t, self.eta)
            z = ode.noise(x, s, t) if v > 0 else None
            weights = partial(
                taylor_weights,
                t=t,
                span=(math.log(d / s), -1.0),
                factor=1.0 if self.published else 2.0,
            )
            x = x * (d / s)
            for w, value in zip(guarded(weights, nodes, s, d, self.guard), values, strict=False):
                x.add_(value, alpha=w)
            if z is not None:
                x = x.add(z, alpha=v)
            yield x
