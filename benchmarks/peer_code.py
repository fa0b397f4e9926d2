"""diffusers' schedulers and k-diffusion's samplers on given levels, with given ε, in float64.

Copies of their installed modules are made from source, with edits where a fix is to be measured, and
with float32 read as float64; nothing installed is changed. Noise is zero.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from flowsolve import Grid, log_snr
from flowsolve.problems import Problem
from flowsolve.study import reference

Edit = tuple[str, str]
PLAIN, SDE, LABELS = "", "noise-free SDE", "labels"


class Double:
    """A module in which float32 is float64."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, "float64" if name == "float32" else name)


@contextmanager
def k_diffusion_alone() -> Iterator[None]:
    """k_diffusion.sampling can be imported here: the package itself wants wandb, clip, kornia, ...

    Afterwards nothing of it is left in sys.modules, so that nobody takes the stub for the package.
    Raises ImportError if it is not installed.
    """
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None or importlib.util.find_spec("torchsde") is None:
        raise ImportError(
            "k-diffusion is not installed: make parity, or pip install flowsolve[parity]"
        )
    package, utils = ModuleType("k_diffusion"), ModuleType("k_diffusion.utils")
    package.__path__ = list(spec.submodule_search_locations or ())
    vars(utils)["append_dims"] = lambda v, n: v[(...,) + (None,) * (n - v.ndim)]
    vars(package)["utils"] = utils
    before = {k: m for k, m in sys.modules.items() if k.partition(".")[0] == "k_diffusion"}
    sys.modules |= {"k_diffusion": package, "k_diffusion.utils": utils}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for k in [k for k in sys.modules if k.partition(".")[0] == "k_diffusion"]:
            del sys.modules[k]
        sys.modules |= before


def k_diffusion_sampling() -> ModuleType:
    """k_diffusion/sampling.py. Raises ImportError."""
    with k_diffusion_alone():
        return importlib.import_module("k_diffusion.sampling")


def graded(n: int, high: float, low: float) -> Grid:
    """log_snr, two levels more in its first step, at 1/n and 1/n^(1/3) of it: a start of order 4."""
    even = log_snr(n - 2, high, low)
    extra = [high * (even[1] / high) ** (1 / n**p) for p in (1, 1 / 3)]
    return Grid([high, *extra, *even[1:]], "graded")


@dataclass(frozen=True)
class Twice(Problem):
    """dx̄/dσ = 2ε: the reverse SDE of DDPM without its noise."""

    inner: Problem
    sigma_max: float
    sigma_min: float

    def eps(self, x: Tensor, sigma: float) -> Tensor:  # noqa: D102
        return 2 * self.inner.eps(x, sigma)


@cache
def source_file(name: str) -> Path:
    """Where an installed module's code is. Raises ImportError."""
    with k_diffusion_alone() if name.startswith("k_diffusion") else nullcontext():
        return Path(str(importlib.import_module(name).__file__))


@cache
def module(name: str, edits: tuple[Edit, ...], double: bool) -> ModuleType:
    """A copy of an installed module, made from its source after the edits."""
    file = source_file(name)
    source = file.read_text(encoding="utf-8")
    for old, new in edits:
        if source.count(old) != 1:
            raise LookupError(f"{file.name} does not have exactly one {old!r}")
        source = source.replace(old, new)
    made = ModuleType(name)
    made.__package__ = name.rpartition(".")[0]
    with k_diffusion_alone() if name.startswith("k_diffusion") else nullcontext():
        exec(compile(source, str(file), "exec"), vars(made))
    for library in ("torch", "np") if double else ():
        if hasattr(made, library):
            setattr(made, library, Double(getattr(made, library)))
    vars(made)["randn_tensor"] = lambda shape, dtype, **_: torch.zeros(shape, dtype=dtype)
    return made


@dataclass(frozen=True)
class Case:
    """A configuration of a peer, the order it declares, and the reason for another one, if known."""

    name: str
    declared: int
    file: str
    options: dict[str, Any]
    kind: str = PLAIN
    edits: tuple[Edit, ...] = ()
    double: bool = True
    reason: str = ""

    @property
    def module_name(self) -> str:
        """Where its code is."""
        if self.file == "k_diffusion.sampling":
            return self.file
        return f"diffusers.schedulers.scheduling_{self.file}"

    @property
    def package(self) -> str:
        """As PyPI calls it."""
        return "k-diffusion" if self.file.startswith("k_") else "diffusers"

    def end(self, problem: Problem, x: Tensor, grid: Grid) -> Tensor:
        """x̄ at the last level."""
        code = module(self.module_name, self.edits, self.double)
        dtype = torch.float64 if self.double else torch.float32
        sigmas, x, options = torch.tensor(grid.levels, dtype=dtype), x.to(dtype), dict(self.options)
        if self.package == "k-diffusion":
            sampler = getattr(code, options.pop("sampler"))
            out = sampler(
                lambda y, s: problem.x0(y, float(s[0])), x, sigmas, disable=True, **options
            )
            return torch.as_tensor(out).double()
        call, ve = dict(options.pop("call", {})), options.pop("ve", False)
        scheduler = getattr(code, options.pop("cls"))(**options)
        scheduler.set_timesteps(grid.steps)
        if "Heun" in type(scheduler).__name__:
            sigmas = torch.cat([sigmas[:1], sigmas[1:].repeat_interleave(2)])
        scheduler.sigmas = sigmas
        scheduler.set_begin_index(0)
        scale = (lambda s: 1.0) if ve else (lambda s: math.hypot(1, s))
        event = x.shape
        x = (x / scale(grid[0])).reshape(len(x), -1)  # UniPC wants two axes at least
        for i, s in enumerate(sigmas.tolist()[:-1]):
            t = scheduler.timesteps[min(i, len(scheduler.timesteps) - 1)]
            scheduler.scale_model_input(x, t)
            answer = problem.eps((x * scale(s)).reshape(event), s).reshape(x.shape)
            x = scheduler.step(answer, t, x, return_dict=False, **call)[0]
        return x.reshape(event).double() * scale(grid[-1])

    def by_labels(self, problem: Problem, noise: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The end and the exact one, over the labels of T = 1000, linear β; σ₀ varies with n."""
        options = dict(self.options)
        scheduler = getattr(module(self.module_name, self.edits, self.double), options.pop("cls"))(
            set_alpha_to_one=False, **options
        )
        scheduler.set_timesteps(n)
        sigma = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod).sqrt().tolist()
        first = sigma[int(scheduler.timesteps[0])]
        x = noise * (first / math.hypot(1, first))
        for t in scheduler.timesteps:
            s = sigma[int(t)]
            x = scheduler.step(problem.eps(x * math.hypot(1, s), s), t, x, return_dict=False)[0]
        exact = reference(problem, noise * first, first, sigma[0], cached=False).x
        return x * math.hypot(1, sigma[0]), exact


@cache
def exact(problem: Problem, kind: str, seeds: int) -> Tensor:
    """The answer at σ_min."""
    a, b = problem.sigma_max, problem.sigma_min
    p = Twice(problem, a, b) if kind == SDE else problem
    return reference(p, problem.start(range(seeds), torch.float64), a, b, cached=False).x


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def errors(
    case: Case,
    problem: Problem,
    spacing: Callable[..., Grid],
    steps: Sequence[int],
    seeds: int = 16,
) -> list[float]:
    """RMS errors at each number of steps."""
    found, x = [], problem.start(range(seeds), torch.float64)
    for n in steps:
        if case.kind == LABELS:
            found.append(rms(torch.sub(*case.by_labels(problem, x / problem.sigma_max, n))))
        else:
            grid = spacing(n, problem.sigma_max, problem.sigma_min)
            found.append(rms(case.end(problem, x, grid) - exact(problem, case.kind, seeds)))
    return found
