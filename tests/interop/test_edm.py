"""Networks of EDM against literal transcriptions of its code."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flowsolve import (
    DiffusionODE,
    sample,
)
from flowsolve.errors import GridError, NetworkError
from flowsolve.interop import from_edm
from flowsolve.interop.edm import load_edm_pickle
from flowsolve_solvers import (
    Heun,
)
from tests.interop.helpers import EDM_FAMILIES, IDDPM_U, NOISE, PROBLEM, TABLE, X


class EDMNet(nn.Module):
    """The interface of NVlabs/edm's EDMPrecond, around the mixture; one pixel a channel."""

    sigma_data, label_dim, img_channels, img_resolution = 0.5, 3, 2, 1

    def __init__(
        self, sigma_min: float = 0.0, sigma_max: float = math.inf, table: Any = None
    ) -> None:
        super().__init__()
        self.sigma_min, self.sigma_max, self.table = sigma_min, sigma_max, table
        self.labels: list[Any] = []

    def forward(self, x: Tensor, sigma: Tensor, class_labels: Any = None, **extra: Any) -> Tensor:
        assert not extra
        self.labels.append(class_labels)
        out = PROBLEM.x0(x[..., 0, 0], float(sigma.reshape(-1)[0]))
        return out[..., None, None]

    def round_sigma(self, sigma: Any) -> Tensor:
        sigma = torch.as_tensor(sigma)
        if self.table is None:
            return sigma
        u = torch.tensor(self.table, dtype=sigma.dtype)
        index = torch.cdist(sigma.reshape(1, -1, 1), u.reshape(1, -1, 1)).argmin(2)
        return u[index.flatten()].reshape(sigma.shape)


def their_heun(net: EDMNet, latents: Tensor, n: int, class_labels: Any = None) -> Tensor:
    """Karras et al. 2022, Algorithm 1, with the grid and the clamps of their generate.py."""
    low, high, rho = max(0.002, net.sigma_min), min(80.0, net.sigma_max), 7
    i = torch.arange(n, dtype=torch.float64)
    t = (high ** (1 / rho) + i / (n - 1) * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    t = torch.cat([net.round_sigma(t), torch.zeros_like(t[:1])])
    x = latents * t[0]
    for i, (s, e) in enumerate(pairwise(t)):
        d = (x - net(x, s, class_labels)) / s
        x_e = x + (e - s) * d
        if i < n - 1:
            d = (d + (x_e - net(x_e, e, class_labels)) / e) / 2
            x_e = x + (e - s) * d
        x = x_e
    return x


NETS = [EDMNet(), EDMNet(0.02, 50.0), EDMNet(TABLE[-1], TABLE[0], TABLE)]


@pytest.mark.parametrize("net", NETS, ids=["free", "clamped", "rounded"])
@pytest.mark.parametrize("n", [2, 5, 18])
def test_an_edm_network(net: EDMNet, n: int) -> None:
    labels = torch.eye(3)[[0, 1, 2, 0, 1, 2]]
    latents = NOISE[..., None, None]
    ode, grid, event = from_edm(net, labels, dtype=torch.float64)
    assert event == (2, 1, 1)
    net.labels.clear()
    done = sample(ode, latents, grid, Heun(), nfe=2 * n - 1)
    assert done.nfe == 2 * n - 1
    assert done.grid.steps == n
    assert all(label is labels for label in net.labels)
    assert len(net.labels) == 2 * n - 1
    want = their_heun(net, latents, n, labels)
    assert float((done.x - want).abs().max() / want.abs().max()) < 1e-12
    assert grid(1).levels == (done.grid[0], 0.0)


def test_the_default_takes_the_levels_of_the_network() -> None:
    net = EDMNet(sigma_min=0.01, sigma_max=50.0)
    edm = from_edm(net, torch.eye(3)[:2])
    done = sample(edm.ode, torch.randn(2, *edm.event), nfe=6)
    assert (done.grid[0], done.grid[-1], done.nfe) == (50.0, 0.01, 6)


def test_an_edm_network_computes_in_float32_whatever_the_state_is() -> None:
    seen = []

    class Net(EDMNet):
        def forward(
            self, x: Tensor, sigma: Tensor, class_labels: Any = None, **extra: Any
        ) -> Tensor:
            seen.append((x.dtype, sigma.dtype))
            return super().forward(x, sigma, class_labels)

    net = from_edm(Net())
    done = sample(net.ode, NOISE[..., None, None], net.grid(3), Heun())
    assert done.x.dtype == torch.float64
    assert set(seen) == {(torch.float32, torch.float32)}


def test_rounding_may_take_levels_together() -> None:
    net = EDMNet(0.1, 10.0, [10.0, 1.0, 0.1])
    assert from_edm(net).grid(10).levels == (10.0, 1.0, 0.1, 0.0)


def test_what_from_edm_refuses() -> None:
    names = ["sigma_min", "sigma_max", "round_sigma", "img_channels", "img_resolution"]
    with pytest.raises(NetworkError, match=f"but function lacks {', '.join(names)}. For another"):
        from_edm(lambda x, s, c: x)
    with pytest.raises(NetworkError, match="SimpleNamespace lacks a call"):
        from_edm(SimpleNamespace(**dict.fromkeys(names)))
    with pytest.raises(GridError, match="at least one step, the one to 0, but got n = 0"):
        from_edm(EDMNet()).grid(0)


class Trap:
    """A pickle that leaves a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.write_text, (self.path, "the code ran")


def test_a_pickle_runs_only_when_allowed(tmp_path: Path) -> None:
    file, sprung = tmp_path / "network-snapshot-000000.pkl", tmp_path / "sprung"
    file.write_bytes(pickle.dumps({"ema": Trap(sprung)}))
    with pytest.raises(NetworkError, match="to read a pickle is to run the code in it") as error:
        load_edm_pickle(file)
    assert "load_edm_pickle(path, allow_code_execution=True)" in str(error.value)
    assert not sprung.exists()
    load_edm_pickle(file, allow_code_execution=True)
    assert sprung.read_text() == "the code ran"


def test_a_pickled_network_is_a_network(tmp_path: Path) -> None:
    file = tmp_path / "network-snapshot-000000.pkl"
    file.write_bytes(pickle.dumps({"ema": nn.Linear(2, 2), "loss_fn": None}))
    net = load_edm_pickle(file, allow_code_execution=True)
    assert isinstance(net, nn.Linear)
    with pytest.raises(NetworkError, match=r"holds no 'net', but ema, loss_fn. Name the entry"):
        load_edm_pickle(file, allow_code_execution=True, key="net")
    file.write_bytes(b"cno_such_module\nNet\n.")
    with pytest.raises(NetworkError, match=r"needs the module 'no_such_module'. EDM's snapshots"):
        load_edm_pickle(file, allow_code_execution=True)
    file.write_bytes(b"")
    with pytest.raises(NetworkError, match="is not a pickle that can be read"):
        load_edm_pickle(file, allow_code_execution=True)


def edm_precond(family: str, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """c_skip, c_out, c_in, c_noise of Karras et al. 2022, Table 1, as their networks compute them."""
    one = torch.ones_like(sigma)
    if family == "vp":
        t = ((0.1**2 + 2 * 19.9 * (1 + sigma**2).log()).sqrt() - 0.1) / 19.9
        return one, -sigma, 1 / (sigma**2 + 1).sqrt(), 999 * t
    if family == "ve":
        return one, sigma, one, (0.5 * sigma).log()
    if family == "iddpm":
        u = torch.tensor([*IDDPM_U, 0.0], dtype=sigma.dtype)
        return one, -sigma, 1 / (sigma**2 + 1).sqrt(), 999 - (sigma - u).abs().argmin().double()
    norm = sigma**2 + 0.25
    return 0.25 / norm, sigma * 0.5 / norm.sqrt(), 1 / norm.sqrt(), sigma.log() / 4


@pytest.mark.parametrize("sigma", [75.0, 20.0, 3.2, 0.5, 0.0321, 0.011])
@pytest.mark.parametrize("family", EDM_FAMILIES)
def test_the_networks_inside_edms_preconditioners(family: str, sigma: float) -> None:
    """D = c_skip x̄ + c_out F(c_in x̄, c_noise) with a raw network F."""

    def F(x: Tensor, t: Tensor) -> Tensor:
        return (x * (1 + t[:, None] / 1000)).sin()

    s = torch.tensor(sigma, dtype=torch.float64)
    c_skip, c_out, c_in, t = edm_precond(family, X, s)
    want = c_skip * X + c_out * F(c_in * X, t.expand(len(X)))
    got = DiffusionODE(F, EDM_FAMILIES[family]).x0(X, sigma)
    assert float((got - want).abs().max()) < 1e-11 * (1 + sigma)
