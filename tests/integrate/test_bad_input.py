"""What cannot be solved says so, and says how to mend it: the texts are part of the interface."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from flowsolve import (
    DATA,
    LOG_SIGMA,
    ODE,
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    Grid,
    karras,
    log_snr,
    sample,
    solve,
)
from flowsolve.errors import (
    BudgetError,
    FlowsolveError,
    GridError,
    NameUnknown,
    NetworkError,
    NonFiniteError,
    ScheduleError,
    StateError,
)
from flowsolve.problems import Dataset, Gaussian, Mixture, Mixture1D
from flowsolve.problems.catalogue import find_problem
from flowsolve_solvers import (
    RK4,
    Adams,
    DPMSolver2,
    DPMSolver3,
    DPMSolverPP2M,
    DPMSolverPP2S,
    Euler,
    Heun,
    Scipy,
    Torchdiffeq,
)
from tests.helpers import says

GRID = Grid([4.0, 2.0, 1.0, 0.5])
X = torch.ones(2, 3, 4, 4)


class Decay(ODE):
    """ε = x̄/(1 + σ), and what `spoil` makes of it."""

    def __init__(self, spoil: Callable[[Tensor, float, int], Tensor] | None = None) -> None:
        self.spoil, self.calls = spoil, 0

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.calls += 1
        out = x / (1 + sigma)
        return out if self.spoil is None else self.spoil(out, sigma, self.calls)


def network_of(answer: Callable[[Tensor], object]) -> DiffusionODE:
    return DiffusionODE(lambda x, t: answer(x), EpsPrediction(VPSDE()))  # type: ignore[arg-type, return-value]


# --- the state -----------------------------------------------------------------------------------

FLOATING = "the state must be a floating-point tensor, but is "
SHAPED = "the state must be (B, *event) with B >= 1, but its shape is "


@pytest.mark.parametrize("run", [solve, sample])
@pytest.mark.parametrize(
    ("state", "text"),
    [
        (torch.ones(2, 3, dtype=torch.int64), FLOATING + "torch.int64. Use x.float()."),
        (torch.ones(2, 3, dtype=torch.bool), FLOATING + "torch.bool. Use x.float()."),
        (torch.ones(2, 3, dtype=torch.complex64), FLOATING + "torch.complex64. Use x.float()."),
        ([1.0, 2.0], FLOATING + "list. Use x.float()."),
        (None, FLOATING + "NoneType. Use x.float()."),
        (torch.ones(2, 3).numpy(), FLOATING + "ndarray. Use x.float()."),
        (torch.ones(0, 3), SHAPED + "(0, 3)."),
        (torch.ones(2, 0), SHAPED + "(2, 0)."),
        (torch.tensor(1.0), SHAPED + "()."),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_state(run, state, text) -> None:
    says(StateError, text, lambda: run(Decay(), state, GRID, Euler()))


# --- the network ---------------------------------------------------------------------------------

ONE_TENSOR = (
    ", not one tensor. Wrap it, for example: lambda x, t: network(x, t)[0] "
    "(or .sample for a diffusers model)."
)
ANSWERS: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "wrong shape": (
        lambda x: x[:, :, :2],
        "the network returned shape (2, 3, 2, 4) for an input of (2, 3, 4, 4).",
    ),
    "one channel": (
        lambda x: x[:, :1],
        "the network returned shape (2, 1, 4, 4) for an input of (2, 3, 4, 4).",
    ),
    "one sample": (
        lambda x: x[:1],
        "the network returned shape (1, 3, 4, 4) for an input of (2, 3, 4, 4).",
    ),
    "a number for each sample": (
        lambda x: x[:, :1, :1, :1],
        "the network returned shape (2, 1, 1, 1) for an input of (2, 3, 4, 4).",
    ),
    "no batch": (
        lambda x: x[0],
        "the network returned shape (3, 4, 4) for an input of (2, 3, 4, 4).",
    ),
    "doubled channels": (
        lambda x: torch.cat([x, x], 1),
        "the network returned shape (2, 6, 4, 4) for an input of (2, 3, 4, 4). "
        "If it also predicts a variance, keep the first half of the channels.",
    ),
    "two tensors": (lambda x: (x, x), "the network returned a tuple of 2" + ONE_TENSOR),
    "a list": (lambda x: [x], "the network returned a list of 1" + ONE_TENSOR),
    "None": (lambda x: None, "the network returned a NoneType" + ONE_TENSOR),
    "numpy": (lambda x: x.numpy(), "the network returned a ndarray" + ONE_TENSOR),
    "float64": (
        lambda x: x.double(),
        "the network returned torch.float64 for an input of torch.float32. Cast the network, or "
        "say DiffusionODE(..., dtype=...) for the dtype it works in.",
    ),
    "integers": (
        lambda x: x.long(),
        "the network returned torch.int64 for an input of torch.float32. Cast the network, or "
        "say DiffusionODE(..., dtype=...) for the dtype it works in.",
    ),
    "another device": (
        lambda x: x.to("meta"),
        "the network returned a tensor on meta for an input on cpu.",
    ),
}


@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("solver", [Euler(), Euler(DATA), Adams(2)], ids=repr)
def test_network_answer(solver, what: str) -> None:
    answer, text = ANSWERS[what]
    error = says(NetworkError, text, lambda: solve(network_of(answer), X, GRID, solver))
    assert str(error) == text
    assert isinstance(error, FlowsolveError)
    assert isinstance(error, ValueError)


def test_network_that_is_none() -> None:
    says(
        NetworkError,
        "a network is called as network(x, t), but got None.",
        lambda: DiffusionODE(None, EpsPrediction(VPSDE())),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("precondition", [EpsPrediction, None, "epsilon"])
def test_precondition_is_an_instance(precondition) -> None:
    says(
        NetworkError,
        "precondition must be an instance such as EpsPrediction(clock), not "
        + (repr(precondition) if precondition is not EpsPrediction else "<class "),
        lambda: DiffusionODE(lambda x, t: x, precondition),
    )


def test_an_exception_of_the_network_is_not_swallowed() -> None:
    def broken(x: Tensor) -> Tensor:
        raise ZeroDivisionError("my own bug")

    says(ZeroDivisionError, "my own bug", lambda: solve(network_of(broken), X, GRID, Heun()))


# --- values that are not finite ------------------------------------------------------------------


def nan_at(call: int, value: float = math.nan) -> Decay:
    """Not finite at the call-th evaluation of every solve of 3 Euler steps."""
    return Decay(lambda out, s, n: out * value if (n - 1) % 3 + 1 == call else out)


@pytest.mark.parametrize(("call", "sigma"), [(1, "4"), (2, "2"), (3, "1")])
def test_nan_of_the_network_names_the_evaluation(call: int, sigma: str) -> None:
    says(
        NonFiniteError,
        f"the network's answer is not finite at evaluation {call}, σ = {sigma}: 96 of 96 values, "
        "for a finite state of largest magnitude ",
        lambda: solve(nan_at(call), X, GRID, Euler()),
    )


def test_one_infinity_in_a_batch() -> None:
    def spoil(out: Tensor, sigma: float, n: int) -> Tensor:
        out = out.clone()
        if sigma == 2.0:
            out[1, 0, 0, 0] = math.inf
        return out

    says(
        NonFiniteError,
        "the network's answer is not finite at evaluation 2, σ = 2: 1 of 96 values",
        lambda: solve(Decay(spoil), X, GRID, DPMSolverPP2M()),
    )


@pytest.mark.parametrize("run", [solve, sample])
def test_nan_in_the_start(run) -> None:
    x = X.clone()
    x[0, 0, 0, 0] = math.nan
    says(
        NonFiniteError,
        "the state is not finite at evaluation 1, σ = 4, before the network is called: 1 of 96 "
        "values. The starting state is at fault.",
        lambda: run(Decay(), x, GRID, Heun()),
    )


def test_nan_on_the_first_pass_only() -> None:
    ode = Decay(lambda out, s, n: out * math.nan if n == 2 else out)
    error = says(
        NonFiniteError,
        "the result is not finite, but every evaluation of a second look was",
        lambda: solve(ode, X, GRID, Euler()),
    )
    assert "does not give the same answer twice" in str(error)


def test_overflow_of_the_method() -> None:
    class Growing(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return x * -1.5e4

    says(
        NonFiniteError,
        "the state is not finite at evaluation 2, σ = 2, before the network is called: 96 of 96 "
        "values. The method diverged.",
        lambda: solve(Growing(), X.half() * 4, GRID, Euler()),
    )
    says(
        NonFiniteError,
        "the result is not finite, but every evaluation of a second look was: the last step",
        lambda: solve(Growing(), X.half() * 4, [3, 1], Euler()),
    )


def test_without_check_nan_comes_back() -> None:
    ode = nan_at(2)
    assert solve(ode, X, GRID, Euler(), check=False).x.isnan().all()
    assert ode.calls == 3  # and no second look


ADAPTIVE = [
    *(Torchdiffeq(m, max_nfe=2000) for m in ("dopri5", "bosh3", "dopri8", "adaptive_heun")),
    *(Torchdiffeq(m, max_nfe=2000) for m in ("rk4", "midpoint")),
    *(Scipy(m, max_nfe=2000) for m in ("DOP853", "RK45", "LSODA")),
]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("below", [math.inf, 1.0], ids=["always", "half-way"])
@pytest.mark.parametrize("solver", ADAPTIVE, ids=repr)
def test_adaptive_solvers_stop_at_nan(solver, below: float, value: float) -> None:
    ode = Decay(lambda out, s, n: torch.full_like(out, value) if s < below else out)
    began = time.perf_counter()
    with pytest.raises(NonFiniteError, match=r"not finite|returned NaN or ∞"):
        solve(ode, torch.ones(2, 3, dtype=torch.float64), [10, 1.5, 0.1], solver)
    assert ode.calls < 1000
    assert time.perf_counter() - began < 10


# --- ODE, solver and their options ---------------------------------------------------------------


def test_solver_class() -> None:
    says(
        StateError,
        "solver must be an instance, not the class Heun; did you mean Heun()?",
        lambda: solve(Decay(), X, GRID, Heun),  # type: ignore[arg-type]
    )


def test_solver_name() -> None:
    says(
        StateError,
        "solver must be a Solver instance such as Heun(), not 'heun'. Names are for the command "
        "line.",
        lambda: sample(Decay(), X, GRID, "heun"),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "ode",
    [lambda x, s: x, torch.nn.Identity(), None, Mixture1D, "digits"],
    ids=["a function", "a module", "None", "a class", "a name"],
)
def test_ode(ode) -> None:
    says(
        StateError,
        "ode must be an ODE such as DiffusionODE(network, precondition), not ",
        lambda: solve(ode, X, GRID, Euler()),
    )


BAD_OPTIONS: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "points": (
        lambda: Adams(points=0),
        ValueError,
        "Adams needs points >= 1, but got points = 0.",
    ),
    "start": (
        lambda: Adams(3, start=DPMSolverPP2M()),  # type: ignore[arg-type]
        TypeError,
        "start must be a one-step solver such as Heun(), not DPMSolverPP2M().",
    ),
    "start class": (
        lambda: Adams(3, start=Heun),  # type: ignore[arg-type]
        TypeError,
        "start must be a one-step solver such as Heun(), not <class 'flowsolve_solvers.",
    ),
    "r = 0": (
        lambda: DPMSolver2(r=0),
        ValueError,
        "DPMSolver2 needs 0 < r <= 1, but got r = 0.",
    ),
    "r > 1": (
        lambda: DPMSolverPP2S(r=1.5),
        ValueError,
        "DPMSolverPP2S needs 0 < r <= 1, but got r = 1.5.",
    ),
    "r is NaN": (
        lambda: DPMSolver2(r=math.nan),
        ValueError,
        "DPMSolver2 needs 0 < r <= 1, but got r = nan.",
    ),
    "r1 > r2": (
        lambda: DPMSolver3(r1=0.7, r2=0.3),
        ValueError,
        "DPMSolver3 needs 0 < r1 < r2 <= 1, but got r1 = 0.7, r2 = 0.3.",
    ),
    "Torchdiffeq method": (
        lambda: Torchdiffeq("euler"),
        ValueError,
        "Torchdiffeq knows dopri5, bosh3, dopri8, adaptive_heun, rk4, midpoint, not 'euler'.",
    ),
    "Scipy method": (
        lambda: Scipy("foo"),
        ValueError,
        "Scipy knows RK45, DOP853, LSODA, not 'foo'.",
    ),
    "rtol": (
        lambda: Torchdiffeq(rtol=-1e-3),
        ValueError,
        "tolerances must be positive and max_nfe at least 1, but got rtol = -0.001, atol = 1e-05, "
        "max_nfe = 10000.",
    ),
    "atol": (
        lambda: Scipy(atol=0.0),
        ValueError,
        "tolerances must be positive and max_nfe at least 1, but got rtol = 1e-10, atol = 0.0, ",
    ),
    "max_nfe": (
        lambda: Scipy(max_nfe=0),
        ValueError,
        "tolerances must be positive and max_nfe at least 1, but got ",
    ),
}


@pytest.mark.parametrize("what", BAD_OPTIONS)
def test_solver_options(what: str) -> None:
    call, kind, text = BAD_OPTIONS[what]
    says(kind, text, call)


# --- budgets, grids and paths --------------------------------------------------------------------


def spacing(n: int) -> Grid:
    return log_snr(n, 4.0, 0.5)


@pytest.mark.parametrize("nfe", [0, -1, 2.5, True, "8"])
def test_nfe_is_a_whole_number(nfe) -> None:
    says(
        BudgetError,
        f"nfe must be a whole number of at least 1, but got {nfe!r}.",
        lambda: solve(Decay(), X, spacing, Euler(), nfe=nfe),
    )


@pytest.mark.parametrize(("solver", "least"), [(Heun(), 2), (DPMSolver3(), 3), (RK4(), 4)])
def test_nfe_that_a_method_cannot_meet(solver, least: int) -> None:
    ode = Decay()
    says(
        BudgetError,
        f"{solver!r} needs at least {least} evaluations (one step), but nfe = {least - 1}. Give a "
        "larger budget, or a method with fewer evaluations a step.",
        lambda: solve(ode, X, spacing, solver, nfe=least - 1),
    )
    assert ode.calls == 0
    assert solve(ode, X, spacing, solver, nfe=least).nfe == least


def test_nfe_with_a_fixed_grid() -> None:
    says(
        BudgetError,
        "nfe= chooses among grids: give it a function n -> Grid, not one grid.",
        lambda: solve(Decay(), X, GRID, Euler(), nfe=3),
    )


def test_spacing_without_nfe() -> None:
    says(
        BudgetError,
        "a function n -> Grid needs nfe=, the number of evaluations to spend.",
        lambda: sample(Decay(), X, spacing, Euler()),
    )


@pytest.mark.parametrize("solver", [Torchdiffeq(), Scipy()], ids=repr)
def test_nfe_for_an_adaptive_solver(solver) -> None:
    says(
        BudgetError,
        f"{solver!r} chooses its own evaluations, so it has no cost beforehand and takes no nfe=. "
        "Limit it with max_nfe=.",
        lambda: solve(Decay(), X, spacing, solver, nfe=20),
    )


def test_budget_error_holds_the_solution_so_far() -> None:
    with pytest.raises(BudgetError, match="when max_nfe = 30 ran out") as error:
        solve(Decay(), X.double(), [10, 0.1], Scipy(rtol=1e-8, atol=1e-8, max_nfe=30))
    partial = error.value.partial
    assert partial is not None
    assert partial.nfe == 30
    assert 0.1 < partial.grid[-1] < 10
    assert torch.allclose(partial.x, X.double() * (1 + partial.grid[-1]) / 11, rtol=1e-6)


def test_keep() -> None:
    says(
        ValueError,
        "keep must be 0 (no path) or k >= 1 (every k-th node), but got -1.",
        lambda: solve(Decay(), X, GRID, Euler(), keep=-1),
    )


@pytest.mark.parametrize(
    ("grid", "solver", "ends"),
    [
        (GRID.to_zero(), Heun(), "4.0 to 0.0"),
        (GRID.to_zero(), Adams(2), "4.0 to 0.0"),
        (GRID.from_infinity(), Euler(), "inf to 0.5"),
        (GRID.to_zero().reversed(), Euler(), "0.0 to 4.0"),
        (GRID.from_infinity().reversed(), Euler(), "0.5 to inf"),
    ],
    ids=str,
)
def test_solve_walks_finite_levels(grid, solver, ends: str) -> None:
    says(
        GridError,
        f"solve walks finite levels above 0, but the grid goes from {ends}. sample() takes the "
        "steps from σ = ∞ and to σ = 0.",
        lambda: solve(Decay(), X, grid, solver),
    )


def test_solve_to_zero_where_the_method_can() -> None:
    assert solve(Decay(), X, GRID.to_zero(), Euler()).nfe == 4


def test_sample_with_a_rising_grid() -> None:
    says(
        GridError,
        "sample goes from noise to data, so σ must fall, but this grid rises. To encode data into "
        "noise, use solve() with it.",
        lambda: sample(Decay(), X, GRID.reversed(), Euler()),
    )


def test_levels_are_checked_on_the_way_in() -> None:
    says(
        GridError,
        "σ must fall, but this grid rises from 1.0 to 3.0.",
        lambda: solve(Decay(), X, [1, 2, 3], Euler()),
    )


def test_an_epsilon_network_is_blind_at_infinity() -> None:
    says(
        ScheduleError,
        "an ε-network says nothing about x₀ at σ = ∞ (zero terminal SNR). Start at a finite σ, or "
        "use a network that predicts v, x₀ or a flow.",
        lambda: sample(network_of(lambda x: x), X, GRID.from_infinity(), Euler()),
    )


# --- problems ------------------------------------------------------------------------------------

WEIGHTS = "a mixture needs positive weights that sum to 1, one for each component, but got "
COVARIANCE = "a covariance must be a symmetric, non-negative 2 by 2 matrix, but got "
POINTS = "points must be finite and floating, (n, *event), not "
BAD_PROBLEMS: dict[str, tuple[Callable[[], object], str]] = {
    "weights do not sum to 1": (
        lambda: Mixture1D(weights=(0.3, 0.3)),
        WEIGHTS + "(0.3, 0.3) for 2 means",
    ),
    "a negative weight": (
        lambda: Mixture(weights=(-0.2, 0.5, 0.7)),
        WEIGHTS + "(-0.2, 0.5, 0.7) for 3 means and 3 widths.",
    ),
    "a weight too few": (
        lambda: Mixture1D(weights=(1.0,)),
        WEIGHTS + "(1.0,) for 2 means",
    ),
    "not symmetric": (
        lambda: Gaussian(covariance=((0.5, 0.3), (0.1, 0.4))),
        COVARIANCE + "((0.5, 0.3), (0.1, 0.4)).",
    ),
    "indefinite": (
        lambda: Gaussian(covariance=((0.1, 0.5), (0.5, 0.1))),
        COVARIANCE + "((0.1, 0.5), (0.5, 0.1)).",
    ),
    "one dimension too many": (
        lambda: Gaussian(mean=(0.0, 0.0), covariance=((1.0,),)),
        COVARIANCE + "((1.0,),).",
    ),
    "not symmetric, in a mixture": (
        lambda: Mixture((1.0,), ((0.0, 0.0),), (((1.0, 0.2), (0.0, 1.0)),)),
        COVARIANCE + "((1.0, 0.2), (0.0, 1.0)).",
    ),
    "NaN in the data": (
        lambda: Dataset(torch.tensor([[0.0, math.nan]])),
        POINTS + "(1, 2) of torch.float32.",
    ),
    "integer data": (
        lambda: Dataset(torch.ones(3, 2, dtype=torch.int64)),
        POINTS + "(3, 2) of torch.int64.",
    ),
    "no data": (lambda: Dataset(torch.ones(0, 2)), POINTS + "(0, 2) of torch.float32."),
}


@pytest.mark.parametrize("what", BAD_PROBLEMS)
def test_problem_parameters(what: str) -> None:
    call, text = BAD_PROBLEMS[what]
    says(ValueError, text, call)


def test_unknown_problem_lists_near_ones() -> None:
    says(
        NameUnknown,
        "there is no problem 'mixtur'. Did you mean mixture, mixture_1d?",
        lambda: find_problem("mixtur"),
    )
    error = says(NameUnknown, "there is no problem 'zzz'. ", lambda: find_problem("zzz"))
    assert re.search(r"Did you mean gaussian, mixture_1d, mixture, dataset, digits\?", str(error))
    assert repr(find_problem("mixture_1d")) == repr(Mixture1D())


def test_no_closed_form() -> None:
    says(
        NotImplementedError,
        f"{Mixture()!r} has no closed-form flow: see reference().",
        lambda: Mixture().flow(torch.ones(1, 2), 2.0, 1.0),
    )


def test_nothing_of_this_was_about_the_good_cases() -> None:
    # the same objects, used rightly, are accepted
    assert solve(Decay(), X, GRID, Torchdiffeq(variable=LOG_SIGMA)).x.isfinite().all()
    assert sample(Decay(), X, lambda n: karras(n, 4, 0.5), Adams(2), nfe=5).nfe == 5
