"""One-step methods of several orders in one run: DPM-Solver-fast.     Lu et al. 2022a, Section 3.4."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.solver import OneStep, Solver
from flowsolve_solvers.dpm_solver import DPMSolver2, DPMSolver3
from flowsolve_solvers.euler import Euler

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["DPMSolverFast", "Plan"]

_SINGLESTEP: dict[int, OneStep] = {1: Euler(), 2: DPMSolver2(), 3: DPMSolver3()}


@dataclass(frozen=True, repr=False)
class Plan(Solver):
    """Step k by the k-th of several one-step methods: 3, ..., 3, 2, 1.       DPM-Solver, Section 3.4.

    methods  one for each step. On a longer grid the first is repeated, on a shorter one the first
             are left out: the last step is always the last method's. The default on m steps is
             DPM-Solver-3 m - 2 times, DPM-Solver-2, Euler: 3m - 3 evaluations

    A method used once may be one order lower than the rest at no loss, so the order is
    min(first, 1 + lowest of the others): 2 for 3, ..., 3, 2, 1 and for 3, ..., 3, 1, and 3 for
    3, ..., 3, 2.
    """

    methods: tuple[OneStep, ...] = (DPMSolver3(), DPMSolver2(), Euler())

    def __post_init__(self) -> None:
        if (
            not isinstance(self.methods, tuple)
            or not self.methods
            or not all(isinstance(m, OneStep) for m in self.methods)
        ):
            raise TypeError(
                "Plan needs at least one one-step solver such as DPMSolver3(), but got methods = "
                f"{self.methods!r}."
            )

    @property
    def order(self) -> int:
        first, *rest = (m.order for m in self.methods)
        return min(first, 1 + min(rest, default=first))

    def on(self, steps: int) -> tuple[OneStep, ...]:
        """The method of each step, on a grid of `steps` steps."""
        longer = max(0, steps - len(self.methods))
        return (*self.methods[:1] * longer, *self.methods)[-steps:]

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        for method, (s, t) in zip(self.on(len(grid) - 1), pairwise(grid), strict=True):
            x = method.step(ode, x, s, t)
            yield x


def DPMSolverFast(nfe: int = 15, order: int = 3) -> Plan:
    """Orders 3, ..., 3, 2, 1 that spend exactly nfe evaluations.     DPM-Solver-fast; k-diffusion's dpm_fast.

    On the grid of nfe // order + 1 steps (nfe / 2 for order 2 and even nfe), which
    `solve(ode, x, spacing, DPMSolverFast(n), nfe=n)` finds: the plan ends 2, 1 where 3 divides nfe,
    else with the order that is left over. Order 2: 2, ..., 2, and 1 if nfe is odd. Published with
    levels uniform in log σ. diffusers' singlestep scheduler repeats 1, 2, 3 and takes grid levels as
    stages: another method.
    """
    if not isinstance(nfe, int) or nfe < 1 or not isinstance(order, int) or order not in (2, 3):
        raise ValueError(
            f"DPMSolverFast needs nfe >= 1 and order 2 or 3, but got nfe = {nfe!r}, order = {order!r}."
        )
    whole, left = divmod(nfe, order)
    if order == 2:
        orders = [2] * whole + [1] * left
    else:
        orders = [3] * whole + [left] if left else [3] * (whole - 1) + [2, 1]
    while len(orders) > 1 and orders[0] == orders[1]:
        del orders[0]  # a plan repeats its first method
    return Plan(tuple(_SINGLESTEP[k] for k in orders))
