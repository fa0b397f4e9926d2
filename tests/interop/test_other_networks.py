"""Networks of k-diffusion, EDM, flow matching and score-SDE, against literal transcriptions of their codes."""

from __future__ import annotations

import inspect
import math
import pickle
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flowsolve import (
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    FlowPrediction,
    Grid,
    Solver,
    X0Prediction,
    from_alphas_cumprod,
    karras,
    linear_beta,
    sample,
    squared_cosine,
    uniform_t,
)
from flowsolve.errors import GridError, NetworkError, NonFiniteError, ScheduleError, StateError
from flowsolve.interop.edm import from_edm, load_edm_pickle
from flowsolve.interop.flow import from_velocity, velocity
from flowsolve.interop.k_diffusion import as_k_sampler, from_denoiser
from flowsolve.interop.score_sde import SubVPSDE, from_score, score_of
from flowsolve.ode.base import ODE
from flowsolve.ode.precondition import FLOW, SUB_VP, VE, VP, Precondition, Scaled, VPrediction
from flowsolve.problems import Mixture, exact_network
from flowsolve.schedule.clock import VESDE, Clock, EDMClock, FlowClock
from flowsolve.schedule.labels import (
    AngleClock,
    Labels,
    LogClock,
    Reversed,
    SigmaClock,
    dpm_solver_labels,
    iddpm_labels,
    k_diffusion_labels,
    nearest,
    ve_index,
    whole,
)
from flowsolve_solvers import (
    ALL,
    EDM,
    DDIMEta,
    DPMSolverPP2M,
    DPMSolverPP2MSDE,
    Euler,
    Heun,
    UniPC,
)

PROBLEM = Mixture()
X = PROBLEM.start(range(6), torch.float64)
NOISE = X / PROBLEM.sigma_max
LEVELS = [80.0, 7.3, 1.0, 0.31, 0.0021]


def same_ode(ode: ODE, tolerance: float = 1e-12, problem: Mixture = PROBLEM) -> None:
    """ε and x₀ of the mixture at every level, relative to its scale there."""
    for sigma in LEVELS:
        x = X * sigma
        for got, want in [
            (ode.eps(x, sigma), problem.eps(x, sigma)),
            (ode.x0(x, sigma), problem.x0(x, sigma)),
        ]:
            assert float((got - want).abs().max()) <= tolerance * float(
                1 + want.abs().max() + x.abs().max()
            )


# --- denoisers and k-diffusion's samplers --------------------------------------------------------


class Denoiser:
    """model(x, σ of each sample, **extra) = x₀, as k-diffusion calls it."""

    def __init__(self) -> None:
        self.calls: list[float] = []

    def __call__(self, x: Tensor, sigma: Tensor, **extra: Any) -> Tensor:
        assert sigma.shape == x.shape[:1]
        assert extra == {"cond": 7}
        self.calls.append(float(sigma[0]))
        return PROBLEM.x0(x, float(sigma[0]))


def test_a_denoiser_is_an_ode() -> None:
    same_ode(from_denoiser(Denoiser(), cond=7))
    model = Denoiser()
    done = sample(from_denoiser(model, cond=7), NOISE, karras(5, 10, 0.1).to_zero(), Heun())
    assert done.nfe == done.forwards == len(model.calls) == 11
    assert (
        float((done.x - sample(PROBLEM, NOISE, karras(5, 10, 0.1).to_zero(), Heun()).x).abs().max())
        < 1e-14
    )


def test_an_eps_of_x_bar_is_one_too() -> None:
    same_ode(
        DiffusionODE(lambda x, s: PROBLEM.eps(x, float(s[0])), EpsPrediction(SigmaClock(), VE))
    )


def test_a_flow_denoiser_is_an_ode() -> None:
    """ComfyUI's: D(x_t, t), x_t = (1-t) x₀ + tε."""

    def model(x: Tensor, t: Tensor) -> Tensor:
        s = float(t[0])
        return PROBLEM.x0(NOISE, math.inf) if s == 1 else PROBLEM.x0(x / (1 - s), s / (1 - s))

    same_ode(from_denoiser(model, flow=True))
    done = sample(
        from_denoiser(model, flow=True), NOISE, karras(8, 10, 0.1).from_infinity(), Euler()
    )
    assert (
        float(
            (done.x - sample(PROBLEM, NOISE, karras(8, 10, 0.1).from_infinity(), Euler()).x)
            .abs()
            .max()
        )
        < 1e-12
    )
    run = as_k_sampler(DPMSolverPP2M(), flow=True)
    grid, seen = karras(8, 10, 0.1).from_infinity().to_zero(), list[dict[str, Any]]()
    ts = torch.tensor([1.0, *(s / (1 + s) for s in grid[1:])], dtype=torch.float64)
    got = run(model, NOISE, ts, callback=seen.append)
    want = sample(PROBLEM, NOISE, grid, DPMSolverPP2M(), keep=1)
    assert float((got - want.x).abs().max()) < 1e-12
    for told, point in zip(seen, want.path[:-1], strict=True):
        x_t = point.x if math.isinf(point.sigma) else point.x / (1 + point.sigma)
        assert float((told["x"] - x_t).abs().max()) < 1e-12
        assert float(told["sigma"]) == pytest.approx(float(told["sigma_hat"]), rel=1e-14)
    half = run(model, NOISE, ts[:5])  # stops on the way: x is x_t there too
    x_t = want.path[4].x / (1 + want.path[4].sigma)
    assert float((half - x_t).abs().max()) < 1e-12


def noise_sampler(sigma: Tensor, sigma_next: Tensor) -> Tensor:
    """A function of the interval alone, which wants tensors."""
    assert sigma.ndim == sigma_next.ndim == 0
    seed = round(1e6 * float(sigma)) + round(1e9 * float(sigma_next))
    return torch.randn(X.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


PARITY: dict[str, tuple[Solver, dict[str, Any]]] = {
    "euler": (Euler(), {}),
    "heun": (Heun(), {}),
    "dpmpp_2m": (DPMSolverPP2M(), {}),
    "dpmpp_2m_sde": (DPMSolverPP2MSDE(), {"noise_sampler": noise_sampler}),
    "euler_ancestral": (DDIMEta(), {"noise_sampler": noise_sampler, "s_noise": 0.9}),
    "dpmpp_2m_sde, eta": (DPMSolverPP2MSDE(), {"noise_sampler": noise_sampler, "eta": 0.4}),
}


@pytest.mark.parametrize("end", [0.0, 0.05])
@pytest.mark.parametrize("name", PARITY)
def test_as_k_sampler(k_sampling: Any, name: str, end: float) -> None:
    """Their function and ours, one after the other: result, calls of the model, and every callback."""
    solver, options = PARITY[name]
    theirs = getattr(k_sampling, f"sample_{name.partition(',')[0]}")
    levels = karras(9, 10.0, 0.1).levels
    sigmas = torch.tensor([*levels, end], dtype=torch.float64)
    answers, calls, callbacks = [], [], []
    for sampler in (theirs, as_k_sampler(solver)):
        model, told = Denoiser(), list[dict[str, Any]]()
        x = sampler(
            model, X, sigmas, extra_args={"cond": 7}, callback=told.append, disable=True, **options
        )
        answers.append(x)
        calls.append(model.calls)
        callbacks.append(told)
    assert float((answers[1] - answers[0]).abs().max() / answers[0].abs().max()) <= 1e-10
    assert calls[1] == pytest.approx(calls[0], rel=1e-14)
    assert len(callbacks[0]) == len(callbacks[1]) == 10
    for a, b in zip(*callbacks, strict=True):
        assert set(a) == set(b) == {"x", "i", "sigma", "sigma_hat", "denoised"}
        assert a["i"] == b["i"]
        for key in ("x", "sigma", "sigma_hat", "denoised"):
            assert torch.as_tensor(a[key]).shape == b[key].shape
            assert float((a[key] - b[key]).abs().max()) <= 1e-10, key


def test_churn_tells_the_raised_level(k_sampling: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heun with S_churn, the same noise for both: x and sigma_hat are those after the noise."""
    draws = {n: torch.randn(X.shape, dtype=torch.float64) for n in range(8)}
    sigmas, told = torch.tensor([*karras(7, 10.0, 0.1), 0.0], dtype=torch.float64), ([], [])  # type: ignore[var-annotated]
    answers = []
    for k, (sampler, options) in enumerate(
        [(k_sampling.sample_heun, {"s_churn": 3.0}), (as_k_sampler(EDM(s_churn=3.0)), {})]
    ):
        count = iter(range(8))
        monkeypatch.setattr(torch, "randn_like", lambda x, count=count: draws[next(count)])
        answers.append(sampler(Denoiser(), X, sigmas, {"cond": 7}, told[k].append, True, **options))
    assert float((answers[0] - answers[1]).abs().max()) < 1e-10
    for a, b in zip(*told, strict=True):
        assert float(a["sigma_hat"]) == pytest.approx(float(b["sigma_hat"]), rel=1e-14)
        assert float((a["x"] - b["x"]).abs().max()) < 1e-10
    assert float(told[1][0]["sigma_hat"]) > float(told[1][0]["sigma"])


@pytest.mark.parametrize("solver", [s for s in ALL if not s.adaptive], ids=repr)
def test_every_solver_tells_once_a_step(solver: Solver) -> None:
    sigmas, told = torch.tensor([*karras(6, 10.0, 0.1), 0.0]), list[dict[str, Any]]()
    model = Denoiser()
    x = as_k_sampler(solver)(model, X.float(), sigmas, {"cond": 7}, told.append)
    assert x.dtype == torch.float32
    assert bool(x.isfinite().all())
    assert [t["i"] for t in told] == list(range(7))
    assert [float(t["sigma"]) for t in told] == sigmas[:-1].tolist()
    assert {float(t["sigma_hat"]) for t in told} <= {*model.calls}


def parameters(solver: Solver) -> set[str]:
    return set(inspect.signature(as_k_sampler(solver)).parameters)


def test_the_signature_shows_what_applies() -> None:
    plain = {"model", "x", "sigmas", "extra_args", "callback", "disable"}
    noisy = plain | {"s_noise", "noise_sampler"}
    assert parameters(Heun()) == plain
    assert parameters(EDM()) == noisy
    assert parameters(DDIMEta()) == parameters(DDIMEta(eta=0)) == noisy | {"eta"}
    assert as_k_sampler(UniPC(3)).__name__ == "sample_UniPC"


def test_what_a_k_sampler_refuses() -> None:
    run, model = as_k_sampler(Heun()), Denoiser()
    sigmas = torch.tensor([4.0, 1.0, 0.0], dtype=torch.float64)
    with pytest.raises(StateError, match=r"^Heun\(\) has no η, but got eta = 1.0. Leave it out."):
        run(model, X, sigmas, {"cond": 7}, eta=1.0)
    with pytest.raises(StateError, match="did you mean Heun"):
        as_k_sampler(Heun)  # type: ignore[arg-type]
    with pytest.raises(GridError, match="σ must fall"):
        run(model, X, sigmas.flip(0), {"cond": 7})
    with pytest.raises(NonFiniteError, match="not finite at evaluation 1"):
        run(lambda x, s: x * math.nan, X, sigmas)
    with pytest.raises(NetworkError, match=r"shape \(6, 1\) for an input of \(6, 2\)"):
        run(lambda x, s: x[:, :1], X, sigmas)
    assert run(model, X, sigmas[:1]) is X
    assert not model.calls


def test_a_k_sampler_records_no_gradient_and_leaves_x_alone() -> None:
    weight, before = torch.ones((), dtype=torch.float64, requires_grad=True), X.clone()
    sigmas = torch.tensor([4.0, 1.0, 0.0], dtype=torch.float64)
    out = as_k_sampler(Heun())(lambda x, s: weight * PROBLEM.x0(x, float(s[0])), X, sigmas)
    assert not out.requires_grad
    assert X.equal(before)


# --- EDM -----------------------------------------------------------------------------------------


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


COSINE_CLOCK = squared_cosine()
TABLE = [COSINE_CLOCK.sigma(j) for j in range(999, -1, -1)]
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


def iddpm_u(M: int = 1000) -> list[float]:
    """u_j of Karras et al. 2022, Table 1: u_M = 0 and up."""
    u = np.zeros(M + 1)
    bar = np.sin(0.5 * np.pi * np.arange(M + 1) / M / 1.008) ** 2
    for j in range(M, 0, -1):
        u[j - 1] = math.sqrt((u[j] ** 2 + 1) / max(bar[j - 1] / bar[j], 0.001) - 1)
    return list(u[:-1])


IDDPM_U = iddpm_u()


def minus(sigma: float) -> float:
    return -1.0


EDM_FAMILIES: dict[str, Precondition] = {
    "vp": EpsPrediction(VPSDE(scale=999)),
    "ve": Scaled(EpsPrediction(LogClock(1, unit=2), VE), minus),
    "iddpm": EpsPrediction(iddpm_labels()),
}


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


# --- velocities ----------------------------------------------------------------------------------

CONVENTIONS = [(d, p, k) for d in (0, 1) for p in (0, 1) for k in (1.0, 1000.0)]


@pytest.mark.parametrize(("data_at", "points_to", "scale"), CONVENTIONS)
@pytest.mark.parametrize("path", [FLOW, VP], ids=repr)
def test_every_convention_of_a_velocity(
    data_at: Any, points_to: Any, scale: float, path: Any
) -> None:
    """F written out from α, s and their derivatives in t, for each convention."""

    def network(x: Tensor, label: Tensor) -> Tensor:
        t = float(label[0]) / scale
        u = 1 - t if data_at == 1 else t  # 0 at the data
        turn = math.pi / 2
        if path == FLOW:
            alpha, s, d_alpha, d_s = 1 - u, u, -1.0, 1.0
        else:
            alpha, s = math.cos(turn * u), math.sin(turn * u)
            d_alpha, d_s = -turn * s, turn * alpha
        sign = (-1 if data_at == 1 else 1) * (1 if points_to == 1 else -1)
        x0, eps = PROBLEM.x0(x / alpha, s / alpha), PROBLEM.eps(x / alpha, s / alpha)
        return sign * (d_alpha * x0 + d_s * eps)

    # 1 - t at t = 0.998 has lost 1e-16/0.002 of s already, in the transcription
    ode = from_velocity(network, data_at=data_at, points_to=points_to, time_scale=scale, path=path)
    same_ode(ode, 1e-12)


def test_the_two_usual_conventions_are_one_ode() -> None:
    """u = ε - x₀ with noise at 1, and v = x₀ - ε with noise at 0, from σ = ∞ to 0, to 1e-12."""
    towards_noise = exact_network(PROBLEM, FlowPrediction())
    first = from_velocity(towards_noise)
    second = from_velocity(lambda x, t: -towards_noise(x, 1 - t), data_at=1)
    third = from_velocity(lambda x, t: -towards_noise(x, t / 1000), points_to=0, time_scale=1000)
    assert first.precondition == FlowPrediction()
    for solver in (Heun(), DPMSolverPP2M()):
        grid = karras(12, 20, 0.05).from_infinity().to_zero()
        runs = [sample(ode, NOISE, grid, solver).x for ode in (first, second, third)]
        assert max(float((run - runs[0]).abs().max()) for run in runs) < 1e-12


def test_from_infinity_with_a_gvp_velocity() -> None:
    """At σ = ∞ dx_t/dt is -π/2 x₀."""
    precondition = velocity(path=VP)
    mean = PROBLEM.x0(NOISE, math.inf)
    ode = DiffusionODE(lambda x, t: -math.pi / 2 * mean, precondition)
    assert float((ode.x0(NOISE, math.inf) - mean).abs().max()) < 1e-15


def test_a_vp_velocity_in_the_time_of_any_clock() -> None:
    """SiT's VP: dx_t/dt = φ' v, φ = atan σ, with β(t) and data at t = 1."""
    clock = VPSDE()

    def rate(sigma: float) -> float:
        return -clock.rate(clock.t(sigma)) / (1 + sigma * sigma)

    def network(x: Tensor, label: Tensor) -> Tensor:
        t = 1 - float(label[0])
        log_alpha, d_log = -0.25 * t * t * 19.9 - 0.05 * t, -0.5 * t * 19.9 - 0.05
        alpha = math.exp(log_alpha)
        s = math.sqrt(-math.expm1(2 * log_alpha))
        x0, eps = PROBLEM.x0(x / alpha, s / alpha), PROBLEM.eps(x / alpha, s / alpha)
        return -(alpha * d_log * x0 - alpha * alpha * d_log / s * eps)

    same_ode(DiffusionODE(network, Scaled(VPrediction(Reversed(clock)), rate)), 1e-11)


@pytest.mark.parametrize(
    "options", [{"data_at": 2}, {"points_to": -1}, {"time_scale": 0}, {"path": VE}]
)
def test_what_from_velocity_refuses(options: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match="a velocity needs data_at and points_to 0 or 1"):
        from_velocity(lambda x, t: x, **options)


# --- scores --------------------------------------------------------------------------------------

SDES: dict[str, tuple[Clock, Any, Callable[[float], tuple[float, float]]]] = {
    "VP": (VPSDE(), VP, lambda t: (math.exp(-B(t) / 2), math.sqrt(-math.expm1(-B(t))))),
    "sub-VP": (SubVPSDE(), SUB_VP, lambda t: (math.exp(-B(t) / 2), -math.expm1(-B(t)))),
    "VE": (VESDE(), VE, lambda t: (1.0, 0.01 * 5000**t)),
}


def B(t: float) -> float:
    return 0.1 * t + 19.9 * t * t / 2


@pytest.mark.parametrize("sde", SDES)
def test_a_score_is_an_ode(sde: str) -> None:
    """score(x_t, t) = ∇ log p_t from marginal_prob(t), t in [0, 1]; and the labels of score_sde's networks."""
    clock, path, marginal = SDES[sde]

    def score(x: Tensor, label: Tensor) -> Tensor:
        alpha, s = marginal(float(label[0]))
        return PROBLEM.eps(x / alpha, s / alpha) / -s

    def check(ode: DiffusionODE, levels: list[float]) -> None:
        for sigma in levels:
            x = X * sigma
            assert float((ode.eps(x, sigma) - PROBLEM.eps(x, sigma)).abs().max()) < 1e-10
            alpha, s = marginal(clock.t(sigma))
            assert s / alpha == pytest.approx(sigma, rel=1e-11)
            assert ode.alpha(sigma) == pytest.approx(alpha, rel=1e-11)

    levels = [49.0, 7.3, 1.0, 0.31, 0.02]
    check(from_score(score, clock, path), levels)
    if path is VE:  # continuous VE networks take σ and return the score
        check(
            from_score(lambda x, s: PROBLEM.eps(x, float(s[0])) / -s[:, None], SigmaClock(), VE),
            levels,
        )
        return

    def network(x: Tensor, label: Tensor) -> Tensor:
        """Of VP and sub-VP: get_score_fn makes -network/std of it."""
        alpha, s = marginal(float(label[0]) / 999)
        return PROBLEM.eps(x / alpha, s / alpha)

    of_999 = VPSDE(scale=999) if path is VP else SubVPSDE(scale=999)
    check(DiffusionODE(network, EpsPrediction(of_999, path)), levels)


NEW_KINDS = [
    score_of(VPSDE()),
    score_of(SubVPSDE(), SUB_VP),
    velocity(1),
    velocity(1, 0, path=VP),
    X0Prediction(SigmaClock(), VE),
    EDM_FAMILIES["ve"],
]


@pytest.mark.parametrize("precondition", NEW_KINDS, ids=range(len(NEW_KINDS)))
def test_exact_networks_of_the_new_kinds(precondition: Precondition) -> None:
    same_ode(DiffusionODE(exact_network(PROBLEM, precondition), precondition), 1e-9)


# --- labels --------------------------------------------------------------------------------------

ALPHAS = list(linear_beta().alphas_cumprod)
COSINE = list(COSINE_CLOCK.alphas_cumprod)
SHORT = list(linear_beta(T=100, beta_end=0.1).alphas_cumprod)
BETWEEN = [300.0, 150.0, 80.0, 14.61, 3.0, 1.0, 0.2, 0.0371, 0.0125]


def k_label(alphas: list[float], sigma: float, quantize: bool) -> float:
    """k-diffusion's DiscreteSchedule.sigma_to_t, in float64."""
    a = torch.tensor(alphas, dtype=torch.float64)
    log_sigmas = (((1 - a) / a) ** 0.5).log()
    log_sigma = torch.tensor(sigma, dtype=torch.float64).log()
    dists = log_sigma - log_sigmas[:, None]
    if quantize:
        return float(dists.abs().argmin(dim=0))
    low_idx = dists.ge(0).cumsum(dim=0).argmax(dim=0).clamp(max=log_sigmas.shape[0] - 2)
    high_idx = low_idx + 1
    low, high = log_sigmas[low_idx], log_sigmas[high_idx]
    w = ((low - log_sigma) / (low - high)).clamp(0, 1)
    return float((1 - w) * low_idx + w * high_idx)


@pytest.mark.parametrize("quantize", [False, True])
@pytest.mark.parametrize("alphas", [ALPHAS, COSINE, SHORT], ids=["linear", "cosine", "short"])
def test_k_diffusions_labels(alphas: list[float], quantize: bool) -> None:
    """Outside the table too, where they clamp."""
    clock = k_diffusion_labels(alphas, quantize)
    for sigma in [*BETWEEN, 1e-3, 1e6]:
        assert clock.t(sigma) == pytest.approx(k_label(alphas, sigma, quantize), abs=1e-8)


def dpm_label(alphas: list[float], sigma: float) -> float:
    """model_wrapper and NoiseScheduleVP('discrete') of DPM-Solver's code: (t - 1/N) 1000 at λ = -log σ."""
    log_alphas = 0.5 * np.log(np.array(alphas))
    lambs = log_alphas - 0.5 * np.log(1 - np.exp(2 * log_alphas))
    idx = np.searchsorted(lambs[::-1], -5.1)
    log_alphas = log_alphas[:-idx] if idx > 0 else log_alphas
    N = len(log_alphas)
    t_array = np.linspace(0.0, 1.0, N + 1)[1:]
    log_alpha = -0.5 * np.logaddexp(0.0, 2 * math.log(sigma))
    t = np.interp(log_alpha, log_alphas[::-1], t_array[::-1])
    return float((t - 1.0 / N) * 1000.0)


@pytest.mark.parametrize("alphas", [ALPHAS, COSINE, SHORT], ids=["linear", "cosine", "short"])
def test_dpm_solvers_labels(alphas: list[float]) -> None:
    clock = dpm_solver_labels(alphas)
    inner = from_alphas_cumprod(alphas)
    low, high = inner.sigma(0), min(inner.sigma(len(alphas) - 1), math.exp(5.1))
    for sigma in [s for s in BETWEEN if low <= s <= high]:
        assert clock.t(sigma) == pytest.approx(dpm_label(alphas, sigma), abs=1e-8)
        assert clock.sigma(clock.t(sigma)) == pytest.approx(sigma, rel=1e-9)


def test_dpm_solvers_labels_are_stretched_where_they_say() -> None:
    """4 entries of the cosine are dropped; T = 100 is labelled up to 990."""
    assert dpm_solver_labels(COSINE).t(COSINE_CLOCK.sigma(995)) == pytest.approx(995 * 1000 / 996)
    assert dpm_solver_labels(SHORT).t(from_alphas_cumprod(SHORT).sigma(99)) == pytest.approx(990)


@pytest.mark.parametrize("sigma", [1000.0, 80.0, 3.3, 1.01, 0.4, 0.0301, 0.0099])
def test_iddpms_labels(sigma: float) -> None:
    u = np.array(IDDPM_U)
    assert iddpm_labels().t(sigma) == 999 - int(np.abs(u - sigma).argmin())


def test_iddpms_table_is_the_squared_cosine() -> None:
    assert max(abs(a / b - 1) for a, b in zip(TABLE, IDDPM_U, strict=True)) < 1e-9


@pytest.mark.parametrize("sigma", [49.9, 30.0, 2.0, 0.5, 0.0101])
def test_the_index_of_ve(sigma: float) -> None:
    """score_sde's discrete VE: round((1 - t)(N - 1)), t = log(σ/σ_min)/log(σ_max/σ_min)."""
    t = math.log(sigma / 0.01) / math.log(5000)
    assert ve_index(232, 0.01, 50.0).t(sigma) == float(torch.round(torch.tensor((1 - t) * 231)))


def test_whole_and_nearest() -> None:
    clock = linear_beta(between="log_sigma")
    down, near = Labels(clock, whole), Labels(clock, nearest)
    for t in (0.0, 7.0, 7.4, 7.6, 998.0, 999.0):
        sigma = clock.sigma(t)
        assert down.t(sigma) == float(torch.tensor(t + 1e-9, dtype=torch.float64).long())
        assert near.t(sigma) == round(t)
    with pytest.raises(ScheduleError, match="moves in jumps, so dσ/dt has no value"):
        near.rate(3.0)
    with pytest.raises(ScheduleError, match="is outside"):
        down.t(1e5)


CLOCKS: list[tuple[Clock, list[float]]] = [
    (SigmaClock(), LEVELS),
    (LogClock(0.25), LEVELS),
    (LogClock(1, unit=2), LEVELS),
    (AngleClock(), LEVELS),
    (AngleClock(scale=1000), LEVELS),
    (Reversed(FlowClock()), LEVELS),
    (Reversed(FlowClock(scale=1000), 1000), LEVELS),
    (SubVPSDE(), LEVELS),
    (SubVPSDE(scale=999), LEVELS),
    (k_diffusion_labels(ALPHAS), [80.0, 1.0]),
    (dpm_solver_labels(SHORT), [6.0, 1.0]),
]


@pytest.mark.parametrize(
    ("clock", "levels"), CLOCKS, ids=lambda v: repr(v) if isinstance(v, Clock) else ""
)
def test_a_clock_inverts_itself_and_knows_its_rate(clock: Clock, levels: list[float]) -> None:
    for sigma in levels:
        t = clock.t(sigma)
        assert clock.sigma(t) == pytest.approx(sigma, rel=1e-9)
        h = 1e-6 * abs(t) if abs(t) > 1e-3 else 1e-9
        if isinstance(clock, Reversed):
            h = min(h, 1e-4 * (clock.end - t))
        slope = (clock.sigma(t + h) - clock.sigma(t - h)) / (2 * h)
        assert clock.rate(t) == pytest.approx(slope, rel=1e-4)
    with pytest.raises(ScheduleError, match="0 < σ < ∞"):
        clock.t(-1.0)


def test_known_values() -> None:
    assert LogClock(0.25).t(3.7) == EDMClock().t(3.7)
    assert (AngleClock().t(1.0), AngleClock().t(math.inf), AngleClock().sigma(1)) == (
        0.5,
        1.0,
        math.inf,
    )
    assert Reversed(FlowClock()).t(math.inf) == 0
    # k-diffusion's VDenoiser
    assert AngleClock().t(2.5) == pytest.approx(math.atan(2.5) / math.pi * 2, rel=1e-15)
    grid: Grid = uniform_t(4, 3.0, 1 / 3, clock=Reversed(FlowClock()))
    assert grid.levels == pytest.approx(
        uniform_t(4, 3.0, 1 / 3, clock=FlowClock()).levels, rel=1e-14
    )
