"""What `sample` takes where no grid is given: what a rule chooses for a budget or for a tolerance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flowsolve._arguments import real, whole
from flowsolve.errors import BudgetError, StateError
from flowsolve.ode.base import ODE
from flowsolve.ode.data_scales import known_scales, sigma_range
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver
from flowsolve.solver.rule import Rule, default_rule

if TYPE_CHECKING:
    from torch import Tensor


def choose(
    ode: ODE, noise: Tensor, solver: Solver | Rule | None, nfe: int | None, tol: float | None
) -> tuple[Solver, Grid]:
    """The choice of `solver`, a rule, or of the default rule, for nfe evaluations and the ODE's own levels.

    With a tolerance it is what meets it, in nfe evaluations at most. Raises BudgetError without a budget and a
    tolerance, and for a solver that comes without a grid.
    """
    if solver is not None and not isinstance(solver, Rule):
        raise BudgetError(
            f"{solver!r} needs a grid: sample(ode, noise, lambda n: karras(n, 80, 0.002), solver, nfe=12). "
            "Without a grid and a solver, sample(ode, noise, nfe=12), the default chooses both."
        )
    if nfe is None and tol is None:
        raise BudgetError(
            "sample(ode, noise) needs nfe=, the number of evaluations to spend, such as nfe=12, or tol=, the "
            "RMS error to reach, such as tol=1e-2."
        )
    if tol is not None and not 0 < real("tol", tol, BudgetError) < math.inf:
        raise BudgetError(f"tol is the RMS error to reach, a number above 0, but got {tol!r}.")
    nfe = None if nfe is None else whole("nfe", nfe, 1, BudgetError)
    if not isinstance(ode, ODE):
        raise StateError(
            f"ode must be an ODE such as DiffusionODE(network, precondition), not {ode!r:.80}."
        )
    rule = default_rule() if solver is None else solver
    event = tuple(getattr(noise, "shape", (1,))[1:])
    known = (*sigma_range(ode), known_scales(ode, event))
    if tol is not None:
        return rule.reach(tol, *known, nfe or 1000)
    assert nfe is not None
    return rule.choose(nfe, *known)
