"""Cases: a solver on a grid, as it is to be measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from flowsolve.errors import FlowsolveError
from flowsolve.integrate.cost import fit
from flowsolve.schedule.grid import Grid, Spacing
from flowsolve.solver.base import Solver

if TYPE_CHECKING:
    from flowsolve.problems.base import Problem


@dataclass(frozen=True)
class Case:
    """What one row is measured on.

    solver   as it is run;  label: as it is called in the row
    spacing  the name of the grids;  asked: what was asked for, "nfe=10", "steps=40" or "tol=1e-05"
    grid     makes the grid, and raises what there is to say against it
    """

    solver: Solver
    label: str
    spacing: str
    asked: str
    grid: Callable[[], Grid]


def _name(spacing: Spacing) -> str:
    """The name that the spacing gives its grids, or its own."""
    try:
        return spacing(1, 2.0, 1.0).name
    except FlowsolveError:
        return getattr(spacing, "__name__", "custom")


def steps_case(solver: Solver, problem: Problem, spacing: Spacing, n: int) -> Case:
    """The solver on a grid of n steps between the problem's ends."""
    grid = partial(spacing, n, problem.sigma_max, problem.sigma_min)
    return Case(solver, repr(solver), _name(spacing), f"steps={n}", grid)


def budget_cases(
    solver: Solver,
    problem: Problem,
    spacing: Spacing,
    nfe: Sequence[int],
    tolerances: Sequence[float] = (),
) -> Iterator[Case]:
    """A fixed-grid solver within each budget of evaluations, an adaptive one at each tolerance.

    An adaptive solver that has no rtol and atol to set is one case, as it is given.
    """
    ends = (problem.sigma_max, problem.sigma_min)
    if not solver.adaptive:
        name = _name(spacing)
        for budget in nfe:
            grid = partial(fit, solver, budget, lambda n: spacing(n, *ends))
            yield Case(solver, repr(solver), name, f"nfe={budget}", grid)
        return
    whole = partial(Grid, ends, "adaptive")
    if not (hasattr(solver, "rtol") and hasattr(solver, "atol")):
        yield Case(solver, repr(solver), "adaptive", "as given", whole)
        return
    adaptive: Any = solver
    for tol in tolerances:
        run = replace(adaptive, rtol=tol, atol=tol)
        yield Case(run, repr(solver), "adaptive", f"tol={tol:g}", whole)
