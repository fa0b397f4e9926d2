"""solve and sample: starts, ends, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import ODE, VELOCITY, Grid, Solver, karras, sample, solve, ve_start, vp_start
from flowsolve.errors import GridError, StateError
from flowsolve.problems import Mixture1D
from flowsolve_solvers import Adams, DPMSolver3, Euler, Heun, UniPC
from tests.integrate.helpers import GRID, PROBLEM, X, each


def test_starts() -> None:
    assert (ve_start(3), vp_start(3)) == (3, math.sqrt(10))
    noise = X / 10
    for start, factor in ((ve_start, 10), (vp_start, math.sqrt(101)), (lambda s: 7 * s, 70)):
        one = sample(PROBLEM, noise, GRID, Heun(), start=start).x
        torch.testing.assert_close(one, solve(PROBLEM, noise * factor, GRID, Heun()).x)
    default = sample(PROBLEM, noise, GRID, Heun()).x
    assert default.equal(sample(PROBLEM, noise, GRID, Heun(), start=ve_start).x)
    ends = GRID.from_infinity()
    one, two = (sample(PROBLEM, noise, ends, Heun(), start=f).x for f in (ve_start, vp_start))
    assert one.equal(two)  # from σ = ∞ the noise is taken as it is


@pytest.mark.parametrize("grid", [karras(60, 80, 0.02).to_zero(), karras(60, 80, 0.02)], ids=str)
@pytest.mark.parametrize("solver", [Heun(), DPMSolver3(), Adams(3, start=Heun())], ids=repr)
def test_samples_have_the_moments_of_the_data(solver: Solver, grid: Grid) -> None:
    problem = Mixture1D()
    noise = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = sample(problem, noise, grid, solver).x
    w, m, d = (torch.tensor(v) for v in (problem.weights, problem.means, problem.deviations))
    mean = float((w * m).sum())
    variance = float((w * (m * m + d * d)).sum()) - mean**2
    assert float(x.mean()) == pytest.approx(mean, abs=0.02)
    assert float(x.var()) == pytest.approx(variance, abs=0.02)
    assert float((x < 0).double().mean()) == pytest.approx(0.3, abs=0.01)


@each
def test_zero_is_reached_by_a_ddim_step_or_by_the_method(solver: Solver) -> None:
    near, end = (sample(PROBLEM, X / 10, g, solver).x for g in (GRID, GRID.to_zero()))
    tail = PROBLEM.x0(near, 0.05)
    if not solver.reaches_zero:
        assert end.equal(tail)
        with pytest.raises(GridError, match=r"sample\(\) takes the steps"):
            solve(PROBLEM, X, GRID.to_zero(), solver)
    else:
        assert end.equal(solve(PROBLEM, X, GRID.to_zero(), solver).x)
        # the level of `near` is reached otherwise if it is not the last: corrected, or at full order
        other = isinstance(solver, UniPC) or getattr(solver, "lower_order_final", False)
        torch.testing.assert_close(end, tail, rtol=0.1, atol=0.15 if other else 0.05)
        if isinstance(solver, Euler | Adams):  # the others: test_multistep
            own_step = (isinstance(solver, Adams) and solver.points > 1) or solver.chart == VELOCITY
            assert ((end - tail).abs().max() > 1e-6) == own_step  # Euler's is the DDIM step


@dataclass(frozen=True, repr=False)
class Yields(Solver):
    """So many states more than the grid has steps."""

    extra: int

    order = 0

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        for _ in range(grid.steps + self.extra):
            yield x


@pytest.mark.parametrize(("extra", "word"), [(-1, "fewer"), (-6, "fewer"), (1, "more")])
def test_too_few_and_too_many_states(extra: int, word: str) -> None:
    with pytest.raises(StateError, match=rf"Yields\(extra={extra}\) yielded {word} states"):
        solve(PROBLEM, X, GRID, Yields(extra))
    assert solve(PROBLEM, X, GRID, Yields(0)).nfe == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"solver": Heun}, StateError, r"did you mean Heun\(\)"),
        ({"solver": "heun"}, StateError, "Names are for the command line"),
        ({"ode": lambda x, t: x}, StateError, "ode must be an ODE"),
        ({"x": [1.0, 2.0]}, StateError, "but is a list of 2"),
        ({"x": torch.ones(3, 2, dtype=torch.int64)}, StateError, r"torch.int64. Use x.float\(\)"),
        ({"x": torch.tensor(1.0)}, StateError, r"its shape is \(\)"),
        ({"x": torch.ones(0, 2)}, StateError, r"its shape is \(0, 2\)"),
        ({"grid": [1.0]}, GridError, "at least two"),
        ({"grid": [math.inf, 1.0, 0.1]}, GridError, r"sample\(\) takes the steps"),
        ({"grid": [1.0, 0.1, 0.0]}, GridError, r"sample\(\) takes the steps"),
        ({"grid": Grid([1.0, 0.0]).reversed()}, GridError, r"sample\(\) takes the steps"),
    ],
)
def test_errors_at_the_boundary(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    call: dict[str, Any] = {"ode": PROBLEM, "x": X, "grid": GRID, "solver": Heun(), **change}
    with pytest.raises(error, match=message):
        solve(**call)


def test_sample_only_falls() -> None:
    with pytest.raises(GridError, match="σ must fall, but this grid rises"):
        sample(PROBLEM, X, GRID.reversed(), Heun())
