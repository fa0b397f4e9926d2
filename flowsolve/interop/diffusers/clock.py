"""The clock of a config: its table of ᾱ, and the labels that the scheduler passes between its entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flowsolve.errors import ScheduleError
from flowsolve.interop.diffusers.families import Kind
from flowsolve.interop.diffusers.grid import Levels
from flowsolve.schedule import labels
from flowsolve.schedule.betas import (
    exponential_alpha_bar,
    laplace,
    sigmoid_beta,
    squared_cosine,
    zero_terminal_snr,
)
from flowsolve.schedule.clock import Clock
from flowsolve.schedule.discrete import (
    Between,
    DiscreteClock,
    from_alphas_cumprod,
    from_betas,
    linear_beta,
    scaled_linear_beta,
)

Config = Mapping[str, Any]
BETAS = {"linear": linear_beta, "scaled_linear": scaled_linear_beta, "sigmoid": sigmoid_beta}


def table(c: Config, kind: Kind, between: Between | None, as_shipped: bool) -> DiscreteClock:
    """The table of the config's β, with its class's rule between labels; zero terminal SNR if it says so."""
    usual: Between = "log_sigma"
    if kind == "ve" and c["timestep_spacing"] == "linspace" and not spaced(c):
        usual = "sigma"
    clock = replace(_betas(c), between=between or usual)
    if "snr_shift_scale" in c:
        clock = _shifted(clock, c["snr_shift_scale"])
    if not c.get("rescale_betas_zero_snr"):
        return clock
    clock = zero_terminal_snr(clock)
    if as_shipped and kind != "ddim":
        patched = (*clock.alphas_cumprod[:-1], 2.0**-24)
        return from_alphas_cumprod(patched, clock.between, f"{clock.name}, σ = 4096 for ∞")
    if c["prediction_type"] == "epsilon":
        raise ScheduleError(
            "rescale_betas_zero_snr makes the first level σ = ∞, where a network that predicts "
            "epsilon says nothing about x₀. Such a network needs prediction_type v_prediction or "
            "sample, or rescale_betas_zero_snr = False."
        )
    return clock


def _betas(c: Config) -> DiscreteClock:
    T, how = c["num_train_timesteps"], c["beta_schedule"]
    if c["trained_betas"] is not None:
        clock = from_betas([float(b) for b in c["trained_betas"]])
        if len(clock.alphas_cumprod) != T:
            entries = len(clock.alphas_cumprod)
            raise ScheduleError(
                f"trained_betas has {entries} entries, but num_train_timesteps = {T}."
            )
        return clock
    if how in BETAS:
        return BETAS[how](T, c["beta_start"], c["beta_end"])
    if how == "squaredcos_cap_v2":
        return squared_cosine(T)
    return laplace(T) if how == "laplace" else exponential_alpha_bar(T)


def _shifted(clock: DiscreteClock, k: float) -> DiscreteClock:
    """ᾱ' = ᾱ/(k + (1-k) ᾱ), which is σ' = √k σ.                        CogVideoX's snr_shift_scale."""
    bars = [a / (k + (1 - k) * a) for a in clock.alphas_cumprod]
    return from_alphas_cumprod(bars, clock.between, f"{clock.name}, σ times √{k:g}")


def spaced(c: Config) -> Levels:
    """The spacing in σ that the config asks for, or "" where levels are placed by labels."""
    if c.get("use_karras_sigmas"):
        return "karras"
    if c.get("use_exponential_sigmas") or c.get("use_lu_lambdas"):
        return "exponential"
    return "beta" if c.get("use_beta_sigmas") else ""


def whole(name: str, c: Config, clock: Clock, kind: Kind) -> Clock:
    """The clock of the classes that keep labels as integers: between labels they are rounded or truncated."""
    levels, flow = spaced(c), bool(c.get("use_flow_sigmas"))
    if name.startswith("KDPM2") and levels == "karras":
        return labels.Labels(clock, labels.nearest)
    if kind != "dpm" or not (levels or flow):
        return clock
    cosine = name == "DPMSolverMultistepScheduler" and c["beta_schedule"] == "squaredcos_cap_v2"
    rounds = not flow and not cosine and (levels == "karras" or bool(c.get("use_lu_lambdas")))
    return labels.Labels(clock, labels.nearest if rounds else labels.whole)
