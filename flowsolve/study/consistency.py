"""Consistency: the samples of one x_T at several numbers of steps, by several solvers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from flowsolve._arguments import file_path
from flowsolve.errors import SamplesError
from flowsolve.integrate.starting import vp_start
from flowsolve.metrics.estimate import Estimate, jackknife
from flowsolve.problems.base import Problem, check_problem
from flowsolve.schedule.grid import GridFamily, check_family
from flowsolve.solver.base import Solver, as_solvers
from flowsolve.study.cases import counts
from flowsolve.study.door import door
from flowsolve.study.one_thread import one_thread
from flowsolve.study.results import Row
from flowsolve.study.runner import Part, Task
from flowsolve.study.samples import Blocks, on_grid
from flowsolve.study.settings import Settings, Setup

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, repr=False)
class ConsistencyRow(Row):
    """The samples x_i of one solver in S steps, compared with samples y_i of the same noises x_T.

    own         `relative_distance` of x and y, y by the same solver in the most steps: 0 if x_T alone
                determines the image, 1 if x_T says nothing about it
    first       the same, y by the first solver in the most steps
    identified  the share of the x_i whose nearest y_j, by the first solver, is y_i

    own and first have their standard errors over the noises.
    """

    KEY = (*Row.KEY, "solver", "first_solver", "spacing", "S", "most", "seeds", "noise")

    solver: str
    first_solver: str
    spacing: str
    S: int
    most: int
    seeds: str
    samples: int
    nfe: int = 0
    own: float = math.nan
    own_error: float = math.nan
    first: float = math.nan
    first_error: float = math.nan
    identified: float = math.nan
    noise: str = "seeded"

    @property
    def name(self) -> str:
        return f"{self.solver}  S={self.S}"

    @property
    def result(self) -> str:
        own, first = (
            Estimate(self.own, self.own_error, 0),
            Estimate(self.first, self.first_error, 0),
        )
        return f"to its own {own}, to {self.first_solver}'s {first}  {self.seconds:.1f} s"


def relative_distance(x: Tensor, y: Tensor) -> Estimate:
    """√(Σ_i |x_i - y_i|² / Σ_i mean_j≠i |x_i - y_j|²), x and y (N, *event); error over i.

    0 where each x_i equals its y_i, about 1 where x_i is no nearer to y_i than to the other y_j.
    """
    squares = _squares(x, y)
    same, n = squares.diagonal(), len(squares)
    rows, columns = squares.sum(1) - same, squares.sum(0) - same
    others = rows.sum() / (n - 1)
    left_out = (rows.sum() - rows - columns) / (n - 2)  # without pair i, neither as x nor as y
    return jackknife(float((same.sum() / others).sqrt()), ((same.sum() - same) / left_out).sqrt())


def identified(x: Tensor, y: Tensor) -> float:
    """The share of i for which y_i is nearest to x_i among all y_j."""
    nearest: list[int] = _squares(x, y).argmin(1).tolist()
    return sum(i == j for i, j in enumerate(nearest)) / len(nearest)


def _squares(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|², (N, N), float64. Raises SamplesError for sets that are not pairs."""
    import torch

    if x.shape != y.shape or len(x) < 3:
        raise SamplesError(
            f"x and y must be three or more pairs, (N, *event) both, but are {tuple(x.shape)} and "
            f"{tuple(y.shape)}."
        )
    a, b = x.flatten(1).double(), y.flatten(1).double()
    exact = "donot_use_mm_for_euclid_dist"  # products lose what is near
    return torch.cdist(a, b, compute_mode=exact).square()


def consistency(
    solvers: Sequence[Solver],
    problem: Problem,
    steps: Sequence[int],
    grids: GridFamily,
    *,
    folder: str | Path | None = None,
    **settings: Unpack[Settings],
) -> list[Task[ConsistencyRow]]:
    """Tasks for `collect`: each solver at each S of `steps`.                  Song, Meng, Ermon 2021, Sec. 5.2.

    grids     n -> Grid, such as partial(tau_linear, clock=clock): grids of sub-sequences begin at lower σ for
              fewer steps, always from x_T = the noise of the seed (vp_start)
    settings  the seeds 0 to 63, float32 and vp_start unless told otherwise
    folder    where samples are kept, and found again

    The rows of the largest S come first: their samples are drawn once and kept for all others.
    """
    check_problem(problem)
    check_family(grids)
    solvers, steps = as_solvers(solvers), counts("steps", steps)
    run, most = Setup.of(settings, seeds=range(64), start=vp_start), max(steps)
    made = {n: grids(n) for n in steps}
    met = door(problem, run)
    kept: dict[tuple[str, int], tuple[Tensor, int]] = {}
    where = None if folder is None else file_path(folder)

    def blocks(solver: Solver, n: int) -> Blocks:
        return Blocks(problem, on_grid(solver, made[n], run.start), run, where)

    def samples(solver: Solver, n: int) -> tuple[Tensor, int]:
        key = repr(solver), n
        if key not in kept:
            drawn = blocks(solver, n).all()
            kept[key] = drawn.x, drawn.nfe
        return kept[key]

    def parts(solver: Solver, n: int) -> tuple[Part, ...]:
        mine = blocks(solver, n)
        return mine.parts(mine.draw)

    def measure(solver: Solver, row: ConsistencyRow) -> ConsistencyRow:
        x, nfe = samples(solver, row.S)
        own, y = samples(solver, most)[0], samples(solvers[0], most)[0]
        with one_thread():
            a, b = relative_distance(x, own), relative_distance(x, y)
            return replace(
                row, nfe=nfe, own=a.value, own_error=a.error, first=b.value, first_error=b.error,
                identified=identified(x, y),
            )  # fmt: skip

    blank = partial(
        ConsistencyRow, **run.stamp(problem), first_solver=repr(solvers[0]), most=most,
        seeds=run.seeds_text, samples=len(run.seeds), noise=run.step_noise,
    )  # fmt: skip
    return [
        Task(
            blank(solver=repr(s), spacing=made[n].name, S=n),
            partial(measure, s),
            met,
            partial(parts, s, n),
        )
        for s in solvers
        for n in sorted(steps, reverse=True)
    ]
