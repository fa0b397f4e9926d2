"""Ancestral sampling: an ODE step further down than asked, and noise back up.          k-diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.solver import OneStep, check_noise_free
from flowsolve_solvers.dpm_solver import DPMSolver2
from flowsolve_solvers.dpmpp import DPMSolverPP2S
from flowsolve_solvers.eta import DDIM_ETA, Eta, check_eta

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE

__all__ = ["Ancestral", "DPM2Ancestral", "DPMSolverPP2SAncestral"]

_DPM2: OneStep = DPMSolver2()


@dataclass(frozen=True, repr=False)
class Ancestral(OneStep):
    """x_t = Φ(x_s; s → d) + v z, d² + v² = t², Φ a one-step ODE method.     k-diffusion's sample_*_ancestral.

    As many evaluations as `method` makes. η = 0 is `method` itself; with Euler() it is DDIMEta.
    An exact Φ carries the distribution at s to that at d, and the noise carries it on to that at t. So
    `order`, the weak order, is that of `method`. The strong order is 1 at most.
    """

    method: OneStep = _DPM2
    eta: float = 1.0
    family: Eta = DDIM_ETA

    def __post_init__(self) -> None:
        check_noise_free(self.method)
        check_eta(self)

    @property
    def order(self) -> int:
        return self.method.order

    @property
    def stochastic(self) -> bool:
        return self.eta > 0

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        d, v = self.family.split(s, t, self.eta)
        x_t = self.method.step(ode, x, s, d)
        return x_t.add(ode.noise(x, s, t), alpha=v) if v > 0 else x_t


def DPM2Ancestral(eta: float = 1.0) -> Ancestral:
    """x_t = x_s + (d - s) ε(x_m, m) + v z, m = √(sd), x_m Euler's.    k-diffusion's sample_dpm_2_ancestral."""
    return Ancestral(DPMSolver2(), eta)


def DPMSolverPP2SAncestral(eta: float = 1.0) -> Ancestral:
    """x_t = (d/s) x_s + (1 - d/s) x₀(x_m, m) + v z, m = √(sd).    k-diffusion's sample_dpmpp_2s_ancestral."""
    return Ancestral(DPMSolverPP2S(), eta)
