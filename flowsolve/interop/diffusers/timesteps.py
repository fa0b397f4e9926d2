"""What pipelines pass to a scheduler and get back: timesteps, where a run begins, generators, states."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from flowsolve.analysis.stages import Recurrence, recurrence
from flowsolve.errors import StateError
from flowsolve.interop.diffusers.grid import FlowSpacing
from flowsolve.schedule.clock import Clock, FlowClock
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


def check_request(
    n: int | None, timesteps: Sequence[float] | None, sigmas: Sequence[float] | None
) -> None:
    """Raise StateError unless one is given; n may stand beside a list of n."""
    given = timesteps if sigmas is None else sigmas
    if (timesteps is not None and sigmas is not None) or (n is None and given is None):
        raise StateError("set_timesteps needs num_inference_steps, timesteps or sigmas: one.")
    if n is not None and given is not None and len(given) != n:
        raise StateError(
            f"set_timesteps was given num_inference_steps = {n} and a list of {len(given)}: give one of them."
        )


def labelled(timesteps: Sequence[float], clock: Clock, end: Grid) -> Grid:
    """The levels of these labels, and the last of `end` after them."""
    last = min(end[0], end[-1])
    levels = [clock.sigma(float(t)) for t in timesteps]
    return Grid([*levels, last] if levels[-1] > last else levels, "timesteps")


def shifted(
    timesteps: Sequence[float], sigmas: Sequence[float] | None, spacing: FlowSpacing
) -> tuple[FlowClock, Sequence[float]]:
    """The clock whose labels are these at shifted levels, and the t that are shifted. Raises StateError."""
    T = spacing.T
    t = [float(label) / T for label in timesteps]
    if sigmas is not None and not (
        len(sigmas) == len(t)
        and all(abs(a - float(b)) < 1e-3 for a, b in zip(t, sigmas, strict=True))
    ):
        raise StateError(
            f"timesteps and sigmas say different levels: the first of them are {t[0] * T:g} and "
            f"{float(sigmas[0]):g}, where {T} times the second should be the first."
        )
    if spacing.terminal:
        raise StateError(
            "shift_terminal moves levels away from their timesteps: give sigmas alone."
        )
    return FlowClock(spacing.shift, T), t if sigmas is None else sigmas


def is_euler(method: Recurrence) -> bool:
    """Whether every step is x_t = x_s + (t - s) ε, and from σ = ∞ x_t = x₀ + t z, z the unit noise."""
    if method.start.weights or len(method.stages) != len(method.levels) - 1:
        return False
    for stage, t in zip(method.stages, method.levels[1:], strict=True):
        first = math.isinf(stage.sigma)
        scale, weight = (t, 1.0) if first else (1.0, t - stage.sigma)
        if stage.data != first or stage.mix != (0.0, 1.0) or not math.isclose(stage.scale, scale):
            return False
        if [(j, math.isclose(c, weight)) for j, c in stage.weights] != [(stage.number, True)]:
            return False
    return True


def prediction(answer: Tensor, x: Tensor) -> Tensor:
    """The answer without the channels of a learned variance. Raises StateError for other channels."""
    if answer.shape == x.shape:
        return answer
    if answer.ndim == x.ndim > 1 and answer.shape[1] == 2 * x.shape[1]:
        return answer[:, : x.shape[1]]
    raise StateError(
        f"the network answered {tuple(answer.shape)} to a state {tuple(x.shape)}: not its prediction, nor "
        "that and a learned variance, which would be twice the channels."
    )


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
