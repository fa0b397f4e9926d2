"""Samples in blocks of seeds, each block on the disk as soon as it is drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve.integrate.driver import sample, ve_start
from flowsolve.ode.noise import SeededNoise, WithNoise, unit_noise
from flowsolve.schedule.grid import Grid
from flowsolve.study import cache
from flowsolve.study.cases import seeds_text

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.problems.base import Problem
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
    seeds: Sequence[int],
    *,
    block: int = 256,
    start: Callable[[float], float] = ve_start,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    folder: str | Path | None = None,
) -> Drawn:
    """`sample`, one sample a seed, `block` at a time; a stochastic method's noise is its seed's too.

    folder  where blocks are kept as safetensors files, each with notes of what it is, and found again
            by all that they depend on: what was drawn before a kill is not drawn again

    Raises as `sample` does.
    """
    import torch

    from flowsolve._version import __version__

    dtype = dtype or torch.float32
    kept = None if folder is None else Path(folder)
    parts, counts = [], []
    for i in range(0, len(seeds), block):
        part = seeds[i : i + block]
        notes = {
            "problem": f"{problem!r} {problem.digest}", "solver": repr(solver),
            "grid": f"{grid.name} {grid.digest}", "start": start.__name__, "seeds": seeds_text(part),
            "dtype": str(dtype), "device": torch.device(device).type, "flowsolve": __version__,
        }  # fmt: skip
        key = hashlib.sha256(repr(notes).encode()).hexdigest()[:24]
        found = cache.load(key, kept) if kept else None
        if found is None:
            noise = unit_noise(part, problem.event, dtype, device)
            ode = WithNoise(problem, SeededNoise(part)) if solver.stochastic else problem
            done = sample(ode, noise, grid, solver, start=start)
            x = done.x.cpu()
            x = x if x.dtype.itemsize >= 4 else x.float()
            found = x, {**notes, "nfe": str(round(done.per_sample))}
            if kept:
                cache.store(key, *found, kept)
        parts.append(found[0])
        counts.append(int(found[1]["nfe"]))
    return Drawn(torch.cat(parts), max(counts))
