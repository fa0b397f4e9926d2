"""Networks that use their output buffer again or write into their input: no answer changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flowsolve import (
    ODE,
    VPSDE,
    DiffusionODE,
    EDMPrediction,
    EpsPrediction,
    FlowPrediction,
    Guided,
    SeededNoise,
    VPrediction,
    WithNoise,
    X0Prediction,
    karras,
    solve,
)
from flowsolve.errors import NetworkError
from flowsolve.interop import from_denoiser, from_score, from_velocity
from flowsolve.interop.edm import from_edm
from flowsolve.ode import VE
from flowsolve.ode.ownership import asked, kept
from flowsolve.problems import Mixture, exact_network
from flowsolve.schedule import SigmaClock
from flowsolve_solvers import ALL, STOCHASTIC, Heun
from tests.helpers import says

MIXTURE = Mixture()
X = 10 * torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
GRID = karras(4, 10, 0.05)
Network = Callable[..., Tensor]
HEUN = Heun()
VE_X0 = X0Prediction(SigmaClock(), VE)


def buffers(n: int) -> Iterator[Tensor]:
    return cycle([torch.zeros(3, 2, dtype=torch.float64) for _ in range(n)])


def one_buffer(network: Network) -> Network:
    out = next(buffers(1))
    return lambda x, *rest: out.copy_(network(x, *rest))


def views_of_two(network: Network) -> Network:
    ring = buffers(2)
    return lambda x, *rest: next(ring).copy_(network(x, *rest)).view(3, 2)


def numpy_buffer(network: Network) -> Network:
    out = np.zeros((3, 2))

    def static(x: Tensor, *rest: Tensor) -> Tensor:
        out[:] = network(x, *rest).numpy()
        return torch.from_numpy(out)

    return static


def in_place(network: Network) -> Network:
    def writes(x: Tensor, *rest: Tensor) -> Tensor:
        out = network(x.clone(), *rest)
        return x.copy_(out)

    return writes


def both(network: Network) -> Network:
    static = views_of_two(network)

    def writes(x: Tensor, *rest: Tensor) -> Tensor:
        out = static(x, *rest)
        x.fill_(7)
        return out

    return writes


FAULTS = [one_buffer, views_of_two, numpy_buffer, in_place, both]


class _EDM:
    sigma_min, sigma_max, img_channels, img_resolution = 0.0, 80.0, 2, 1
    round_sigma = staticmethod(torch.as_tensor)

    def __init__(self, network: Network) -> None:
        self.network = network

    def __call__(self, x: Tensor, sigma: Tensor, class_labels: object = None) -> Tensor:
        return self.network(x, sigma)


MAKERS: dict[str, Callable[[Callable[[Network], Network]], ODE]] = {
    **{
        type(p).__name__: lambda fault, p=p: DiffusionODE(fault(exact_network(MIXTURE, p)), p)
        for p in (
            EpsPrediction(VPSDE()), VPrediction(VPSDE()), X0Prediction(VPSDE()), EDMPrediction(),
            FlowPrediction(),
        )
    },
    "from_denoiser": lambda fault: from_denoiser(fault(exact_network(MIXTURE, VE_X0))),
    "from_edm": lambda fault: from_edm(
        _EDM(fault(exact_network(MIXTURE, VE_X0))), dtype=torch.float64
    ).ode,
    "from_velocity": lambda fault: from_velocity(fault(exact_network(MIXTURE, FlowPrediction()))),
    "from_score": lambda fault: from_score(
        fault(lambda x, t: -MIXTURE.eps(x, float(t[0])) / t[:, None]), SigmaClock(), VE
    ),
}  # fmt: skip


def end(ode: ODE, solver=HEUN) -> Tensor:
    x = X.clone()
    found = solve(WithNoise(ode, SeededNoise(range(3))), x, GRID, solver).x
    assert x.equal(X)
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_every_entry_point(mode, maker: str, fault) -> None:
    with mode():
        want = end(MAKERS[maker](lambda network: network))
        assert (end(MAKERS[maker](fault)) - want).abs().max() < 1e-12


@pytest.mark.parametrize("solver", [*ALL, *STOCHASTIC], ids=repr)
def test_every_solver(solver) -> None:
    for maker in ("EpsPrediction", "from_denoiser"):  # the two that keep an answer as it is
        want = end(MAKERS[maker](lambda network: network), solver)
        assert end(MAKERS[maker](both), solver).equal(want), maker


@pytest.mark.parametrize("batched", [False, True])
def test_guidance_of_two_networks_that_share_a_buffer(batched: bool) -> None:
    def guided(out: Tensor | None) -> Guided:
        def network(x: Tensor, t: Tensor, c: Tensor) -> Tensor:
            f = MIXTURE.eps(x, 1.0) + c
            return f if out is None else out[: len(x)].copy_(f)

        ode = DiffusionODE(network, EpsPrediction(VPSDE()))
        c = torch.ones(3, 1, dtype=torch.float64)
        return Guided(ode.given(c), ode.given(-c), 3.0, batched=batched)

    assert end(guided(torch.zeros(6, 2, dtype=torch.float64))).equal(end(guided(None)))


def test_a_network_that_begins_to_write_later_is_refused() -> None:
    calls = []

    def later(x: Tensor, t: Tensor) -> Tensor:
        calls.append(t)
        return x.mul_(0.5) if len(calls) == 3 else x * 0.5

    says(
        NetworkError,
        "the network changed the state that it was given in place, and with it the answer of the run. Let it "
        "work on x.clone(), or leave out the operation that ends in _ (or has inplace=True, out=).",
        lambda: end(from_denoiser(later)),
    )


class _Own(ODE):
    """A user's ODE, whose ε is always the same tensor."""

    def __init__(self, *, writes: bool = False) -> None:
        self.writes, self.out = writes, torch.zeros(3, 2, dtype=torch.float64)

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.out.copy_(MIXTURE.eps(x, sigma))
        if self.writes:
            x.zero_()
        return self.out


def test_an_ode_of_ones_own() -> None:
    assert end(_Own()).equal(end(MIXTURE))
    with pytest.raises(NetworkError, match="_Own changed the state that it was given in place"):
        solve(_Own(writes=True), X.clone(), GRID, Heun())


def test_gradients_go_through_a_network_that_writes() -> None:
    def gradient(fault) -> Tensor:
        x = X.clone().requires_grad_()
        solve(
            from_denoiser(fault(lambda x, t: torch.sin(x))), x, GRID, Heun(), grad=True
        ).x.sum().backward()
        assert x.grad is not None
        return x.grad

    assert gradient(in_place).allclose(gradient(lambda network: network), rtol=0, atol=1e-12)


def test_who_keeps_an_answer() -> None:
    layers = nn.Sequential(nn.Linear(2, 2), nn.SiLU())
    out, x = torch.zeros(3, 2), torch.ones(3, 2)
    behaves = [
        layers, torch.sin, lambda x: torch.sin(x).view(3, 2), lambda x: torch.cat((x, x), 1)[:, :2],
        lambda x: torch.cat((x, x)).chunk(2)[0], lambda x: layers(x).flatten().unflatten(0, (3, 2)),
    ]  # fmt: skip
    keeps = [
        lambda x: x, lambda x: out, lambda x: out[:3], lambda x: out.detach(),
        lambda x: out.flatten().view(3, 2), lambda x: torch.from_numpy(np.ones((3, 2))),
    ]  # fmt: skip
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert [kept(*asked(network, x)) for network in behaves] == [False] * 6
            assert [kept(*asked(network, x)) for network in keeps] == [True] * 6


def test_a_transform_of_torch_func_goes_through() -> None:
    ode = DiffusionODE(lambda x, t: torch.sin(x), EpsPrediction(VPSDE()))
    want = [ode.eps(row[None], 1.0)[0] for row in X]
    assert torch.vmap(lambda row: ode.eps(row[None], 1.0)[0])(X).allclose(torch.stack(want))


@pytest.mark.gpu
def test_a_cuda_graph_with_static_input_and_output() -> None:
    def plain(x: Tensor, t: Tensor) -> Tensor:
        return torch.sin(x) * 0.3

    x = X.float().cuda()
    seen, graph = x.clone(), torch.cuda.CUDAGraph()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        plain(seen, seen)
    torch.cuda.current_stream().wait_stream(side)
    with torch.cuda.graph(graph):
        out = plain(seen, seen)

    def replayed(x: Tensor, t: Tensor) -> Tensor:
        seen.copy_(x)
        graph.replay()
        return out

    for make in (lambda f: DiffusionODE(f, EpsPrediction(VPSDE())), from_denoiser):
        ends = [solve(make(f), x, GRID, HEUN).x for f in (plain, replayed)]
        assert ends[0].equal(ends[1])
