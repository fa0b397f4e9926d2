"""Quality: how far samples are from data, beside how far they are from the ODE's own solution."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from flowsolve import metrics
from flowsolve.errors import SamplesError
from flowsolve.metrics.estimate import Estimate, random_order
from flowsolve.problems.base import Problem, check_problem
from flowsolve.study.cases import Case, check_cases
from flowsolve.study.door import door
from flowsolve.study.error import Truth, root_error
from flowsolve.study.references import rms
from flowsolve.study.results import Row
from flowsolve.study.runner import Task
from flowsolve.study.samples import draw
from flowsolve.study.settings import Settings, Setup

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.metrics.features import Features
    from flowsolve.schedule.grid import Grid

REAL = "real data"


@dataclass(frozen=True, kw_only=True, repr=False)
class QualityRow(Row):
    """The samples of one solver on one grid, compared with real data.

    asked     what was asked for: "S=10" or "nfe=10"
    samples   how many were drawn;  real: with how many real ones they were compared
    features  what the Fréchet distance looks at; the other distances look at the values
    frechet, energy, precision, recall  each with its standard error; the Fréchet distance with its bias
    rmse      error against the ODE's solution from the same noise, NaN where it was not asked for;  stderr: its
              standard error over the samples
    scale     the RMS of that solution;  ref_err: its own error

    The row of the solver "real data" is the floor: some of the real data compared with the rest. Its
    errors are the standard deviations over random choices of those.
    """

    KEY = (*Row.KEY, "solver", "spacing", "asked", "seeds", "features", "start")

    solver: str
    spacing: str
    asked: str
    start: str
    seeds: str
    samples: int
    real: int
    features: str
    grid: str = ""
    steps: int = 0
    nfe: int = 0
    frechet: float = math.nan
    frechet_error: float = math.nan
    frechet_bias: float = math.nan
    energy: float = math.nan
    energy_error: float = math.nan
    precision: float = math.nan
    precision_error: float = math.nan
    recall: float = math.nan
    recall_error: float = math.nan
    rmse: float = math.nan
    stderr: float = math.nan
    scale: float = math.nan
    ref_err: float = math.nan

    @property
    def name(self) -> str:
        return f"{self.solver}  {self.asked}".rstrip()

    @property
    def result(self) -> str:
        rmse = "" if math.isnan(self.rmse) else f"  rmse {self.rmse:.2e}"
        return f"Fréchet {self.distance('frechet')}{rmse}  {self.seconds:.1f} s"

    def distance(self, name: str) -> Estimate:
        """frechet, energy, precision or recall, with its standard error."""
        bias = self.frechet_bias if name == "frechet" else math.nan
        return Estimate(getattr(self, name), getattr(self, f"{name}_error"), bias)


def quality(
    cases: Sequence[Case],
    problem: Problem,
    *,
    features: Features | None = None,
    features_name: str = "values",
    errors: bool = False,
    folder: str | Path | None = None,
    **settings: Unpack[Settings],
) -> list[Task[QualityRow]]:
    """Tasks for `collect`: the floor of the real data, then a row for each case.

    problem   one with `data()`. As many of them as there are seeds are set aside, and samples are compared
              with the rest: the floor then compares the same numbers. Where there are fewer than 1.5 data
              for each sample, samples are compared with all data, and the floor with its halves: then
              compare value - bias
    features  of the Fréchet distance: any callable (N, *event) -> (N, d);  features_name: for the rows
    errors    also the RMS error against the reference solution between the problem's ends, which the grids
              must then have, for methods without noise
    settings  the seeds 0 to 499, float32 and ve_start unless told otherwise
    folder    where samples are kept, and found again

    Raises SamplesError if there is not enough data.
    """
    check_problem(problem)
    run, cases = Setup.of(settings, seeds=range(500)), check_cases(cases)
    data, n = problem.data(), len(run.seeds)
    if min(n, len(data) // 2) < 4:
        raise SamplesError(
            f"quality needs 4 samples and 8 real ones at least, but there are {n} and {len(data)}."
        )
    apart = n if len(data) >= 1.5 * n else 0
    order = random_order(len(data), 0)
    held = data[order[apart:]]
    blank = partial(
        QualityRow, **run.stamp(problem), start=run.start.__name__, seeds=run.seeds_text,
        samples=n, real=len(held), features=features_name,
    )  # fmt: skip
    met = door(problem, run)
    distances: dict[str, tuple[Callable[..., Estimate], Features | None]] = {
        "frechet": (metrics.frechet, features), "energy": (metrics.energy, None),
        "precision": (metrics.precision, None), "recall": (metrics.recall, None),
    }  # fmt: skip

    def floor(row: QualityRow) -> QualityRow:
        found = {
            # the floor needs its bias where there is one, and no errors
            k: metrics.floor(
                d if k in ("frechet", "energy") else partial(d, groups=0),
                data,
                f,
                samples=apart or None,
            )
            for k, (d, f) in distances.items()
        }
        count = apart or len(data) // 2
        return replace(row, samples=count, real=len(data) - count, **_fields(found))

    def measure(case: Case, row: QualityRow) -> QualityRow:
        grid = case.grid()
        made = draw(problem, case.solver, grid, run, folder)
        row = replace(row, grid=grid.name, steps=grid.steps, nfe=made.nfe)
        row = replace(row, **_fields({k: d(made.x, held, f) for k, (d, f) in distances.items()}))
        if not errors or case.solver.stochastic:
            return row
        return replace(row, **_error(problem, made.x, grid, run))

    return [
        Task(blank(solver=REAL, spacing="", asked=""), floor),
        *(
            Task(
                blank(solver=case.label, spacing=case.spacing, asked=case.asked),
                partial(measure, case),
                met,
            )
            for case in cases
        ),
    ]


def _fields(found: dict[str, Estimate]) -> dict[str, Any]:
    values = {name: e.value for name, e in found.items()}
    errors = {f"{name}_error": e.error for name, e in found.items()}
    return {**values, **errors, "frechet_bias": found["frechet"].bias}


def _error(problem: Problem, x: Tensor, grid: Grid, run: Setup) -> dict[str, Any]:
    """Against a reference for each block of seeds, as the samples were drawn."""
    import torch

    s, t, found, first = grid[0], grid[-1], [], 0
    for part in run.blocks():
        start = part.noise(problem.event) * run.start(s)
        truth = Truth(problem.for_seeds(part.seeds, part.device), start, s, t, run.cached)
        found.append((*truth.of(x[first : first + len(start)]), len(start)))
        first += len(start)
    each = torch.cat([errors.square().mean(1).sqrt() for _, errors, _ in found])
    return {
        "rmse": math.sqrt(math.fsum(n * rms(errors) ** 2 for _, errors, n in found) / first),
        "stderr": root_error(each),
        "scale": math.sqrt(math.fsum(n * rms(truth.x) ** 2 for truth, _, n in found) / first),
        "ref_err": max(truth.err for truth, _, _ in found),
    }
