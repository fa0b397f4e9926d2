"""k-diffusion, ComfyUI, Forge: denoisers as ODEs, and solvers as functions like k-diffusion's sample_*."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from flowsolve.errors import StateError
from flowsolve.integrate.endpoints import trajectory
from flowsolve.integrate.recorder import locate_non_finite
from flowsolve.ode.base import ODE, Wrapped
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.ode.modules import warn_of_training
from flowsolve.ode.precondition import FLOW, VE, X0Prediction
from flowsolve.schedule.clock import FlowClock
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.labels import SigmaClock
from flowsolve.solver.base import Solver, check_solver

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Callback = Callable[[dict[str, Any]], object]
NoiseSampler = Callable[["Tensor", "Tensor"], "Tensor"]


def from_denoiser(
    denoiser: Callable[..., Tensor],
    *,
    flow: bool = False,
    dtype: torch.dtype | None = None,
    **extra: Any,
) -> DiffusionODE:
    """x₀ = D(x̄, σ).      k-diffusion's model(x, sigma, **extra): x̄ as it is, σ of shape (B,).

    flow=True: D(x_t, t) with x_t = (1-t) x₀ + tε, as ComfyUI calls SD3 and Flux. Otherwise as DiffusionODE.
    """
    precondition = X0Prediction(FlowClock(), FLOW) if flow else X0Prediction(SigmaClock(), VE)
    network = partial(denoiser, **extra) if extra else denoiser
    return DiffusionODE(network, precondition, dtype=dtype)


@dataclass(frozen=True)
class _Settings:
    """What k-diffusion's stochastic samplers take besides, under its names."""

    eta: float | None = None
    s_noise: float = 1.0
    noise_sampler: NoiseSampler | None = None


class _Program(Wrapped):
    """The ODE as a program runs it: noise comes from the program, whose callback is called once a step."""

    def __init__(
        self,
        ode: ODE,
        sigmas: Tensor,
        callback: Callback | None,
        settings: _Settings,
        *,
        flow: bool,
    ) -> None:
        super().__init__(ode)
        self.sigmas, self.callback, self.settings, self.flow = sigmas, callback, settings, flow
        self.step, self.told = 0, -1
        self.last: tuple[Tensor, float, Tensor] | None = None

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        out = self.ode.eps(x, sigma)
        if self.callback is not None:
            self._saw(x, sigma, x.add(out, alpha=-sigma))
        return out

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        out = self.ode.x0(x, sigma)
        if self.callback is not None:
            self._saw(x, sigma, out)
        return out

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        import torch

        settings = self.settings
        if settings.noise_sampler is None:
            z = torch.randn_like(x)
        else:  # it takes tensors; they stay on the host, so that nothing waits for the device
            z = settings.noise_sampler(self._theirs(s), self._theirs(t))
        return z if settings.s_noise == 1 else z * settings.s_noise

    def end_step(self) -> None:
        """Call the callback for a step that made no evaluation, such as the last one of a corrector."""
        if self.told < self.step and self.callback is not None and self.last is not None:
            self._saw(*self.last)
        self.step += 1

    def _theirs(self, sigma: float) -> Tensor:
        if self.flow:
            sigma = 1.0 if math.isinf(sigma) else sigma / (1 + sigma)
        made: Tensor = self.sigmas.new_tensor(sigma, device="cpu")
        return made

    def _saw(self, x: Tensor, sigma: float, denoised: Tensor) -> None:
        self.last = (x, sigma, denoised)
        if self.told == self.step or self.callback is None:
            return
        self.told = self.step
        self.callback(
            {
                "x": x / (1 + sigma) if self.flow and sigma < math.inf else x,
                "i": self.step,
                "sigma": self.sigmas[self.step],
                "sigma_hat": self._theirs(sigma),
                "denoised": denoised,
            }
        )


def as_k_sampler(solver: Solver, *, flow: bool = False) -> Callable[..., Tensor]:
    """A function sample(model, x, sigmas, extra_args, callback, *, disable, ...) that runs `solver`.

    x              x̄ at sigmas[0]
    sigmas         falling levels, to 0 or to a level above it; with fewer than two, x is returned
    extra_args     keyword arguments of every call of the model
    callback       called once a step, at the step's first evaluation, with a dictionary of x, i, sigma,
                   sigma_hat (the level of that evaluation) and denoised
    disable        of a progress bar in k-diffusion; there is none here
    eta            of a solver that has an η
    s_noise        a factor of the noise of a stochastic solver
    noise_sampler  a function (σ, σ_next) that draws its noise; torch.randn_like unless given

    flow=True is for ComfyUI's flow models (SD3, Flux). There sigmas are t = σ/(1+σ) and x is
    x_t = (1-t) x₀ + tε. The solver runs in x̄ and σ, where it has its order.

    Raises StateError, GridError for sigmas that do not fall, NetworkError, and NonFiniteError.
    """
    check_solver(solver)

    def sample(
        model: Callable[..., Tensor],
        x: Tensor,
        sigmas: Tensor,
        extra_args: dict[str, Any] | None = None,
        callback: Callback | None = None,
        *,
        disable: bool | None = None,
        **given: Any,
    ) -> Tensor:
        import torch

        settings = _Settings(**given)
        eta = settings.eta
        if eta is not None and not hasattr(solver, "eta"):
            raise StateError(f"{solver!r} has no η, but got eta = {eta!r}. Leave it out.")
        method = solver if eta is None else replace(solver, eta=eta)  # type: ignore[type-var]
        levels = [_ours(s, flow) for s in sigmas.tolist()]
        if len(levels) < 2:
            return x
        grid = Grid(levels, "sigmas")
        inner = from_denoiser(partial(model, **(extra_args or {})), flow=flow)
        warn_of_training(inner)
        ode = _Program(inner, sigmas, callback, settings, flow=flow)
        with torch.no_grad():
            start = x_bar = x * (1 + grid[0]) if flow and grid[0] < math.inf else x
            for x_next in trajectory(ode, start, grid, method):
                x_bar = x_next
                ode.end_step()
            if not bool(x_bar.isfinite().all()):
                ode.callback = None
                locate_non_finite(ode, start, grid, method)
            return x_bar * inner.alpha(grid[-1]) if flow else x_bar

    # programs look for these names in the signature to know which of their settings apply
    hidden = set() if hasattr(solver, "eta") else {"eta"}
    hidden |= set() if solver.stochastic or not hidden else {"s_noise", "noise_sampler"}
    shown = inspect.signature(sample)
    parameters = [p for p in shown.parameters.values() if p.kind != p.VAR_KEYWORD]
    more = [p for p in inspect.signature(_Settings).parameters.values() if p.name not in hidden]
    parameters += [p.replace(kind=p.KEYWORD_ONLY) for p in more]
    sample.__signature__ = shown.replace(parameters=parameters)  # type: ignore[attr-defined]
    sample.__name__ = sample.__qualname__ = f"sample_{type(solver).__name__}"
    return sample


def _ours(sigma: float, flow: bool) -> float:
    if not flow:
        return sigma
    return math.inf if sigma == 1 else sigma / (1 - sigma)
