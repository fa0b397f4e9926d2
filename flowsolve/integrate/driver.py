"""solve and sample: run a solver over a grid, count its evaluations, keep its path, check its result."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Unpack, cast

from flowsolve.errors import BudgetError, GridError, StateError
from flowsolve.integrate.cost import fit
from flowsolve.integrate.counter import Counter, Tally
from flowsolve.integrate.default import choose
from flowsolve.integrate.endpoints import returned_by, trajectory
from flowsolve.integrate.options import Options, with_defaults
from flowsolve.integrate.recorder import Recorder, locate_non_finite
from flowsolve.integrate.solution import Solution
from flowsolve.integrate.starting import start_scale, ve_start, warn_of_scaled_noise
from flowsolve.ode.base import ODE
from flowsolve.ode.modules import warn_of_training
from flowsolve.schedule.grid import Grid, GridFamily, as_grid, check_family
from flowsolve.schedule.tracing import compiling, pinned
from flowsolve.solver.base import Solver, check_solver
from flowsolve.solver.dense_output import Point
from flowsolve.solver.rule import Rule

if TYPE_CHECKING:
    from torch import Tensor

AnyGrid = Grid | Iterable[float] | GridFamily


def solve(
    ode: ODE,
    x: Tensor,
    grid: AnyGrid,
    solver: Solver,
    *,
    nfe: int | None = None,
    **options: Unpack[Options],
) -> Solution:
    """Integrate dx̄/dσ = ε(x̄, σ) over the grid, down or (`grid.reversed()`) up.

    x        x̄ at grid[0], shape (B, *event), floating; never changed in place
    grid     a Grid, falling levels, or with `nfe` a function n -> Grid of n steps
    nfe      take the largest of those grids that costs at most this many evaluations
    options  keep=, keep_on=, grad=, check=, on_step=: see `Options`

    Raises GridError (also for σ = ∞ and for σ = 0 where the method cannot go: see `sample`),
    BudgetError, StateError, NetworkError, TypeError for an unknown option, and NonFiniteError naming
    the evaluation and the σ.
    """
    grid = prepare(ode, x, grid, solver, nfe)
    ends = (grid[0], grid[-1])
    to, off = grid[-1] == 0 and solver.reaches_zero, grid[0] == 0 and solver.leaves_zero
    if math.inf in ends or (0 in ends and not (to or off)):
        raise GridError(
            f"solve walks finite levels above 0, but the grid goes from {ends[0]!r} to {ends[1]!r}. "
            "sample() takes the steps from σ = ∞ and to σ = 0."
        )
    return run(ode, x, grid, solver, **options)


def sample(
    ode: ODE,
    noise: Tensor,
    grid: AnyGrid | None = None,
    solver: Solver | Rule | None = None,
    *,
    start: Callable[[float], float] = ve_start,
    nfe: int | None = None,
    tol: float | None = None,
    **options: Unpack[Options],
) -> Solution:
    """From unit noise to data: x̄ = start(σ₀) noise, then over the falling grid, both ends handled.

    sample(ode, noise, nfe=12) takes the default, a solver and a grid for that budget, from the levels that the
    ODE knows (`ode.sigma_range`) and the scales of its data (`ode.scales` where `flowsolve.scales` has measured
    them, else guessed from the shape). sample(ode, noise, tol=1e-2) chooses its steps as it goes, so that the
    RMS error in the data comes out near tol; nfe= is then the most to spend. `solution.solver` and
    `solution.grid` say what was taken.

    noise  N(0, I), shape (B, *event). On the CPU a start is warned of that is far wider than its σ implies
    start  `ve_start` (x̄ = σ₀ noise, EDM; the default) or `vp_start` (x_T = noise, DDPM and DDIM)

    The step from σ = ∞ is x̄₁ = x₀(noise, ∞) + σ₁ noise, and the step to σ = 0 is x₀: DDIM's, one
    evaluation each. A method that can reach 0 itself (Euler, LMS) does. The rest as in `solve`.
    """
    if grid is None:
        solver, grid = choose(ode, noise, solver, nfe, tol)
        nfe = None
    elif tol is not None:
        raise BudgetError(
            "tol= is for the default, which has no grid: give a solver its tolerance itself, such as "
            "AdaptiveUniPC(tol=1e-2), or leave grid and solver out."
        )
    solver = cast(Solver, solver)  # `prepare` checks it
    grid = prepare(ode, noise, grid, solver, nfe)
    if grid.rising:
        raise GridError(
            "sample goes from noise to data, so σ must fall, but this grid rises. "
            "To encode data into noise, use solve() with it."
        )
    from_noise = math.isinf(grid[0])
    factor = start_scale(start, 1.0 if from_noise else grid[0])
    factor = 1.0 if from_noise else factor
    x = noise if from_noise else noise * factor
    warn_of_scaled_noise(x, grid[0], factor)
    return run(ode, x, grid, solver, **options)


def prepare(ode: ODE, x: Tensor, grid: AnyGrid, solver: Solver, nfe: int | None) -> Grid:
    """The grid of the run, after checking what every run needs."""
    if not isinstance(ode, ODE):
        raise StateError(
            f"ode must be an ODE such as DiffusionODE(network, precondition), not {ode!r:.80}."
        )
    check_solver(solver)
    check_state(x, "the state")
    _check_event(ode, x)
    if solver.event not in (None, tuple(x.shape[1:])):
        name, shape = type(solver).__name__, tuple(x.shape)
        raise StateError(
            f"{name} is for samples of shape {solver.event}, but the state is {shape}."
        )
    if callable(grid):
        if nfe is None:
            raise BudgetError(
                "a function n -> Grid needs nfe=, the number of evaluations to spend."
            )
        check_family(grid)
        family = grid
        grid = fit(solver, nfe, lambda n: as_grid(family(n)))
    elif nfe is not None:
        raise BudgetError("nfe= chooses among grids: give it a function n -> Grid, not one grid.")
    grid = as_grid(grid)
    if grid.steps < 1:
        raise GridError(f"there is no step to take: this grid has one level, σ = {grid[0]!r}.")
    if grid.rising and solver.stochastic:
        raise GridError(f"{solver!r} draws noise, so it only goes down the grid, not up.")
    if not compiling():
        warn_of_training(ode)
    return grid


def check_state(x: object, name: str) -> None:
    """Raise StateError unless it is a floating tensor (B, *event), with what makes it one."""
    import torch

    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        kind, mend = type(x).__name__, "Give torch.randn(B, *event), for example."
        if isinstance(x, torch.Tensor):
            kind, mend = str(x.dtype), "Use x.float()."
        elif kind == "ndarray":
            kind, mend = "a numpy array", "Use torch.from_numpy(x).float()."
        elif isinstance(x, tuple | list):
            kind = f"a {kind} of {len(x)}"
            mend = "Make it one: torch.stack(x) of tensors, torch.tensor(x) of numbers."
        raise StateError(f"{name} must be a floating-point tensor, but is {kind}. {mend}")
    if x.ndim == 0 or x.numel() == 0:
        raise StateError(
            f"{name} must be (B, *event) with B >= 1, but its shape is {tuple(x.shape)}."
        )


def _check_event(ode: ODE, x: Tensor) -> None:
    """Raise StateError for a state with too few axes, where the ODE says how many an event has."""
    event = None
    with contextlib.suppress(NotImplementedError):  # a Problem that only solve() is asked of
        event = getattr(ode, "event", None)
    known = not getattr(ode, "is_network", True)  # a network may take other sizes
    if isinstance(event, tuple) and (
        x.ndim <= len(event) or (event and known and tuple(x.shape[-len(event) :]) != event)
    ):
        want = ", ".join(["B", *map(str, event)])
        mend = " The batch axis is missing: use x[None]." if tuple(x.shape) == event else ""
        raise StateError(
            f"the state of {ode!r} must be ({want}), but its shape is {tuple(x.shape)}.{mend}"
        )


def run(ode: ODE, x: Tensor, grid: Grid, solver: Solver, **options: Unpack[Options]) -> Solution:
    """The solver over a grid that `prepare` has checked, whatever its ends."""
    import torch

    chosen, tally = with_defaults(options), Tally()
    ode, solver = pinned(ode), pinned(solver)
    recorder = Recorder(ode, tally, grid.steps, chosen)
    stats: dict[str, int] = {}
    first, second = x, None

    def solution(at: Grid, path: tuple[Point, ...] = ()) -> Solution:
        forwards, each = tally.forwards / len(x), tally.rows / len(x)
        alpha = ode.alpha(at[-1])
        return Solution(
            x, at, solver, tally.nfe, forwards, path, stats, alpha, each, second, tally.rounds
        )

    with torch.set_grad_enabled(chosen["grad"] and torch.is_grad_enabled()):
        recorder.node(0, grid[0], x)
        states = trajectory(Counter(ode, tally, recorder), x, grid, solver)
        for i in itertools.count(1):
            try:
                x = next(states)
            except StopIteration as end:
                returned = returned_by(end)
                if isinstance(returned, Mapping):
                    stats.update(returned)
                else:
                    second = returned
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
        if chosen["check"] and not compiling() and not bool(x.isfinite().all()):
            locate_non_finite(ode, first, grid, solver)
    return solution(grid, path)
