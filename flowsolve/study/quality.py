"""Quality: how far samples are from data, beside how far they are from the ODE's own solution."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from flowsolve import metrics
from flowsolve._arguments import file_path
from flowsolve.errors import FlowsolveError, SamplesError
from flowsolve.metrics.estimate import Estimate, random_order
from flowsolve.metrics.features import embed
from flowsolve.problems.base import Problem, check_problem
from flowsolve.study.cases import Case, check_cases
from flowsolve.study.door import door
from flowsolve.study.error import Truth, root_error
from flowsolve.study.one_thread import one_thread
from flowsolve.study.references import rms
from flowsolve.study.results import Row
from flowsolve.study.runner import Part, Task
from flowsolve.study.samples import Blocks, on_grid
from flowsolve.study.settings import Settings, Setup

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.metrics.features import Features
    from flowsolve.schedule.grid import Grid

REAL = "real data"
DISTANCES: dict[str, Callable[..., Estimate]] = {
    "frechet": metrics.frechet, "energy": metrics.energy,
    "precision": metrics.precision, "recall": metrics.recall,
}  # fmt: skip


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
    kept = None if folder is None else file_path(folder)

    @lru_cache(maxsize=1)
    def real() -> Tensor:
        return embed(held.to(run.device), features, "y")

    def floor(row: QualityRow) -> QualityRow:
        with one_thread():
            found = {
                # the floor needs its bias where there is one, and no errors
                k: metrics.floor(
                    d if k in ("frechet", "energy") else partial(d, groups=0),
                    data.to(run.device),
                    features if k == "frechet" else None,
                    samples=apart or None,
                )
                for k, d in DISTANCES.items()
            }
        count = apart or len(data) // 2
        return replace(row, samples=count, real=len(data) - count, **_fields(found))

    def blocks(case: Case) -> tuple[Grid, Blocks]:
        grid = case.grid()
        return grid, Blocks(problem, on_grid(case.solver, grid, run.start), run, kept)

    def measure(case: Case, row: QualityRow) -> QualityRow:
        import torch

        grid, made = blocks(case)
        drawn = [made.draw(block) for block in made.each]
        row = replace(row, grid=grid.name, steps=grid.steps, nfe=max(d.nfe for d in drawn))
        x = torch.cat([d.x for d in drawn]).to(run.device)
        seen = torch.cat([made.features(block, features, features_name) for block in made.each])
        with one_thread():
            found = {
                k: d(seen.to(run.device), real()) if k == "frechet" else d(x, held.to(run.device))
                for k, d in DISTANCES.items()
            }
        row = replace(row, **_fields(found))
        if not errors or case.solver.stochastic:
            return row
        return replace(row, **_error(made, grid, [d.x for d in drawn]))

    def parts(case: Case) -> tuple[Part, ...]:
        """A block is done when its features are, and its error; what fails does so in the row."""
        try:
            grid, made = blocks(case)
        except FlowsolveError:
            return ()

        def make(block: Setup) -> None:
            x = made.draw(block).x
            if errors and not case.solver.stochastic:
                _block_error(made, grid, block, x)
            made.features(block, features, features_name)

        return made.parts(make, "" if features is None else f"features {features_name}")

    return [
        Task(blank(solver=REAL, spacing="", asked=""), floor),
        *(
            Task(
                blank(solver=case.label, spacing=case.spacing, asked=case.asked),
                partial(measure, case),
                met,
                partial(parts, case),
            )
            for case in cases
        ),
    ]


def _fields(found: dict[str, Estimate]) -> dict[str, Any]:
    values = {name: e.value for name, e in found.items()}
    errors = {f"{name}_error": e.error for name, e in found.items()}
    return {**values, **errors, "frechet_bias": found["frechet"].bias}


def _block_error(
    made: Blocks, grid: Grid, block: Setup, x: Tensor
) -> tuple[Tensor, dict[str, str]]:
    """The RMS error of each sample, with the scale of the reference and its own error."""

    def make() -> tuple[Tensor, dict[str, str]]:
        s, problem = grid[0], made.problem
        start = block.noise(problem.event) * block.start(s)
        ours = problem.for_seeds(block.seeds, block.device)
        truth, errors = Truth(ours, start, s, grid[-1], block.cached).of(x)
        with one_thread():
            each, scale = errors.square().mean(1).sqrt(), rms(truth.x)
        return each, {"scale": repr(scale), "ref_err": repr(truth.err)}

    return made.kept(block, "error", make)


def _error(made: Blocks, grid: Grid, x: Sequence[Tensor]) -> dict[str, Any]:
    """Against a reference for each block of seeds, as the samples were drawn."""
    import torch

    found = [
        _block_error(made, grid, block, part) for block, part in zip(made.each, x, strict=True)
    ]
    with one_thread():
        each = torch.cat([errors for errors, _ in found])
        return {
            "rmse": rms(each),
            "stderr": root_error(each),
            "scale": math.sqrt(
                math.fsum(len(e) * float(notes["scale"]) ** 2 for e, notes in found) / len(each)
            ),
            "ref_err": max(float(notes["ref_err"]) for _, notes in found),
        }
