"""Interpolation: samples from between two noises, on the arc and on the line."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Unpack

from flowsolve import metrics
from flowsolve._arguments import instance, whole
from flowsolve.integrate.driver import sample
from flowsolve.metrics.estimate import Estimate
from flowsolve.ode.noise_interpolation import slerp
from flowsolve.problems.base import Problem, check_problem
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver, check_solver
from flowsolve.study.door import door
from flowsolve.study.error import root_error
from flowsolve.study.results import Row
from flowsolve.study.runner import Task
from flowsolve.study.settings import Settings, Setup

if TYPE_CHECKING:
    from torch import Tensor


Curve = Callable[["Tensor", "Tensor", float], "Tensor"]


@dataclass(frozen=True, kw_only=True, repr=False)
class InterpolationRow(Row):
    """The samples from the noises at t between the two of each pair.

    path       "slerp", the arc, or "line"
    deviation  the root mean square of those noises, with its standard error; 1 for unit noise
    energy     the energy distance of the samples to the data, with its standard error
    """

    KEY = (*Row.KEY, "solver", "grid", "path", "t", "seeds")

    solver: str
    grid: str
    path: str
    t: float
    seeds: str
    pairs: int
    nfe: int = 0
    deviation: float = math.nan
    deviation_error: float = math.nan
    energy: float = math.nan
    energy_error: float = math.nan

    @property
    def name(self) -> str:
        return f"{self.path}  t={self.t:.3g}"

    @property
    def result(self) -> str:
        return f"noise {self.deviation:.3f}  energy distance {self.distance}  {self.seconds:.1f} s"

    @property
    def distance(self) -> Estimate:
        """The energy distance with its standard error."""
        return Estimate(self.energy, self.energy_error, math.nan)


def line(x: Tensor, y: Tensor, t: float) -> Tensor:
    """(1-t) x + t y, which leaves the sphere: of independent noises the deviation is √((1-t)² + t²)."""
    return x.lerp(y, t)


PATHS: dict[str, Curve] = {"slerp": slerp, "line": line}


def between(
    problem: Problem,
    solver: Solver,
    grid: Grid,
    run: Setup,
    *,
    path: str,
    t: float,
) -> tuple[Tensor, Tensor, int]:
    """(noises, samples, NFE): of the seeds two by two the noise at t on the path, and its sample.

    path  "slerp" or "line";  t: 0 at the first noise of a pair, 1 at the second

    Where labels follow from seeds, a pair has those of the seed that is its number: 3 of the seeds 6 and 7.
    """
    import torch

    noises, samples, nfe = [], [], 0
    for part in replace(run, block=2 * run.block).blocks():
        ends = part.noise(problem.event)
        noise = PATHS[path](ends[::2], ends[1::2], t)
        ours = problem.for_seeds([seed // 2 for seed in part.seeds[::2]], run.device)
        done = sample(ours, noise, grid, solver, start=run.start)
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
    **settings: Unpack[Settings],
) -> list[Task[InterpolationRow]]:
    """Tasks for `collect`: both paths at `points` even t from 0 to 1.         Song, Meng, Ermon 2021, Sec. 5.3.

    settings  float32 and ve_start unless told otherwise; the seeds are 0 and 1, 2 and 3, ..., of each pair

    The distance is to `problem.data()`.
    """
    check_problem(problem)
    check_solver(solver)
    instance("grid", grid, Grid, "karras(10, 80, 0.002)")
    pairs, points = whole("pairs", pairs, 1), whole("points", points, 2)
    run = replace(Setup.of(settings), seeds=range(2 * pairs))
    data = problem.data()

    def measure(row: InterpolationRow) -> InterpolationRow:
        noise, x, nfe = between(problem, solver, grid, run, path=row.path, t=row.t)
        far, each = metrics.energy(x, data), noise.double().square().flatten(1).mean(1)
        return replace(
            row, nfe=nfe, deviation=float(each.mean().sqrt()), deviation_error=root_error(each.sqrt()),
            energy=far.value, energy_error=far.error,
        )  # fmt: skip

    blank = partial(
        InterpolationRow, **run.stamp(problem), solver=repr(solver), grid=grid.name,
        seeds=run.seeds_text, pairs=pairs,
    )  # fmt: skip
    parts = [i / (points - 1) for i in range(points)]
    met = door(problem, replace(run, seeds=range(pairs)))
    return [Task(blank(path=path, t=t), measure, met) for path in PATHS for t in parts]
