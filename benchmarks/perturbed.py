"""What errors of a network do to order: the tables and the figure of docs/perturbed.md.

    python benchmarks/perturbed.py study             errors under every perturbation: an hour on one core
    python benchmarks/perturbed.py study digits d1   some of the problems
    python benchmarks/perturbed.py tables            what the rows say, as tables
    python benchmarks/perturbed.py figure            docs/figures/perturbed.png, from the same rows
    python benchmarks/perturbed.py gains             what one unit of error becomes, on Gaussian data: seconds
    python benchmarks/perturbed.py orders            slopes under each perturbation, in float64: minutes
    python benchmarks/perturbed.py predictions       what an error in F costs, by what F is: seconds

The study: Adams with 1 to 4 points in four charts, and the default, on the problems that the default was made on in
closed form and on two networks. Grid and polynomial are the default's: two powers of 0.35, with the measured scales.
Rows are in results/perturbed.jsonl, and the study continues from them. An error is the geometric mean of the samples'
RMS errors against the trajectories of the network as it is.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from rule_problems import HELD, MADE_ON
from torch import Tensor

import flowsolve as fs
from flowsolve.problems import Mixture, NetworkProblem, PerturbedProblem, Problem, exact_network
from flowsolve.problems.perturbed import (
    Perturbation,
    bfloat16,
    constant,
    gaussian,
    int8,
    reuse,
)
from flowsolve.schedule import uniform_in
from flowsolve.solver.rule import default_rule
from flowsolve.study import Study, work_precision
from flowsolve_solvers import RK4, Adams, Euler, Heun

EXACT = ("d1", "ring8", "m5d8", "pts30d16", "pow64top8", "d3top20", "lat64top30", "m3d2")
NETWORKS = ("digits", "letters")
NFE = (5, 8, 12, 20, 50)
POINTS = {"NOISE": (1, 2, 3), "DATA": (2, 3), "VELOCITY": (3,), "FLOW": (2, 3, 4)}  # one is DDIM, but in VELOCITY
PERTURBATIONS = (
    gaussian(1e-3), gaussian(1e-2), gaussian(1e-1), constant(3e-3), constant(1e-2), bfloat16(), int8(), reuse(2),
    reuse(3),
)  # fmt: skip
ROWS = Path("results/perturbed.jsonl")
DEFAULT = "default"


def charts(c: float) -> dict[str, fs.solver.chart.Chart]:
    return {"NOISE": fs.NOISE, "DATA": fs.DATA, "VELOCITY": fs.Velocity(c), "FLOW": fs.Flow(c)}


def tau_of(problem: Problem) -> fs.TwoPower:
    """The variable of the default, in which grids are uniform and polynomials taken."""
    assert problem.scales is not None
    return fs.TwoPower(problem.scales.std, 2 * problem.scales.top, 0.35, 0.35)


def names_of(problem: Problem) -> dict[str, object]:
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
    return torch.float32 if problem.is_network else torch.float64


def study(names: list[str]) -> Study:
    """All rows of these problems, measured where they are not there yet."""
    rows = []
    for name in names:
        problem = measured(name)
        seeds = range(1000, 1032 if problem.is_network else 1064)
        for one in (problem, *(PerturbedProblem(problem, by) for by in PERTURBATIONS)):
            found = work_precision(
                [*names_of(problem).values()], one, NFE, path=ROWS, seeds=seeds, dtype=dtype(problem)
            )
            rows += found.rows
            print(name, one.perturbation, flush=True)
    return Study(tuple(rows))
