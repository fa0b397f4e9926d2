"""Samples in blocks of seeds, each block on the disk as soon as it is drawn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve._arguments import file_path
from flowsolve.integrate.driver import sample
from flowsolve.ode.base import ODE
from flowsolve.ode.noise import SeededNoise, WithNoise
from flowsolve.problems.base import Problem, check_problem
from flowsolve.schedule.grid import Grid, as_grid
from flowsolve.study import cache
from flowsolve.study.settings import Setup

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.solver.base import Solver


@dataclass(frozen=True, eq=False)
class Drawn:
    """x: the samples on the CPU, (N, *event);  nfe: evaluations per sample."""

    x: Tensor
    nfe: int


def draw(
    problem: Problem,
    solver: Solver,
    grid: Grid,
    run: Setup,
    folder: str | Path | None = None,
) -> Drawn:
    """`sample`, one sample a seed, block by block; a stochastic method's noise is its seed's too.

    folder  where blocks are kept as safetensors files, each with notes of what it is, and found again
            by all that they depend on: what was drawn before a kill is not drawn again

    Raises as `sample` does.
    """
    import torch

    check_problem(problem)
    grid, kept = as_grid(grid), None if folder is None else file_path(folder)
    parts = [_block(problem, solver, grid, part, kept) for part in run.blocks()]
    return Drawn(torch.cat([part.x for part in parts]), max(part.nfe for part in parts))


def _block(problem: Problem, solver: Solver, grid: Grid, run: Setup, folder: Path | None) -> Drawn:
    stamp = run.stamp(problem)
    notes = {
        "problem": f"{problem!r} {problem.digest}", "solver": repr(solver),
        "grid": f"{grid.name} {grid.digest}", "start": run.start.__name__, "seeds": run.seeds_text,
        "dtype": str(run.dtype), "device": stamp["device"], "flowsolve": stamp["flowsolve"],
    }  # fmt: skip
    key = hashlib.sha256(repr(notes).encode()).hexdigest()[:24]
    found = None if folder is None else cache.load(key, folder)
    if found is not None:
        return Drawn(found[0], int(found[1]["nfe"]))
    ode: ODE = problem.for_seeds(run.seeds, run.device)
    if solver.stochastic:
        ode = WithNoise(ode, SeededNoise(run.seeds))
    done = sample(ode, run.noise(problem.event), grid, solver, start=run.start)
    x, nfe = done.x.cpu(), round(done.per_sample)
    x = x if x.dtype.itemsize >= 4 else x.float()
    if folder is not None:
        cache.store(key, x, {**notes, "nfe": str(nfe)}, folder)
    return Drawn(x, nfe)
