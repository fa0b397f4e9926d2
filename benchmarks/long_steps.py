"""Grids with steps that are long against those before them, and errors on them against the exact flow."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve.problems import Gaussian, Mixture, Mixture1D, Problem

PROBLEMS: tuple[Problem, ...] = (Mixture(), Mixture1D(), Gaussian())
NAMES = (
    *(f"flow, shift {shift}, to {end}" for shift in (1, 3, 7) for end in ("1/T", "1/n")),
    "karras 80 to 0.002", "karras 10 to 0.05", "leading", "trailing", "linspace",
)  # fmt: skip


def grid_of(name: str, n: int) -> fs.Grid:
    """n evaluations of Euler, the last step to σ = 0; labels are those of Stable Diffusion's table."""
    kind, *rest = name.split()
    if kind == "flow,":
        last = 1e-3 if rest[-1] == "1/T" else 1 / n
        return fs.flow_uniform(n, shift=float(rest[1].rstrip(",")), last=last)
    if kind == "karras":
        return fs.karras(n - 1, float(rest[0]), float(rest[2])).to_zero()
    make = {"leading": fs.leading, "trailing": fs.trailing, "linspace": fs.linspace}[kind]
    return make(n, clock=fs.scaled_linear_beta())


def error(solver: fs.Solver, problem: Problem, grid: fs.Grid, seeds: int = 64) -> float:
    """RMSE at σ = 0 against the flow from the same noise, in float64."""
    noise = fs.unit_noise(range(seeds), problem.event, torch.float64)
    end = fs.sample(problem, noise, grid, solver).x
    return float((end - _exact(problem, grid[0], seeds)).square().mean().sqrt())


def law_distance(solver: fs.Solver, grid: fs.Grid, count: int = 4000) -> float:
    """W₁ of the law at σ = 0 from the exact one, on `mixture_1d`: sorted samples against exact quantiles.

    The starts and every noise are the quantiles of a normal, each time in another order.
    """
    normal, exact = _law(count)
    ode = _Stratified(Mixture1D(), normal)
    end = fs.sample(ode, _shuffled(normal, 0.0, 0.0), grid, solver).x
    return float((end.sort().values - exact).abs().mean())


@cache
def _law(count: int) -> tuple[Tensor, Tensor]:
    """Quantiles of a normal, and of the data of `mixture_1d`."""
    normal = torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    return normal, Mixture1D().flow(normal * 1e4, 1e4, 1e-9)


class _Stratified(fs.Wrapped):
    """`ode`, whose noises are `normal` in an order that follows from the interval."""

    def __init__(self, ode: fs.ODE, normal: Tensor) -> None:
        super().__init__(ode)
        self.normal = normal

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        return _shuffled(self.normal, s, t)


def _shuffled(x: Tensor, s: float, t: float) -> Tensor:
    order = torch.Generator().manual_seed(round(1e6 * (s + math.pi * t)) % 2**62)
    return x[torch.randperm(len(x), generator=order)]


@cache
def _exact(problem: Problem, top: float, seeds: int) -> Tensor:
    """From σ = 10⁴ for ∞ to 10⁻⁵ for 0, by 500 steps of RK4 in log σ."""
    top = 1e4 if math.isinf(top) else top
    noise = fs.unit_noise(range(seeds), problem.event, torch.float64)
    return fs.solve(problem, noise * top, fs.log_snr(500, top, 1e-5), S.RK4(fs.LOG_SIGMA)).x
