"""What log_prob refuses: the whole texts."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from flowsolve import ODE, VPSDE, Clip, DiffusionODE, EpsPrediction, Guided, VPrediction, log_snr
from flowsolve.errors import GridError, NetworkError, NonFiniteError, StateError
from flowsolve.integrate import Likelihood, log_prob
from flowsolve.problems import Mixture, exact_network
from flowsolve_solvers import DDIMEta, Heun
from tests.helpers import says

MIXTURE = Mixture()
GRID = log_snr(20, 10, 0.05)
X = torch.ones(3, 2)


def v_network() -> DiffusionODE:
    prediction = VPrediction(VPSDE())
    return DiffusionODE(exact_network(MIXTURE, prediction), prediction)


def run(**changes: object) -> Likelihood:
    arguments: dict[str, object] = {"ode": MIXTURE, "x": X, "grid": GRID, "solver": Heun()}
    return log_prob(**{**arguments, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"grid": GRID.to_zero()}, GridError, "log p needs finite levels above 0, but the grid "),
        ({"grid": GRID.from_infinity()}, GridError, "log p needs finite levels above 0, but the "),
        ({"grid": GRID.to_zero().reversed()}, GridError, "log p needs finite levels above 0, but"),
        ({"solver": DDIMEta()}, GridError, "DDIMEta() draws noise, so it only goes down the grid"),
        ({"solver": Heun}, StateError, "solver must be an instance, not the class Heun"),
        ({"ode": None}, StateError, "ode must be an ODE such as "),
        ({"x": X.int()}, StateError, "the state must be a floating-point tensor, but is torch.int"),
        (
            {"x": X.half()},
            StateError,
            "log p is summed in the state's dtype, so torch.float16 is too coarse. Use x.float(), and "
            "DiffusionODE(..., dtype=...) for a network in half precision.",
        ),
        (
            {"probes": 1},
            ValueError,
            "probes must be 2 or more, to have a standard error, but is 1. None is exact.",
        ),
        (
            {"probes": 2.0},
            ValueError,
            "probes must be 2 or more, to have a standard error, but is 2",
        ),
        (
            {"prior": 1.0},
            StateError,
            "prior must be a function (x, sigma) -> log density such as vp_prior, not 1.0.",
        ),
        (
            {"prior": lambda x, sigma: x[:, 0] * math.nan},
            NonFiniteError,
            "the prior is NaN at σ = 10.0, where the state is finite.",
        ),
        ({"probes": 2, "seeds": [1]}, StateError, "there are 1 seeds for 3 samples: give one for "),
        (
            {"seeds": range(3)},
            StateError,
            "seeds are for probes, and an exact divergence has none.",
        ),
        (
            {"prior": lambda x, sigma: x},
            StateError,
            "prior must return one log density for each sample, a tensor (3,), but gave (3, 2).",
        ),
        (
            {"prior": lambda x, sigma: 0.0},
            StateError,
            "prior must return one log density for each sample, a tensor (3,), but gave 0.0.",
        ),
    ],
)
def test_bad_input(changes: dict[str, object], kind: type[Exception], text: str) -> None:
    says(kind, text, lambda: run(**changes))


def frozen(x: Tensor, t: Tensor) -> Tensor:
    with torch.no_grad():
        return x * 0.5


class Detached(ODE):
    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return x.detach()


class Unused(ODE):
    """A gradient, but not in x̄."""

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return torch.ones_like(x).requires_grad_() * 2


FROZEN = DiffusionODE(frozen, VPrediction(VPSDE()))


@pytest.mark.parametrize(
    "ode",
    [
        DiffusionODE(frozen, EpsPrediction(VPSDE())),
        FROZEN,  # whose ε has a gradient, by c_skip x̄
        Clip(FROZEN),
        Guided(FROZEN, FROZEN, 2.0),
        Guided(v_network(), FROZEN, 2.0),
        Detached(),
        Unused(),
    ],
)
def test_a_network_without_gradient_is_an_error(ode: ODE) -> None:
    text = "the network's answer has no gradient in x̄, so it has no divergence. Give the network "
    says(NetworkError, text, lambda: run(ode=ode))


def test_a_network_that_returns_nan_or_no_tensor() -> None:
    def ode(answer: Callable[[Tensor], object]) -> DiffusionODE:
        return DiffusionODE(lambda x, t: answer(x), EpsPrediction(VPSDE()))  # type: ignore[arg-type, return-value]

    with pytest.raises(NonFiniteError, match="evaluation 1"):
        run(ode=ode(lambda x: x * math.nan))
    says(NetworkError, "the network returned a tuple of 1", lambda: run(ode=ode(lambda x: (x,))))
