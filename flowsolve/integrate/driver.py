"""solve and sample: run a solver over a grid, count, record, and refuse to return garbage."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from flowsolve.errors import BudgetError, GridError, StateError
from flowsolve.integrate.cost import fit
from flowsolve.integrate.endpoints import walk
from flowsolve.integrate.recorder import Counted, Recorder, locate_non_finite
from flowsolve.integrate.solution import Solution
from flowsolve.ode.base import ODE
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver, check_solver
from flowsolve.solver.dense_output import Point

if TYPE_CHECKING:
    import torch
    from torch import Tensor

AnyGrid = Grid | Iterable[float] | Callable[[int], Grid]


def ve_start(sigma: float) -> float:
    """x̄ = σ noise: pure noise, as EDM and k-diffusion start. The default of `sample`."""
    return sigma


def vp_start(sigma: float) -> float:
    """x̄ = √(1+σ²) noise: x_T ~ N(0, I) on a variance-preserving path, as DDPM and DDIM start."""
    return math.hypot(1, sigma)


def solve(
    ode: ODE,
    x: Tensor,
    grid: AnyGrid,
    solver: Solver,
    *,
    nfe: int | None = None,
    keep: int = 0,
    keep_on: torch.device | str | None = None,
    grad: bool = False,
    check: bool = True,
) -> Solution:
    """Integrate dx̄/dσ = ε(x̄, σ) over the grid, down or (`grid.reversed()`) up.

    x        x̄ at grid[0], shape (B, *event), floating; never changed in place
    grid     a Grid, falling levels, or with `nfe` a function n -> Grid of n steps
    nfe      take the largest of those grids that costs at most this many evaluations
    keep     k keeps every k-th node in `Solution.path`, first and last included; 0 keeps none
    keep_on  where kept tensors go, for example "cpu"
    grad     record gradients through the whole solve
    check    look once at the result for NaN and ∞ (the only read-back from the device)

    Raises GridError (also for σ = ∞ and for σ = 0 where the method cannot go: see `sample`),
    BudgetError, StateError, NetworkError, and NonFiniteError naming the evaluation and the σ.
    """
    grid = prepare(ode, x, grid, solver, nfe)
    ends = (grid[0], grid[-1])
    to, off = grid[-1] == 0 and solver.reaches_zero, grid[0] == 0 and solver.leaves_zero
    if math.inf in ends or (0 in ends and not (to or off)):
        raise GridError(
            f"solve walks finite levels above 0, but the grid goes from {ends[0]!r} to {ends[1]!r}. "
            "sample() takes the steps from σ = ∞ and to σ = 0."
        )
    return run(ode, x, grid, solver, keep, keep_on, grad, check)


def sample(
    ode: ODE,
    noise: Tensor,
    grid: AnyGrid,
    solver: Solver,
    *,
    start: Callable[[float], float] = ve_start,
    nfe: int | None = None,
    keep: int = 0,
    keep_on: torch.device | str | None = None,
    grad: bool = False,
    check: bool = True,
) -> Solution:
    """From unit noise to data: x̄ = start(σ₀) noise, then over the falling grid, both ends handled.

    noise  N(0, I), shape (B, *event)
    start  `ve_start` (x̄ = σ₀ noise, EDM; the default) or `vp_start` (x_T = noise, DDPM and DDIM)

    The step from σ = ∞ is x̄₁ = x₀(noise, ∞) + σ₁ noise, and the step to σ = 0 is x₀: DDIM's, one
    evaluation each. A method that can reach 0 itself (Euler, LMS) does. The rest as in `solve`.
    """
    grid = prepare(ode, noise, grid, solver, nfe)
    if grid.rising:
        raise GridError(
            "sample goes from noise to data, so σ must fall, but this grid rises. "
            "To encode data into noise, use solve() with it."
        )
    x = noise if math.isinf(grid[0]) else noise * start(grid[0])
    return run(ode, x, grid, solver, keep, keep_on, grad, check)


def prepare(ode: ODE, x: Tensor, grid: AnyGrid, solver: Solver, nfe: int | None) -> Grid:
    """The grid to walk, after checking what every walk needs."""
    import torch

    if not isinstance(ode, ODE):
        raise StateError(
            f"ode must be an ODE such as DiffusionODE(network, precondition), not {ode!r:.80}."
        )
    check_solver(solver)
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise StateError(
            f"the state must be a floating-point tensor, but is {kind}. Use x.float()."
        )
    if x.ndim == 0 or x.numel() == 0:
        raise StateError(
            f"the state must be (B, *event) with B >= 1, but its shape is {tuple(x.shape)}."
        )
    if callable(grid):
        if nfe is None:
            raise BudgetError(
                "a function n -> Grid needs nfe=, the number of evaluations to spend."
            )
        grid = fit(solver, nfe, grid)
    elif nfe is not None:
        raise BudgetError("nfe= chooses among grids: give it a function n -> Grid, not one grid.")
    grid = grid if isinstance(grid, Grid) else Grid(grid)
    if grid.steps < 1:
        raise GridError(f"there is no step to take: this grid has one level, σ = {grid[0]!r}.")
    if grid.rising and solver.stochastic:
        raise GridError(f"{solver!r} draws noise, so it only goes down the grid, not up.")
    return grid


def run(
    ode: ODE,
    x: Tensor,
    grid: Grid,
    solver: Solver,
    keep: int,
    keep_on: torch.device | str | None,
    grad: bool,
    check: bool,
) -> Solution:
    """Walk, count and look at the end, whatever the ends of the grid."""
    import torch

    if keep < 0:
        raise ValueError(f"keep must be 0 (no path) or k >= 1 (every k-th node), but got {keep}.")
    rows = [0]

    def count(n: int) -> None:
        rows[0] += n

    counted = Counted(ode.metered(count))
    recorder = Recorder(ode, counted, keep, keep_on, grid.steps)
    first, stats, second = x, dict[str, int](), None

    def solution(at: Grid, path: tuple[Point, ...] = ()) -> Solution:
        forwards, alpha = rows[0] / len(x), ode.alpha(at[-1])
        each = counted.rows / len(x)
        return Solution(x, at, solver, counted.nfe, forwards, path, stats, alpha, each, second)

    with torch.set_grad_enabled(grad and torch.is_grad_enabled()):
        recorder.node(0, grid[0], x)
        steps = walk(counted, x, grid, solver)
        for i in itertools.count(1):
            try:
                x = next(steps)
            except StopIteration as end:
                if isinstance(end.value, Mapping):
                    stats.update(end.value)
                else:
                    second = end.value
                break
            except BudgetError as error:
                if error.x is not None and error.sigma is not None:
                    x = error.x
                    error.partial = solution(grid.until(error.sigma), recorder.path())
                raise
            recorder.node(i, grid[i], x)
        path = recorder.path()
        if recorder.observations:
            stats["observations"] = recorder.observations
        if check and not bool(x.isfinite().all()):
            locate_non_finite(ode, first, grid, solver)
    return solution(grid, path)
