"""model_statistics and fit_ratios: against what is known, and better on noises that they have not seen."""

from __future__ import annotations

import math

import pytest
import torch

from flowsolve import DATA, log_snr, solve, unit_noise
from flowsolve.errors import StateError
from flowsolve.problems import Gaussian, Mixture
from flowsolve.study import fit_ratios, model_statistics
from flowsolve_solvers import Adams, DCSolver, Heun, UniPC
from tests.helpers import says

P = Mixture()


VARIANCES = (1.5, 0.1)
GAUSSIAN = Gaussian((0.0, 0.0), ((1.5, 0.0), (0.0, 0.1)), 10.0, 0.05)


def exact(sigma: float) -> tuple[float, float]:
    """(l, s) of N(0, diag v): l_i = σ²/(v_i+σ²), f_i = (l_i - l) x̄_i, dx̄_i/dλ = -l_i x̄_i, E x̄_i² = v_i+σ²."""
    size = [v + sigma**2 for v in VARIANCES]
    each = [sigma**2 / w for w in size]
    change = [-2 * sigma**2 * v / w**2 for v, w in zip(VARIANCES, size, strict=True)]
    share, slope = sum(each) / 2, sum(change) / 2
    f = [e - share for e in each]
    rise = [c - slope - g * e for c, g, e in zip(change, f, each, strict=True)]
    over = sum(w * g * r for w, g, r in zip(size, f, rise, strict=True))
    return share, over / sum(w * g * g for w, g in zip(size, f, strict=True))


def test_statistics_of_a_gaussian() -> None:
    noise = unit_noise(range(512), (2,), torch.float64)
    found = model_statistics(GAUSSIAN, noise)
    assert (found.low, found.high) == (0.051, 9.804)
    for sigma in (0.1, 0.3, 1.0, 3.0):
        share, growth = exact(sigma)
        assert -found.from_eps(sigma)[0] / found.from_eps(sigma)[1] * sigma == pytest.approx(
            share, abs=2e-3
        )
        # s is what e^-S falls by: from_x0 has -e^-S
        down, up = (-found.from_x0(sigma * q)[1] for q in (1 + 1e-4, 1 - 1e-4))
        assert math.log(down / up) / 2e-4 == pytest.approx(growth, abs=0.3)


def test_with_its_statistics_it_is_nearer_to_the_solution() -> None:
    """On noises that are not those of the statistics, which are the same for the same noises."""
    noise = unit_noise(range(64), (2,), torch.float64)
    found = model_statistics(GAUSSIAN, noise)
    assert found == model_statistics(GAUSSIAN, noise)
    x = GAUSSIAN.start(range(500, 532), torch.float64)
    truth = GAUSSIAN.flow(x, 10.0, 0.05)
    for n in (6, 8, 10):
        errors = [
            (solve(GAUSSIAN, x, log_snr(n, 10.0, 0.05), Adams(3, chart)).x - truth).norm()
            for chart in (found, DATA)
        ]
        assert errors[0] < errors[1]


def test_ratios_lessen_the_error() -> None:
    x = P.start(range(32), torch.float64)
    grid = log_snr(7, P.sigma_max, P.sigma_min)
    path = solve(P, x, log_snr(200, P.sigma_max, P.sigma_min), UniPC(3), keep=1)
    truth = dict(zip(grid, path.at(grid), strict=True))
    plain = DCSolver(3, variant="bh2", lower_order_final=True, guard=None)
    fitted = fit_ratios(plain, P, x, grid, truth)
    assert fitted.ratios[:2] == (1.0, 1.0)
    assert len(fitted.ratios) == 7
    assert any(r != 1 for r in fitted.ratios)
    off = [
        float((solve(P, x, grid, s).x - truth[grid[-1]]).square().mean()) for s in (plain, fitted)
    ]
    assert off[1] < off[0]
    assert fit_ratios(plain, P, x, grid, {}).ratios == (1.0,) * 7


def test_wrong_calls() -> None:
    noise = unit_noise(range(16), P.event, torch.float64)
    says(
        StateError,
        "fit_ratios takes a solver with ratios such as DCSolver(), not Heun().",
        lambda: fit_ratios(Heun(), P, noise, log_snr(3, 1, 0.1), {}),
    )
    says(
        StateError,
        "model_statistics needs levels with 0 < low < high < inf, but has high = 1.0, low = 2.0.",
        lambda: model_statistics(P, noise, high=1.0, low=2.0),
    )
