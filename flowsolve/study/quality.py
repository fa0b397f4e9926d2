"""Quality: how far samples are from data, beside how far they are from the ODE's own solution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from flowsolve._arguments import file_path
from flowsolve.errors import FlowsolveError
from flowsolve.metrics.estimate import Estimate
from flowsolve.problems.base import Problem, check_problem
from flowsolve.study.cases import Case, check_cases
from flowsolve.study.door import door
from flowsolve.study.real import DISTANCES, Real
from flowsolve.study.results import Row
from flowsolve.study.runner import Part, Task
from flowsolve.study.sample_errors import block_error, error_fields
from flowsolve.study.samples import Blocks, on_grid
from flowsolve.study.settings import Settings, Setup

if TYPE_CHECKING:
    from flowsolve.metrics.features import Features
    from flowsolve.metrics.gaussians import Moments
    from flowsolve.schedule.grid import Grid

REAL = "real data"


@dataclass(frozen=True, kw_only=True, repr=False)
class QualityRow(Row):
    """The samples of one solver on one grid, compared with real data.

    asked     what was asked for: "S=10" or "nfe=10"
    samples   how many were drawn;  real: with how many real ones they were compared
    features  what the Fréchet distance looks at; the other distances look at the values
    noise     of the steps of stochastic methods, as `Settings` says
    reference  a digest of the moments that it was measured against; "" for those of the problem's data
    frechet, energy, precision, recall  each with its standard error; the Fréchet distance with its bias
    rmse      error against the ODE's solution from the same noise, NaN where it was not asked for;  stderr: its
              standard error over the samples
    scale     the RMS of that solution;  ref_err: its own error

    The row of the solver "real data" is the floor: some of the real data compared with the rest. Its
    errors are the standard deviations over random choices of those.
    """

    KEY = (
        *Row.KEY,
        "solver",
        "spacing",
        "asked",
        "seeds",
        "features",
        "start",
        "reference",
        "noise",
    )

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
    reference: str = ""
    noise: str = "seeded"

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
    distances: Sequence[str] = DISTANCES,
    reference: Moments | None = None,
    folder: str | Path | None = None,
    **settings: Unpack[Settings],
) -> list[Task[QualityRow]]:
    """Tasks for `collect`: the floor of the real data, then a row for each case.

    problem    one with `data()`. As many of them as there are seeds are set aside, and samples are compared
               with the rest: the floor then compares the same numbers. Where there are fewer than 1.5 data
               for each sample, samples are compared with all data, and the floor with its halves: then
               compare value - bias
    features   of the Fréchet distance: any callable (N, *event) -> (N, d);  features_name: for rows and files
    distances  frechet, energy, precision, recall, or some of them: of frechet alone the memory does not grow
               with the number of samples. And error, of methods without noise: the RMS error against the
               reference solution between the problem's ends, which the grids must then have
    reference  the `Moments` of the features of real samples, instead of the problem's data: for "frechet"
               alone, and without a floor
    settings   the seeds 0 to 499, float32 and ve_start unless told otherwise. Distances are computed on the
               device, and features of samples that are there
    folder     where samples are kept, and found again

    Raises SamplesError if there is not enough data.
    """
    check_problem(problem)
    run, cases = Setup.of(settings, seeds=range(500)), check_cases(cases)
    errors, distances = "error" in distances, [d for d in distances if d != "error"]
    real = Real(problem, run, features, features_name, tuple(distances), reference)
    blank = partial(
        QualityRow, **run.stamp(problem), start=run.start.__name__, seeds=run.seeds_text,
        samples=len(run.seeds), real=real.count, features=features_name, reference=real.digest,
        noise=run.step_noise,
    )  # fmt: skip
    met = door(problem, run)
    kept = None if folder is None else file_path(folder)

    def blocks(case: Case) -> tuple[Grid, Blocks]:
        grid = case.grid()
        return grid, Blocks(problem, on_grid(case.solver, grid, run.start), run, kept)

    def measure(case: Case, row: QualityRow) -> QualityRow:
        grid, made = blocks(case)
        nfe = max(made.draw(block).nfe for block in made.each)
        row = replace(row, grid=grid.name, steps=grid.steps, nfe=nfe, **real.distances_of(made))
        if not errors or case.solver.stochastic:
            return row
        return replace(row, **error_fields(made, grid))

    def parts(case: Case) -> tuple[Part, ...]:
        """A block is done when its features are, and its error; what fails does so in the row."""
        try:
            grid, made = blocks(case)
        except FlowsolveError:
            return ()

        def make(block: Setup) -> None:
            made.draw(block)
            if errors and not case.solver.stochastic:
                block_error(made, grid, block)
            made.features(block, features, features_name)

        return made.parts(make, "" if features is None else f"features {features_name}")

    rows = [
        Task(
            blank(solver=case.label, spacing=case.spacing, asked=case.asked),
            partial(measure, case),
            met,
            partial(parts, case),
        )
        for case in cases
    ]
    if reference is not None:
        return rows
    floor = Task(blank(solver=REAL, spacing="", asked=""), lambda row: replace(row, **real.floor()))
    return [floor, *rows]


def about_real(row: QualityRow, distance: str) -> str:
    """What the title of a table says of the real side; the row is the first of a study."""
    if row.reference:
        return f"to the moments {row.reference}"
    return f"real data {row.distance(distance)}"
