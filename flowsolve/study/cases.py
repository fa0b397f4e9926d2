"""Cases: a solver on a grid, as it is to be measured."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from flowsolve._arguments import instance, real, several, shown, whole
from flowsolve.errors import BudgetError, FlowsolveError, StateError
from flowsolve.integrate.cost import fit
from flowsolve.ode.data_scales import known_scales
from flowsolve.problems.base import Problem, check_problem
from flowsolve.schedule.grid import Grid, Spacing
from flowsolve.schedule.spacings import karras
from flowsolve.solver.base import Solver, check_solver
from flowsolve.solver.rule import Rule

EXAMPLE = "a function (n, sigma_max, sigma_min) -> Grid such as karras"


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


def spacing_name(spacing: Spacing) -> str:
    """The name that the spacing gives its grids, or its own. Raises StateError for what is no spacing."""
    own = getattr(spacing, "__name__", "custom")
    if not callable(spacing):
        raise StateError(f"a spacing is {EXAMPLE}, not {shown(spacing)}.")
    try:
        inspect.signature(spacing).bind(1, 2.0, 1.0)
    except TypeError as error:
        raise StateError(
            f"a spacing is {EXAMPLE}, but {own}(n, sigma_max, sigma_min): {error}."
        ) from None
    try:
        grid = spacing(1, 2.0, 1.0)
    except FlowsolveError:
        return own
    if not isinstance(grid, Grid):
        raise StateError(f"a spacing is {EXAMPLE}, but {own} gave {shown(grid)}.")
    return grid.name


def counts(name: str, values: Sequence[int], *, empty: bool = False) -> list[int]:
    """Whole numbers from 1. Raises StateError for one number, BudgetError for what is no such number."""
    found = several(name, values, "whole numbers such as [10, 20, 40]", empty=empty)
    return [whole(f"{name}[{i}]", n, 1, BudgetError) for i, n in enumerate(found)]


def check_cases(cases: Sequence[Case]) -> list[Case]:
    """The cases in a list. Raises StateError where one is none."""
    example = "cases such as those of budget_cases(solver, problem, spacing, nfe)"
    found = [cases] if isinstance(cases, Case) else several("cases", cases, example, empty=True)
    for i, case in enumerate(found):
        instance(f"cases[{i}]", case, Case)
    return found


def steps_case(solver: Solver, problem: Problem, spacing: Spacing, n: int) -> Case:
    """The solver on a grid of n steps between the problem's ends."""
    check_solver(solver)
    check_problem(problem)
    n = whole("steps", n, 1, BudgetError)
    name = spacing_name(spacing)
    grid = partial(spacing, n, problem.sigma_max, problem.sigma_min)
    return Case(solver, repr(solver), name, f"steps={n}", grid)


Method = Solver | Rule | tuple[Solver, Spacing]
"""What a study of budgets compares: a solver, a rule, which has grids of its own, or (solver, spacing)."""


def methods(given: Method | Iterable[Method]) -> list[tuple[Solver | Rule, Spacing | None]]:
    """Each with the spacing that it comes with. Raises StateError where one is no solver, and for none."""
    single = isinstance(given, Solver | Rule | type | str)
    found: list[tuple[Solver | Rule, Spacing | None]] = []
    for one in (
        [given] if single else several("solvers", given, "solvers such as [Euler(), Heun()]")
    ):
        pair: tuple[Any, Any] = one if isinstance(one, tuple) and len(one) == 2 else (one, None)
        if not isinstance(pair[0], Rule):
            check_solver(pair[0])
        found.append(pair)
    return found


def check_noise_free(solver: Solver) -> None:
    """Raise StateError for a solver that draws noise."""
    if solver.stochastic:
        raise StateError(
            f"{solver!r} draws noise, so its samples have no error against the ODE's solution. `quality` "
            "measures their distance to data, and `certify` the order of their law and of their paths."
        )


def rule_cases(rule: Rule, problem: Problem, nfe: Sequence[int]) -> Iterator[Case]:
    """What the rule chooses for each budget, from the scales that the problem knows or its shape suggests."""
    check_problem(problem)
    scales = known_scales(problem, problem.event)
    for budget in counts("nfe", nfe, empty=True):
        solver, grid = rule.choose(
            budget * problem.lasts, problem.sigma_max, problem.sigma_min, scales
        )
        yield Case(solver, repr(rule), grid.name, f"nfe={budget}", partial(Grid, grid, grid.name))


def method_cases(
    found: Sequence[tuple[Solver | Rule, Spacing | None]],
    problem: Problem,
    nfe: Sequence[int],
    spacings: Sequence[Spacing] = (karras,),
    tolerances: Sequence[float] = (),
) -> list[Case]:
    """The cases of what `methods` found; those without a spacing of their own on each of `spacings`."""
    cases: list[Case] = []
    for method, own in found:
        if isinstance(method, Rule):
            cases += rule_cases(method, problem, nfe)
            continue
        for spacing in [own] if own else spacings[:1] if method.adaptive else spacings:
            cases += budget_cases(method, problem, spacing, nfe, tolerances)
    return cases


def budget_cases(
    solver: Solver,
    problem: Problem,
    spacing: Spacing,
    nfe: Sequence[int],
    tolerances: Sequence[float] = (),
) -> Iterator[Case]:
    """A fixed-grid solver within each budget of evaluations, an adaptive one at each tolerance.

    An adaptive solver without a tol, or rtol and atol, to set is one case, as it is given. Raises StateError
    and BudgetError for what cannot be asked of any method.
    """
    check_solver(solver)
    check_problem(problem)
    nfe, ends = counts("nfe", nfe, empty=True), (problem.sigma_max, problem.sigma_min)
    if not solver.adaptive:
        name = spacing_name(spacing)
        for budget in nfe:
            grid = partial(fit, solver, budget * problem.lasts, lambda n: spacing(n, *ends))
            yield Case(solver, repr(solver), name, f"nfe={budget}", grid)
        return
    whole = partial(Grid, ends, "adaptive")
    if not solver.chooses_steps:
        raise StateError(
            f"{solver!r} takes as many evaluations as it needs on a grid, so neither a budget nor a tolerance "
            "says which. Give it a grid: sample(ode, noise, grid, solver)."
        )
    names = [name for name in ("tol", "rtol", "atol") if hasattr(solver, name)]
    if not names:
        yield Case(solver, repr(solver), "adaptive", "as given", whole)
        return
    adaptive: Any = solver
    for tol in several("tolerances", tolerances, "tolerances such as [1e-2, 1e-4]", empty=True):
        if not 0 < real("a tolerance", tol) < math.inf:
            raise ValueError(f"a tolerance must be positive and finite, but got {tol!r}.")
        run = replace(adaptive, **dict.fromkeys(names, tol))
        yield Case(run, repr(solver), "adaptive", f"tol={tol:g}", whole)
