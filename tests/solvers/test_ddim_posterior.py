"""The posterior of the DDIM family: its marginals, and DDPM's formulas."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from flowsolve import ODE, karras
from flowsolve_solvers import DDPM, DDIMEta
from flowsolve_solvers.ddim import posterior


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_all_members_share_the_marginals(eta: float) -> None:
    """q(x̄_{T-1}, ..., x̄_0 | x₀) chained from q(x̄_T | x₀): its diagonal is σ², its mean is x₀."""
    grid = karras(9, 80.0, 0.002)
    mean, rows = 1.0, [np.zeros(10)]
    rows[0][0] = grid[0]  # x̄ = mean x₀ + row · independent standard normals
    for i, (s, t) in enumerate(pairwise(grid), 1):
        a, b, v = posterior(s, t, eta)
        mean, row = a * mean + b, a * rows[-1]
        row[i] = v
        rows.append(row)
        assert mean == pytest.approx(1.0, rel=1e-14)
    covariance = np.array(rows) @ np.array(rows).T
    np.testing.assert_allclose(np.diag(covariance), np.square(grid[:]), rtol=1e-13)
    # the members differ in the joint law: at η = 1 the chain from t to s only adds noise
    markov = np.minimum.outer(np.square(grid[:]), np.square(grid[:]))
    assert np.allclose(covariance, markov, rtol=1e-12) is (eta == 1)


ABAR = [0.0047, 0.1, 0.5, 0.9, 0.9999]


@pytest.mark.parametrize(("abar", "before"), [*pairwise(ABAR), (0.0047, 0.9999)])
def test_ddpm_posterior(abar: float, before: float) -> None:
    """Ho et al. 2020, Eq. 6 and 7, in x_t and ᾱ; and the two variances of Section 3.2."""
    beta = 1 - abar / before
    mean_0 = math.sqrt(before) * beta / (1 - abar)
    mean_t = math.sqrt(1 - beta) * (1 - before) / (1 - abar)
    small = (1 - before) / (1 - abar) * beta
    s, t = (math.sqrt((1 - q) / q) for q in (abar, before))
    a, b, v = posterior(s, t)
    assert math.sqrt(before / abar) * a == pytest.approx(mean_t, rel=1e-12)
    assert math.sqrt(before) * b == pytest.approx(mean_0, rel=1e-12)
    assert before * v * v == pytest.approx(small, rel=1e-12)

    class Known(ODE):
        """x₀ = 2 whatever the state; z = 1 or 0."""

        z = 0.0

        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return (x - 2) / sigma

        def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
            return torch.full_like(x, self.z)

    x_t, ode = 3.0, Known()
    x = torch.tensor([x_t / math.sqrt(abar)], dtype=torch.float64)
    for solver, variance in ((DDPM(), small), (DDPM(True), beta), (DDIMEta(), small)):
        ode.z = 0.0
        mean = float(solver.step(ode, x, s, t)) * math.sqrt(before)
        assert mean == pytest.approx(mean_0 * 2 + mean_t * x_t, rel=1e-12)
        ode.z = 1.0
        spread = float(solver.step(ode, x, s, t)) * math.sqrt(before) - mean
        assert spread == pytest.approx(math.sqrt(variance), rel=1e-11)
