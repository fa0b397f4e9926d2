"""Data into noise by the same integrator, and what a round trip loses.

`encode` steps up the grid. On a finite grid that is not the inverse of stepping down: the two steps
between a pair of levels see ε at different ends, and the round trip has an error of the method's order.
`flowsolve.invert` is the inverse of a one-step method, and a `flowsolve.TwoState` method steps up by its
own inverse.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

from flowsolve._arguments import instance, shown
from flowsolve.errors import GridError, StateError
from flowsolve.integrate.driver import prepare, run, sample
from flowsolve.integrate.options import Options
from flowsolve.integrate.solution import Solution
from flowsolve.schedule.grid import Grid, as_grid
from flowsolve.solver.base import Solver
from flowsolve.solver.reversible import Continued, TwoState

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE

Encoder = Callable[["ODE", "Tensor", "Grid", "Solver"], "Solution"]


def encode(
    ode: ODE,
    x: Tensor,
    grid: Grid | Iterable[float],
    solver: Solver,
    **options: Unpack[Options],
) -> Solution:
    """x̄ at the top of the grid, of the trajectory through x at its bottom.   Song, Meng, Ermon 2021, Sec. 4.3.

    x        data as x̄ at the lowest level, (B, *event). If that level is a σ > 0, clean data are taken as
             if they had its noise; on a grid that ends at 0 (`to_zero`) they are taken as they are
    grid     the levels, in either direction
    solver   any deterministic one
    options  keep=, keep_on=, grad=, check=, on_step=: see `Options`

    Where the lowest level is 0, ε has no value, and the first step is x̄₁ = x + σ₁ ε(x α_0/α_1, σ₁): the
    network sees x itself, under the label of σ₁. The step to σ = ∞, if there is one, is DDIM's and returns
    the unit noise ε(x̄, σ). One evaluation each, counted in `nfe`. A `TwoState` method undoes its steps,
    and leaves the `second` state with which `decode` is exact.

    Raises GridError for a stochastic solver, and for a grid with no step between finite levels above 0.
    """
    up = prepare(ode, x, rising(grid), solver, None)
    return unit_at_infinity(run(ode, x, up, solver, **options))


def rising(grid: Grid | Iterable[float]) -> Grid:
    """The levels upwards. Raises GridError unless there are two finite ones above 0 among them."""
    grid = as_grid(grid)
    if sum(0 < s < math.inf for s in grid) < 2:
        raise GridError(
            f"to encode takes at least one step between finite levels above 0, but the grid is "
            f"{list(grid)}."
        )
    return grid if grid.rising else grid.reversed()


def unit_at_infinity(solution: Solution) -> Solution:
    """The same with α = 1 where the state is the unit noise, as `Point.x_t` has it."""
    if solution.grid[-1] < math.inf:
        return solution
    return dataclasses.replace(solution, alpha=1.0)


@dataclass(frozen=True, eq=False)
class RoundTrip:
    """Data encoded and decoded, and the error of that.

    per_sample  the mean squared error per dimension of each sample, (B,)
    encoded     x̄ at the top (unit noise at σ = ∞);  decoded: x̄ at the bottom again
    nfe_up, nfe_down  evaluations of ε or x₀ either way
    """

    per_sample: Tensor
    encoded: Tensor
    decoded: Tensor
    nfe_up: int
    nfe_down: int

    @property
    def mse(self) -> float:
        """The mean over samples: Table 2 of the DDIM paper, where images are in [0, 1].

        On images in [-1, 1] it is 4 times theirs.
        """
        return float(self.per_sample.mean())

    @property
    def stderr(self) -> float:
        """The standard error of `mse`; NaN for one sample."""
        n = len(self.per_sample)
        return float(self.per_sample.std()) / math.sqrt(n) if n > 1 else math.nan


def round_trip_error(
    ode: ODE,
    x: Tensor,
    grid: Grid | Iterable[float],
    solver: Solver,
    *,
    encoder: Encoder = encode,
) -> RoundTrip:
    """Σ_i (x_i - x'_i)²/D, x' = decode(encode(x)).               Song, Meng, Ermon 2021, Table 2.

    encoder  encode, or a function with its arguments (ode, x, grid, solver), such as `invert`, or encode
             with another solver: lambda ode, x, grid, _: encode(ode, x, grid, DDIMInverse())

    Raises as `encode` and `decode` do.
    """
    up = rising(grid)
    if not callable(encoder):
        raise StateError(f"encoder must be a function such as encode, not {shown(encoder)}.")
    encoded = encoder(ode, x, up, solver)
    instance("what the encoder returns", encoded, Solution, "that of encode")
    if encoded.x.shape != x.shape:
        raise StateError(
            f"the encoder returned shape {tuple(encoded.x.shape)} for data of {tuple(x.shape)}."
        )
    down = decode(ode, encoded, solver)
    wide = (down.x - x).reshape(len(x), -1)
    wide = wide if wide.dtype.itemsize >= 4 else wide.float()
    error = wide.square().mean(1)
    return RoundTrip(error, encoded.x, down.x, encoded.nfe, down.nfe)


def decode(ode: ODE, encoded: Solution, solver: Solver | None = None) -> Solution:
    """`sample` from what was encoded, down the same grid; with both states where there are two.

    solver  the one to step down with; by default the one that `encoded` was made with

    A two-state method comes back exactly: see `TwoState`. Raises as `sample` does, and StateError where
    another two-state method has left the second state.
    """
    instance("encoded", encoded, Solution, "that of encode(); noise alone goes through sample()")
    down = resumed(encoded.solver if solver is None else solver, encoded)
    return sample(ode, encoded.x, encoded.grid.reversed(), down, start=_unscaled)


def _unscaled(sigma: float) -> float:
    return 1.0


def resumed(solver: Solver, encoded: Solution) -> Solver:
    """`solver`, or if `encoded` has a second state, `solver` continued with it.

    Raises StateError where another method has left it.
    """
    method, other = (s.method if isinstance(s, Continued) else s for s in (solver, encoded.solver))
    if encoded.second is None:
        return method
    if method != other or not isinstance(method, TwoState):
        raise StateError(
            f"the second state that {other!r} has left is of no use to {method!r}. Go back with {other!r}, or "
            "without it: dataclasses.replace(encoded, second=None)."
        )
    return Continued(method, encoded.second)
