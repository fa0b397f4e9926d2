"""What users run on a GPU, on the CPU always and on the GPU where there is one: other projects' networks,
guidance, noise by seed, encoding, log p, edits, studies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import (
    ODE,
    VPSDE,
    BrownianNoise,
    Clip,
    CounterNoise,
    DiffusionODE,
    EpsPrediction,
    FlowPrediction,
    Guided,
    SeededNoise,
    Solver,
    Threshold,
    WithNoise,
    decode,
    encode,
    inpaint,
    interval,
    invert,
    karras,
    log_snr,
    partial_start,
    sample,
    unit_noise,
)
from flowsolve.analysis.step_cost import measured_cost
from flowsolve.cli import main
from flowsolve.integrate import log_prob
from flowsolve.interop import as_k_sampler, from_denoiser, from_edm, from_velocity
from flowsolve.ode import GaussianError, Objective, Reused
from flowsolve.problems import Digits, Mixture
from flowsolve.study import convergence, work_precision
from flowsolve_solvers import (
    STOCHASTIC,
    Ancestral,
    DDIMEta,
    DPMSolverPP2M,
    DPMSolverPP2MSDE,
    Euler,
    Heun,
    Torchdiffeq,
)
from tests.devices import (
    EVENT,
    network,
    no_synchronisation,
    noise,
    on_each_device,
    same,
    strict,
    synchronize,
)

GRID = karras(8, 20.0, 0.1)
EPS = EpsPrediction(VPSDE())
Make = Callable[[str, torch.dtype], ODE]


class EDMLike:
    """A denoiser with the names that NVlabs/edm's networks have."""

    sigma_min, sigma_max, img_channels, img_resolution = 0.01, 80.0, *EVENT[:2]

    def __init__(self, device: str, dtype: torch.dtype) -> None:
        self.inner = network(device, dtype)

    def round_sigma(self, sigma: Any) -> Tensor:
        return torch.as_tensor(sigma)

    def __call__(self, x: Tensor, sigma: Tensor, class_labels: Tensor | None) -> Tensor:
        scale = (1 + sigma**2).rsqrt()[:, None, None, None]
        return scale * self.inner(scale * x, sigma.log() / 4, class_labels)


def ours(device: str, dtype: torch.dtype) -> DiffusionODE:
    return DiffusionODE(network(device, dtype), EPS)


def guided(scale: Any = 2.0, **options: Any) -> Make:
    def make(device: str, dtype: torch.dtype) -> ODE:
        ode, classes = ours(device, dtype), torch.tensor([0.3, -0.2, 0.5, 0.1]).to(device)
        w = scale.to(device) if isinstance(scale, Tensor) else scale
        return Guided(ode.given(classes), ode.given(0 * classes), w, **options)

    return make


def edm(device: str, dtype: torch.dtype) -> ODE:
    return from_edm(EDMLike(device, dtype), dtype=dtype).ode


def edm_with_classes(device: str, dtype: torch.dtype) -> ODE:
    classes = torch.tensor([0.3, -0.2, 0.5, 0.1], device=device)
    return from_edm(EDMLike(device, dtype), classes, dtype=dtype).ode


def denoiser(device: str, dtype: torch.dtype) -> ODE:
    inner = EDMLike(device, dtype)
    return from_denoiser(lambda x, sigma, cond: inner(x, sigma, None), cond=0)


def velocity(**options: Any) -> Make:
    return lambda device, dtype: from_velocity(network(device, dtype), **options)


MAKERS: dict[str, Make] = {
    "from_edm": edm,
    "from_edm with classes": edm_with_classes,
    "from_denoiser": denoiser,
    "from_velocity": velocity(time_scale=1000.0),
    "from_velocity, data at 1": velocity(data_at=1),
    "guided": guided(),
    "guided in one call": guided(batched=True),
    "guided by a scale for each sample": guided(scale=torch.tensor([1.0, 2.0, 0.5, 3.0])),
    "guided in an interval": guided(scale=interval(2.0, 0.5, 5.0)),
    "guided and rescaled": guided(rescale=0.7),
    "clipped": lambda *at: Clip(ours(*at)),
    "disturbed": lambda *at: GaussianError(Reused(ours(*at), 2), 0.01, SeededNoise(range(4))),
    "thresholded": lambda *at: Threshold(ours(*at), 0.9),
}
each_ode = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


@on_each_device
@each_ode
def test_odes_give_what_float64_on_the_cpu_gives(device: str, make: Make) -> None:
    start = noise("cpu", dtype=torch.float64)
    expected = sample(make("cpu", torch.float64), start, GRID.to_zero(), DPMSolverPP2M()).x
    with strict(device):
        done = sample(make(device, torch.float32), noise(device), GRID.to_zero(), DPMSolverPP2M())
    assert (done.x.device.type, done.x.dtype) == (device, torch.float32)
    same(done.x, expected)


@on_each_device
@each_ode
def test_odes_wait_for_nothing(device: str, make: Make) -> None:
    ode, start = make(device, torch.float32), noise(device)
    sample(ode, start, GRID.to_zero(), Heun(), check=False)
    with no_synchronisation(device):
        done = sample(ode, start, GRID.to_zero(), Heun(), check=False)
    synchronize(device)
    assert done.x.isfinite().all()


@on_each_device
def test_the_grid_of_an_edm_network(device: str) -> None:
    found = from_edm(EDMLike(device, torch.float32))
    double = unit_noise(range(4), found.event[:1] + EVENT[1:], torch.float64, device)
    done = sample(found.ode, double, found.grid, Heun(), nfe=9)
    assert (done.nfe, done.x.dtype, done.x.device.type) == (9, torch.float64, device)


@on_each_device
def test_a_k_diffusion_sampler(device: str) -> None:
    model, seen = EDMLike(device, torch.float32), list[dict[str, Any]]()
    sigmas = torch.tensor(GRID.to_zero().levels, device=device)
    sampler = as_k_sampler(DPMSolverPP2M())
    x = sampler(
        model, noise(device) * sigmas[0], sigmas,
        extra_args={"class_labels": None}, callback=seen.append, disable=True,
    )  # fmt: skip
    assert x.device.type == device
    assert [call["i"] for call in seen] == [*range(len(sigmas) - 1)]
    assert {call["denoised"].device.type for call in seen} == {device}


# --- noise ---------------------------------------------------------------------------------------


@on_each_device
@pytest.mark.parametrize("solver", STOCHASTIC, ids=repr)
@pytest.mark.parametrize("source", [SeededNoise, CounterNoise])
def test_noise_by_seed_waits_for_nothing(device: str, solver: Solver, source: Any) -> None:
    ode, start = WithNoise(ours(device, torch.float32), source(range(4))), noise(device)
    sample(ode, start, GRID, solver, check=False)
    with no_synchronisation(device):
        done = sample(ode, start, GRID, solver, check=False)
    synchronize(device)
    assert done.x.isfinite().all()


@on_each_device
@pytest.mark.parametrize("solver", [DDIMEta(), Ancestral(), DPMSolverPP2MSDE()], ids=repr)
@pytest.mark.parametrize("source", [SeededNoise, BrownianNoise, CounterNoise])
def test_the_noise_of_a_seed_is_that_of_the_cpu(device: str, solver: Solver, source: Any) -> None:
    def done(device: str, dtype: torch.dtype) -> Tensor:
        levels = [GRID] if source is BrownianNoise else []
        ode = WithNoise(ours(device, dtype), source(range(4), *levels))
        return sample(ode, noise(device, dtype=dtype), GRID, solver).x

    with strict(device):
        same(done(device, torch.float32), done("cpu", torch.float64))


@on_each_device
def test_draws_one_after_another_do_not_overwrite_each_other(device: str) -> None:
    """Copies to the device may still run when the next noise is drawn."""
    source, x = SeededNoise(range(8)), noise(device, 8).expand(8, 64, 8, 8).contiguous()
    levels = [float(n) for n in range(40, 0, -1)]
    drawn = [source(x, s, s - 0.5) for s in levels]
    again = [source(x.cpu(), s, s - 0.5) for s in levels]
    assert all(torch.equal(a.cpu(), b) for a, b in zip(drawn, again, strict=True))


# --- up, and back, and log p -----------------------------------------------------------------------


@on_each_device
def test_encode_and_decode(device: str) -> None:
    ode, x, grid = ours(device, torch.float32), 0.5 * noise(device), log_snr(64, 10.0, 0.1)
    up = encode(ode, x, grid, Heun())
    down = decode(ode, up)
    assert up.x.device.type == down.x.device.type == device
    same(down.x, x.double().cpu(), 0.05)
    double = encode(ours("cpu", torch.float64), x.double().cpu(), grid, Heun())
    with strict(device):
        same(encode(ode, x, grid, Heun()).x, double.x)


@on_each_device
def test_the_exact_inverse(device: str) -> None:
    ode, grid = ours(device, torch.float32), log_snr(24, 10.0, 0.1)
    down = sample(ode, noise(device), grid, Euler())
    up = invert(ode, down.x, grid, Euler(), tolerance=1e-5)
    assert up.residuals.device.type == device
    same(up.x, 10 * noise("cpu", dtype=torch.float64), 0.01)


@on_each_device
@pytest.mark.parametrize("probes", [None, 4])
def test_log_p(device: str, probes: int | None) -> None:
    grid, x = log_snr(6, 10.0, 0.1), 0.5 * noise(device, 2)
    done = log_prob(ours(device, torch.float32), x, grid, Heun(), probes=probes)
    double = ours("cpu", torch.float64)
    expected = log_prob(double, x.double().cpu(), grid, Heun(), probes=probes)
    assert {v.device.type for v in (done.log_p, done.stderr, done.noise)} == {device}
    torch.testing.assert_close(done.log_p.double().cpu(), expected.log_p, rtol=2e-3, atol=0.05)


# --- edits, training, half precision ---------------------------------------------------------------


@on_each_device
def test_edits(device: str) -> None:
    ode, data = ours(device, torch.float32), 0.5 * noise(device)
    done = partial_start(ode, data, noise(device), GRID, Heun(), strength=0.5)
    mask = torch.zeros(EVENT, dtype=torch.bool, device=device)
    mask[..., :4] = True
    part = inpaint(ode, data, mask, noise(device), grid=GRID.to_zero(), solver=DPMSolverPP2M())
    assert done.x.device.type == part.x.device.type == device
    torch.testing.assert_close(part.x[..., :4], data[..., :4], rtol=0, atol=1e-4)


@on_each_device
def test_a_training_loss(device: str) -> None:
    net, x0 = network(device).requires_grad_(True), 0.5 * noise(device)
    loss = Objective(EPS, [0.1, 1.0, 10.0]).loss(net, x0, torch.Generator().manual_seed(0))
    loss.backward()
    assert loss.device.type == device
    assert all(p.grad is not None and p.grad.device.type == device for p in net.parameters())


@on_each_device
@pytest.mark.parametrize("precondition", [EPS, FlowPrediction()], ids=["ε", "flow"])
def test_autocast_to_bfloat16_is_near_float32(device: str, precondition: Any) -> None:
    inner = network(device)

    def net(x: Tensor, t: Tensor) -> Tensor:
        return inner.last(torch.tanh(inner.first(x)))

    grid = GRID.to_zero()
    plain, cast = (
        sample(DiffusionODE(net, precondition, autocast=a), noise(device), grid, DPMSolverPP2M()).x
        for a in (None, torch.bfloat16)
    )
    assert cast.dtype == torch.float32
    torch.testing.assert_close(cast, plain, rtol=0, atol=0.05 * float(plain.abs().max()))


# --- studies -------------------------------------------------------------------------------------


@on_each_device
@pytest.mark.parametrize("problem", [Mixture(), Digits()], ids=["mixture", "digits"])
def test_a_study(device: str, problem: Any) -> None:
    solvers: list[Solver] = [Euler(), DPMSolverPP2M(), Torchdiffeq()]
    options: dict[str, Any] = {"seeds": range(4), "tolerances": [1e-3]}
    with strict(device):
        there = work_precision(solvers, problem, [6, 12], device=device, **options)
    here = work_precision(solvers, problem, [6, 12], **options)
    assert not there.failures, [row.error for row in there.failures]
    assert {row.device for row in there.rows} == {device}
    assert all(row.seconds > 0 for row in there.rows)
    fixed = [(a.rmse, b.rmse) for a, b in zip(there.rows, here.rows, strict=True) if a.fixed]
    assert len(fixed) == 4
    for got, expected in fixed:
        assert got == pytest.approx(expected, rel=0.01)


@on_each_device
def test_an_order_in_float64(device: str) -> None:
    study = convergence(Heun(), Mixture(), steps=(20, 40, 80), seeds=range(4), device=device)
    assert {row.device for row in study.rows} == {device}
    assert study.order() == pytest.approx(2, abs=0.2)


@on_each_device
def test_the_command_compare(device: str, tmp_path: Any, capsys: Any) -> None:
    words = "compare mixture --solvers euler dpmsolverpp2m --nfe 6 12 --seeds 8"
    code = main([*words.split(), "--device", device, "--out", str(tmp_path)])
    assert code == 0, capsys.readouterr()
    assert any(tmp_path.rglob("*.csv"))


@pytest.mark.gpu
@pytest.mark.parametrize("solver", [Euler(), Heun(), DPMSolverPP2M()], ids=repr)
def test_memory_on_the_device_is_the_states_counted_on_the_cpu(solver: Solver) -> None:
    counted = measured_cost(solver, EPS, 8)[0].peak
    x = unit_noise([0], (64, 512, 512), torch.float32, "cuda")
    ode = DiffusionODE(lambda y, t: torch.sin(y), EPS)
    state = x.untyped_storage().nbytes()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    sample(ode, x, log_snr(8, 10.0, 0.1), solver, check=False)
    torch.cuda.synchronize()
    # sample's own start, x̄ = σ₀ noise, is one state more than solve has
    assert torch.cuda.max_memory_allocated() - before <= (counted + 0.1) * state
