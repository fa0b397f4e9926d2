"""Further discrete clocks: ᾱ by a function, cosine, sigmoid, Laplace, exponential; zero terminal SNR."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from flowsolve._arguments import instance, real, reals, shown, whole
from flowsolve.errors import ScheduleError, StateError
from flowsolve.schedule.clock import check_betas
from flowsolve.schedule.discrete import (
    Between,
    DiscreteClock,
    from_alphas_cumprod,
    from_betas,
)


def from_alpha_bar(
    f: Callable[[float], float],
    T: int = 1000,
    max_beta: float = 0.999,
    between: Between = "smooth",
    name: str = "",
) -> DiscreteClock:
    """1 - β_t = f((t+1)/T)/f(t/T), β_t <= max_beta.                Nichol, Dhariwal 2021, Section 3.2."""
    T, max_beta = (
        whole("from_alpha_bar: T", T, 1, ScheduleError),
        real("max_beta", max_beta, ScheduleError),
    )
    if not callable(f):
        raise StateError(f"f must be a function u -> ᾱ(u) of 0 <= u <= 1, not {shown(f)}.")
    bars = reals("f", [f(t / T) for t in range(T + 1)], ScheduleError)
    if not all(bars[:-1]):
        raise ScheduleError(f"f(u) is 0 at u = {bars.index(0) / T:.6g}: only f(1) may be.")
    betas = [min(1 - b / a, max_beta) for a, b in pairwise(bars)]
    return from_betas(betas, between, name)


def squared_cosine(
    T: int = 1000, max_beta: float = 0.999, between: Between = "smooth"
) -> DiscreteClock:
    """1 - β_t = f(t+1)/f(t), f(t) = cos²(π/2 (t/T + 0.008)/1.008), β_t <= 0.999.  Nichol, Dhariwal 2021."""

    def f(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    return from_alpha_bar(f, T, max_beta, between, f"squared_cosine(T={T})")


def sigmoid_beta(
    T: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02, between: Between = "smooth"
) -> DiscreteClock:
    """β_t = β_start + (β_end - β_start)/(1 + e^(-u)), u from -6 to 6.      Xu et al. 2022 (GeoDiff)."""
    T = whole("sigmoid_beta: T", T, 1, ScheduleError)
    beta_start = real("sigmoid_beta: beta_start", beta_start, ScheduleError)
    beta_end = real("sigmoid_beta: beta_end", beta_end, ScheduleError)
    check_betas(beta_start, beta_end)
    us = (-6 + 12 * i / max(T - 1, 1) for i in range(T))
    betas = [beta_start + (beta_end - beta_start) / (1 + math.exp(-u)) for u in us]
    return from_betas(betas, between, f"sigmoid_beta(T={T})")


def laplace(T: int = 1000, max_beta: float = 0.999, between: Between = "smooth") -> DiscreteClock:
    """f = √(r/(1+r)), log r = -½ sgn(½-u) log(1 - 2|½-u| + 1e-6).   Hang et al. 2024, as in diffusers.

    u = t/T, and f takes the place of ᾱ(u) in `from_alpha_bar`. In the paper r is the SNR, which would make
    ᾱ = r/(1+r) without the root.
    """

    def f(u: float) -> float:
        log_r = -0.5 * math.copysign(1, 0.5 - u) * math.log(1 - 2 * abs(0.5 - u) + 1e-6)
        return math.sqrt(1 / (1 + math.exp(-log_r)))

    return from_alpha_bar(f, T, max_beta, between, f"laplace(T={T})")


def exponential_alpha_bar(
    T: int = 1000, rate: float = 12.0, between: Between = "smooth"
) -> DiscreteClock:
    """ᾱ_t = e^(-rate (t+1)/T): the same β at every label.                 diffusers, "exp"."""
    T = whole("exponential_alpha_bar: T", T, 1, ScheduleError)
    rate = real("exponential_alpha_bar: rate", rate, ScheduleError)
    name = (
        f"exponential_alpha_bar(T={T})" if rate == 12 else f"exponential_alpha_bar(T={T}, {rate:g})"
    )
    return from_betas([-math.expm1(-rate / T)] * T, between, name)


def zero_terminal_snr(clock: DiscreteClock) -> DiscreteClock:
    """√ᾱ'_t = (√ᾱ_t - √ᾱ_T) √ᾱ_0/(√ᾱ_0 - √ᾱ_T), so that ᾱ'_T = 0.     Lin et al. 2023, Algorithm 1.

    σ = ∞ at the last label, where a network must predict v or x₀. On a grid from there `sample` takes the
    first step as x̄ = x₀(noise, ∞) + σ noise. Raises ScheduleError if the clock has zero terminal SNR already.
    """
    instance("clock", clock, DiscreteClock, "linear_beta()")
    if clock.alphas_cumprod[-1] == 0:
        raise ScheduleError(f"{clock} ends at σ = ∞ already: it has zero terminal SNR.")
    roots = [math.sqrt(a) for a in clock.alphas_cumprod]
    first, last = roots[0], roots[-1]
    rescaled = [((r - last) * (first / (first - last))) ** 2 for r in roots]
    name = clock.name or f"DiscreteClock(T={len(roots)})"
    return from_alphas_cumprod(rescaled, clock.between, f"zero_terminal_snr({name})")
