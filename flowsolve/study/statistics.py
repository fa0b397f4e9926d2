"""model_statistics: the chart of DPM-Solver-v3, measured on one network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowsolve.errors import StateError
from flowsolve.integrate.divergence import Augmented, rademacher, requiring_gradients
from flowsolve.integrate.driver import sample
from flowsolve.ode.data_scales import sigma_range
from flowsolve.solver.fitted_chart import Fitted

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE

LEVELS, DEGREE = 48, 12
PROBES = 2
PATH = 24  # evaluations of the path that the states are taken from
NUDGE = 0.01  # of log σ, for the derivative along the flow; both sides stay between the network's levels


def model_statistics(
    ode: ODE, noise: Tensor, *, high: float | None = None, low: float | None = None
) -> Fitted:
    """l = E[∂(σ ε)_i/∂x̄_i],  s = E[f f']/E[f²],  f = σ ε - l x̄.    DPM-Solver-v3: Zheng et al. 2023.

    noise      N(0, I), (B, *event), such as 64; a condition of the ODE has as many rows
    high, low  the levels between which they are measured: of the network, and 40 at most, unless given

    The means are over samples and dimensions, at 48 levels, on x̄ of the default method with 24 evaluations:
    l by two Rademacher probes for each sample, f' = df/dλ along the flow by a central difference of ε. Each is
    then a Chebyshev series of degree 12 in log σ, which smooths what few samples leave. Above 40 a network sees
    little but noise, and s would follow it. 168 evaluations and 96 backward passes.
    The paper has l, s and b for each dimension, from 1024 samples or more of noised data.

    Raises StateError where no levels are known, or high and low are none; NetworkError without gradients.
    """
    import torch

    known = sigma_range(ode)
    high = min(40.0, known[0]) if high is None else high
    low = known[1] if low is None else low
    if not 0 < low < high < math.inf:
        raise StateError(
            f"model_statistics needs levels with 0 < low < high < inf, but has high = {high!r}, low = {low!r}. "
            "Give them: model_statistics(ode, noise, high=40.0, low=0.01)."
        )
    # the ends of the differences are inside too
    high, low = float(f"{high / (1 + 2 * NUDGE):.4g}"), float(f"{low * (1 + 2 * NUDGE):.4g}")
    half = math.log(high / low) / 2
    angles = [math.pi * (i + 0.5) / LEVELS for i in range(LEVELS)]
    levels = [high * math.exp((math.cos(a) - 1) * half) for a in angles]
    with torch.no_grad():
        states = sample(ode, noise, nfe=PATH, keep=1).at(levels)
        size = noise[0].numel() * PROBES
        answers: list[Tensor] = []
        diagonal: list[float] = []
        for k, (sigma, x) in enumerate(zip(levels, states, strict=True)):
            seeds = range(k * len(x), (k + 1) * len(x))
            both = Augmented(requiring_gradients(ode), rademacher(x, PROBES, seeds), total=True)
            eps, trace = both.split(both.eps(both.start(x), sigma))
            answers.append(eps)
            diagonal.append(sigma * float(trace.double().mean()) / size)
        series = _series(diagonal, angles)
        l_at, l_slope = _values(series, angles)
        s_at = []
        for sigma, x, eps, share, slope in zip(levels, states, answers, l_at, l_slope, strict=True):
            up, down = (
                ode.eps(x + sign * NUDGE * sigma * eps, sigma * (1 + sign * NUDGE)).double()
                for sign in (1, -1)
            )
            rise = (down - up) / (2 * NUDGE)  # dε/dλ
            f = sigma * eps.double() - share * x.double()
            change = sigma * (rise + (share - 1) * eps.double()) + slope / half * x.double()
            s_at.append(float((f * change).mean() / f.square().mean()))
    return Fitted(series, _series(s_at, angles), high, low)


def _series(values: Sequence[float], angles: Sequence[float]) -> tuple[float, ...]:
    """The Chebyshev series nearest to values at cos(angles), with four digits: it has no more."""
    pairs = [*zip(values, angles, strict=True)]
    return tuple(
        round((2 - (k == 0)) / LEVELS * math.fsum(v * math.cos(k * a) for v, a in pairs), 4)
        for k in range(DEGREE + 1)
    )


def _values(series: Sequence[float], angles: Sequence[float]) -> tuple[list[float], list[float]]:
    """Σ c_k T_k and Σ c_k T_k' at cos(angles)."""
    at = [math.fsum(c * math.cos(k * a) for k, c in enumerate(series)) for a in angles]
    slope = [
        math.fsum(c * k * math.sin(k * a) for k, c in enumerate(series)) / math.sin(a)
        for a in angles
    ]
    return at, slope
