"""The torch modules inside a network, and one warning of those in train mode."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flowsolve import VPSDE, DiffusionODE, EpsPrediction, Guided, log_snr, sample, solve
from flowsolve.interop import from_denoiser
from flowsolve.ode.base import leaves
from flowsolve.ode.modules import in_training, modules
from flowsolve.problems import Digits, Mixture, NetworkProblem
from flowsolve_solvers import Euler
from tests.helpers import noisy

KIND = EpsPrediction(VPSDE())
X, GRID = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)), log_snr(3, 10.0, 0.1)
GLOBAL = nn.Linear(3, 3)


class Own:
    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out

    def method(self, x: Tensor, t: Tensor) -> Tensor:
        return self(x, t)


def of(net: nn.Module) -> dict[str, Any]:
    def default(x: Tensor, t: Tensor, f: Any = net) -> Any:
        return f(x)

    return {
        "itself": net,
        "closure": lambda x, t: net(x),
        "bound method": Own(net).method,
        "object": Own(net),
        "partial": partial(lambda f, x, t: f(x), net),
        "default": default,
        "two around it": partial(Own(net).method),
    }


@pytest.mark.parametrize("how", of(GLOBAL))
def test_the_module_is_found(how: str) -> None:
    assert [*modules(of(GLOBAL)[how])] == [GLOBAL]


def test_a_global_and_the_hooks_of_a_run() -> None:
    ode = DiffusionODE(lambda x, t: GLOBAL(x), KIND)
    assert [*modules(ode.network)] == [GLOBAL]
    hooked = ode.with_forward_hook(lambda rows: None)
    assert [*modules(hooked.network)] == [GLOBAL]


def test_the_odes_that_an_ode_is_made_of() -> None:
    a, b = DiffusionODE(GLOBAL, KIND), Mixture()
    assert [*leaves(noisy(Guided(a, b, 2.0)))] == [a, b]
    assert [*leaves(NetworkProblem(a, (3,), 10, 0.1))] == [a]
    digits = Digits()
    assert [*leaves(digits)] == [digits]


LAYERS = {
    "Dropout": nn.Dropout(0.1), "BatchNorm1d": nn.BatchNorm1d(3), "RReLU": nn.RReLU(),
    "TransformerEncoderLayer": nn.TransformerEncoderLayer(4, 2),
    "LSTM": nn.LSTM(3, 3, dropout=0.5, num_layers=2),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_that_differ_while_they_train(name: str) -> None:
    net = nn.Sequential(nn.Linear(3, 3), LAYERS[name])
    assert name in in_training(net.train()) or "Dropout" in in_training(net)
    assert in_training(net.eval()) == []


def test_layers_that_do_not() -> None:
    assert (
        in_training(nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Dropout(0.0)).train()) == []
    )


def test_one_warning_for_each_network() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.BatchNorm1d(3))
    ode = Guided(from_denoiser(lambda x, sigma: net(x)), Mixture(), 1.0)
    with pytest.warns(UserWarning, match="train mode") as seen:
        sample(ode, X, GRID, Euler())
    assert [str(w.message) for w in seen] == [
        "Sequential is in train mode with Dropout, BatchNorm1d, so that its answers change from call to call "
        "or depend on the whole batch, and the samples with them. Call .eval() on it."
    ]
    assert seen[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(ode, X, GRID, Euler())
        other = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).eval()
        solve(DiffusionODE(lambda x, t: other(x), KIND), X, GRID, Euler())
    other.train()
    with pytest.warns(UserWarning, match="Sequential is in train mode with Dropout, so"):
        solve(DiffusionODE(lambda x, t: other(x), KIND), X, GRID, Euler())
