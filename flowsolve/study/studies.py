"""Studies: error against steps (convergence) and error against evaluations (work and precision)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from flowsolve._arguments import several
from flowsolve.errors import BudgetError, FlowsolveError
from flowsolve.problems.base import Problem, check_problem
from flowsolve.schedule.grid import Spacing
from flowsolve.schedule.spacings import karras
from flowsolve.solver.base import Solver, check_solver
from flowsolve.study.cases import (
    EXAMPLE,
    Method,
    check_noise_free,
    counts,
    method_cases,
    methods,
    steps_case,
)
from flowsolve.study.error import ErrorRow, error_tasks
from flowsolve.study.runner import Task, collect
from flowsolve.study.series import Study
from flowsolve.study.settings import Settings, Setup

TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def convergence(
    solver: Solver,
    problem: Problem,
    *,
    steps: Sequence[int] = (20, 40, 80, 160, 320, 640),
    spacing: Spacing = karras,
    path: str | Path | None = None,
    on_row: Callable[[ErrorRow, int, int], None] | None = None,
    **settings: Unpack[Settings],
) -> Study:
    """Errors of one solver on grids of the given numbers of steps.

    path      a file of rows that is continued, and on_row what is called with each, as in `work_precision`
    settings  the seeds 0 to 15 and float64 unless told otherwise; all seeds are one block

    Raises BudgetError for an adaptive solver, StateError for a stochastic one, and FlowsolveError where a
    measurement fails.
    """
    check_solver(solver)
    check_noise_free(solver)
    if solver.adaptive:
        raise BudgetError(
            f"{solver!r} chooses its own steps, so it has no order in their number. Use "
            "work_precision, which runs it at several tolerances."
        )
    run = Setup.of(settings, seeds=range(16), dtype="float64")
    cases = [steps_case(solver, problem, spacing, n) for n in counts("steps", steps)]
    tasks = error_tasks(cases, problem, replace(run, block=len(run.seeds)))
    rows = collect(tasks, path, on_row)
    for row in rows:
        if row.error:
            raise FlowsolveError(f"{row.solver} with {row.asked}: {row.error}")
    return Study(rows)


def work_precision(
    solvers: Method | Iterable[Method],
    problem: Problem,
    nfe: Sequence[int],
    *,
    spacings: Spacing | Sequence[Spacing] = (karras,),
    tolerances: Sequence[float] = TOLERANCES,
    path: str | Path | None = None,
    on_row: Callable[[ErrorRow, int, int], None] | None = None,
    **settings: Unpack[Settings],
) -> Study:
    """Errors of several solvers at several budgets of evaluations, from the same noise, to the same σ.

    solvers     one or several: fixed-grid ones run on the largest grid within each budget of `nfe`,
                adaptive ones once for each of `tolerances` (tol, or rtol = atol). A pair (solver, spacing) has
                a spacing of its own, and a rule (`flowsolve.solver.default_rule()`) solvers and grids
    path        a JSON Lines file: each row is on the disk before the next is computed, and rows
                found there are not computed again
    on_row      called with each row, how many are done and how many there will be
    settings    the seeds 0 to 255 and float32 unless told otherwise; one row for each block of seeds

    A method that fails leaves a row whose `error` says why; the study goes on. Raises StateError for a
    stochastic solver, which has no error against the ODE's solution, and for arguments of a wrong kind.
    """
    tasks = work_precision_tasks(
        solvers, problem, nfe, spacings=spacings, tolerances=tolerances, **settings
    )
    return Study(collect(tasks, path, on_row))


def work_precision_tasks(
    solvers: Method | Iterable[Method],
    problem: Problem,
    nfe: Sequence[int],
    *,
    spacings: Spacing | Sequence[Spacing] = (karras,),
    tolerances: Sequence[float] = TOLERANCES,
    **settings: Unpack[Settings],
) -> list[Task[ErrorRow]]:
    """What `work_precision` measures, as tasks for `collect`."""
    check_problem(problem)
    run = Setup.of(settings, seeds=range(256))
    found = methods(solvers)
    for method, _ in found:
        if isinstance(method, Solver):
            check_noise_free(method)
    spacings = several(
        "spacings", [spacings] if callable(spacings) else spacings, f"spacings, each {EXAMPLE}"
    )
    cases = method_cases(found, problem, nfe, spacings, tolerances)
    if not cases:
        raise BudgetError(
            "there is nothing to measure: give nfe=[10, 20], say, or tolerances for adaptive solvers."
        )
    cases = [*{(c.label, c.spacing, c.asked): c for c in cases}.values()]  # no point twice
    return error_tasks(cases, problem, run)
