"""What `sample` takes where no grid is given: the solver and the grid that a rule chooses for a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowsolve._arguments import whole
from flowsolve.errors import BudgetError, StateError
from flowsolve.ode.base import ODE
from flowsolve.ode.data_scales import known_scales, sigma_range
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver
from flowsolve.solver.rule import Rule, default_rule

if TYPE_CHECKING:
    from torch import Tensor


def choose(
    ode: ODE, noise: Tensor, solver: Solver | Rule | None, nfe: int | None
) -> tuple[Solver, Grid]:
    """The choice of `solver`, a rule, or of the default rule, for nfe evaluations and the ODE's own levels.

    Raises BudgetError without a budget, and for a solver that comes without a grid.
    """
    if solver is not None and not isinstance(solver, Rule):
        raise BudgetError(
            f"{solver!r} needs a grid: sample(ode, noise, lambda n: karras(n, 80, 0.002), solver, nfe=12). "
            "Without a grid and a solver, sample(ode, noise, nfe=12), the default chooses both."
        )
    if nfe is None:
        raise BudgetError(
            "sample(ode, noise) needs nfe=, the number of evaluations to spend, such as nfe=12."
        )
    nfe = whole("nfe", nfe, 1, BudgetError)
    if not isinstance(ode, ODE):
        raise StateError(
            f"ode must be an ODE such as DiffusionODE(network, precondition), not {ode!r:.80}."
        )
    rule = default_rule() if solver is None else solver
    event = tuple(getattr(noise, "shape", (1,))[1:])
    return rule.choose(nfe, *sigma_range(ode), known_scales(ode, event))
