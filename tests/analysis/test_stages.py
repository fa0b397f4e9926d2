"""A method driven from outside is the method, and keeps no more tensors alive than it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import (
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    Grid,
    SeededNoise,
    Solver,
    WithNoise,
    karras,
    log_snr,
    sample,
    solve,
)
from flowsolve.analysis.stages import Run, drive, recurrence
from flowsolve.analysis.step_cost import SHAPE, StepCost
from flowsolve.errors import StateError, TableError
from flowsolve.problems import Mixture
from flowsolve_solvers import (
    ALL,
    EDM,
    LMS,
    PNDM,
    STOCHASTIC,
    CorrectedStart,
    DPMSolverPP2M,
    DPMSolverPP2MSDE,
    Euler,
    Heun,
    Scipy,
    UniPC,
)

ODE = WithNoise(Mixture(), SeededNoise(range(8)))
X = Mixture().start(range(8), torch.float64) / Mixture.sigma_max
GRIDS = [
    Grid([10, 6.1, 5.8, 2.0, 0.9, 0.3, 0.05], "uneven"),
    karras(12, 80, 0.002).to_zero(),
    log_snr(9, 20, 0.05).from_infinity().to_zero(),
]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("solver", [*ALL, *STOCHASTIC], ids=repr)
def test_driven_from_outside(solver: Solver, grid: Grid) -> None:
    x = X if math.isinf(grid[0]) else X * grid[0]
    driven = drive(ODE, x, recurrence(solver, grid))
    torch.testing.assert_close(driven, sample(ODE, X, grid, solver).x, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("solver", ALL, ids=repr)
def test_upwards(solver: Solver) -> None:
    up = GRIDS[0].reversed()
    driven = drive(ODE, X, recurrence(solver, up))
    torch.testing.assert_close(driven, solve(ODE, X, up, solver).x, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("solver", [*ALL, *STOCHASTIC], ids=repr)
def test_it_keeps_no_more_alive_than_the_method(solver: Solver) -> None:
    grid, x, precondition = log_snr(20, 10.0, 0.1), torch.ones(SHAPE), EpsPrediction(VPSDE())

    class Still(WithNoise):
        """Noise that costs no tensor."""

        def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
            return torch.zeros(1)

    nbytes = x.untyped_storage().nbytes()
    found = recurrence(solver, grid)
    peaks = []
    for run in (
        lambda ode: solve(ode, x, grid, solver, check=False),
        lambda ode: drive(ode, x, found),
    ):
        meter = StepCost(nbytes)
        ode = Still(DiffusionODE(meter.network, precondition), SeededNoise([0]))
        run(ode)  # what methods cache, such as weights, is made by a first run
        with meter:
            meter.hold(x)
            run(ode)
        peaks.append(meter.peak)
    assert 2 < peaks[1] <= peaks[0]


@pytest.mark.parametrize(
    ("solver", "kept", "data"),
    [
        (Euler(), 0, False),
        (Heun(), 1, False),
        (LMS(4), 3, False),
        (PNDM(), 5, False),  # three ε of the nodes, and two inside a Runge-Kutta step
        (DPMSolverPP2M(), 1, True),
        (UniPC(3), 3, True),
        (DPMSolverPP2MSDE(), 1, True),
        (EDM(), 1, False),
    ],
    ids=repr,
)
def test_what_is_kept(solver: Solver, kept: int, data: bool) -> None:
    found = recurrence(solver, log_snr(20, 10, 0.1))
    assert found.kept == kept
    assert {stage.data for stage in found.stages} == {data}
    assert not found.stages[-1].keep


def test_by_hand() -> None:
    """Heun: x_e = x + h ε₁, then x_e - h ε₁ + h/2 (ε₁ + ε₂)."""
    first, second, *_ = recurrence(Heun(), Grid([4, 2, 1])).stages
    assert (first.sigma, first.scale, dict(first.weights)) == (4, 1, {1: pytest.approx(-2)})
    assert second.sigma == 2
    assert second.scale == pytest.approx(1)
    assert dict(second.weights) == {1: pytest.approx(1), 2: pytest.approx(-1)}
    assert (first.keep, second.keep) == ({1}, set())


def test_noise_before_the_first_evaluation() -> None:
    start = recurrence(EDM(), karras(5, 80, 0.002)).start
    assert [(s, t) for _, s, t, _ in start.draws] == [karras(5, 80, 0.002)[:2]]
    assert not recurrence(EDM(), karras(5, 80, 0.002).from_infinity()).start.draws


@pytest.mark.parametrize(
    ("solver", "nodes"),
    [
        (Heun(), (0, 2, 4, 6)),
        (PNDM(), (0, 4, 8, 12)),
        (UniPC(3), (0, 1, 2, 3)),  # evaluates a node before it corrects it
        (EDM(method=Euler()), (0, 1, 2, 3)),  # adds noise to a node before it evaluates
        (CorrectedStart(Euler(), 1.0), (0, 0, 1, 2)),  # its first step takes no evaluation
    ],
    ids=repr,
)
def test_which_evaluation_is_at_a_node(solver: Solver, nodes: tuple[int, ...]) -> None:
    assert recurrence(solver, log_snr(3, 40, 0.05)).nodes == nodes


def test_a_thousand_steps() -> None:
    """The rows are long, their nearest predecessors are few."""
    grid = karras(999, 80, 0.002).to_zero()
    assert recurrence(DPMSolverPP2M(), grid).kept == 1


def test_one_evaluation_too_many() -> None:
    run = Run(recurrence(Euler(), Grid([2, 1])))
    run.step(X, X, ODE.noise)
    assert run.done
    with pytest.raises(StateError, match=r"all 1 evaluations of Euler\(\) were made"):
        run.step(X, X, ODE.noise)


@dataclass(frozen=True, repr=False)
class Clipping(Solver):
    """Euler with a clipped ε."""

    order = 1

    def steps(self, ode: WithNoise, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        for s, t in pairwise(grid):
            x = x + (t - s) * ode.eps(x, s).clamp(-0.5, 0.5)
            yield x


def test_methods_that_look_at_values() -> None:
    with pytest.raises(TableError, match="for other values"):
        recurrence(Clipping(), GRIDS[0])
    with pytest.raises(TableError, match="chooses its steps from the values it sees"):
        recurrence(Scipy(), GRIDS[0])
