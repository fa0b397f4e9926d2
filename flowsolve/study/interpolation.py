"""Samples from between two noises, on the arc and on the line, and how far they are from data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from flowsolve import metrics
from flowsolve.integrate.driver import sample, ve_start
from flowsolve.metrics.estimate import Estimate
from flowsolve.ode.noise import unit_noise
from flowsolve.ode.noise_interpolation import slerp
from flowsolve.study.cases import seeds_text
from flowsolve.study.runner import Record, Task, stamp

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.problems.base import Problem
    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.base import Solver

Between = Callable[["Tensor", "Tensor", float], "Tensor"]


@dataclass(frozen=True, kw_only=True)
class InterpolationRow(Record):
    """Samples from the noises a part t of the way between the two of each pair.

    path       "slerp", the arc, or "line"
    deviation  the root mean square of these noises: 1 for noise
    energy     the energy distance of the samples to the data, with its standard error
    """

    KEY = (*Record.KEY, "solver", "grid", "path", "t", "seeds")

    solver: str
    grid: str
    path: str
    t: float
    seeds: str
    pairs: int
    nfe: int = 0
    deviation: float = math.nan
    energy: float = math.nan
    energy_error: float = math.nan

    @property
    def name(self) -> str:
        """The path and t."""
        return f"{self.path}  t={self.t:.3g}"

    @property
    def result(self) -> str:
        """In a line."""
        return f"noise {self.deviation:.3f}  energy distance {self.distance}  {self.seconds:.1f} s"

    @property
    def distance(self) -> Estimate:
        """Of the samples to the data."""
        return Estimate(self.energy, self.energy_error, math.nan)


def line(x: Tensor, y: Tensor, t: float) -> Tensor:
    """(1-t) x + t y, which leaves the sphere: of independent noises the deviation is √((1-t)² + t²)."""
    return x.lerp(y, t)


PATHS: dict[str, Between] = {"slerp": slerp, "line": line}


def between(
    problem: Problem,
    solver: Solver,
    grid: Grid,
    path: str,
    t: float,
    pairs: Sequence[tuple[int, int]],
    *,
    block: int = 256,
    start: Callable[[float], float] = ve_start,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor, int]:
    """(noises, samples, NFE): of each pair of seeds the noise at t on the path, and its sample."""
    import torch

    noises, samples, nfe = [], [], 0
    for i in range(0, len(pairs), block):
        a, b = (
            unit_noise([pair[k] for pair in pairs[i : i + block]], problem.event, dtype, device)
            for k in (0, 1)
        )
        noise = PATHS[path](a, b, t)
        done = sample(problem, noise, grid, solver, start=start)
        noises.append(noise.cpu())
        samples.append(done.x.cpu())
        nfe = done.nfe
    return torch.cat(noises), torch.cat(samples), nfe


def interpolation(
    problem: Problem,
    solver: Solver,
    grid: Grid,
    *,
    pairs: int = 128,
    points: int = 9,
    block: int = 256,
    start: Callable[[float], float] = ve_start,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> list[Task[InterpolationRow]]:
    """Tasks for `collect`: both paths at `points` even t from 0 to 1.         Song, Meng, Ermon 2021, Sec. 5.3.

    The pairs are of the seeds 0 and 1, 2 and 3, ...; the distance is to `problem.data()`.
    """
    import torch

    dtype, data = dtype or torch.float32, problem.data()
    seeds = [(2 * i, 2 * i + 1) for i in range(pairs)]

    def measure(row: InterpolationRow) -> InterpolationRow:
        noise, x, nfe = between(
            problem, solver, grid, row.path, row.t, seeds, block=block, start=start, dtype=dtype,
            device=device,
        )  # fmt: skip
        far, wide = metrics.energy(x, data), noise.double().square().mean().sqrt()
        return replace(
            row, nfe=nfe, deviation=float(wide), energy=far.value, energy_error=far.error
        )

    blank = partial(
        InterpolationRow, **stamp(problem, dtype, device), solver=repr(solver), grid=grid.name,
        seeds=seeds_text(range(2 * pairs)), pairs=pairs,
    )  # fmt: skip
    parts = [i / (points - 1) for i in range(points)]
    return [Task(blank(path=path, t=t), measure) for path in PATHS for t in parts]
