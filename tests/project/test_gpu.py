"""The same bodies on the CPU, always, and on a GPU where there is one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from flowsolve import (
    DATA,
    FLOW,
    LOG_SIGMA,
    NOISE,
    VELOCITY,
    VPSDE,
    ClockTime,
    DiffusionODE,
    EDMPrediction,
    EpsPrediction,
    FlowPrediction,
    Phi,
    Solver,
    VPrediction,
    X0Prediction,
    karras,
    log_snr,
    sample,
    solve,
)
from flowsolve.ode import Precondition
from flowsolve_solvers import (
    ALL,
    LMS,
    RK4,
    Adams,
    CorrectedStart,
    DPMSolver2,
    DPMSolver3,
    DPMSolverPP2M,
    DPMSolverPP2S,
    Euler,
    EulerInT,
    Heun,
    Midpoint,
    Torchdiffeq,
    UniPC,
)
from tests.devices import (
    network,
    no_synchronisation,
    noise,
    on_each_device,
    same,
    strict,
    synchronize,
)

GRID = karras(8, 20.0, 0.1)
FIXED = [s for s in ALL if not s.adaptive]
SOME: list[Solver] = [
    Euler(),
    Euler(DATA),
    EulerInT(),
    Heun(),
    Midpoint(),
    RK4(LOG_SIGMA),
    DPMSolver2(),
    DPMSolver3(),
    DPMSolverPP2S(),
    DPMSolverPP2M(),
    LMS(4),
    Adams(3, DATA),
    Adams(3, NOISE, ClockTime(VPSDE())),
    Adams(4, start=RK4(LOG_SIGMA)),
    Adams(3, VELOCITY, Phi()),
    UniPC(2, FLOW, variable=Phi()),
    CorrectedStart(Adams(3, FLOW, Phi())),
]
PRECONDITIONS = [
    EpsPrediction(VPSDE()),
    VPrediction(VPSDE()),
    X0Prediction(VPSDE()),
    EDMPrediction(),
    FlowPrediction(),
]

each_precondition = pytest.mark.parametrize(
    "precondition", PRECONDITIONS, ids=lambda p: type(p).__name__
)


@on_each_device
@pytest.mark.parametrize("solver", SOME, ids=repr)
def test_same_result_as_float64_on_the_cpu(device: str, solver: Solver) -> None:
    precondition = EpsPrediction(VPSDE())
    double = DiffusionODE(network("cpu", torch.float64), precondition)
    expected = sample(double, noise("cpu", dtype=torch.float64), GRID, solver).x
    with strict(device):
        done = sample(DiffusionODE(network(device), precondition), noise(device), GRID, solver)
    assert done.x.device.type == device
    assert done.x.dtype == torch.float32
    same(done.x, expected)


@on_each_device
@each_precondition
def test_every_prediction(device: str, precondition: Precondition) -> None:
    double = DiffusionODE(network("cpu", torch.float64), precondition)
    expected = sample(double, noise("cpu", dtype=torch.float64), GRID.to_zero(), Heun()).x
    with strict(device):
        ode = DiffusionODE(network(device), precondition)
        done = sample(ode, noise(device), GRID.to_zero(), Heun())
    same(done.x, expected)


@on_each_device
def test_from_infinity_on_the_device(device: str) -> None:
    ode = DiffusionODE(network(device), FlowPrediction())
    done = sample(ode, noise(device), GRID.from_infinity().to_zero(), DPMSolverPP2M())
    assert done.x.device.type == device
    assert done.nfe == 10


@on_each_device
@pytest.mark.parametrize("solver", FIXED, ids=repr)
def test_no_synchronisation_in_the_loop(device: str, solver: Solver) -> None:
    ode, start = DiffusionODE(network(device), EpsPrediction(VPSDE())), noise(device)
    sample(ode, start, GRID.to_zero(), solver, check=False)  # libraries and plans load here
    with no_synchronisation(device):
        done = sample(ode, start, GRID.to_zero(), solver, check=False)
    synchronize(device)
    assert done.x.isfinite().all()


@pytest.mark.gpu
def test_the_guard_sees_a_synchronisation() -> None:
    x = noise("cuda")
    with pytest.raises(RuntimeError, match="synchroniz"), no_synchronisation("cuda"):
        x.sum().item()


@on_each_device
@each_precondition
def test_no_synchronisation_for_any_prediction(device: str, precondition: Precondition) -> None:
    ode, start = DiffusionODE(network(device), precondition), noise(device)
    sample(ode, start, GRID.to_zero(), Adams(3), keep=1, check=False)
    with no_synchronisation(device):
        sample(ode, start, GRID.to_zero(), Adams(3), keep=1, check=False)


@on_each_device
def test_everything_stays_on_the_device(device: str) -> None:
    start = noise(device)
    seen: list[str] = []
    inner = network(device)

    def watched(x: Tensor, t: Tensor) -> Tensor:
        seen.extend((x.device.type, t.device.type))
        return inner(x, t)

    ode = DiffusionODE(watched, EpsPrediction(VPSDE()))
    done = sample(ode, start, GRID.to_zero(), Adams(3, start=Heun()), keep=1)
    assert set(seen) == {device}
    assert start.device.type == device
    kept = [v for p in done.path for v in (p.x, p.eps, p.x0) if v is not None]
    assert {v.device.type for v in (done.x, *kept)} == {device}


@on_each_device
def test_keep_on_moves_the_path(device: str) -> None:
    ode = DiffusionODE(network(device), EpsPrediction(VPSDE()))
    done = sample(ode, noise(device), GRID.to_zero(), DPMSolverPP2M(), keep=2, keep_on="cpu")
    plain = sample(ode, noise(device), GRID.to_zero(), DPMSolverPP2M(), keep=2)
    assert [p.sigma for p in done.path] == [p.sigma for p in plain.path]
    assert done.x.device.type == device
    for here, there in zip(done.path, plain.path, strict=True):
        assert here.x.device.type == here.x0.device.type == "cpu"
        assert there.x.device.type == device
        torch.testing.assert_close(here.x, there.x.cpu(), rtol=1e-5, atol=1e-5)
        assert here.eps is None or here.eps.device.type == "cpu"


def test_devices_are_followed_without_a_gpu() -> None:
    # torch's "meta" device is another device too
    assert noise("meta").device.type == "meta"
    ode = DiffusionODE(network("cpu"), EpsPrediction(VPSDE()))
    done = sample(ode, noise("cpu"), GRID.to_zero(), DPMSolverPP2M(), keep=3, keep_on="meta")
    kept = [v for p in done.path for v in (p.x, p.eps, p.x0) if v is not None]
    assert {v.device.type for v in kept} == {"meta"}
    assert done.x.device.type == "cpu"


@on_each_device
def test_noise_is_the_same_on_every_device(device: str) -> None:
    assert torch.equal(noise(device).cpu(), noise("cpu"))


@on_each_device
@pytest.mark.parametrize("solver", [Euler(), DPMSolverPP2M(), Adams(3)], ids=repr)
def test_autocast_bfloat16(device: str, solver: Solver) -> None:
    inner, dtypes = network(device), set[torch.dtype]()

    def watched(x: Tensor, t: Tensor) -> Tensor:
        out = inner.last(torch.tanh(inner.first(x)))
        dtypes.update((x.dtype, t.dtype, out.dtype))
        return out

    precondition = EpsPrediction(VPSDE())
    ode = DiffusionODE(watched, precondition, autocast=torch.bfloat16)
    done = sample(ode, noise(device), GRID, solver)
    assert dtypes == {torch.float32, torch.bfloat16}
    assert done.x.dtype == torch.float32
    plain = sample(DiffusionODE(watched, precondition), noise(device), GRID, solver)
    largest = float(plain.x.abs().max())
    torch.testing.assert_close(done.x, plain.x, rtol=0, atol=0.05 * largest)
    assert not torch.equal(done.x, plain.x)


@on_each_device
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_network(device: str, dtype: torch.dtype) -> None:
    ode = DiffusionODE(network(device, dtype), EpsPrediction(VPSDE()), dtype=dtype)
    plain = DiffusionODE(network(device), EpsPrediction(VPSDE()))
    done, full = (sample(o, noise(device), GRID, Adams(2)).x for o in (ode, plain))
    assert done.dtype == torch.float32
    torch.testing.assert_close(done, full, rtol=0, atol=0.05 * float(full.abs().max()))


@on_each_device
def test_gradients(device: str) -> None:
    ode = DiffusionODE(network(device), EpsPrediction(VPSDE()))
    x = noise(device).requires_grad_()
    sample(ode, x, log_snr(4, 10.0, 0.1), DPMSolverPP2M(), grad=True).x.sum().backward()
    assert x.grad is not None
    assert x.grad.device.type == device
    assert x.grad.abs().sum() > 0


@on_each_device
def test_adaptive(device: str) -> None:
    ode = DiffusionODE(network(device), EpsPrediction(VPSDE()))
    x = 5 * noise(device)
    done = solve(ode, x, [5.0, 1.0], Torchdiffeq(rtol=1e-4, atol=1e-4))
    fixed = solve(ode, x, log_snr(40, 5.0, 1.0), RK4(LOG_SIGMA))
    assert done.x.device.type == device
    torch.testing.assert_close(done.x, fixed.x, rtol=0, atol=1e-2)
