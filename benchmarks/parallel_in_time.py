"""Rounds and evaluations of ParaDiGMS beside the method that it runs: the tables of docs/parallel.md.

    python benchmarks/parallel_in_time.py          # writes them into the page; --print shows them only

--device cuda prints a table of seconds on a card: how long a call of the network takes with 1, 2, 4, ... states
in it, and ParaDiGMS beside the method, from an idle device until it is idle again.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

import flowsolve as fs
from flowsolve.problems import Digits, Letters, Mixture, Problem
from flowsolve_solvers import DPMSolverPP2M, Euler, ParaDiGMS

PAGE = Path(__file__).parents[1] / "docs" / "parallel.md"
METHODS: tuple[fs.Solver, ...] = (Euler(), Euler(fs.DATA), DPMSolverPP2M())
STEPS, TOLERANCES = (25, 50, 100), (1e-2, 1e-3)


def rms(x: Tensor) -> float:
    return float(x.double().square().mean().sqrt())


def grid_of(problem: Problem, n: int) -> fs.Grid:
    return fs.log_snr(n, problem.sigma_max, problem.sigma_min)


def rounds_table(problem: Problem, seeds: int) -> Iterator[str]:
    """Rounds, evaluations, and the RMS distance from the method's own result, for windows and memories."""
    settings = [(None, 0), (None, 2), (10, 0), (10, 2)]
    heads = [
        f"{'whole' if w is None else w}, {'Anderson ' + str(m) if m else 'plain'}"
        for w, m in settings
    ]
    yield f"| {problem.name} | N | error | tolerance | {' | '.join(heads)} |"
    yield "|---|" + "---:|" * (3 + len(heads))
    dtype = torch.float32 if problem.is_network else torch.float64
    x = problem.start(range(seeds), dtype)
    fine = fs.solve(problem, x, grid_of(problem, 400), DPMSolverPP2M()).x
    for method in METHODS:
        for n in STEPS:
            grid = grid_of(problem, n)
            alone = fs.solve(problem, x, grid, method).x
            for tolerance in TOLERANCES:
                cells = []
                for window, memory in settings:
                    solver = ParaDiGMS(method, window or n, tolerance, memory)
                    done = fs.solve(problem, x, grid, solver)
                    cells.append(f"{done.rounds} / {done.nfe} / {rms(done.x - alone):.1e}")
                yield (
                    f"| {method!r} | {n} | {rms(alone - fine):.1e} | {tolerance:g} | {' | '.join(cells)} |"
                )


def fewer_table(problems: list[Problem], seeds: int) -> Iterator[str]:
    """Errors of the methods alone with few steps."""
    steps = (10, 14, 17, 18, 20, 25, 30, 50)
    yield f"| error | {' | '.join(f'N = {n}' for n in steps)} |"
    yield "|---|" + "---:|" * len(steps)
    for problem in problems:
        x = problem.start(range(seeds), torch.float32)
        fine = fs.solve(problem, x, grid_of(problem, 400), DPMSolverPP2M()).x
        for method in (Euler(), DPMSolverPP2M()):
            found = (rms(fs.solve(problem, x, grid_of(problem, n), method).x - fine) for n in steps)
            yield f"| {problem.name}, {method!r} | {' | '.join(f'{e:.1e}' for e in found)} |"


def seconds_of(run: Callable[[], object], device: str, repeat: int = 5) -> float:
    """The least of some, the device idle before and after."""
    found = []
    for _ in range(repeat + 1):  # the first warms up
        _idle(device)
        begun = time.perf_counter()
        run()
        _idle(device)
        found.append(time.perf_counter() - begun)
    return min(found[1:])


def _idle(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds_table(device: str, seeds: int = 1) -> Iterator[str]:
    """One call with k states in it, in times of one call with one; then whole runs."""
    sizes = (1, 2, 4, 8, 16, 32, 64)
    yield f"| {seeds} sample, {device} | ms, 1 state | {' | '.join(f'{k} states' for k in sizes[1:])} |"
    yield "|---|" + "---:|" * len(sizes)
    problems: list[Problem] = [Digits(), Letters()]
    with torch.no_grad():
        for problem in problems:
            x = problem.start(range(seeds), torch.float32, device)
            sigmas = grid_of(problem, max(sizes))[:-1]
            one, *more = (
                seconds_of(lambda k=k, x=x, s=sigmas, p=problem: p.eps_each([x] * k, s[:k]), device)  # type: ignore[misc]
                for k in sizes
            )
            yield f"| {problem.name} | {1e3 * one:.2f} | {' | '.join(f'{s / one:.1f}' for s in more)} |"
        yield ""
        yield "| | N | ms, the method | ms, ParaDiGMS | rounds |"
        yield "|---|---:|---:|---:|---:|"
        for problem in problems:
            x = problem.start(range(seeds), torch.float32, device)
            for n in STEPS:
                grid, solver = grid_of(problem, n), ParaDiGMS(Euler(fs.DATA), 20, 1e-2)
                alone, parallel = (
                    seconds_of(lambda s=s, x=x, g=grid, p=problem: fs.solve(p, x, g, s), device)  # type: ignore[misc]
                    for s in (solver.method, solver)
                )
                rounds = fs.solve(problem, x, grid, solver).rounds
                yield f"| {problem.name} | {n} | {1e3 * alone:.0f} | {1e3 * parallel:.0f} | {rounds} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--print", action="store_true", help="show the tables, and leave the page as it is"
    )
    parser.add_argument("--device", default="cpu", help="cuda: seconds on a card, printed")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.device != "cpu":
        print("\n".join(seconds_table(args.device)))
        return
    tables = {
        "mixture": rounds_table(Mixture(), 8),
        "digits": rounds_table(Digits(), 4),
        "letters": rounds_table(Letters(), 4),
        "fewer": fewer_table([Digits(), Letters()], 4),
        "seconds": seconds_table("cpu"),
    }
    text = PAGE.read_text("utf-8")
    for name, lines in tables.items():
        table = "\n".join(lines)
        print(table, flush=True)
        text = re.sub(
            rf"(<!-- parallel: {name} -->\n).*?(<!-- end -->)",
            lambda m, table=table: m[1] + table + "\n" + m[2],  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
    if not args.print:
        PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
