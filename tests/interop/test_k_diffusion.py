"""Denoisers of k-diffusion and ComfyUI as ODEs, and solvers as k-diffusion's samplers."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import (
    DiffusionODE,
    EpsPrediction,
    Solver,
    karras,
    sample,
)
from flowsolve.errors import GridError, NetworkError, NonFiniteError, StateError
from flowsolve.interop import as_k_sampler, from_denoiser
from flowsolve.ode import VE
from flowsolve.schedule import SigmaClock
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
from tests.interop.helpers import NOISE, PROBLEM, X, same_ode


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


def test_a_denoiser_of_deepinv_is_an_ode() -> None:
    """deepinv.models.Denoiser: a module, forward(x, sigma, **kwargs), σ a number or (B,)."""

    class Exact(torch.nn.Module):
        def forward(self, x: Tensor, sigma: float | Tensor, **kwargs: Any) -> Tensor:
            assert isinstance(sigma, Tensor)
            assert sigma.shape == (len(x),)
            return PROBLEM.x0(x, float(sigma[0]))

    same_ode(from_denoiser(Exact()))


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
    "dpmpp_2m_sde": (DPMSolverPP2MSDE(guard=None), {"noise_sampler": noise_sampler}),
    "euler_ancestral": (DDIMEta(), {"noise_sampler": noise_sampler, "s_noise": 0.9}),
    "dpmpp_2m_sde, eta": (
        DPMSolverPP2MSDE(guard=None),
        {"noise_sampler": noise_sampler, "eta": 0.4},
    ),
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
        answers.append(
            sampler(Denoiser(), X, sigmas, {"cond": 7}, told[k].append, disable=True, **options)
        )
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
