"""Every method converges at the order it declares, and a wrong one is caught by the same check.

The range σ = 1 to 0.2 holds what makes the problems nonlinear, so the asymptotic range starts at a
few dozen steps. From σ = 10 the flow is almost linear at first, errors of the first steps hardly
show, and a ramped Adams method looks third order up to a thousand steps: the last test of orders.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import DATA, LOG_SIGMA, ODE, Grid, OneStep, Solver, karras, log_snr, solve
from flowsolve.problems import Mixture, Mixture1D, Problem
from flowsolve.schedule.grid import Spacing
from flowsolve.solver.chart import NOISE
from flowsolve.solver.weights import adams_weights
from flowsolve.study import Study, convergence
from flowsolve.study.certificate import measuring_steps
from flowsolve_solvers import ALL, LMS, Adams, Heun, UniPC

PROBLEMS = [Mixture1D(sigma_max=1.0, sigma_min=0.2), Mixture(sigma_max=1.0, sigma_min=0.2)]
SPACINGS = [karras, log_snr]
PLACES = [*zip(PROBLEMS, SPACINGS, strict=True)]  # `flowsolve certify` measures all four pairs


@dataclass(frozen=True, repr=False)
class WrongHeun(OneStep):
    """Heun with weights 0.6 and 0.4: consistent, cheap to mistake for the right one, order 1."""

    order = 2

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        f = ode.eps(x, s)
        g = ode.eps(x.add(f, alpha=t - s), t)
        return x.add(f, alpha=0.6 * (t - s)).add(g, alpha=0.4 * (t - s))


@dataclass(frozen=True, repr=False)
class WrongAdams(Solver):
    """Three-point Adams after Heun's start, 5 % of one weight off, moved elsewhere or just lost."""

    lost: bool = False

    order = 3

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        nodes: tuple[float, ...] = ()
        values: list[Tensor] = []
        for s, t in pairwise(grid):
            nodes, values = (s, *nodes[:2]), [ode.eps(x, s), *values[:2]]
            if len(nodes) < 3:
                x = Heun().step(ode, x, s, t)
            else:
                a, b, c = adams_weights(NOISE, LOG_SIGMA, nodes, s, t)
                off = 0.05 * b
                x = NOISE.advance(x, s, t, (a if self.lost else a + off, b - off, c), values)
            yield x


def study(solver: Solver, problem: Problem, spacing: Spacing) -> Study:
    # fine enough to see a 1 % inconsistency under a first-order error, and above round-off at 4
    steps = measuring_steps(solver)
    return convergence(solver, problem, steps=steps, spacing=spacing, seeds=range(8))


def agrees(result: Study, order: int) -> bool:
    slope = result.slope()
    return abs(slope.order - order) < 0.2 and slope.settled


@pytest.mark.parametrize(
    ("solver", "problem", "spacing"),
    [
        pytest.param(solver, *place, id=f"{solver!r}-{place[0].name}")
        for i, solver in enumerate(ALL)
        for place in ([PLACES[i % 2]] if isinstance(solver, Adams | UniPC) else PLACES)
    ],
)
def test_order(solver: Solver, problem: Problem, spacing: Spacing) -> None:
    """At both places, the many configurations of Adams and UniPC at one of them in turn."""
    result = study(solver, problem, spacing)
    assert agrees(result, solver.order), f"declared {solver.order}, measured:\n{result}"


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
@pytest.mark.parametrize("solver", [WrongHeun(), WrongAdams(), WrongAdams(lost=True)], ids=repr)
def test_wrong_methods_are_rejected(solver: Solver, problem: Problem, spacing: Spacing) -> None:
    result = study(solver, problem, spacing)
    assert not agrees(result, solver.order), f"a wrong method passed:\n{result}"


def test_a_ramp_takes_long_to_show_its_order() -> None:
    """Four points ramped from Euler, σ = 10 to 0.05: slopes 3.0, 2.8, 2.4, 2.1, and so on to 2."""
    result = convergence(LMS(4), Mixture(), steps=(80, 160, 320, 640, 1280), seeds=range(8))
    errors = [row.rmse for row in result.rows]
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert slopes == sorted(slopes, reverse=True), str(result)
    assert slopes[0] > 2.8, str(result)
    assert abs(slopes[-1] - 2) < 0.2, str(result)


WIDE = Mixture1D()
X = WIDE.start(range(8), torch.float64)


def test_the_charts_agree_in_the_limit_only() -> None:
    """Same points, another chart: other errors of the same order, so ALL holds no copies."""
    grid = karras(40, 1, 0.2)
    one, two = (solve(PROBLEMS[0], X, grid, Adams(2, chart)).x for chart in (NOISE, DATA))
    assert 1e-7 < float((one - two).abs().max()) < 1e-2
