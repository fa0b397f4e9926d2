"""NaN and ∞ are found, with the evaluation and the σ at which they began."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from flowsolve import ODE, Grid, Solver, sample, solve
from flowsolve.errors import NonFiniteError
from flowsolve_solvers import DPMSolverPP2M, Euler, Heun, Scipy, Torchdiffeq
from tests.helpers import says
from tests.integrate.helpers import GRID as KARRAS
from tests.integrate.helpers import PROBLEM, Decay
from tests.integrate.helpers import X as START

GRID = Grid([4.0, 2.0, 1.0, 0.5])
X = torch.ones(2, 3, 4, 4)


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


class Breaks(ODE):
    """NaN or a shout from some evaluation on."""

    def __init__(self, at: float, value: float) -> None:
        self.at, self.value = at, value

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return x * self.value if sigma <= self.at else x / (1 + sigma)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_garbage_is_found(value: float) -> None:
    ode = Breaks(KARRAS[3], value)
    where = rf"answer is not finite at evaluation 4, σ = {KARRAS[3]:.6g}: 8 of 8 values"
    with pytest.raises(NonFiniteError, match=where):
        solve(ode, START, KARRAS, Euler())
    assert not solve(ode, START, KARRAS, Euler(), check=False).x.isfinite().any()


def test_a_start_that_is_not_finite() -> None:
    with pytest.raises(NonFiniteError, match="starting state is at fault"):
        solve(PROBLEM, START / 0, KARRAS, Euler())


def test_a_method_that_diverges() -> None:
    class Steep(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return torch.full_like(x, 1e308)

    with pytest.raises(NonFiniteError, match=r"at evaluation 2, .* The method diverged"):
        solve(Steep(), START, KARRAS, Euler())


@pytest.mark.parametrize("make", [Torchdiffeq, Scipy])
def test_adaptive_methods_say_where_they_stopped(make: Callable[[], Solver]) -> None:
    with pytest.raises(NonFiniteError, match=r"could not go on from σ = |not finite"):
        solve(Breaks(5, math.nan), START, KARRAS, make())
