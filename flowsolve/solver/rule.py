"""Rule: a method and a grid for a budget, and the one that the installed packages offer as the default."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from flowsolve._arguments import Values
from flowsolve.errors import BudgetError, NameClash, NameUnknown

if TYPE_CHECKING:
    from flowsolve.ode.base import Scales
    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.base import Solver

GROUP = "flowsolve.default"


class Rule(Values, ABC):
    """What to take for a budget of evaluations, between two levels, on data of known scales."""

    @abstractmethod
    def choose(
        self, nfe: int, sigma_max: float, sigma_min: float, scales: Scales
    ) -> tuple[Solver, Grid]:
        """A solver, and a grid on which it costs `nfe` evaluations. σ_max may be ∞ and σ_min 0."""

    def reach(
        self, tol: float, sigma_max: float, sigma_min: float, scales: Scales, max_nfe: int = 1000
    ) -> tuple[Solver, Grid]:
        """An adaptive solver and its levels, for an RMS error near `tol` in at most `max_nfe` evaluations.

        Raises BudgetError where the rule has none, as this one.
        """
        raise BudgetError(f"{self!r} chooses for a budget only: give nfe= instead of tol=.")

    def menu(
        self, nfe: int, sigma_max: float, sigma_min: float, scales: Scales
    ) -> list[tuple[Solver, Grid]]:
        """What is worth a trial on a network at this budget, `choose`'s first: by default that alone."""
        return [self.choose(nfe, sigma_max, sigma_min, scales)]


@cache
def default_rule() -> Rule:
    """The rule of the entry-point group `flowsolve.default`, a class that is called without arguments.

    Raises NameUnknown if no installed package has one, NameClash if two have.
    """
    entries = sorted({entry.value: entry for entry in entry_points(group=GROUP)}.items())
    if not entries:
        raise NameUnknown(
            f"no installed package offers a default method (entry point {GROUP!r}): install flowsolve "
            "again, or give a grid and a solver."
        )
    if len(entries) > 1:
        names = ", ".join(value for value, _ in entries)
        raise NameClash(
            f"several packages offer a default method: {names}. Give a grid and a solver."
        )
    rule = entries[0][1].load()()
    assert isinstance(rule, Rule)
    return rule
