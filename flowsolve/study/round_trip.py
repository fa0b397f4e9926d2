"""Data up to noise and down again, and noise down: what is lost, what it costs, what the method is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from flowsolve.errors import SamplesError
from flowsolve.integrate.driver import sample, vp_start
from flowsolve.integrate.fixed_point import Inversion, invert
from flowsolve.integrate.inversion import Encoder, encode, round_trip_error
from flowsolve.metrics.estimate import Estimate
from flowsolve.ode.noise import unit_noise
from flowsolve.study.references import reference
from flowsolve.study.runner import Record, Task, stamp

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.integrate.solution import Solution
    from flowsolve.ode.base import ODE
    from flowsolve.problems.base import Problem
    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.base import Solver


@dataclass(frozen=True)
class Way:
    """How to go up, and the method that goes down: `encode` by the same or another method, or `invert`."""

    down: Solver
    up: Solver | None = None
    inverted: bool = False

    def __repr__(self) -> str:
        up = "invert" if self.inverted else self.up
        return repr(self.down) if up is None else f"{up!s} up, {self.down!r} down"

    @property
    def encoder(self) -> Encoder:
        """As `round_trip_error` takes it."""
        if self.inverted:
            return partial(invert, strict=False)
        up = self.up
        return encode if up is None else lambda ode, x, grid, _: encode(ode, x, grid, up)


@dataclass(frozen=True, kw_only=True)
class RoundTripRow(Record):
    """Table 2 of the DDIM paper, for one way up and down.

    mse        of data, encoded and decoded, per dimension, its mean over samples with standard error
    nfe_up, nfe_down  evaluations either way, the most of all blocks
    converged  how many samples `invert` found at every step; -1 where nothing is iterated
    sampler    RMS error of samples of the same noise against the ODE's solution
    """

    KEY = (*Record.KEY, "way", "grid", "S", "samples")

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
        """The way, S and the dtype."""
        return f"{self.way}  S={self.S} {self.dtype}"

    @property
    def result(self) -> str:
        """In a line."""
        lost = Estimate(self.mse, self.mse_error, 0.0)
        return f"mse {lost}  nfe {self.nfe_up} + {self.nfe_down}  {self.seconds:.1f} s"


def round_trips(
    ways: Sequence[Way],
    problem: Problem,
    steps: Sequence[int],
    spacing: Callable[[int], Grid],
    *,
    samples: int = 32,
    block: int = 64,
    dtypes: Sequence[torch.dtype] = (),
    device: torch.device | str = "cpu",
) -> list[Task[RoundTripRow]]:
    """Tasks for `collect`: every way at every S and in every dtype (float64 unless told otherwise).

    spacing  n -> Grid, of n steps down, finite at the top; where it ends at 0 the reference ends by x₀ at the
             level above
    samples  the first so many of `problem.data()` go up; as many noises go down for `sampler`

    Raises SamplesError for fewer data than samples, and GridError for grids that cannot be.
    """
    import torch

    data = problem.data()
    if not 2 <= samples <= len(data):
        raise SamplesError(f"round trips need 2 to {len(data)} samples of the data, not {samples}.")
    grids = {n: spacing(n) for n in steps}
    parts = [range(i, min(i + block, samples)) for i in range(0, samples, block)]

    def measure(way: Way, row: RoundTripRow) -> RoundTripRow:
        dtype, grid = getattr(torch, row.dtype), grids[row.S]
        errors, ups, downs, converged, off = [], [0], [0], [], []
        for part in parts:
            x = data[part[0] : part[-1] + 1].to(device, dtype)
            found: list[Solution] = []

            def kept(
                ode: ODE, x: Tensor, grid: Grid, solver: Solver, found: list[Solution] = found
            ) -> Solution:
                found.append(way.encoder(ode, x, grid, solver))
                return found[-1]

            trip = round_trip_error(problem, x, grid, way.down, encoder=kept)
            errors.append(trip.per_sample.double().cpu())
            ups.append(trip.nfe_up)
            downs.append(trip.nfe_down)
            if isinstance(found[0], Inversion):
                there = (found[0].residuals <= found[0].tolerance).all(0)
                converged.append(int(there.sum()))
            noise = unit_noise(part, problem.event, dtype, device)
            made = sample(problem, noise, grid, way.down, start=vp_start).x.double().cpu()
            off.append((made - _truth(problem, noise, grid)).square().flatten())
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
                **stamp(problem, dtype, device), way=repr(way), grid=grids[n].name, S=n, samples=samples
            ),
            partial(measure, way),
        )
        for dtype in dtypes or (torch.float64,)
        for way in ways
        for n in steps
    ]  # fmt: skip


def _truth(problem: Problem, noise: Tensor, grid: Grid) -> Tensor:
    """The ODE's solution from vp_start to the lowest level above 0, to 1e-4, then x₀ if the grid ends at 0."""
    s, low = grid[0], min(level for level in grid if level > 0)
    x = reference(problem, noise * vp_start(s), s, low, tolerance=1e-4).x
    if grid[-1] > 0:
        return x
    return problem.x0(x.to(noise), low).double().cpu()
