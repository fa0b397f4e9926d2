"""The labels that the networks of each family are told, against transcriptions of their codes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from flowsolve import (
    EDMClock,
    FlowClock,
    Grid,
    from_alphas_cumprod,
    linear_beta,
    uniform_t,
)
from flowsolve.errors import ScheduleError
from flowsolve.interop.score_sde import SubVPSDE
from flowsolve.schedule import (
    AngleClock,
    Clock,
    Labels,
    LogClock,
    Reversed,
    SigmaClock,
    dpm_solver_labels,
    iddpm_labels,
    k_diffusion_labels,
    nearest,
    ve_index,
    whole,
)
from tests.interop.helpers import COSINE_CLOCK, IDDPM_U, LEVELS, TABLE

ALPHAS = list(linear_beta().alphas_cumprod)
COSINE = list(COSINE_CLOCK.alphas_cumprod)
SHORT = list(linear_beta(T=100, beta_end=0.1).alphas_cumprod)
BETWEEN = [300.0, 150.0, 80.0, 14.61, 3.0, 1.0, 0.2, 0.0371, 0.0125]


def k_label(alphas: list[float], sigma: float, quantize: bool) -> float:
    """k-diffusion's DiscreteSchedule.sigma_to_t, in float64."""
    a = torch.tensor(alphas, dtype=torch.float64)
    log_sigmas = (((1 - a) / a) ** 0.5).log()
    log_sigma = torch.tensor(sigma, dtype=torch.float64).log()
    dists = log_sigma - log_sigmas[:, None]
    if quantize:
        return float(dists.abs().argmin(dim=0))
    low_idx = dists.ge(0).cumsum(dim=0).argmax(dim=0).clamp(max=log_sigmas.shape[0] - 2)
    high_idx = low_idx + 1
    low, high = log_sigmas[low_idx], log_sigmas[high_idx]
    w = ((low - log_sigma) / (low - high)).clamp(0, 1)
    return float((1 - w) * low_idx + w * high_idx)


@pytest.mark.parametrize("quantize", [False, True])
@pytest.mark.parametrize("alphas", [ALPHAS, COSINE, SHORT], ids=["linear", "cosine", "short"])
def test_k_diffusions_labels(alphas: list[float], quantize: bool) -> None:
    """Outside the table too, where they clamp."""
    clock = k_diffusion_labels(alphas, quantize)
    for sigma in [*BETWEEN, 1e-3, 1e6]:
        assert clock.t(sigma) == pytest.approx(k_label(alphas, sigma, quantize), abs=1e-8)


def dpm_label(alphas: list[float], sigma: float) -> float:
    """model_wrapper and NoiseScheduleVP('discrete') of DPM-Solver's code: (t - 1/N) 1000 at λ = -log σ."""
    log_alphas = 0.5 * np.log(np.array(alphas))
    lambs = log_alphas - 0.5 * np.log(1 - np.exp(2 * log_alphas))
    idx = np.searchsorted(lambs[::-1], -5.1)
    log_alphas = log_alphas[:-idx] if idx > 0 else log_alphas
    N = len(log_alphas)
    t_array = np.linspace(0.0, 1.0, N + 1)[1:]
    log_alpha = -0.5 * np.logaddexp(0.0, 2 * math.log(sigma))
    t = np.interp(log_alpha, log_alphas[::-1], t_array[::-1])
    return float((t - 1.0 / N) * 1000.0)


@pytest.mark.parametrize("alphas", [ALPHAS, COSINE, SHORT], ids=["linear", "cosine", "short"])
def test_dpm_solvers_labels(alphas: list[float]) -> None:
    clock = dpm_solver_labels(alphas)
    inner = from_alphas_cumprod(alphas)
    low, high = inner.sigma(0), min(inner.sigma(len(alphas) - 1), math.exp(5.1))
    for sigma in [s for s in BETWEEN if low <= s <= high]:
        assert clock.t(sigma) == pytest.approx(dpm_label(alphas, sigma), abs=1e-8)
        assert clock.sigma(clock.t(sigma)) == pytest.approx(sigma, rel=1e-9)


def test_dpm_solvers_labels_are_stretched_where_they_say() -> None:
    """4 entries of the cosine are dropped; T = 100 is labelled up to 990."""
    assert dpm_solver_labels(COSINE).t(COSINE_CLOCK.sigma(995)) == pytest.approx(995 * 1000 / 996)
    assert dpm_solver_labels(SHORT).t(from_alphas_cumprod(SHORT).sigma(99)) == pytest.approx(990)


@pytest.mark.parametrize("sigma", [1000.0, 80.0, 3.3, 1.01, 0.4, 0.0301, 0.0099])
def test_iddpms_labels(sigma: float) -> None:
    u = np.array(IDDPM_U)
    assert iddpm_labels().t(sigma) == 999 - int(np.abs(u - sigma).argmin())


def test_iddpms_table_is_the_squared_cosine() -> None:
    assert max(abs(a / b - 1) for a, b in zip(TABLE, IDDPM_U, strict=True)) < 1e-9


@pytest.mark.parametrize("sigma", [49.9, 30.0, 2.0, 0.5, 0.0101])
def test_the_index_of_ve(sigma: float) -> None:
    """score_sde's discrete VE: round((1 - t)(N - 1)), t = log(σ/σ_min)/log(σ_max/σ_min)."""
    t = math.log(sigma / 0.01) / math.log(5000)
    assert ve_index(232, 0.01, 50.0).t(sigma) == float(torch.round(torch.tensor((1 - t) * 231)))


def test_whole_and_nearest() -> None:
    clock = linear_beta(between="log_sigma")
    down, near = Labels(clock, whole), Labels(clock, nearest)
    for t in (0.0, 7.0, 7.4, 7.6, 998.0, 999.0):
        sigma = clock.sigma(t)
        assert down.t(sigma) == float(torch.tensor(t + 1e-9, dtype=torch.float64).long())
        assert near.t(sigma) == round(t)
    with pytest.raises(ScheduleError, match="moves in jumps, so dσ/dt has no value"):
        near.rate(3.0)
    with pytest.raises(ScheduleError, match="is outside"):
        down.t(1e5)


CLOCKS: list[tuple[Clock, list[float]]] = [
    (SigmaClock(), LEVELS),
    (LogClock(0.25), LEVELS),
    (LogClock(1, unit=2), LEVELS),
    (AngleClock(), LEVELS),
    (AngleClock(scale=1000), LEVELS),
    (Reversed(FlowClock()), LEVELS),
    (Reversed(FlowClock(scale=1000), 1000), LEVELS),
    (SubVPSDE(), LEVELS),
    (SubVPSDE(scale=999), LEVELS),
    (k_diffusion_labels(ALPHAS), [80.0, 1.0]),
    (dpm_solver_labels(SHORT), [6.0, 1.0]),
]


@pytest.mark.parametrize(
    ("clock", "levels"), CLOCKS, ids=lambda v: repr(v) if isinstance(v, Clock) else ""
)
def test_a_clock_inverts_itself_and_knows_its_rate(clock: Clock, levels: list[float]) -> None:
    for sigma in levels:
        t = clock.t(sigma)
        assert clock.sigma(t) == pytest.approx(sigma, rel=1e-9)
        h = 1e-6 * abs(t) if abs(t) > 1e-3 else 1e-9
        if isinstance(clock, Reversed):
            h = min(h, 1e-4 * (clock.end - t))
        slope = (clock.sigma(t + h) - clock.sigma(t - h)) / (2 * h)
        assert clock.rate(t) == pytest.approx(slope, rel=1e-4)
    with pytest.raises(ScheduleError, match="0 < σ < ∞"):
        clock.t(-1.0)


def test_known_values() -> None:
    assert LogClock(0.25).t(3.7) == EDMClock().t(3.7)
    assert (AngleClock().t(1.0), AngleClock().t(math.inf), AngleClock().sigma(1)) == (
        0.5,
        1.0,
        math.inf,
    )
    assert Reversed(FlowClock()).t(math.inf) == 0
    # k-diffusion's VDenoiser
    assert AngleClock().t(2.5) == pytest.approx(math.atan(2.5) / math.pi * 2, rel=1e-15)
    grid: Grid = uniform_t(4, 3.0, 1 / 3, clock=Reversed(FlowClock()))
    assert grid.levels == pytest.approx(
        uniform_t(4, 3.0, 1 / 3, clock=FlowClock()).levels, rel=1e-14
    )
