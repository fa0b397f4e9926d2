"""The peers' own code beside the pairs that `flowsolve bench` has by their names.

    python benchmarks/bench_peers.py        in the environment of `make parity`

diffusers', k-diffusion's and azula's samplers run in float64 on the exact ε of problems of the benchmark, on
the levels of the pair, from the same noise. A line for each: the error of theirs, that of ours, and by how much
the two states differ. What is not installed is left out.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

import flowsolve as fs
from benchmarks.peer_case import Case, exact
from flowsolve.cli.bench_menu import PEERS, find_entries
from flowsolve.problems import Problem
from flowsolve.problems.benchmark import HELD

PROBLEMS, NFE, SEEDS = ("ring12", "even6", "latent16"), (5, 8, 12), 8
AT_THE_END = {"final_sigmas_type": "sigma_min"}


def _k(sampler: str, **options: Any) -> Case:
    return Case(sampler, 0, "k_diffusion.sampling", {"sampler": f"sample_{sampler}", **options})


def _d(file: str, cls: str, **options: Any) -> Case:
    return Case(cls, 0, file, {"cls": f"{cls}Scheduler", **options})


DPM = _d("dpmsolver_multistep", "DPMSolverMultistep", **AT_THE_END)
UNIPC = _d("unipc_multistep", "UniPCMultistep", **AT_THE_END)
CASES = {
    "k-diffusion sample_euler, karras": _k("euler"),
    "k-diffusion sample_heun, karras": _k("heun"),
    "k-diffusion sample_dpm_2, karras": _k("dpm_2"),
    "k-diffusion sample_lms, karras": _k("lms"),
    "k-diffusion sample_dpmpp_2m, karras": _k("dpmpp_2m"),
    "k-diffusion sample_dpmpp_2m, exponential": _k("dpmpp_2m"),
    "diffusers DDIM": _d("euler_discrete", "EulerDiscrete", frame="ve"),
    "diffusers DEISMultistep": _d("deis_multistep", "DEISMultistep"),
    "diffusers DPMSolverMultistep": DPM,
    "diffusers DPMSolverMultistep, karras": DPM,
    "diffusers DPMSolverMultistep, lu_lambdas": DPM,
    "diffusers UniPCMultistep": UNIPC,
    "diffusers UniPCMultistep, karras": UNIPC,
    "diffusers FlowMatchEuler": _d("euler_discrete", "EulerDiscrete", frame="ve"),
}
AZULA = {
    f"azula {name}, order 3, VESchedule": name
    for name in ("zABSampler", "vABSampler", "zEABSampler", "xEABSampler")
}
ELSEWHERE = {
    "diffusers PNDM": "steps by whole labels; tests/parity/test_diffusers.py",
    "diff-sampler ipndm, polynomial": "not on PyPI; tests/solvers/test_published_codes.py",
    "DEIS tAB3, quadratic": "not on PyPI; tests/solvers/test_published_codes.py",
}  # fmt: skip
"""Pairs whose peer does not run on any levels, or is not a package, and where they are compared."""


class Mean(NamedTuple):
    """What azula's samplers ask of a denoiser's answer."""

    mean: Tensor


class Denoiser:
    """E[x₀ | x̄] for azula, on its schedule of σ even in log σ."""

    def __init__(self, problem: Problem, schedule: Any) -> None:
        self.problem, self.schedule = problem, schedule

    def __call__(self, x: Tensor, t: Tensor) -> Mean:  # noqa: D102
        return Mean(self.problem.x0(x, float(self.schedule.sigma(t))))


def azula_end(name: str, problem: Problem, x: Tensor, grid: fs.Grid) -> Tensor:
    """x̄ at the last level by azula's sampler of that name."""
    from azula import noise, sample

    schedule = noise.VESchedule(grid[-1], grid[0])
    sampler = getattr(sample, name)(
        Denoiser(problem, schedule), order=3, steps=grid.steps, silent=True, dtype=torch.float64
    )
    end: Tensor = sampler(x)
    return end


def runners() -> Iterator[tuple[str, Callable[[Problem, Tensor, fs.Grid], Tensor]]]:
    """Their code by the name that the benchmark has for it, of the packages that are installed."""
    for name, case in CASES.items():
        found = map(
            importlib.util.find_spec,
            ("k_diffusion", "torchsde") if name[0] == "k" else ("diffusers",),
        )
        if None not in found:
            yield name, case.end
    if importlib.util.find_spec("azula") and importlib.util.find_spec("einops"):
        for name, sampler in AZULA.items():
            yield name, lambda p, x, grid, sampler=sampler: azula_end(sampler, p, x, grid)  # type: ignore[misc]


class Line(NamedTuple):
    """One configuration: the geometric mean errors of both, and the largest difference, relative to max|x̄|."""

    name: str
    problem: str
    nfe: int
    theirs: float
    ours: float
    apart: float


def lines() -> Iterator[Line]:
    """All that can run."""
    for name, run in runners():
        (entry,) = find_entries(name)
        for problem in (HELD[p]() for p in PROBLEMS):
            x = problem.start(range(SEEDS), torch.float64)
            truth = exact(problem, "", SEEDS)
            for case, n in zip(entry.cases(problem, NFE, torch.float64), NFE, strict=True):
                grid = case.grid()
                a, b = run(problem, x, grid), fs.solve(problem, x, grid, case.solver).x
                each = [(y - truth).reshape(SEEDS, -1).square().mean(1).sqrt() for y in (a, b)]
                yield Line(
                    name, problem.name, n, *(float(e.log().mean().exp()) for e in each),
                    float((a - b).abs().max() / b.abs().max()),
                )  # fmt: skip


def main() -> None:
    """Print them."""
    warnings.simplefilter("ignore")
    for package in ("diffusers", "k-diffusion", "azula"):
        try:
            print(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            print(f"{package} is not installed: make parity")
    for line in lines():
        print(*line[:3], *(f"{e:.2e}" for e in line[3:]), sep=" | ", flush=True)
    for name in PEERS:
        if name in ELSEWHERE:
            print(f"{name}: {ELSEWHERE[name]}")


if __name__ == "__main__":
    main()
