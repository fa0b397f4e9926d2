"""Tunings: `tune` at several budgets, a row and a file each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Unpack

from flowsolve.problems.base import Problem, check_problem
from flowsolve.study.cases import counts
from flowsolve.study.door import door
from flowsolve.study.results import Row
from flowsolve.study.runner import Task
from flowsolve.study.settings import Settings, Setup
from flowsolve.study.tuning import tune

if TYPE_CHECKING:
    from flowsolve.study.tuned import Tuned


@dataclass(frozen=True, kw_only=True, repr=False)
class TunedRow(Row):
    """What `tune` found for one budget: the fields of `Tuned`, its solver and grid by their names."""

    KEY = (*Row.KEY, "nfe", "seeds", "sigma_max", "sigma_min")

    nfe: int
    seeds: str
    sigma_max: float
    sigma_min: float
    solver: str = ""
    grid: str = ""
    refused: bool = False
    tuned_error: float = math.nan
    stderr: float = math.nan
    default_error: float = math.nan
    gain: float = math.nan
    gain_stderr: float = math.nan
    ref_err: float = math.nan
    spent: int = 0

    @property
    def name(self) -> str:
        return f"nfe={self.nfe}"

    @property
    def result(self) -> str:
        kept = "the default is as good" if self.refused else f"{self.gain:.2f} times better"
        return f"error {self.tuned_error:.2e}  {kept}  {self.seconds:.1f} s"


def tunings(
    problem: Problem,
    nfe: Sequence[int],
    keep: Callable[[Tuned], object] = lambda found: None,
    **settings: Unpack[Settings],
) -> list[Task[TunedRow]]:
    """Tasks for `collect`: `tune` at each budget of `nfe`, on one batch of all seeds.

    keep      is called with each Tuned before its row is written, so that it can be saved
    settings  the seeds 0 to 63 and float32 unless told otherwise
    """
    check_problem(problem)
    run = Setup.of(settings, seeds=range(64))
    met = door(problem, replace(run, block=len(run.seeds)))

    def measure(row: TunedRow) -> TunedRow:
        ode = problem.for_seeds(run.seeds, run.device)
        noise = problem.start(run.seeds, run.dtype, run.device) / problem.sigma_max
        found = tune(ode, noise, row.nfe)
        keep(found)
        return replace(
            row, solver=repr(found.solver), grid=found.grid.name, refused=found.refused,
            tuned_error=found.error, stderr=found.stderr, default_error=found.default_error,
            gain=found.gain, gain_stderr=found.gain_stderr, ref_err=found.ref_err, spent=found.spent,
        )  # fmt: skip

    return [
        Task(
            TunedRow(
                **run.stamp(problem), nfe=n, seeds=run.seeds_text,
                sigma_max=problem.sigma_max, sigma_min=problem.sigma_min,
            ),
            measure,
            met,
        )
        for n in counts("nfe", nfe)
    ]  # fmt: skip
