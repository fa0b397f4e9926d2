"""The default rule against the best of everything that is tried, on problems it was and was not made on.

    python benchmarks/default_rule.py                  the table of docs/default.md: hours on one core
    python benchmarks/default_rule.py ring8 letters    some of the problems
    python benchmarks/default_rule.py --nfe 8 d1
    python benchmarks/default_rule.py --tried          the rule with one thing changed

The split was written down before any rule was tried: MADE_ON may be looked at, HELD is for judging. Everything
that is tried: nine classical methods on five spacings, and Adams with 2 to 4 points and UniPC with 3 in both
bounded charts, on two-power grids of three powers and two pairs of levels, from four starts, with the measured
scales. An error is the geometric mean of the samples' RMS errors.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

import numpy as np
import torch
from rule_problems import HELD, MADE_ON

import flowsolve as fs
from flowsolve.errors import FlowsolveError
from flowsolve.ode.data_scales import guessed_scales
from flowsolve.problems import Problem
from flowsolve.solver import Solver
from flowsolve.study import reference
from flowsolve_solvers import (
    DEIS,
    IPNDM,
    Adams,
    CorrectedStart,
    DPMSolverPP2M,
    DPMSolverPPM,
    Euler,
    TwoScales,
    UniPC,
)

Choice = tuple[Solver, fs.Grid]


def classical(n: int, p: Problem) -> Iterator[Choice]:
    """Published methods on published grids."""
    s, t = p.sigma_max, p.sigma_min
    methods = (
        Euler(), IPNDM(2), IPNDM(3), IPNDM(4), DPMSolverPP2M(), DPMSolverPPM(3), UniPC(2), UniPC(3), DEIS(3),
    )  # fmt: skip
    for make in (
        lambda: fs.karras(n, s, t),
        lambda: fs.log_snr(n, s, t),
        lambda: fs.quadratic_t(n, s, t, clock=p.clock),
        lambda: fs.uniform_t(n, s, t, clock=p.clock),
        lambda: fs.ays(n, s, t),
    ):
        try:
            grid = make()
        except FlowsolveError:  # a clock without such levels
            continue
        yield from ((method, grid) for method in methods)


def two_power(
    n: int,
    p: Problem,
    scales: fs.Scales,
    chart: type[fs.Velocity] | type[fs.Flow],
    *,
    method: str = "Adams",
    points: int = 3,
    power: float = 0.35,
    start: float = math.inf,
    width: float = 1,
) -> Choice:
    """A row of the family of the rule; `start` in units of top, the levels std/width and 2 top width."""
    std, top = scales.std, scales.top
    c = math.sqrt(std * top)
    tau = fs.TwoPower(std / width, 2 * top * width, power, power)
    solver: Solver = (
        Adams(points, chart(c), tau, guard=None)
        if method == "Adams"
        else UniPC(points, chart(c), variable=tau, guard=None)
    )
    s = start * top
    if s >= 0.9 * p.sigma_max:
        return solver, fs.uniform_in(n, p.sigma_max, p.sigma_min, variable=tau)
    inner = fs.uniform_in(n, s, p.sigma_min, variable=tau)
    return CorrectedStart(solver, c), fs.Grid((p.sigma_max, *inner))


def bounded(
    n: int,
    p: Problem,
    scales: fs.Scales,
    *,
    widths: tuple[float, ...] = (1, 2),
    powers: tuple[float, ...] = (0.25, 0.35, 0.5),
    methods: tuple[tuple[str, int], ...] = (("Adams", 2), ("Adams", 3), ("Adams", 4), ("UniPC", 3)),
    starts: tuple[float, ...] = (2.5, 5, 10, 20, math.inf),
) -> Iterator[Choice]:
    """Everything of the family that is tried, or a part of it."""
    for width in widths:
        for a in powers:
            for chart in (fs.Velocity, fs.Flow):
                for method, points in methods:
                    for start in starts:
                        yield two_power(
                            n, p, scales, chart,
                            method=method, points=points, power=a, start=start, width=width,
                        )  # fmt: skip
                        if start * scales.top >= 0.9 * p.sigma_max:
                            break


def tried(n: int, p: Problem, scales: fs.Scales) -> dict[str, Choice]:
    """The rule with one thing changed. Adams' bound of σ_max/2 on the start acts on none of MADE_ON."""
    chart = fs.Velocity if n < 8 else fs.Flow
    short = n < 8 or (n < 16 and p.sigma_max >= 4 * scales.top)
    rule = {"method": "Adams" if short else "UniPC", "power": 0.35 if n < 16 else 0.3}
    rule["start"] = n**1.5 / 4.5

    def row(chart: type[fs.Velocity] | type[fs.Flow] = chart, **changed: object) -> Choice:
        return two_power(n, p, scales, chart, **{**rule, **changed})  # type: ignore[arg-type]

    return {
        "VELOCITY at every budget": row(fs.Velocity),
        "FLOW at every budget": row(fs.Flow),
        "Adams at every budget": row(method="Adams"),
        "UniPC at every budget": row(method="UniPC"),
        "four points of Adams": row(method="Adams", points=4),
        "power 0.25": row(power=0.25),
        "power 0.5": row(power=0.5),
        "levels std/2 and 4 top": row(width=2),
        "start at 2.5 top": row(start=2.5),
        "start at 10 top": row(start=10),
        "no start": row(start=math.inf),
    }


class Judge:
    """A problem with its samples and reference: the error of a choice, and the scales that were measured."""

    def __init__(self, name: str) -> None:
        self.problem = p = {**MADE_ON, **HELD}[name]()
        dtype, count = (torch.float32, 32) if p.is_network else (torch.float64, 64)
        self.x = p.start(range(1000, 1000 + count), dtype)
        tolerance = 1e-5 if p.is_network else 1e-6
        self.truth = reference(p, self.x, p.sigma_max, p.sigma_min, tolerance=tolerance).x
        self.scales = fs.scales(p, fs.unit_noise(range(16), p.event, dtype))

    def error(self, choice: Choice) -> float:
        """The geometric mean of the samples' RMS errors."""
        off = fs.solve(self.problem, self.x, choice[1], choice[0], check=False).x.double()
        off = (off - self.truth).reshape(len(off), -1)
        found = float(off.square().mean(1).sqrt().log().mean().exp())
        return found if math.isfinite(found) else math.inf

    def rule(self, n: int, scales: fs.Scales) -> float:
        """The error of the default."""
        p = self.problem
        return self.error(TwoScales().choose(n, p.sigma_max, p.sigma_min, scales))


def against_the_best(names: list[str], budgets: list[int]) -> None:
    """Print a line for each problem and budget."""
    print(
        "problem, NFE, best of all; ratios to it: scales measured, guessed, best classical, best DDIM"
    )
    for name in names:
        judge = Judge(name)
        p, scales = judge.problem, judge.scales
        guess = guessed_scales(p.event)
        for n in budgets:
            rule = [judge.rule(n, s) for s in (scales, guess)]
            old = [(method, judge.error((method, grid))) for method, grid in classical(n, p)]
            known, ddim = min(e for _, e in old), min(e for method, e in old if method == Euler())
            best = min(*rule, known, *map(judge.error, bounded(n, p, scales)))
            ratios = "  ".join(f"{e / best:6.2f}" for e in (*rule, known, ddim))
            print(f"{name:12} {n:3}  {best:.2e}  {ratios}", flush=True)


def against_the_rule(names: list[str], budgets: list[int]) -> None:
    """Print a line for each change of the rule: the ratio to the rule's error, over problems; the worst."""
    ratios: dict[tuple[str, bool, int], list[float]] = {}
    for name in names:
        judge = Judge(name)
        for n in budgets:
            rule = judge.rule(n, judge.scales)
            for what, choice in tried(n, judge.problem, judge.scales).items():
                key = what, judge.problem.is_network, n
                ratios.setdefault(key, []).append(judge.error(choice) / rule)
    for network in (False, True):
        print("networks" if network else "exact problems", *budgets, sep=" | ")
        for what in dict.fromkeys(what for what, *_ in ratios):
            cells = [ratios.get((what, network, n), [math.nan]) for n in budgets]
            shown = (f"{math.exp(np.mean(np.log(c))):.2f} ({max(c):.1f})" for c in cells)
            print(what, *shown, sep=" | ", flush=True)


def main() -> None:
    """Print one of the two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="*")
    parser.add_argument("--nfe", nargs="+", type=int, default=[5, 8, 12, 20, 32])
    parser.add_argument("--tried", action="store_true", help="the rule with one thing changed")
    args = parser.parse_args()
    if args.tried:
        against_the_rule(args.problems or [*MADE_ON], args.nfe)
    else:
        against_the_best(args.problems or [*MADE_ON, *HELD], args.nfe)


if __name__ == "__main__":
    main()
