"""Evaluations to an RMS error: `sample(tol=)` against the best fixed grid, on the problems of the default rule.

    python benchmarks/tolerance.py                  every problem: hours on one core, networks most of it
    python benchmarks/tolerance.py ring8 letters    some of them

For each goal: the evaluations of the default rule at tol = goal and its RMS error over the goal; the fewest
evaluations with which it reaches the goal at any tolerance; the fewest of the default on fixed grids; and the
fewest of everything on fixed grids, chosen in hindsight. Everything: classical methods on karras and log-SNR
levels, Adams and UniPC in both bounded charts on two-power grids from several starts.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator

from default_rule import Choice, Judge, two_power
from rule_problems import HELD, MADE_ON

import flowsolve as fs
from flowsolve.errors import FlowsolveError
from flowsolve_solvers import IPNDM, TwoScales, UniPC

GOALS = (1e-1, 1e-2, 1e-3, 1e-4)
BUDGETS = {
    False: [*range(4, 17), 18, 20, 22, 24, 27, 30, 34, 38, 43, 48, 54, 60, 70, 80, 100],
    True: [*range(4, 11), 12, 14, 16, 18, 20, 24, 28, 32, 38, 46, 56, 70, 90],
}
TOLERANCES = [10 ** (-0.5 - k / 8) for k in range(37)]
ROWS = {
    False: [("Adams", 3), ("Adams", 4), ("UniPC", 3)],
    True: [("Adams", 3), ("UniPC", 3)],  # networks take minutes a row
}


def everything(n: int, judge: Judge) -> Iterator[Choice]:
    """What is tried on fixed grids at n evaluations."""
    p, s = judge.problem, judge.scales
    for a in (0.35,) if p.is_network else (0.25, 0.35, 0.5):
        for chart in (fs.Velocity, fs.Flow):
            for method, points in ROWS[p.is_network]:
                for start in (2.5, 10, math.inf) if p.is_network else (2.5, 5, 10, 20, math.inf):
                    yield two_power(
                        n, p, s, chart, method=method, points=points, power=a, start=start
                    )
                    if start * s.top >= 0.9 * p.sigma_max:
                        break
    for solver in (IPNDM(2), IPNDM(3), UniPC(3)):
        for spacing in (fs.karras, fs.log_snr):
            yield solver, spacing(n, p.sigma_max, p.sigma_min)


def rmse(judge: Judge, choice: Choice) -> tuple[float, int]:
    """The RMS error and the evaluations."""
    found = fs.solve(judge.problem, judge.x, choice[1], choice[0], check=False)
    error = float((found.x.double() - judge.truth).square().mean().sqrt())
    return (error if math.isfinite(error) else math.inf), found.nfe


def fewest(goal: float, runs: Iterator[tuple[float, int]]) -> int | None:
    """The evaluations of the first run that reaches the goal."""
    return next((nfe for error, nfe in runs if error <= goal), None)


def fixed(judge: Judge, choices: Callable[[int], Iterator[Choice]]) -> list[tuple[float, int]]:
    """The least error at each budget."""
    least = []
    for n in BUDGETS[judge.problem.is_network]:
        errors = [math.inf]
        for choice in choices(n):
            try:
                errors.append(rmse(judge, choice)[0])
            except FlowsolveError:
                continue
        least.append((min(errors), n))
    return least


def compare(name: str) -> None:
    """Print a line for each goal."""
    judge = Judge(name)
    ends = judge.problem.sigma_max, judge.problem.sigma_min

    def rule(tol: float) -> tuple[float, int]:
        return rmse(judge, TwoScales().reach(tol, *ends, judge.scales))

    curve = [rule(tol) for tol in TOLERANCES]
    plain = fixed(judge, lambda n: iter([TwoScales().choose(n, *ends, judge.scales)]))
    best = fixed(judge, lambda n: everything(n, judge))
    for goal in GOALS:
        error, nfe = rule(goal)
        reached = fewest(goal, iter(sorted(curve, key=lambda run: run[1])))
        counts = (
            nfe,
            f"{error / goal:.2f}",
            reached,
            fewest(goal, iter(plain)),
            fewest(goal, iter(best)),
        )
        print(f"{name:12} {goal:.0e}", *counts, sep=" | ", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("problems", nargs="*")
    print(
        "problem, goal | at tol = goal: NFE, error/goal | NFE to the goal: adaptive, default, best fixed"
    )
    for name in parser.parse_args().problems or [*MADE_ON, *HELD]:
        compare(name)


if __name__ == "__main__":
    main()
