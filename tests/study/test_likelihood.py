"""Rows of log p: closed forms, and bits per dimension of data on levels."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from flowsolve.errors import SamplesError
from flowsolve.ode.noise import unit_noise
from flowsolve.problems import Digits, Gaussian, Mixture, NetworkProblem
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.spacings import log_snr
from flowsolve.study.cases import Case
from flowsolve.study.likelihood import likelihood
from flowsolve.study.runner import collect
from flowsolve_solvers import (
    DPMSolverPP2M,
    Heun,
)

MIXTURE = Mixture()
PROBLEM = NetworkProblem(MIXTURE, (2,), 10.0, 0.05, data=MIXTURE.data()[:600], digest="600")


def grid_of(n: int) -> Grid:
    return log_snr(n, 10.0, 0.05)


def test_likelihood_rows_know_the_closed_form() -> None:
    cases = [
        Case(s, repr(s), "log_snr", f"S={n}", partial(grid_of, n))
        for s in (Heun(),)
        for n in (20, 40)
    ]
    coarse, fine = collect(
        likelihood(cases, MIXTURE, samples=6, probes=None, block=4, dtype=torch.float64)
    )
    assert fine.rmse < coarse.rmse / 3 < 0.1
    x = MIXTURE.data()[:6] + 0.05 * unit_noise(range(6), (2,), torch.float64)
    exact = MIXTURE.log_density(x, 0.05)
    assert fine.log_p == pytest.approx(float(exact.mean()), abs=fine.rmse)
    assert fine.log_p_error == pytest.approx(float(exact.std()) / math.sqrt(6), rel=0.02)
    assert (fine.probes, fine.probes_error, fine.nfe, fine.backwards) == (0, 0, 80, 160)
    assert math.isnan(fine.bits)
    with pytest.raises(SamplesError, match="2 to 2000 samples of the data, not 1"):
        likelihood(cases, MIXTURE, samples=1)


def test_likelihood_rows_of_data_on_levels_are_in_bits() -> None:
    problem = Digits().between(100.0, 0.04)
    case = Case(DPMSolverPP2M(), "2M", "log_snr", "S=10", partial(log_snr, 10, 100.0, 0.04))
    (row,) = collect(likelihood([case], problem, samples=4, probes=2, levels=problem.levels))
    assert (row.levels, row.probes, row.solver) == (17, 2, "2M")
    assert 1 < row.bits < 3
    assert row.bits == pytest.approx(-(row.log_p / 64 + math.log(2 / 16)) / math.log(2))
    assert 0 < row.probes_error < row.log_p_error
    assert math.isnan(row.rmse)


def test_the_density_of_a_gaussian() -> None:
    p = Gaussian()
    cov = torch.tensor(p.covariance, dtype=torch.float64) + 0.25 * torch.eye(2)
    law = torch.distributions.MultivariateNormal(torch.tensor(p.mean, dtype=torch.float64), cov)
    x = p.data()[:20]
    torch.testing.assert_close(p.log_density(x, 0.5), law.log_prob(x))
