"""Evaluations to an RMS error: `sample(tol=)` against the best fixed grid, on the problems of the default rule.

    python benchmarks/tolerance.py                  every problem: hours on one core, networks most of it
    python benchmarks/tolerance.py ring8 letters    some of them
    python benchmarks/tolerance.py --far-field      the error over tol on a small MLP that errs at high noise

For each goal: the evaluations of the default rule at tol = goal and its RMS error over the goal; the fewest
evaluations with which it reaches the goal at any tolerance; the fewest of the default on fixed grids; and the
fewest of everything on fixed grids, chosen in hindsight. Everything: classical methods on karras and log-SNR
levels, Adams and UniPC in both bounded charts on two-power grids from several starts.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator

import torch
from default_rule import Choice, Judge, bounded
from rule_problems import HELD, MADE_ON

import flowsolve as fs
from flowsolve.errors import FlowsolveError
from flowsolve_solvers import IPNDM, CorrectedStart, TwoScales, UniPC

GOALS = (1e-1, 1e-2, 1e-3, 1e-4)
BUDGETS = {
    False: [*range(4, 17), 18, 20, 22, 24, 27, 30, 34, 38, 43, 48, 54, 60, 70, 80, 100],
    True: [*range(4, 11), 12, 14, 16, 18, 20, 24, 28, 32, 38, 46, 56, 70, 90],
}
TOLERANCES = [10 ** (-0.5 - k / 8) for k in range(37)]
TRIED = {
    False: {"methods": (("Adams", 3), ("Adams", 4), ("UniPC", 3))},
    # networks take minutes a row
    True: {
        "powers": (0.35,),
        "methods": (("Adams", 3), ("UniPC", 3)),
        "starts": (2.5, 10, math.inf),
    },
}


def everything(n: int, judge: Judge) -> Iterator[Choice]:
    """What is tried on fixed grids at n evaluations: up to 96 methods, on networks up to 18."""
    p = judge.problem
    yield from bounded(n, p, judge.scales, widths=(1,), **TRIED[p.is_network])
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


def mlp() -> fs.ODE:
    """Trained for seconds to predict ε of five values, on linear β."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 64), torch.nn.SiLU(), torch.nn.Linear(64, 5))

    def network(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return net(torch.cat([x, t[:, None].float() / 1000], 1))

    clock, adam = fs.linear_beta(), torch.optim.Adam(net.parameters(), 3e-3)
    bar = torch.tensor(clock.alphas_cumprod, dtype=torch.float32)
    data = torch.randn(512, 5) * torch.tensor([2.0, 1.0, 0.5, 0.2, 0.1]) + 0.3
    for _ in range(1500):
        t, x0 = torch.randint(0, 1000, (256,)), data[torch.randint(0, 512, (256,))]
        noise = torch.randn_like(x0)
        x = bar[t].sqrt()[:, None] * x0 + (1 - bar[t]).sqrt()[:, None] * noise
        loss = (network(x, t) - noise).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return fs.DiffusionODE(network, fs.EpsPrediction(clock))


def far_field() -> None:
    """Print the error over tol, of the default and of the same after the corrected start."""
    ode, noise = mlp(), fs.unit_noise(range(64), (5,))
    fine = fs.sample(ode, noise, tol=1e-5).x
    print("tol | NFE | error/tol | after a corrected start")
    for tol in GOALS[:3]:
        found = fs.sample(ode, noise, tol=tol)
        s = 2 * math.sqrt(0.5 / tol)  # top √(std/tol) with the scales that are guessed
        started = fs.Grid((found.grid[0], s, found.grid[-1]))
        blind = fs.sample(ode, noise, started, CorrectedStart(found.solver, 1.0))
        errors = (
            f"{float((run.x - fine).square().mean().sqrt()) / tol:.2f}" for run in (found, blind)
        )
        print(tol, found.nfe, *errors, sep=" | ")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("problems", nargs="*")
    parser.add_argument("--far-field", action="store_true")
    args = parser.parse_args()
    if args.far_field:
        far_field()
        return
    print(
        "problem, goal | at tol = goal: NFE, error/goal | NFE to the goal: adaptive, default, best fixed"
    )
    for name in args.problems or [*MADE_ON, *HELD]:
        compare(name)


if __name__ == "__main__":
    main()
