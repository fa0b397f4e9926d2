"""The order of solvers on guided ODEs: kept where guidance is smooth, lost at the jumps of an interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import (
    LOG_SIGMA,
    ODE,
    EpsPrediction,
    Grid,
    Guided,
    Solver,
    X0Prediction,
    interval,
    log_snr,
    solve,
)
from flowsolve.problems import Mixture, NetworkProblem
from flowsolve.study import convergence
from flowsolve.study.certificate import measuring_steps
from flowsolve_solvers import (
    RK4,
    DPMSolver3,
    DPMSolverPP2M,
    Euler,
    Heun,
    Midpoint,
    UniPC,
)
from tests.ode.guided import (
    ALL_OF_IT,
    FLOW,
    PART,
    SOLVERS,
    X,
)

ENDS = (0.71, 0.33)


def thirds(n: int) -> tuple[Grid, Grid, Grid]:
    """σ from 1 to 0.2, with both ends of the interval among the levels."""
    levels = (1.0, *ENDS, 0.2)
    return tuple(
        log_snr(k, *p) for k, p in zip((n // 4, n // 2, n // 4), pairwise(levels), strict=True)
    )  # type: ignore[return-value]


def in_pieces(solver: Solver, n: int) -> Tensor:
    x = X
    for ode, grid in zip((PART, Guided(PART, ALL_OF_IT, 3.0), PART), thirds(n), strict=True):
        x = solve(ode, x, grid, solver).x
    return x


@cache
def in_fine_pieces() -> Tensor:
    return in_pieces(RK4(LOG_SIGMA), 2000)


@pytest.mark.parametrize(
    ("solver", "with_ends"),
    [(Euler(), 1), (Heun(), 1), (Midpoint(), 2), (DPMSolverPP2M(), 1), (DPMSolver3(), 3), (UniPC(3), 1)],
    ids=repr,
)  # fmt: skip
def test_the_jumps_of_an_interval_cost_order(solver: Solver, with_ends: int) -> None:
    """Order 1 on any grid; with the ends among its levels, the own order of methods that look neither
    back nor at the end of their step; in three pieces, everybody's."""
    fine = in_fine_pieces()
    ode = Guided(PART, ALL_OF_IT, interval(3.0, ENDS[1], ENDS[0]))

    def error(x: Tensor) -> float:
        return float((x - fine).square().mean().sqrt())

    def joined(n: int) -> Grid:
        a, b, c = thirds(n)
        return Grid((*a, *b[1:], *c[1:]))

    def on_any(n: int) -> float:
        """The mean over grids that put the jumps at different places of a step."""
        ns = range(n - 20, n + 20, 8)
        return sum(error(solve(ode, X, log_snr(k, 1.0, 0.2), solver).x) for k in ns) / len(ns)

    def order(of: Callable[[int], float]) -> float:
        return math.log(of(80) / of(320)) / math.log(4)

    measured = (
        order(on_any),
        order(lambda n: error(solve(ode, X, joined(n), solver).x)),
        order(lambda n: error(in_pieces(solver, n))),
    )
    print(
        f"{solver!r}: any grid {measured[0]:.2f}, with the ends {measured[1]:.2f}, pieces {measured[2]:.2f}"
    )
    assert measured == pytest.approx((1, with_ends, solver.order), abs=0.2)


def wide(seed: int = 0, d: int = 6) -> tuple[Mixture, Mixture]:
    """Six dimensions, in which a deviation over a sample is not 0 at some points, as in two."""
    g = torch.Generator().manual_seed(seed)
    means = torch.randn(3, d, generator=g, dtype=torch.float64).tolist()
    roots = torch.randn(3, d, d, generator=g, dtype=torch.float64)
    cov = (0.03 * roots @ roots.mT + 0.05 * torch.eye(d)).tolist()
    m, c = tuple(map(tuple, means)), tuple(tuple(map(tuple, a)) for a in cov)
    return Mixture((0.2, 0.5, 0.3), m, c), Mixture((0.625, 0.375), m[1:], c[1:])


WIDE, WIDE_PART = wide()
SMOOTH: dict[str, tuple[ODE, int]] = {
    "guided": (Guided(PART, ALL_OF_IT, 3.0), 2),
    "negative": (Guided(PART, ALL_OF_IT, -1.0), 2),
    "w(σ)": (Guided(PART, ALL_OF_IT, lambda s: 1 + 2 * s * s), 2),
    "each its own": (Guided(PART, ALL_OF_IT, torch.linspace(-1, 4, 8)), 2),
    "rescaled v": (Guided(WIDE_PART, WIDE, 3.0, rescale=0.7), 6),
    "rescaled x₀": (Guided(WIDE_PART, WIDE, 3.0, rescale=0.7, quantity=X0Prediction(FLOW)), 6),
    "rescaled ε": (Guided(WIDE_PART, WIDE, 3.0, rescale=0.7, quantity=EpsPrediction(FLOW)), 6),
}


@pytest.mark.parametrize("what", SMOOTH)
def test_order_is_kept(what: str) -> None:
    """By every method: guided ε is as smooth as its sides, and a deviation is smooth where it is not 0."""
    ode, d = SMOOTH[what]
    problem = NetworkProblem(ode, (d,), 1.0, 0.2, name="guided", digest=f"test_guidance {what}")
    problem.tolerance = 1e-11  # type: ignore[misc]
    for solver in SOLVERS:
        half = [n // 2 for n in measuring_steps(solver)]
        result = convergence(solver, problem, steps=half, seeds=range(8))
        slope = result.slope()
        print(f"{what}, {solver!r}: {slope}")
        assert abs(slope.order - solver.order) < 0.2, str(result)
        assert slope.settled, str(result)
