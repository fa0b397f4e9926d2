"""The protocol of a solver: a generator over the grid, which keeps its state in local variables."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve._arguments import Values, several
from flowsolve.errors import StateError
from flowsolve.solver.bounded_charts import VELOCITY
from flowsolve.solver.dense_output import hermite

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE
    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.dense_output import Point as Point  # solvers name it from here


class Solver(Values, ABC):
    """A numerical method for dx̄/dσ = ε(x̄, σ).

    A subclass is a frozen dataclass whose fields are its options, `@dataclass(frozen=True, repr=False)`:
    repr=False leaves it the short repr of this class.

    order         the measured global order as configured, start-up included
    reaches_zero  whether `steps` may be given a last level of 0 (its weights stay finite there)
    leaves_zero   whether it may be given a first level of 0, on the way up
    leaves_infinity, reaches_infinity
                  the same of σ = ∞, where the state is the unit noise
    stochastic    whether it draws noise, and so has no way back up the grid
    adaptive      whether it chooses its own evaluations, so that a grid does not fix their number
    chooses_steps whether it chooses its steps too, and needs no more of a grid than its ends
    event         the shape of a sample, of a method whose weights are matrices for that shape; else None

    The first line of a solver's docstring is its formula, then three spaces or more, then the source.
    """

    @property
    @abstractmethod
    def order(self) -> int: ...

    @property
    def reaches_zero(self) -> bool:
        """False by default: a last step to 0 is then DDIM's, outside of the solver."""
        return False

    @property
    def leaves_zero(self) -> bool:
        """False by default: a first step from 0 is then DDIM's, outside of the solver."""
        return False

    @property
    def leaves_infinity(self) -> bool:
        """False by default: a first step from ∞ is then DDIM's, outside of the solver."""
        return False

    @property
    def reaches_infinity(self) -> bool:
        """False by default: a last step to ∞ is then DDIM's, outside of the solver."""
        return False

    @property
    def stochastic(self) -> bool:
        return False

    @property
    def adaptive(self) -> bool:
        return False

    @property
    def chooses_steps(self) -> bool:
        """As `adaptive` by default."""
        return self.adaptive

    @property
    def event(self) -> tuple[int, ...] | None:
        return None

    @abstractmethod
    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        """Yield x̄ at grid[1], grid[2], ..., starting from x̄ = x at grid[0].

        Scalars are Python floats; tensors are only added and scaled, and x is never changed in
        place. A generator may return a mapping of counts, which becomes `Solution.stats`, or the
        second state of a `TwoState` method, which becomes `Solution.second`.
        """

    def dense(self, path: Sequence[Point], i: int, sigma: float) -> Tensor:
        """x̄ at σ between path[i] and path[i + 1], where `path` holds every node of `steps`.

        The cubic in σ with slope ε at both, which keeps orders up to 4, unless a method has a polynomial
        of its own. From or to σ = ∞ z of VELOCITY is linear in u. Evaluates nothing.
        """
        a, b = path[i : i + 2]
        if math.inf in (a.sigma, b.sigma):
            return VELOCITY.line(a, b, sigma)
        return hermite((a, b), sigma)


class Resumed(Solver):
    """A method whose `steps` goes on from the state that it is sent in place of the one it yielded, if any.

    `x = given(x, (yield x))` in the generator does that. So a method around it can change its states, as the
    corrector UniC does, whatever the method remembers.
    """

    @abstractmethod
    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, Tensor | None, None]: ...


def given(x: Tensor, sent: Tensor | None) -> Tensor:
    """What was sent, and x where nothing was."""
    return x if sent is None else sent


class OneStep(Resumed):
    """A method whose step from s to t depends on x̄ at s alone."""

    @abstractmethod
    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        """x̄ at level t from x̄ at level s."""

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, Tensor | None, None]:
        for s, t in pairwise(grid):
            x = self.step(ode, x, s, t)
            x = given(x, (yield x))


def check_solver(solver: object) -> None:
    """Raise StateError unless `solver` is an instance of Solver."""
    if isinstance(solver, type) and issubclass(solver, Solver):
        raise StateError(
            f"solver must be an instance, not the class {solver.__name__}; "
            f"did you mean {solver.__name__}()?"
        )
    if not isinstance(solver, Solver):
        raise StateError(
            f"solver must be a Solver instance such as Heun(), not {solver!r}."
            + (" Names are for the command line." if isinstance(solver, str) else "")
        )


def as_solvers(solvers: Solver | Iterable[Solver]) -> list[Solver]:
    """The solvers in a list; one is a list of one. Raises StateError where one is none, and for no solver."""
    if isinstance(solvers, Solver | str | type):
        check_solver(solvers)
        solvers = [solvers]
    found = several("solvers", solvers, "solvers such as [Euler(), Heun()]")
    for solver in found:
        check_solver(solver)
    return found


def check_option(solver: object, name: str, kind: type) -> None:
    """Raise StateError unless the option `name` of a solver is an instance of `kind`."""
    value = getattr(solver, name)
    if not isinstance(value, kind):
        raise StateError(
            f"{type(solver).__name__}: {name} must be a {kind.__name__}, but is {value!r}."
        )


def check_noise_free(method: object) -> None:
    """Raise TypeError unless `method` is a OneStep that draws no noise of its own."""
    if not isinstance(method, OneStep) or method.stochastic:
        raise TypeError(
            f"method must be a one-step solver without noise such as Heun(), not {method!r}."
        )


def formula_and_source(thing: object) -> tuple[str, str]:
    """The two parts of the docstring's first line, split at the first three spaces."""
    line = (thing.__doc__ or "").strip().split("\n")[0]
    formula, _, source = line.partition("   ")
    return formula.strip(), source.strip()
