"""The measuring itself: rows from cases, one solve each, against a certified reference."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from flowsolve.errors import FlowsolveError
from flowsolve.integrate.cost import fit
from flowsolve.integrate.driver import solve
from flowsolve.schedule.grid import Grid, Spacing
from flowsolve.solver.base import Solver
from flowsolve.study.references import Reference, reference
from flowsolve.study.results import Row

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.problems.base import Problem


@dataclass(frozen=True)
class Case:
    """One row to be: the solver as run, and the grid as a function of the two ends."""

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
    """The solver on a grid of n steps."""
    grid = partial(spacing, n, problem.sigma_max, problem.sigma_min)
    return Case(solver, repr(solver), _name(spacing), f"steps={n}", grid)


def budget_cases(
    solver: Solver,
    problem: Problem,
    spacing: Spacing,
    nfe: Sequence[int],
    tolerances: Sequence[float],
) -> Iterator[Case]:
    """A fixed-grid solver within each budget, an adaptive one at each tolerance."""
    ends = (problem.sigma_max, problem.sigma_min)
    name = "adaptive" if solver.adaptive else _name(spacing)
    if solver.adaptive:
        ladder: Any = solver
        known = hasattr(solver, "rtol") and hasattr(solver, "atol")
        for tol in tolerances if known else ():
            run = replace(ladder, rtol=tol, atol=tol)
            yield Case(run, repr(solver), name, f"tol={tol:g}", partial(Grid, ends, name))
        if not known:
            yield Case(solver, repr(solver), name, "as given", partial(Grid, ends, name))
        return
    for budget in nfe:
        grid = partial(fit, solver, budget, lambda n: spacing(n, *ends))
        yield Case(solver, repr(solver), name, f"nfe={budget}", grid)


def measure(
    cases: Sequence[Case],
    problem: Problem,
    seeds: Sequence[int],
    block: int,
    dtype: torch.dtype,
    device: torch.device | str,
    done: dict[tuple[Any, ...], Row],
    cached: bool = True,
) -> Iterator[Row]:
    """Rows in the order of blocks and then cases; those in `done` as they are."""
    import torch

    from flowsolve._version import __version__

    ends, digest = (problem.sigma_max, problem.sigma_min), problem.digest
    for i in range(0, len(seeds), block):
        part = seeds[i : i + block]
        x = truth = None
        for case in cases:
            row = Row(
                problem.name, digest, case.label, case.solver.order, case.spacing, case.asked,
                sigma_max=ends[0], sigma_min=ends[1], seeds=seeds_text(part),
                samples=len(part), dtype=str(dtype)[6:], device=torch.device(device).type,
                flowsolve=__version__, torch=torch.__version__, python=platform.python_version(),
            )  # fmt: skip
            if row.key in done:
                yield done[row.key]
                continue
            if x is None or truth is None:
                # the reference starts at exactly the rounded state that the solvers get
                x = problem.start(part, dtype, device)
                truth = reference(problem, x, *ends, cached=cached)
                problem.eps(x, ends[0])  # so that no timing holds the loading of a network
            yield _run(row, case, problem, x, truth)


def seeds_text(part: Sequence[int]) -> str:
    """first-last, or all of them where some between are missing: a row's key must tell them apart."""
    whole = [*part] == [*range(part[0], part[-1] + 1)]
    return f"{part[0]}-{part[-1]}" if whole else ",".join(map(str, part))


def _run(row: Row, case: Case, problem: Problem, x: Tensor, truth: Reference) -> Row:
    try:
        grid = case.grid()
        _synchronise(x)
        begin = time.perf_counter()
        solution = solve(problem, x, grid, case.solver)
        _synchronise(x)
        seconds = time.perf_counter() - begin
    except Exception as error:  # a study outlives its methods, and the row says why one fell
        return replace(row, error=f"{type(error).__name__}: {error}")
    errors = (solution.x.detach().cpu().double() - truth.x).reshape(len(x), -1)
    each = errors.square().mean(1).sqrt()
    rmse = float(errors.square().mean().sqrt())
    return replace(
        row,
        grid=grid.name,
        grid_hash=grid.digest,
        steps=solution.stats.get("accepted", grid.steps),
        nfe=round(solution.per_sample),
        forwards=solution.forwards,
        rmse=rmse,
        median=float(each.median()),
        p90=float(each.quantile(0.9)),
        max=float(each.max()),
        scale=float(truth.x.square().mean().sqrt()),
        ref_err=truth.err,
        certified=rmse >= 10 * truth.err,
        seconds=seconds,
    )


def _synchronise(x: Tensor) -> None:
    if x.is_cuda:
        import torch

        torch.cuda.synchronize(x.device)
