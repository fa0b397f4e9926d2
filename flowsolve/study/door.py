"""The door of every study: its network is asked three times before anything is measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from flowsolve.errors import NetworkError
from flowsolve.ode.meeting import examine

if TYPE_CHECKING:
    from flowsolve.problems.base import Problem
    from flowsolve.study.settings import Setup


def meet(problem: Problem, run: Setup) -> None:
    """Raise NetworkError for a network that the study could not measure. An exact problem is not asked.

    See `check`: the first two samples of the study, at both ends of the problem. In no count of evaluations.
    """
    if problem.exact:
        return
    first, ends = run.seeds[:2], (problem.sigma_max, problem.sigma_min)
    noise = problem.start(first, run.dtype, run.device) / problem.sigma_max
    sizes = {len(part.seeds): part.seeds for part in run.blocks()}
    batches = {n: problem.for_seeds(seeds, run.device) for n, seeds in sizes.items()}
    found, _ = examine(problem.for_seeds(first, run.device), noise, ends, batches)
    fatal = [finding for finding in found if finding.fatal]
    if fatal:
        said = " ".join(finding.what.rstrip(".") + "." for finding in fatal)
        event = ", ".join(map(str, problem.event))
        raise NetworkError(
            f"{problem!r} cannot be measured on states of (B, {event}): {said} "
            "flowsolve.check(ode, noise) says the same."
        ) from fatal[0].cause


def door(problem: Problem, run: Setup) -> Callable[[], None]:
    """`meet`, once, for `Task.prepare`: at the first row that is measured, and not at all if none is."""
    return lru_cache(maxsize=1)(lambda: meet(problem, run))
