"""SDEdit: data with the noise of a level inside the grid, and the steps from there down."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Unpack, cast

from flowsolve._arguments import real, several, shown
from flowsolve.errors import GridError, StateError
from flowsolve.integrate.driver import check_state, prepare, run
from flowsolve.integrate.options import Options, check_names, with_defaults
from flowsolve.integrate.solution import Solution
from flowsolve.schedule.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE
    from flowsolve.solver.base import Solver


class EditOptions(Options, total=False):
    """`**options` of `partial_start` and `inpaint`: `Options` and one more.

    span  where the values of the data must lie, for example (-1, 1); None, the default, does not look
    """

    span: tuple[float, float] | None


def partial_start(
    ode: ODE,
    data: Tensor,
    noise: Tensor,
    grid: Grid | Iterable[float],
    solver: Solver,
    *,
    strength: float | None = None,
    sigma: float | None = None,
    **options: Unpack[EditOptions],
) -> Solution:
    """x̄ = data + σ_k noise at a level of the grid, then its steps from there.       Meng et al. 2022 (SDEdit).

    data      x₀, (B, *event), floating;  noise: N(0, I), like data
    grid      falling; strength or sigma says where in it to start:
    strength  0 to 1, the part of the steps that is taken: the last min(⌊strength · steps⌋, steps), as
              diffusers' img2img counts. 0 takes none, which leaves the data (on a grid to 0)
    sigma     or the noise level: from the highest level at or under it
    options   span=, and those of `sample`: see `EditOptions`

    At strength 1 the start is data + σ₀ noise, not σ₀ noise: only at σ₀ = ∞ is it pure noise. The rest as
    in `sample`. A stochastic method takes its noise from `WithNoise`; `noise` is that of the start alone.

    Raises GridError, ValueError (a strength outside 0 to 1, both or neither of the two, data outside
    the span), StateError (noise unlike the data), and as `solve` does.
    """
    check_names(options, EditOptions)
    span = options.pop("span", None)
    settings = with_defaults(cast("Options", options))
    grid = prepare(ode, data, grid, solver, None)
    if grid.rising:
        raise GridError("a partial start goes from noise to data, so σ must fall: this grid rises.")
    check_state(noise, "the noise")
    if (noise.shape, noise.dtype, noise.device) != (data.shape, data.dtype, data.device):
        raise StateError(
            f"noise of {tuple(noise.shape)}, {noise.dtype} on {noise.device} does not fit data of "
            f"{tuple(data.shape)}, {data.dtype} on {data.device}. For many edits of one image: "
            "data.expand_as(noise)."
        )
    if span is not None:
        ends = several("span", span, "two numbers such as (-1, 1)")
        if len(ends) != 2:
            raise ValueError(f"span must be two numbers such as (-1, 1), but got {shown(span)}.")
        _check_span(data, real("span[0]", ends[0]), real("span[1]", ends[1]))
    grid = _cut(grid, strength, sigma)
    x = noise if math.isinf(grid[0]) else data.add(noise, alpha=grid[0])
    if grid.steps == 0:
        return Solution(x, grid, solver, 0, 0.0, alpha=ode.alpha(grid[0]))
    return run(ode, x, grid, solver, **settings)


def steps_kept(steps: int, strength: float) -> int:
    """min(⌊strength · steps⌋, steps).     diffusers' img2img, get_timesteps.

    The product is rounded to float64 before ⌊⌋: 0.29 of 100 steps is 28.999..., 28 steps. Its SD3 and
    Flux pipelines round up. Raises ValueError unless 0 <= strength <= 1.
    """
    strength = real("strength", strength)
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is a part of the steps, 0 to 1, but got {strength!r}.")
    return min(int(steps * strength), steps)


def _cut(grid: Grid, strength: float | None, sigma: float | None) -> Grid:
    if (strength is None) == (sigma is None):
        raise ValueError(
            "give strength= (a part of the steps) or sigma= (a noise level), one of them, but got "
            f"strength = {strength!r}, sigma = {sigma!r}."
        )
    if sigma is not None:
        return grid.below(sigma)
    assert strength is not None
    return grid.last(steps_kept(grid.steps, strength))


def _check_span(data: Tensor, low: float, high: float) -> None:
    least, most = (float(v) for v in data.aminmax())
    if not low <= least <= most <= high:
        raise ValueError(
            f"the data go from {least:.4g} to {most:.4g}, outside the span of {low:g} to {high:g}. Scale "
            "them as the network's training data were, for example x/127.5 - 1, or x.clamp(low, high)."
        )
