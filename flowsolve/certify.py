"""The certificate: for each configuration, what it claims beside what was measured of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flowsolve.budget import per_step
from flowsolve.errors import BudgetError, TableError
from flowsolve.grid import Spacing, karras, log_snr
from flowsolve.precondition import EpsPrediction
from flowsolve.problems import Mixture, Mixture1D, Problem
from flowsolve.schedule import VPSDE
from flowsolve.solver import OneStep, Solver, docline
from flowsolve.study import convergence
from flowsolve.table import tabulate

TOLERANCE = 0.2


@dataclass(frozen=True)
class Certificate:
    """One configuration.

    order    declared;  slopes: measured on (problem, spacing), NaN where none could be
    per_step evaluations of one more step, counted;  buffers: the most state-sized tensors alive at
             once over 20 steps, the caller's start included
    linear   whether it has a coefficient table;  source: the paper, from its docstring
    """

    solver: str
    source: str
    order: int
    slopes: tuple[tuple[str, float], ...]
    per_step: int
    buffers: int
    linear: bool

    @property
    def holds(self) -> bool:
        """Every slope within 0.2 of the order."""
        return all(abs(slope - self.order) < TOLERANCE for _, slope in self.slopes)


def certify(
    solvers: Iterable[Solver], on_row: Callable[[Certificate], None] | None = None
) -> list[Certificate]:
    """Measure each solver on two problems and two grids, in float64. Adaptive ones are left out.

    The range is σ = 1 to 0.2, in which the mixtures are nonlinear: over a wide range the slopes of
    ramped methods settle only beyond a thousand steps.
    """
    done = []
    for solver in solvers:
        if not solver.adaptive and not solver.stochastic:
            done.append(_certificate(solver))
            if on_row:
                on_row(done[-1])
    return done


def measuring_steps(solver: Solver) -> tuple[int, int, int]:
    """Where the slope of errors has settled and round-off is far."""
    # a high-order one-step method reaches round-off where a multistep one has just settled
    if isinstance(solver, OneStep) and solver.order > 2:
        return 20, 40, 80
    return (80, 160, 320) if solver.order > 4 else (160, 320, 640)


def _certificate(solver: Solver) -> Certificate:
    problems: list[Problem] = [cls(sigma_max=1.0, sigma_min=0.2) for cls in (Mixture1D, Mixture)]
    spacings: list[Spacing] = [karras, log_snr]
    steps = measuring_steps(solver)
    slopes = []
    for problem in problems:
        for spacing in spacings:
            study = convergence(solver, problem, steps=steps, spacing=spacing, seeds=range(8))
            slopes.append((f"{problem.name}, {study.rows[0].spacing}", study.order()))
    from flowsolve.meter import metered

    return Certificate(
        repr(solver),
        docline(solver)[1],
        solver.order,
        tuple(slopes),
        per_step(solver) or 0,
        metered(solver, EpsPrediction(VPSDE()), 20)[0].peak,
        _linear(solver),
    )


def markdown(certificates: Iterable[Certificate]) -> str:
    """The table of the documentation."""
    certificates = list(certificates)
    names = [name for name, _ in certificates[0].slopes] if certificates else []
    head = ["solver", "order", *names, "NFE a step", "buffers", "linear", "source"]
    lines = [head, ["---", *["---:"] * (len(names) + 3), "---", "---"]]
    for c in certificates:
        measured = [f"{slope:.2f}" for _, slope in c.slopes]
        plain = [str(c.per_step), str(c.buffers), "yes" if c.linear else "no", c.source]
        lines.append([f"`{c.solver}`", str(c.order), *measured, *plain])
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def _linear(solver: Solver) -> bool:
    try:
        tabulate(solver, log_snr(7, 10, 0.1))
    except (TableError, BudgetError):
        return False
    return True
