"""What a solver adds to its network: operations, read-backs, and state-sized memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from flowsolve import (
    DATA,
    VPSDE,
    DiffusionODE,
    EDMPrediction,
    EpsPrediction,
    FlowPrediction,
    Solver,
    VPrediction,
    X0Prediction,
    log_snr,
    sample,
    solve,
)
from flowsolve.analysis.step_cost import SHAPE, StepCost, measured_cost
from flowsolve.ode.precondition import Precondition
from flowsolve_solvers import (
    ALL,
    LMS,
    RK4,
    Adams,
    DPMSolver2,
    DPMSolver3,
    DPMSolverPP2M,
    DPMSolverPP2S,
    Euler,
    EulerInT,
    Heun,
)

STATE_BYTES = 4 * 64 * 64 * 4
READ_BACKS = {"aten::item", "aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero"}


def per_evaluation(solver: Solver, precondition: Precondition) -> tuple[float, Counter[str]]:
    """Operations for each evaluation, from the 11th step to the 20th."""
    (short, fewer), (long, more) = (measured_cost(solver, precondition, n) for n in (10, 20))
    ops = long.ops - short.ops
    return ops.total() / (more - fewer), ops


EPS = EpsPrediction(VPSDE())
V = VPrediction(VPSDE())
X0 = X0Prediction(VPSDE())


@pytest.mark.parametrize(
    ("solver", "precondition", "bound"),
    [
        # scale the input, make the label, and then one addition for each value used
        (Euler(), EPS, 3),
        (Adams(2), EPS, 4),
        (LMS(3), EPS, 5),
        (LMS(4), EPS, 6),
        (DPMSolver2(), EPS, 3),
        (Heun(), EPS, 3.5),
        (RK4(), EPS, 3.75),
        (EulerInT(), EPS, 4),
        (DPMSolver3(), EPS, 13 / 3),
        # one more to make x₀ of ε
        (DPMSolverPP2M(), EPS, 5),
        (DPMSolverPP2S(), EPS, 4),
        (Euler(DATA), EPS, 4),
        (Adams(2, DATA), EPS, 6),
        # the answer and the state are combined by one in a flow, by two elsewhere
        (Euler(), FlowPrediction(), 4),
        (DPMSolverPP2M(), FlowPrediction(), 5),
        (Adams(2), FlowPrediction(), 5),
        (Euler(), V, 5),
        (DPMSolverPP2M(), V, 6),
        (Adams(2), V, 6),
        (Euler(), EDMPrediction(), 5),
        (DPMSolverPP2M(), EDMPrediction(), 6),
        (Euler(), X0, 5),
        # and by none where the network says what the method asks for
        (DPMSolverPP2M(), X0, 4),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Precondition) else repr(v),
)
def test_operations(solver: Solver, precondition: Precondition, bound: float) -> None:
    ops, which = per_evaluation(solver, precondition)
    print(f"{solver!r} {type(precondition).__name__}: {ops:g} operations per evaluation")
    assert 0 < ops <= bound + 1e-9, (
        f"{ops:g} operations per evaluation, at most {bound}: {dict(which)}"
    )


@pytest.mark.parametrize(
    ("solver", "limit"), [(Euler(), 4), (DPMSolverPP2M(), 7), (Adams(2), 7)], ids=repr
)
def test_operations_of_a_whole_solve(solver: Solver, limit: int) -> None:
    # with the first step and all: nothing hides outside the marginal cost
    meter, nfe = measured_cost(solver, EPS, 10)
    assert nfe == 10
    assert meter.ops.total() <= limit * nfe, f"{meter.ops.total()} in 10 steps: {dict(meter.ops)}"


@pytest.mark.parametrize("precondition", [EPS, V, X0, FlowPrediction(), EDMPrediction()], ids=repr)
def test_what_the_network_sees(precondition: Precondition) -> None:
    def network(x: Tensor, t: Tensor) -> Tensor:
        assert x.shape == SHAPE
        assert t.shape == (1,)
        return torch.sin(x)

    ode = DiffusionODE(network, precondition)
    solve(ode, torch.randn(SHAPE), log_snr(10, 10.0, 0.1), DPMSolverPP2M())


@pytest.mark.parametrize("solver", ALL, ids=repr)
def test_nothing_is_read_back(solver: Solver) -> None:
    meter, _ = measured_cost(solver, EPS, 10)
    assert meter.ops.total() > 0
    assert not READ_BACKS & set(meter.ops), dict(meter.ops)
    copies = {"aten::_to_copy", "aten::copy_", "aten::clone"} & set(meter.ops)
    assert not copies, dict(meter.ops)


def test_the_check_reads_back_once() -> None:
    meter = StepCost(STATE_BYTES)
    with meter:
        solve(DiffusionODE(meter.network, EPS), torch.randn(SHAPE), log_snr(10, 10, 0.1), Euler())
    assert sum(meter.ops[name] for name in READ_BACKS) == 1, dict(meter.ops)


@pytest.mark.parametrize(
    ("solver", "points"),
    [
        (Euler(), 1),
        (DPMSolverPP2M(), 2),
        (Adams(2), 2),
        (Adams(2, DATA), 2),
        (LMS(3), 3),
        (LMS(4), 4),
        (Adams(3, DATA), 3),
    ],
    ids=repr,
)
@pytest.mark.parametrize("precondition", [EPS, V, FlowPrediction()], ids=lambda p: type(p).__name__)
def test_buffers(solver: Solver, points: int, precondition: Precondition) -> None:
    peaks = [measured_cost(solver, precondition, n)[0].peak for n in (10, 20)]
    print(f"{solver!r} {type(precondition).__name__}: {peaks[0]} state-sized buffers at once")
    # the caller's start, the state, what the network sees, its answer, and the points before it
    # (a flow's scaled input lives on, for one operation less)
    limit = points + 3 + isinstance(precondition, FlowPrediction)
    assert peaks[0] <= limit, f"{peaks[0]} state-sized buffers at once, {points} points"
    assert peaks[0] == peaks[1]  # and no more on a longer grid


@pytest.mark.parametrize("solver", ALL, ids=repr)
def test_memory_does_not_grow_with_the_grid(solver: Solver) -> None:
    assert measured_cost(solver, EPS, 10)[0].peak == measured_cost(solver, EPS, 20)[0].peak


def test_nothing_outlives_the_solve() -> None:
    meter = StepCost(STATE_BYTES)
    x = torch.randn(SHAPE)
    with meter:
        done = sample(DiffusionODE(meter.network, V), x, log_snr(10, 10, 0.1), Adams(4))
    assert len(meter.alive) == 1
    assert done.x.untyped_storage().data_ptr() in meter.alive


# --- the meter itself ----------------------------------------------------------------------------


def measured(body: Callable[[Tensor], object]) -> StepCost:
    meter, x = StepCost(STATE_BYTES), torch.ones(SHAPE)
    with meter:
        meter.hold(x)
        body(x)
    return meter


def test_the_meter_sees_what_it_should() -> None:
    assert measured(lambda x: (x * 2).add(x, alpha=3)).ops.total() == 2
    assert measured(lambda x: (x[0, 0, 0, 0] * 2).item()).ops["aten::_local_scalar_dense"] == 1
    assert measured(lambda x: bool((x > 0).all())).ops.keys() & READ_BACKS
    assert measured(lambda x: [x + i for i in range(5)]).peak == 6
    assert measured(lambda x: [(x + i).sum() for i in range(5)]).peak == 2
    assert measured(lambda x: [x.view(-1), x[:, :2], x.transpose(0, 1)]).peak == 1
