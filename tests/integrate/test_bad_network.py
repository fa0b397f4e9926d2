"""What a network must not return, and what a network must be: the whole texts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from flowsolve import DATA, VPSDE, DiffusionODE, EpsPrediction, Grid, sample, solve
from flowsolve.errors import FlowsolveError, NetworkError, ScheduleError
from flowsolve_solvers import Adams, Euler, Heun
from tests.helpers import says
from tests.integrate.helpers import network_of

GRID = Grid([4.0, 2.0, 1.0, 0.5])
X = torch.ones(2, 3, 4, 4)
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


def test_an_epsilon_network_is_blind_at_infinity() -> None:
    says(
        ScheduleError,
        "an ε-network says nothing about x₀ at σ = ∞ (zero terminal SNR). Start at a finite σ, or "
        "use a network that predicts v, x₀ or a flow.",
        lambda: sample(network_of(lambda x: x), X, GRID.from_infinity(), Euler()),
    )
