"""The node of ComfyUI, on a stub of its sampler interface (comfy/samplers.py: KSAMPLER, CFGGuider, CONST)."""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve.errors import NameUnknown
from flowsolve.interop import comfyui
from flowsolve.problems import Mixture
from flowsolve_solvers import UniPC

PROBLEM = Mixture()
SIGMAS = torch.tensor([*fs.karras(8, 10.0, 0.05), 0.0])
NOISE = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))


class EPS:
    """Their sampling of ε-models."""


class CONST:
    """Their sampling of flow models."""


class KSAMPLER:
    """As theirs calls a sampler function: the denoiser, x at sigmas[0], extra_args, callback, disable."""

    def __init__(self, function: Any, **options: Any) -> None:
        self.function, self.options = function, options

    def sample(self, model: Any, sigmas: Tensor, x: Tensor, callback: Any = None) -> Any:
        return self.function(
            model, x, sigmas, extra_args={"model_options": {}, "seed": 1}, callback=callback,
            disable=True, **self.options,
        )  # fmt: skip


class Model:
    """KSamplerX0Inpaint around a CFGGuider around a model: D(x, sigma, model_options, seed)."""

    def __init__(self, sampling: type) -> None:
        self.flow = sampling is CONST
        mixed = type("ModelSampling", (sampling,), {})
        guider = type(
            "CFGGuider", (), {"inner_model": type("Base", (), {"model_sampling": mixed()})()}
        )
        self.inner_model = guider()

    def __call__(self, x: Tensor, sigma: Tensor, *, model_options: object, seed: int) -> Tensor:
        s = float(sigma[0])
        if not self.flow:
            return PROBLEM.x0(x.double(), s).to(x.dtype)
        level = s / (1 - s) if s < 1 else 1e6
        return PROBLEM.x0((x * (1 + level)).double(), level).to(x.dtype)


@pytest.fixture(autouse=True)
def comfy(monkeypatch: pytest.MonkeyPatch) -> None:
    package, samplers = ModuleType("comfy"), ModuleType("comfy.samplers")
    samplers.KSAMPLER = KSAMPLER  # type: ignore[attr-defined]
    package.samplers = samplers  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "comfy", package)
    monkeypatch.setitem(sys.modules, "comfy.samplers", samplers)


def node(solver: str, options: str = "") -> KSAMPLER:
    made = comfyui.NODE_CLASS_MAPPINGS["FlowsolveSampler"]()
    (found,) = made.get_sampler(solver, options)
    assert isinstance(found, KSAMPLER)
    return found


def test_the_node_lists_every_solver_that_needs_no_argument() -> None:
    shown = comfyui.FlowsolveSampler.INPUT_TYPES()["required"]
    names, options = shown["solver"]
    assert {"euler", "unipc", "dpmsolverpp2m", "ddimeta", "edm"} <= {*names}
    assert not {"bdia", "gaussianstart"} & {*names}
    assert options["default"] in names
    assert {*comfyui.NODE_CLASS_MAPPINGS} == {*comfyui.NODE_DISPLAY_NAME_MAPPINGS}
    assert hasattr(comfyui.FlowsolveSampler, comfyui.FlowsolveSampler.FUNCTION)


def test_a_solver_with_options_is_that_of_sample() -> None:
    told: list[dict[str, Any]] = []
    x = node("unipc", "points=3").sample(Model(EPS), SIGMAS, NOISE * SIGMAS[0], told.append)
    want = fs.solve(PROBLEM, (NOISE * SIGMAS[0]).double(), fs.Grid(SIGMAS.tolist()), UniPC(3)).x
    torch.testing.assert_close(x.double(), want, rtol=1e-5, atol=1e-5)
    assert [t["i"] for t in told] == [*range(len(SIGMAS) - 1)]


def test_a_flow_model_is_recognised() -> None:
    """SIGMAS as t; the same answers as on σ, from a network that sees x_t."""
    x = node("unipc").sample(
        Model(CONST), SIGMAS / (1 + SIGMAS), NOISE * SIGMAS[0] / (1 + SIGMAS[0])
    )
    want = node("unipc").sample(Model(EPS), SIGMAS, NOISE * SIGMAS[0])
    torch.testing.assert_close(x, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", comfyui.solver_names())
def test_every_name_runs(name: str) -> None:
    options = "rtol=1e-4,atol=1e-4" if name == "scipy" else ""  # its own ask for float64
    x = node(name, options).sample(Model(EPS), SIGMAS, NOISE * SIGMAS[0])
    assert x.shape == NOISE.shape
    assert bool(x.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_of_the_state_and_the_levels(dtype: torch.dtype) -> None:
    x, sigmas = NOISE * SIGMAS[0], SIGMAS.to(dtype)
    half = node("dpmsolverpp2m").sample(Model(EPS), sigmas, x.to(dtype))
    want = node("dpmsolverpp2m").sample(Model(EPS), sigmas.float(), x.to(dtype).float())
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), want, rtol=0.1, atol=0.05)


def test_the_signature_is_that_of_the_solver() -> None:
    """ComfyUI passes eta, s_noise and noise_sampler where the signature has them."""
    assert "eta" in inspect.signature(comfyui.sampler("ddimeta")).parameters
    assert "eta" not in inspect.signature(comfyui.sampler("heun")).parameters
    drawn = []

    def noise_sampler(s: Tensor, t: Tensor) -> Tensor:
        drawn.append((float(s), float(t)))
        return torch.zeros_like(NOISE)

    sampler = KSAMPLER(comfyui.sampler("ddimeta"), noise_sampler=noise_sampler)
    sampler.sample(Model(EPS), SIGMAS, NOISE * SIGMAS[0])
    assert len(drawn) == len(SIGMAS) - 2  # none in the step to 0


def test_an_unknown_name_says_which_are_near() -> None:
    with pytest.raises(NameUnknown, match="unipc"):
        node("unipcc")
