"""Round trips: data up to noise and down again, as in Table 2 of the DDIM paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Unpack

from flowsolve._arguments import instance, several, whole
from flowsolve.errors import SamplesError
from flowsolve.integrate.driver import sample
from flowsolve.integrate.fixed_point import Inversion, invert
from flowsolve.integrate.inversion import Encoder, encode, round_trip_error
from flowsolve.integrate.starting import vp_start
from flowsolve.metrics.estimate import Estimate
from flowsolve.ode.base import ODE
from flowsolve.problems.base import Problem, check_problem
from flowsolve.schedule.grid import GridFamily, check_family
from flowsolve.solver.base import Solver, check_solver
from flowsolve.study.cases import counts
from flowsolve.study.door import door
from flowsolve.study.references import reference
from flowsolve.study.results import Row
from flowsolve.study.runner import Task
from flowsolve.study.settings import Settings, Setup, Start

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.integrate.solution import Solution
    from flowsolve.schedule.grid import Grid


@dataclass(frozen=True)
class Way:
    """How to go up and down.

    down      the solver of the way down
    up        the solver with which `encode` goes up; None is the same one
    inverted  go up by `invert`, the exact inverse of `down`
    """

    down: Solver
    up: Solver | None = None
    inverted: bool = False

    def __post_init__(self) -> None:
        for solver in (self.down, self.down if self.up is None else self.up):
            check_solver(solver)

    def __repr__(self) -> str:
        up = "invert" if self.inverted else self.up
        return repr(self.down) if up is None else f"{up!s} up, {self.down!r} down"

    @property
    def encoder(self) -> Encoder:
        """The way up, as `round_trip_error` takes it."""
        if self.inverted:
            return partial(invert, strict=False)
        up = self.up
        return encode if up is None else lambda ode, x, grid, _: encode(ode, x, grid, up)


@dataclass(frozen=True, kw_only=True, repr=False)
class RoundTripRow(Row):
    """Table 2 of the DDIM paper, for one way up and down.

    mse        mean squared error per dimension of data encoded and decoded, with its standard error
    nfe_up, nfe_down  evaluations either way, the most of all blocks
    converged  for how many samples `invert` converged at every step; -1 for other ways up
    sampler    RMS error of the way down as a sampler, from noise, against the ODE's solution
    """

    KEY = (*Row.KEY, "way", "grid", "S", "samples")

    way: str
    grid: str
    S: int
    samples: int
    nfe_up: int = 0
    nfe_down: int = 0
    mse: float = math.nan
    mse_error: float = math.nan
    converged: int = -1
    sampler: float = math.nan

    @property
    def name(self) -> str:
        return f"{self.way}  S={self.S} {self.dtype}"

    @property
    def result(self) -> str:
        lost = Estimate(self.mse, self.mse_error, 0.0)
        return f"mse {lost}  nfe {self.nfe_up} + {self.nfe_down}  {self.seconds:.1f} s"


def round_trips(
    ways: Sequence[Way],
    problem: Problem,
    steps: Sequence[int],
    grids: GridFamily,
    *,
    samples: int = 32,
    dtypes: Sequence[torch.dtype] = (),
    **settings: Unpack[Settings],
) -> list[Task[RoundTripRow]]:
    """Tasks for `collect`: every way at every S and in every dtype (float64 unless told otherwise).

    grids     n -> Grid, of n steps down, finite at the top; where it ends at 0 the reference ends by x₀ at the
              level above
    samples   the first so many of `problem.data()` go up; as many noises go down for `sampler`
    settings  blocks of 64 unless told otherwise; the seed of a sample is its number,
              for its label by `BySeed` too

    Raises SamplesError for fewer data than samples, and GridError for grids that cannot be.
    """
    import torch

    check_problem(problem)
    check_family(grids)
    steps, samples = counts("steps", steps), whole("samples", samples)
    ways = several("ways", ways, "Ways such as [Way(Heun())]")
    for i, way in enumerate(ways):
        instance(f"ways[{i}]", way, Way, "Way(Heun())")
    data = problem.data()
    if not 2 <= samples <= len(data):
        raise SamplesError(f"round trips need 2 to {len(data)} samples of the data, not {samples}.")
    made = {n: grids(n) for n in steps}
    runs = [
        replace(Setup.of(settings, block=64, start=vp_start), seeds=range(samples), dtype=dtype)
        for dtype in dtypes or (torch.float64,)
    ]

    def measure(way: Way, run: Setup, row: RoundTripRow) -> RoundTripRow:
        grid = made[row.S]
        errors, ups, downs, converged, off = [], [0], [0], [], []
        for part in run.blocks():
            # only the rows of a `BySeed`: letters label their samples by seed, and not their data
            ours = ODE.for_seeds(problem, part.seeds, run.device)
            x = data[part.seeds].to(run.device, run.dtype)
            found: list[Solution] = []

            def kept(
                ode: ODE, x: Tensor, grid: Grid, solver: Solver, found: list[Solution] = found
            ) -> Solution:
                found.append(way.encoder(ode, x, grid, solver))
                return found[-1]

            trip = round_trip_error(ours, x, grid, way.down, encoder=kept)
            errors.append(trip.per_sample.double().cpu())
            ups.append(trip.nfe_up)
            downs.append(trip.nfe_down)
            if isinstance(found[0], Inversion):
                there = (found[0].residuals <= found[0].tolerance).all(0)
                converged.append(int(there.sum()))
            noise = part.noise(problem.event)
            down = sample(ours, noise, grid, way.down, start=run.start).x.double().cpu()
            off.append((down - _truth(ours, noise, grid, run.start)).square().flatten())
        error = torch.cat(errors)
        return replace(
            row, nfe_up=max(ups), nfe_down=max(downs), mse=float(error.mean()),
            mse_error=float(error.std()) / math.sqrt(samples),
            converged=sum(converged) if way.inverted else -1,
            sampler=float(torch.cat(off).mean().sqrt()),
        )  # fmt: skip

    return [
        Task(
            RoundTripRow(
                **run.stamp(problem), way=repr(way), grid=made[n].name, S=n, samples=samples
            ),
            partial(measure, way, run),
            met,
        )
        for run, met in [(run, door(problem, run)) for run in runs]
        for way in ways
        for n in steps
    ]  # fmt: skip


def _truth(problem: Problem, noise: Tensor, grid: Grid, start: Start) -> Tensor:
    """The ODE's solution from the noise to the lowest level above 0, to 1e-4, then x₀ if the grid ends at 0."""
    s, low = grid[0], min(level for level in grid if level > 0)
    x = reference(problem, noise * start(s), s, low, tolerance=1e-4).x
    if grid[-1] > 0:
        return x
    return problem.x0(x.to(noise), low).double().cpu()
