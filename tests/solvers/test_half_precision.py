"""States in float16 and bfloat16: every method follows float64 to a few roundings."""

from __future__ import annotations

import pytest
import torch

from flowsolve import Solver, karras, solve
from flowsolve.problems import Mixture
from flowsolve_solvers import ALL

PROBLEM = Mixture(sigma_max=1.0, sigma_min=0.2)
SEEDS = range(8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("solver", ALL, ids=repr)
def test_half_precision_states(solver: Solver, dtype: torch.dtype) -> None:
    """Within a few roundings per evaluation of the float64 answer from the same rounded start."""
    x = PROBLEM.start(SEEDS, dtype)
    grid = karras(8, 1.0, 0.2)
    got = solve(PROBLEM, x, grid, solver)
    exact = solve(PROBLEM, x.double(), grid, solver).x
    assert got.x.dtype == dtype
    worst = float((got.x.double() - exact).abs().max())
    unit = torch.finfo(dtype).eps
    assert worst < 3 * unit * got.nfe**0.5 * float(exact.abs().max()), worst / unit
