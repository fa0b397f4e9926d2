"""Samples in blocks of seeds, each block on the disk as soon as it is drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve._arguments import file_path
from flowsolve.integrate.driver import sample
from flowsolve.metrics.features import embed
from flowsolve.ode.base import ODE
from flowsolve.problems.base import Problem, check_problem
from flowsolve.schedule.grid import Grid, as_grid
from flowsolve.study import cache
from flowsolve.study.runner import Part
from flowsolve.study.settings import Setup, Start

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.integrate.solution import Solution
    from flowsolve.metrics.features import Features
    from flowsolve.solver.base import Solver

Kept = tuple["Tensor", dict[str, str]]


@dataclass(frozen=True, eq=False)
class Drawn:
    """x: the samples on the CPU, (N, *event);  nfe: evaluations per sample."""

    x: Tensor
    nfe: int


@dataclass(frozen=True, eq=False)
class How:
    """A way to draw: run(ode, noise) from unit noise, and notes of all that it depends on.

    stochastic  whether it asks for noise by seed
    """

    run: Callable[[ODE, Tensor], Solution]
    notes: Mapping[str, str]
    stochastic: bool = False


def on_grid(solver: Solver, grid: Grid, start: Start) -> How:
    """`sample` by a solver on a grid."""
    grid = as_grid(grid)
    notes = {
        "solver": repr(solver), "grid": f"{grid.name} {grid.digest}", "start": start.__name__,
    }  # fmt: skip
    run = partial(sample, grid=grid, solver=solver, start=start)
    return How(run, notes, solver.stochastic)


@dataclass(frozen=True, eq=False)
class Blocks:
    """The samples of the seeds of `run`, block by block, one sample a seed; noise is its seed's too.

    folder  where blocks are kept as safetensors files, each with notes of what it is, and found again
            by all that they depend on: what was drawn before a kill is not drawn again, and what another
            process draws is waited for
    """

    problem: Problem
    how: How
    run: Setup
    folder: Path | None = None
    _notes: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        check_problem(self.problem)
        stamp = self.run.stamp(self.problem)
        notes = {
            "problem": f"{self.problem!r} {self.problem.digest}", **self.how.notes,
            "dtype": str(self.run.dtype), "device": stamp["device"], "flowsolve": stamp["flowsolve"],
        }  # fmt: skip
        if self.how.stochastic:
            notes["noise"] = f"{self.run.step_noise} in float32"
        object.__setattr__(self, "_notes", notes)

    @cached_property
    def each(self) -> tuple[Setup, ...]:
        """The settings of every block."""
        return (*self.run.blocks(),)

    def draw(self, block: Setup) -> Drawn:
        """The samples of one block. Raises as `sample` does."""
        x, notes = self.drawn(block)
        return Drawn(x, int(notes["nfe"]))

    def drawn(self, block: Setup) -> Kept:
        """The samples of one block, with notes: nfe, and the solver and the grid that were run."""
        return self.kept(block, "", partial(self.fresh, block))

    def all(self) -> Drawn:
        """The samples of all blocks, in the order of the seeds."""
        import torch

        parts = [self.draw(block) for block in self.each]
        return Drawn(torch.cat([part.x for part in parts]), max(part.nfe for part in parts))

    def features(self, block: Setup, features: Features | None, name: str) -> Tensor:
        """The features of the samples of one block, (n, d), computed on the device of the run."""

        def make() -> Kept:
            x = self.draw(block).x.to(block.device)
            return embed(x, features, "the samples", least=1).cpu(), {}

        if features is None:
            return make()[0]
        return self.kept(block, f"features {name}", make)[0]

    def kept(self, block: Setup, what: str, make: Callable[[], Kept]) -> Kept:
        """What was made of a block before, or is made now."""
        if self.folder is None:
            return make()
        notes = {**self._notes, "seeds": block.seeds_text, "what": what or "samples"}

        def make_with_notes() -> Kept:
            x, more = make()
            return x, {**notes, **more}

        return cache.found_or_made(self.key(block, what), make_with_notes, self._place(what))

    def has(self, block: Setup, what: str = "") -> bool:
        """Whether it is on the disk."""
        return self.folder is not None and self._file(block, what).exists()

    def forget(self, block: Setup, what: str = "") -> None:
        """Remove it from the disk."""
        self._file(block, what).unlink(missing_ok=True)

    def _file(self, block: Setup, what: str) -> Path:
        return self._place(what) / f"{self.key(block, what)}.safetensors"

    def _place(self, what: str) -> Path:
        """Samples are in the folder, what was made of them in one beside it."""
        assert self.folder is not None
        kind = what.partition(" ")[0]
        return self.folder.with_name(f"{self.folder.name}-{kind}") if kind else self.folder

    def key(self, block: Setup, what: str = "") -> str:
        """The name of the file that it is kept in."""
        told = repr((sorted(self._notes.items()), block.seeds_text, what))
        return hashlib.sha256(told.encode()).hexdigest()[:24]

    def parts(self, make: Callable[[Setup], object], what: str = "") -> tuple[Part, ...]:
        """What several processes share out: `make` for every block whose result `what` is not there."""

        def once(block: Setup) -> None:
            if not self.has(block, what):
                make(block)

        return tuple(Part(self.key(block, what), partial(once, block)) for block in self.each)

    def fresh(self, block: Setup) -> Kept:
        """As `drawn`, whatever is on the disk."""
        ode: ODE = self.problem.for_seeds(block.seeds, block.device)
        if self.how.stochastic:
            ode = block.with_noise(ode)
        done = self.how.run(ode, block.noise(self.problem.event))
        x = done.x.cpu()
        x = x if x.dtype.itemsize >= 4 else x.float()
        return x, {
            "nfe": str(round(done.per_sample)), "solver run": repr(done.solver),
            "grid run": str(done.grid), "grid name": done.grid.name, "steps": str(done.grid.steps),
        }  # fmt: skip


def draw(
    problem: Problem,
    solver: Solver,
    grid: Grid,
    run: Setup,
    folder: str | Path | None = None,
) -> Drawn:
    """`sample`, one sample a seed, block by block; a stochastic method's noise is its seed's too.

    folder  where blocks are kept, as `Blocks` says

    Raises as `sample` does.
    """
    kept = None if folder is None else file_path(folder)
    return Blocks(problem, on_grid(solver, grid, run.start), run, kept).all()
