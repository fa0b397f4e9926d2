"""A configuration of a sampler of another package, and its errors against the exact flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor

from benchmarks.peer_code import PACKAGES, Edit, Spacing, module
from benchmarks.peer_drivers import DRIVERS
from flowsolve import Grid
from flowsolve.problems import Problem
from flowsolve.study import reference

PLAIN, SDE, LABELS = "", "noise-free SDE", "labels"


@dataclass(frozen=True)
class Twice(Problem):
    """dx̄/dσ = 2ε: the reverse SDE of DDPM without its noise."""

    inner: Problem
    sigma_max: float
    sigma_min: float

    def eps(self, x: Tensor, sigma: float) -> Tensor:  # noqa: D102
        return 2 * self.inner.eps(x, sigma)


@dataclass(frozen=True)
class Case:
    """A configuration of a peer, the order it declares, if it does, and the reason for another one, if known.

    file names the module, for diffusers by the end of its name.
    """

    name: str
    declared: int | None
    file: str
    options: dict[str, Any] = field(default_factory=dict)
    kind: str = PLAIN
    edits: tuple[Edit, ...] = ()
    double: bool = True
    reason: str = ""

    @property
    def module_name(self) -> str:
        """Where its code is."""
        return self.file if "." in self.file else f"diffusers.schedulers.scheduling_{self.file}"

    @property
    def root(self) -> str:
        """The package's name in an import."""
        return self.module_name.partition(".")[0]

    @property
    def package(self) -> str:
        """As PyPI calls it."""
        return str(self.options.get("peer", PACKAGES[self.root].name))

    def end(self, problem: Problem, x: Tensor, grid: Grid) -> Tensor:
        """x̄ at the last level."""
        code = module(self.module_name, self.edits, self.double)
        x = x.to(torch.float64 if self.double else torch.float32)
        return DRIVERS[self.root](dict(self.options), code, problem, x, grid).double()

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
        end = reference(problem, noise * first, first, sigma[0], cached=False).x
        return x * math.hypot(1, sigma[0]), end


@cache
def exact(problem: Problem, kind: str, seeds: int) -> Tensor:
    """The answer at σ_min."""
    a, b = problem.sigma_max, problem.sigma_min
    p = Twice(problem, a, b) if kind == SDE else problem
    return reference(p, problem.start(range(seeds), torch.float64), a, b, cached=False).x


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def errors(
    case: Case, problem: Problem, spacing: Spacing, steps: Sequence[int], seeds: int = 16
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
