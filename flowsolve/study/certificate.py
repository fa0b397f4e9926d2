"""The certificate: what each configuration of a solver claims, beside what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from flowsolve.analysis.strong_order import STRONG_ORDER, path_slope
from flowsolve.analysis.table import tabulate
from flowsolve.analysis.weak_order import law_slope
from flowsolve.errors import BudgetError, TableError
from flowsolve.ode.precondition import EpsPrediction
from flowsolve.problems import Mixture, Mixture1D
from flowsolve.schedule.clock import VPSDE
from flowsolve.schedule.grid import Spacing
from flowsolve.schedule.spacings import karras, log_snr
from flowsolve.solver.base import OneStep, Solver, as_solvers, formula_and_source
from flowsolve.solver.stand_in import per_step
from flowsolve.study.studies import convergence

TOLERANCE = 0.2
SPACINGS: tuple[Spacing, ...] = (karras, log_snr)
STOCHASTIC = "<!-- stochastic -->"


@dataclass(frozen=True)
class Certificate:
    """One configuration.

    order     declared; for a stochastic method the weak order
    slopes    measured: (problem and spacing, slope), NaN where there is none
    paths     of a stochastic method the slope of the strong error, on one Brownian path
    per_step  evaluations of one more step, counted
    buffers   the most state-sized tensors alive at once over 20 steps, the caller's start included
    linear    whether it has a coefficient table;  source: the paper, from its docstring
    """

    solver: str
    source: str
    order: int
    slopes: tuple[tuple[str, float], ...]
    per_step: float
    buffers: int
    linear: bool
    paths: float | None = None

    @property
    def holds(self) -> bool:
        """Every slope within 0.2 of the order, and the paths' within 0.2 of 1."""
        paths = self.paths is None or abs(self.paths - STRONG_ORDER) < TOLERANCE
        return paths and all(abs(slope - self.order) < TOLERANCE for _, slope in self.slopes)


def certify(
    solvers: Solver | Iterable[Solver], on_row: Callable[[Certificate], None] | None = None
) -> list[Certificate]:
    """Measure each solver in float64; adaptive ones are left out.

    Deterministic methods: the slope of the error on two problems and two grids. Stochastic ones: the slope
    of the weak error on two grids, and of the strong error. σ goes from 1 to 0.2, where the mixtures are
    nonlinear; over a wide range the slopes of methods that ramp their order settle only beyond a thousand
    steps.
    """
    done = []
    for solver in as_solvers(solvers):
        if not solver.adaptive:
            done.append(_certificate(solver))
            if on_row:
                on_row(done[-1])
    return done


def measuring_steps(solver: Solver) -> tuple[int, int, int]:
    """Numbers of steps at which the slope has settled and round-off is still far below."""
    # a high-order one-step method reaches round-off where a multistep one has just settled
    if isinstance(solver, OneStep) and solver.order > 2:
        return 20, 40, 80
    return (80, 160, 320) if solver.order > 4 else (160, 320, 640)


def _certificate(solver: Solver) -> Certificate:
    from flowsolve.analysis.step_cost import measured_cost

    return Certificate(
        repr(solver),
        formula_and_source(solver)[1],
        solver.order,
        tuple(_law(solver) if solver.stochastic else _slopes(solver)),
        per_step(solver) or 0,
        measured_cost(solver, EpsPrediction(VPSDE()), 20)[0].peak,
        _linear(solver),
        path_slope(solver).order if solver.stochastic else None,
    )


def _slopes(solver: Solver) -> Iterator[tuple[str, float]]:
    steps = measuring_steps(solver)
    for problem in [cls(sigma_max=1.0, sigma_min=0.2) for cls in (Mixture1D, Mixture)]:
        for spacing in SPACINGS:
            study = convergence(solver, problem, steps=steps, spacing=spacing, seeds=range(8))
            yield f"{problem.name}, {study.rows[0].spacing}", study.order()


def _law(solver: Solver) -> Iterator[tuple[str, float]]:
    for spacing in SPACINGS:
        try:
            slope = law_slope(solver, spacing).order
        except TableError:
            slope = math.nan
        yield f"law, {spacing(1, 1.0, 0.2).name}", slope


def markdown(certificates: Iterable[Certificate]) -> str:
    """The two tables of the documentation: without noise, and after a line that says so, with it."""
    certificates = list(certificates)
    plain = [c for c in certificates if c.paths is None]
    noisy = [c for c in certificates if c.paths is not None]
    return f"\n{STOCHASTIC}\n\n".join(_table(rows) for rows in (plain, noisy) if rows)


def _table(certificates: list[Certificate]) -> str:
    names = [name for name, _ in certificates[0].slopes]
    noisy = certificates[0].paths is not None
    measured = [*names, "paths"] if noisy else names
    last = ["source"] if noisy else ["linear", "source"]
    head = ["solver", "order", *measured, "NFE a step", "buffers", *last]
    lines = [head, ["---", *["---:"] * (len(measured) + 3), *["---"] * len(last)]]
    for c in certificates:
        slopes = [slope for _, slope in c.slopes] + ([] if c.paths is None else [c.paths])
        linear = [] if noisy else ["yes" if c.linear else "no"]
        rest = [f"{c.per_step:g}", str(c.buffers), *linear, c.source]
        lines.append([f"`{c.solver}`", str(c.order), *(f"{s:.2f}" for s in slopes), *rest])
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def _linear(solver: Solver) -> bool:
    try:
        tabulate(solver, log_snr(7, 10, 0.1))
    except (TableError, BudgetError):
        return False
    return True
