"""States, ODEs and solvers that cannot be run say so, and say how to mend it: the whole texts."""

from __future__ import annotations

import pytest
import torch

from flowsolve import LOG_SIGMA, Grid, karras, sample, solve
from flowsolve.errors import StateError
from flowsolve.problems import Mixture1D
from flowsolve_solvers import Adams, Euler, Heun, Torchdiffeq
from tests.helpers import says
from tests.integrate.helpers import Decay

GRID = Grid([4.0, 2.0, 1.0, 0.5])
X = torch.ones(2, 3, 4, 4)
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


def test_nothing_of_this_was_about_the_good_cases() -> None:
    # the same objects, used rightly, are accepted
    assert solve(Decay(), X, GRID, Torchdiffeq(variable=LOG_SIGMA)).x.isfinite().all()
    assert sample(Decay(), X, lambda n: karras(n, 4, 0.5), Adams(2), nfe=5).nfe == 5
