"""A network in its own dtype, whatever that of the state."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from flowsolve import VPSDE, DiffusionODE, EpsPrediction, Guided, karras, sample
from flowsolve.errors import NetworkError
from flowsolve.interop.k_diffusion import from_denoiser
from flowsolve_solvers import DPMSolverPP2M

K = EpsPrediction(VPSDE())
X = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


class Net(nn.Module):
    """Linear, and it notes in which dtypes it was asked."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("count", torch.ones(1, dtype=torch.int64))
        self.layer = nn.Linear(4, 4)
        self.asked: list[tuple[torch.dtype, torch.dtype]] = []
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))

    def forward(self, x: Tensor, t: Tensor, extra: int = 0) -> Tensor:
        self.asked.append((x.dtype, t.dtype))
        out: Tensor = self.layer(x)
        return out


def network(dtype: torch.dtype) -> Net:
    return Net().to(dtype).eval().requires_grad_(False)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("state", DTYPES, ids=str)
def test_a_module_is_asked_in_the_dtype_of_its_weights(
    state: torch.dtype, dtype: torch.dtype
) -> None:
    net, x = network(dtype), X.to(state)
    got = DiffusionODE(net, K).eps(x, 2.0)
    assert got.dtype == state
    assert net.asked == [(dtype, dtype if dtype.itemsize > 4 else torch.float32)]
    assert torch.equal(got, DiffusionODE(net, K, dtype=dtype).eps(x, 2.0))
    twin = network(dtype).double()
    exact = DiffusionODE(twin, K).eps(x.double(), 2.0)
    unit = max(torch.finfo(d).eps for d in (state, dtype))
    assert float((got - exact).abs().max()) < 8 * unit


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_sample_runs_in_every_pair_of_dtypes(dtype: torch.dtype) -> None:
    for state in DTYPES:
        done = sample(
            DiffusionODE(network(dtype), K), X.to(state), karras(6, 10, 0.1), DPMSolverPP2M()
        )
        assert done.x.dtype == state
        assert bool(done.x.isfinite().all())


def test_a_module_that_is_moved_to_another_dtype_is_followed() -> None:
    net = network(torch.float32)
    ode = DiffusionODE(net, K)
    assert ode.eps(X, 2.0).dtype == torch.float64
    net.half()
    assert ode.eps(X, 2.0).dtype == torch.float64
    net.double()
    ode.with_forward_hook(lambda rows: None).eps(X.float(), 2.0)
    assert [x for x, _ in net.asked] == [torch.float32, torch.float16, torch.float64]


def test_wrappers_partial_functions_and_methods_too() -> None:
    net = network(torch.float16)
    Guided(DiffusionODE(net, K), DiffusionODE(net, K), 2.0).eps(X, 2.0)
    DiffusionODE(net.forward, K).eps(X, 2.0)
    from_denoiser(lambda x, sigma: net(x.half(), sigma).to(x), dtype=torch.float32).eps(X, 2.0)
    from_denoiser(net, extra=1).eps(X, 2.0)
    assert len(net.asked) == 5
    assert {x for x, _ in net.asked} == {torch.float16}


def test_a_module_of_two_dtypes_is_given_the_state_as_it_is() -> None:
    net = network(torch.float32)
    net.extra = nn.Linear(4, 4).half()
    DiffusionODE(net, K).eps(X.float(), 2.0)
    assert net.asked == [(torch.float32, torch.float32)]


def test_the_dtype_that_is_said_counts() -> None:
    net = network(torch.float64)
    DiffusionODE(net, K, dtype=torch.float64).eps(X.float(), 2.0)
    assert net.asked[0][0] == torch.float64


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "linear": (nn.Linear(4, 4), (3, 4)),
    "convolution": (nn.Conv1d(4, 4, 1), (3, 4, 2)),
    "norm": (nn.GroupNorm(2, 4), (3, 4, 2)),
    "attention": (nn.MultiheadAttention(4, 2, batch_first=True), (3, 2, 4)),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_a_function_around_a_module_of_another_dtype_is_a_clear_error(
    layer: str, dtype: torch.dtype
) -> None:
    module, shape = LAYERS[layer]
    net = copy.deepcopy(module).to(dtype).eval()

    def function(x: Tensor, t: Tensor) -> Tensor:
        out = net(x, x, x) if layer == "attention" else net(x)
        return out[0] if isinstance(out, tuple) else out

    x = torch.ones(shape, dtype=torch.float64)
    text = r"the network failed when it was called with x .*float64.*DiffusionODE\(..., dtype=..."
    with pytest.raises(NetworkError, match="(?s)" + text):
        DiffusionODE(function, K).eps(x, 2.0)
    assert DiffusionODE(function, K, dtype=dtype).eps(x, 2.0).dtype == torch.float64


def test_a_function_is_given_the_state_as_it_is() -> None:
    ode = DiffusionODE(lambda x, t: x.half(), K)
    text = "the network returned torch.float16 for an input of torch.float64. Cast the network"
    with pytest.raises(NetworkError, match="(?s)" + text):
        ode.eps(X, 2.0)
