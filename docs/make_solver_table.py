"""Write docs/solver_table.md: the measured order and the cost of every certified configuration.

    python docs/make_solver_table.py

The range σ = 1 to 0.2 is the one of tests/test_orders.py: what makes the mixtures nonlinear lies in
it, so slopes settle within a few hundred steps.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flowsolve import Grid, OneStep, Solver, karras, log_snr
from flowsolve.budget import cost
from flowsolve.problems import Mixture, Mixture1D, Problem
from flowsolve.study import convergence, work_precision
from flowsolve_solvers import ALL

FILE = Path(__file__).with_name("solver_table.md")
PROBLEMS: list[Problem] = [
    Mixture1D(sigma_max=1.0, sigma_min=0.2),
    Mixture(sigma_max=1.0, sigma_min=0.2),
]
SPACINGS: list[Callable[[int, float, float], Grid]] = [karras, log_snr]
LISTED = [solver for solver in ALL if not solver.stochastic]  # noise has no order of this kind
BUDGET = 12
HEADER = [
    "solver", "order", "NFE a step",
    *(f"{p.name}, {s.__name__}" for p in PROBLEMS for s in SPACINGS), f"RMSE at NFE {BUDGET}",
]  # fmt: skip


def evaluations(solver: Solver) -> int:
    """Evaluations of one more step, counted."""
    return cost(solver, log_snr(13, 10, 0.1)) - cost(solver, log_snr(12, 10, 0.1))


def plain_columns(solver: Solver) -> list[str]:
    """The columns that are not measured: what the test compares."""
    return [f"`{solver!r}`", str(solver.order), str(evaluations(solver))]


def slope(solver: Solver, problem: Problem, spacing: Callable[[int, float, float], Grid]) -> str:
    """The observed order, marked where it has not settled."""
    quick = isinstance(solver, OneStep) and solver.order > 2
    steps = (20, 40, 80) if quick else (160, 320, 640)
    found = convergence(solver, problem, steps=steps, spacing=spacing, seeds=range(8)).slope()
    return f"{found.order:.2f}" + ("" if found.settled else " *")


def error(solver: Solver) -> str:
    """The RMS error on the whole of `mixture`, σ = 10 to 0.05, within a budget."""
    study = work_precision([solver], Mixture(), [BUDGET], seeds=range(64))
    (rows,) = study.series.values()
    return f"{rows[0].rmse:.1e}"


def line(cells: list[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Measure and write."""
    lines = [line(HEADER), line(["---", *["---:"] * (len(HEADER) - 1)])]
    for solver in LISTED:
        slopes = [slope(solver, p, s) for p in PROBLEMS for s in SPACINGS]
        lines.append(line([*plain_columns(solver), *slopes, error(solver)]))
        print(lines[-1], flush=True)
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
