"""What errors of a network do to order: the study of docs/perturbed.md, its tables and its figure.

    python benchmarks/perturbed.py study             errors under every perturbation: half an hour on one core
    python benchmarks/perturbed.py study digits d1   some of the problems
    python benchmarks/perturbed.py tables            what the rows say
    python benchmarks/perturbed.py figure            docs/figures/perturbed.png, from the rows of letters

Adams with 1 to 4 points in four charts, and the default, on the problems in closed form that the default was
made on and on two networks. Grid and polynomial are the default's: two powers of 0.35, the scales measured. The
rows are in results/perturbed.jsonl, and the study continues from them. An error is the geometric mean of the
samples' RMS errors against the trajectories of the network as it is. `perturbed_theory.py` has the rest.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from rule_problems import HELD, MADE_ON

import flowsolve as fs
from flowsolve import plot
from flowsolve.problems import PerturbedProblem, Problem
from flowsolve.problems.perturbed import bfloat16, constant, gaussian, int8, reuse
from flowsolve.schedule import uniform_in
from flowsolve.solver.chart import Chart
from flowsolve.solver.rule import default_rule
from flowsolve.study import Study, work_precision
from flowsolve.study.cases import Method
from flowsolve_solvers import Adams

EXACT = ("d1", "ring8", "m5d8", "pts30d16", "pow64top8", "d3top20", "lat64top30", "m3d2")
NETWORKS = ("digits", "letters")
NFE = (5, 8, 12, 20, 50)
POINTS = {
    "NOISE": (1, 2, 3),
    "DATA": (2, 3),
    "VELOCITY": (3,),
    "FLOW": (2, 3, 4),
}  # one is DDIM, but in VELOCITY
PERTURBATIONS = (
    gaussian(1e-3), gaussian(1e-2), gaussian(1e-1), constant(3e-3), constant(1e-2), bfloat16(), int8(),
    reuse(2), reuse(3),
)  # fmt: skip
ROWS = Path("results/perturbed.jsonl")
DEFAULT = "default"
LABELS = {
    "NOISE 1": "DDIM (1 point)", "FLOW 2": "2 points, flow chart", "FLOW 3": "3 points, flow chart",
    "FLOW 4": "4 points, flow chart", "DATA 3": "3 points, data chart", DEFAULT: "default",
}  # fmt: skip


def charts(c: float) -> dict[str, Chart]:
    """By name, those with a scale at c."""
    return {"NOISE": fs.NOISE, "DATA": fs.DATA, "VELOCITY": fs.Velocity(c), "FLOW": fs.Flow(c)}


def tau_of(problem: Problem) -> fs.TwoPower:
    """The variable of the default, in which grids are uniform and polynomials taken."""
    assert problem.scales is not None
    return fs.TwoPower(problem.scales.std, 2 * problem.scales.top, 0.35, 0.35)


def names_of(problem: Problem) -> dict[str, Method]:
    """The methods by what tables call them: "FLOW 3" is Adams with three points in FLOW."""
    scales = problem.scales
    assert scales is not None
    tau = tau_of(problem)
    spacing = partial(uniform_in, variable=tau)
    adams = {
        f"{name} {k}": (Adams(k, chart, tau, guard=None), spacing)
        for name, chart in charts(math.sqrt(scales.std * scales.top)).items()
        for k in POINTS[name]
    }
    return {**adams, DEFAULT: default_rule()}


def measured(name: str) -> Problem:
    """The problem with its scales measured."""
    problem = {**MADE_ON, **HELD}[name]()
    fs.scales(problem, fs.unit_noise(range(16), problem.event, dtype(problem)))
    return problem


def dtype(problem: Problem) -> torch.dtype:
    """Float32 for networks."""
    return torch.float32 if problem.is_network else torch.float64


def study(names: list[str]) -> None:
    """Measure all rows of these problems that are not there yet."""
    ROWS.parent.mkdir(exist_ok=True)
    for name in names:
        problem = measured(name)
        seeds = range(1000, 1032 if problem.is_network else 1064)
        methods = [*names_of(problem).values()]
        for one in (problem, *(PerturbedProblem(problem, by) for by in PERTURBATIONS)):
            work_precision(methods, one, NFE, path=ROWS, seeds=seeds, dtype=dtype(problem))
            print(name, one.perturbation, flush=True)


Cells = dict[tuple[str, str, str, int], float]


def cells() -> Cells:
    """The errors by problem, perturbation, method and budget."""
    found: Cells = {}
    rows = Study.load(ROWS).rows
    for name in (*EXACT, *NETWORKS):
        problem = measured(name)
        called = {
            repr(m[0] if isinstance(m, tuple) else m): what for what, m in names_of(problem).items()
        }
        digests = {
            p.digest for p in (problem, *(PerturbedProblem(problem, by) for by in PERTURBATIONS))
        }
        for row in rows:
            if row.problem_digest in digests and row.solver in called and not row.error:
                found[name, row.perturb, called[row.solver], int(row.asked[4:])] = row.geometric
    return found


def mean(values: Iterator[float]) -> tuple[float, float]:
    """The geometric mean, and the largest."""
    all_of = [*values]
    return math.exp(math.fsum(map(math.log, all_of)) / len(all_of)), max(all_of)


def tables() -> None:
    """By perturbation and budget, means over problems, in brackets the worst."""
    found = cells()
    kinds = ["", *(by.name for by in PERTURBATIONS)]
    for group in (EXACT, NETWORKS):
        names = [name for name in group if (name, "", DEFAULT, NFE[0]) in found]
        print(f"\n{', '.join(names)}")
        points = [f"FLOW {k}" for k in POINTS["FLOW"]]
        for title, one, other in (
            ("3 points over 2 in FLOW", "FLOW 3", "FLOW 2"),
            ("3 points over 1 in FLOW", "FLOW 3", "NOISE 1"),
            ("3 points over 2 in DATA", "DATA 3", "DATA 2"),
            ("3 points over 1 in DATA", "DATA 3", "NOISE 1"),
            ("default over 2 points in FLOW", DEFAULT, "FLOW 2"),
        ):
            print(f"\n| {title} |", " | ".join(map(str, NFE)), "|")
            for kind in kinds:
                cell = [
                    mean(found[p, kind, one, n] / found[p, kind, other, n] for p in names)
                    for n in NFE
                ]
                print(
                    f"| {kind or 'as it is'} |",
                    " | ".join(f"{m:.2f} ({worst:.1f})" for m, worst in cell),
                    "|",
                )
        print("\n| best number of points, 1 to 4 in FLOW |", " | ".join(map(str, NFE)), "|")
        for kind in kinds:
            over = [
                {m: mean(found[p, kind, m, n] for p in names)[0] for m in ("NOISE 1", *points)}
                for n in NFE
            ]
            best = [min(errors, key=lambda m, errors=errors: errors[m]) for errors in over]
            print(f"| {kind or 'as it is'} |", " | ".join(m[-1] for m in best), "|")
        for method in (DEFAULT, "FLOW 2", "NOISE 1"):
            print(
                f"\n| {method}: error over that of the network as it is |",
                " | ".join(map(str, NFE)),
                "|",
            )
            for kind in kinds[1:]:
                cell = [
                    mean(found[p, kind, method, n] / found[p, "", method, n] for p in names)
                    for n in NFE
                ]
                print(f"| {kind} |", " | ".join(f"{m:.2f} ({worst:.1f})" for m, worst in cell), "|")


def figure() -> None:
    """Letters under six perturbations."""
    problem = measured("letters")
    kinds = ("", "gaussian:0.01", "constant:0.01", "bfloat16", "int8", "reuse:2")
    digests = {
        p.digest for p in (problem, *(PerturbedProblem(problem, by) for by in PERTURBATIONS))
    }
    rows = {
        r.key: r
        for r in Study.load(ROWS).rows
        if r.problem_digest in digests and r.perturb in kinds
    }
    called = {
        repr(m[0] if isinstance(m, tuple) else m): what for what, m in names_of(problem).items()
    }
    labels = {solver: LABELS[what] for solver, what in called.items() if what in LABELS}
    shown = [r for r in rows.values() if r.solver in labels]
    shown.sort(key=lambda r: (kinds.index(r.perturb), [*LABELS].index(called[r.solver])))
    drawn = plot.error_by_perturbation(Study(tuple(shown)), labels=labels)
    plot.save(drawn, "docs/figures/perturbed.png")


def main() -> None:
    """Do one of the three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["study", "tables", "figure"])
    parser.add_argument("problems", nargs="*")
    args = parser.parse_args()
    if args.what == "study":
        study(args.problems or [*EXACT, *NETWORKS])
    else:
        {"tables": tables, "figure": figure}[args.what]()


if __name__ == "__main__":
    main()
