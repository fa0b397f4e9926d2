"""What pipelines pass to a scheduler and get back: timesteps, where a run begins, generators, states."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from flowsolve.analysis.stages import Recurrence, recurrence
from flowsolve.errors import StateError
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Generators = torch.Generator | list[torch.Generator] | None


class StepOutput(NamedTuple):
    """What `step` returns: the next state x_t = α x̄, and the network's x₀ at this one."""

    prev_sample: Tensor
    pred_original_sample: Tensor


cached = lru_cache(maxsize=64)(recurrence)


def position(
    timestep: float | Tensor, timesteps: Tensor, labels: Sequence[float]
) -> list[int] | None:
    """Which evaluations a timestep may mean; None if only a read of the device could tell.

    Pipelines pass elements of the tensor `timesteps`. Such an element is recognised by its place in memory.
    """
    import torch

    if isinstance(timestep, torch.Tensor):
        mine = timesteps.untyped_storage().data_ptr()
        if timestep.numel() == 1 and timestep.untyped_storage().data_ptr() == mine:
            return [int(timestep.storage_offset() - timesteps.storage_offset())]
        if timestep.device.type != "cpu":
            return None
        timestep = float(timestep.flatten()[0])
    return [i for i, t in enumerate(labels) if math.isclose(t, timestep, rel_tol=1e-6)]


def begun(solver: Solver, whole: Recurrence, index: int) -> Recurrence:
    """The method begun at evaluation `index` without a past, as image-to-image pipelines begin.

    Raises StateError if it would then make other evaluations than those that are left.
    """
    if index == 0:
        return whole
    sigmas, levels = [stage.sigma for stage in whole.stages], whole.levels
    if index < len(sigmas) and sigmas[index] in levels[:-1]:
        rest = levels[levels.index(sigmas[index]) :]
        grid = Grid(rest) if rest[0] > rest[1] else Grid(rest[::-1]).reversed()
        part = cached(solver, grid)
        if [stage.sigma for stage in part.stages] == sigmas[index:] and not part.start.draws:
            return part
    raise StateError(
        f"{solver!r} cannot begin at timestep number {index} of {len(sigmas)}: begun there it makes "
        "other evaluations than those that are left. Begin at the first evaluation of a step "
        "(a multiple of `order`) with a method whose steps are all alike, or at 0."
    )


def upwards(grid: Grid) -> Grid:
    """The grid from its last level above 0 to its highest below ∞."""
    falling = [s for s in (grid.reversed() if grid.rising else grid) if 0 < s < math.inf]
    return Grid(falling, grid.name).reversed()


def drawn(x: Tensor, generator: Generators) -> Tensor:
    """N(0, I) like x as diffusers draws it: on the generator's device, one sample for each of a list."""
    import torch

    if isinstance(generator, list):
        rows = (x[i : i + 1] for i in range(len(x)))
        return torch.cat([drawn(row, g) for row, g in zip(rows, generator, strict=True)])
    device = x.device if generator is None else generator.device
    return torch.randn(x.shape, generator=generator, device=device, dtype=x.dtype).to(x.device)
