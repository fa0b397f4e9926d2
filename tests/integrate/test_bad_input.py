"""States, ODEs and solvers that cannot be run say so, and say how to mend it: the whole texts."""

from __future__ import annotations

import pytest
import torch

from flowsolve import LOG_SIGMA, Grid, karras, sample, solve
from flowsolve.errors import StateError
from flowsolve.problems import Mixture, Mixture1D, NetworkProblem
from flowsolve_solvers import Adams, Euler, Heun, Torchdiffeq
from tests.helpers import says
from tests.integrate.helpers import Decay

GRID = Grid([4.0, 2.0, 1.0, 0.5])
X = torch.ones(2, 3, 4, 4)
FLOATING = "the state must be a floating-point tensor, but is "
ONE = "Make it one: torch.stack(x) of tensors, torch.tensor(x) of numbers."
SHAPED = "the state must be (B, *event) with B >= 1, but its shape is "


@pytest.mark.parametrize("run", [solve, sample])
@pytest.mark.parametrize(
    ("state", "text"),
    [
        (torch.ones(2, 3, dtype=torch.int64), FLOATING + "torch.int64. Use x.float()."),
        (torch.ones(2, 3, dtype=torch.bool), FLOATING + "torch.bool. Use x.float()."),
        (torch.ones(2, 3, dtype=torch.complex64), FLOATING + "torch.complex64. Use x.float()."),
        ([1.0, 2.0], FLOATING + "a list of 2. " + ONE),
        ((X, X), FLOATING + "a tuple of 2. " + ONE),
        (None, FLOATING + "NoneType. Give torch.randn(B, *event), for example."),
        (X.numpy(), FLOATING + "a numpy array. Use torch.from_numpy(x).float()."),
        (torch.ones(0, 3), SHAPED + "(0, 3)."),
        (torch.ones(2, 0), SHAPED + "(2, 0)."),
        (torch.tensor(1.0), SHAPED + "()."),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_state(run, state, text) -> None:
    says(StateError, text, lambda: run(Decay(), state, GRID, Euler()))


@pytest.mark.parametrize("run", [solve, sample])
def test_no_batch_axis(run) -> None:
    says(
        StateError,
        "the state of Mixture(",
        lambda: run(Mixture(), torch.ones(2), GRID, Euler()),
    )
    digits = NetworkProblem(Decay(), (1, 8, 8), 10, 0.1)
    missing = "the state of NetworkProblem(Decay) must be (B, 1, 8, 8), but its shape is "
    one = "(1, 8, 8). The batch axis is missing: use x[None]."
    says(StateError, missing + one, lambda: run(digits, torch.ones(1, 8, 8), GRID, Euler()))
    says(StateError, missing + "(2, 64).", lambda: run(digits, torch.ones(2, 64), GRID, Euler()))
    assert run(digits, torch.ones(1, 8, 8)[None], GRID, Euler()).x.shape == (1, 1, 8, 8)


@pytest.mark.parametrize(
    "start", ["vp", None, 80.0, lambda sigma: "one", lambda: 1.0, lambda s, t: s]
)
def test_start(start) -> None:
    with pytest.raises(
        StateError,
        match=r"^start( must be a function of σ₀|\(σ₀\) must be a number| is called as start\(σ₀\), such as)",
    ):
        sample(Decay(), X, GRID, Euler(), start=start)


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
