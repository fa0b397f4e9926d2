"""The quadrature behind weak orders, against exact moments and against draws."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from flowsolve import ODE, Grid, OneStep, Solver, karras, log_snr, solve
from flowsolve.analysis.weak_order import FUNCTIONS, exact_expectations, expectations
from flowsolve.analysis.weak_order import PROBLEM as NARROW
from flowsolve.ode.base import Wrapped
from flowsolve.problems import Mixture1D
from flowsolve_solvers import DDIM_ETA, EDM, ERSDE, SDE_ETA, STOCHASTIC
from tests.helpers import LINE, end_moments

MULTISTEP = [s for s in STOCHASTIC if not isinstance(s, OneStep | EDM)]


@dataclass(frozen=True, repr=False)
class NoisyAB2(Solver):
    """Adams-Bashforth in σ to d, then noise: it remembers ε, where the others remember x₀."""

    order = 1
    stochastic = True

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        last = None
        for s, t in pairwise(grid):
            d, v = DDIM_ETA.split(s, t, 1.0)
            eps = ode.eps(x, s)
            last = eps if last is None else last
            x = x.add(eps, alpha=1.5 * (d - s)).add(last, alpha=-0.5 * (d - s))
            last = eps
            x = x.add(ode.noise(x, s, t), alpha=v)
            yield x


@pytest.mark.parametrize("solver", [*STOCHASTIC, NoisyAB2()], ids=repr)
def test_quadrature_finds_the_exact_moments(solver: Solver) -> None:
    """On Gaussian data the end is Gaussian, of the mean and variance that its own weights give."""
    grid = karras(40, 1.0, 0.2)
    mean, variance = end_moments(solver, grid)
    end = Mixture1D((1.0,), (mean,), (math.sqrt(variance),))
    got = expectations(solver, grid, LINE)
    far = solver == ERSDE(4, family=SDE_ETA)  # three remembered answers, and weights up to 55/24
    np.testing.assert_allclose(
        got, exact_expectations(0.0, end), rtol=0, atol=3e-6 if far else 3e-7
    )


MANY, FINE = 60_000, 40


class Path(Wrapped):
    """One Brownian path for each of many samples on the nested grids of FINE steps."""

    def __init__(self, ode: Mixture1D) -> None:
        super().__init__(ode)
        generator = torch.Generator().manual_seed(1)
        self.levels = log_snr(FINE, 1.0, 0.2).levels

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=torch.float64, generator=generator)

        w, m, d = (
            torch.tensor(a, dtype=torch.float64) for a in (ode.weights, ode.means, ode.deviations)
        )
        which = torch.multinomial(w, MANY, True, generator=generator)
        self.start = m[which] + d[which] * normal(MANY) + normal(MANY)
        widths = torch.tensor([s - t for s, t in pairwise(self.levels)], dtype=torch.float64)
        self.increments = normal(FINE, MANY) * widths.sqrt()[:, None]

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        i, j = self.levels.index(s), self.levels.index(t)
        return self.increments[i:j].sum(0) / math.sqrt(s - t)


@pytest.fixture(scope="module")
def path() -> Path:
    return Path(NARROW)


@pytest.mark.parametrize("solver", MULTISTEP, ids=repr)
def test_quadrature_finds_what_draws_do(path: Path, solver: Solver) -> None:
    """On a mixture, with memory: E f(x_20) - E f(x_40), drawn on the same paths, in four errors."""
    grids = [Grid(path.levels[:: FINE // n]) for n in (FINE // 2, FINE)]
    ends = [solve(path, path.start, grid, solver).x.numpy() for grid in grids]
    coarse, fine = (expectations(solver, grid) for grid in grids)
    for f, change in zip(FUNCTIONS, coarse - fine, strict=True):
        drawn = f(ends[0]) - f(ends[1])
        assert abs(drawn.mean() - change) < 4 * drawn.std() / math.sqrt(MANY)
