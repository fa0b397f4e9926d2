"""The experiments on samples: table1, quality, consistency. torch is imported inside them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from flowsolve.cli.experiment import finish, measured, show
from flowsolve.cli.options import find_features, find_problem, positive, torch_options
from flowsolve.cli.output import Folder
from flowsolve.cli.spacings import find_spacing, find_steps
from flowsolve.errors import WrongUse
from flowsolve.solver.plugins import make_solver

if TYPE_CHECKING:
    from flowsolve.problems.base import Problem
    from flowsolve.schedule.grid import Grid
    from flowsolve.study.quality import QualityRow

LARGER = "hat"


def steps_of(args: argparse.Namespace, problem: Problem) -> Callable[[int], Grid]:
    """--grid. Each of --steps is tried, so that what cannot be is an error before anything is measured."""
    made = find_steps(args.grid, problem.clock, problem.sigma_max, problem.sigma_min)
    for n in args.steps:
        made(n)
    return made


def table1(args: argparse.Namespace) -> int:
    """Quality against S and η."""
    positive(args, "steps", "samples", "block")
    etas = [make_solver(_ddim(eta)) for eta in args.etas]
    problem = find_problem(args)
    dtype, device = torch_options(args)
    spacing = steps_of(args, problem)
    features, named = find_features(args, problem)
    folder = Folder(args, args.problem)

    from flowsolve import plot
    from flowsolve.integrate.driver import vp_start
    from flowsolve.study.cases import Case
    from flowsolve.study.quality import quality as tasks

    cases = [
        Case(s, repr(s), args.grid, f"S={n}", partial(spacing, n)) for n in args.steps for s in etas
    ]
    rows = measured(folder, tasks(
        cases, problem, seeds=range(args.samples), block=args.block, features=features,
        features_name=named, start=vp_start, dtype=dtype, device=device, folder=folder.path / "samples",
    ), f"{problem!r}: the floor")  # fmt: skip
    labels = {repr(s): _letter(eta) for s, eta in zip(etas, args.etas, strict=True)}
    folder.figure("table1", plot.table1(rows, labels))
    found = {(r.solver, r.asked): r for r in rows}
    for name, title in (("frechet", f"Fréchet distance of {named}"), ("energy", "energy distance")):
        body = [
            [letter, *(_cell(found[s, f"S={n}"], name) for n in args.steps)]
            for s, letter in labels.items()
        ]
        floor = f"real data {rows[0].distance(name)}"
        head = ["η", *(f"S = {n}" for n in args.steps)]
        show(f"{title}, {floor}", head, body)
    return finish(folder, rows, "table1.png", ".svg", "samples/")


def _ddim(eta: str) -> str:
    """The name of the member of the DDIM family."""
    if eta == LARGER:
        return "ddimeta:larger_variance=True"
    try:
        return f"ddimeta:eta={float(eta)!r}"
    except ValueError:
        raise WrongUse(
            f"--etas are numbers from 0 to 1 or {LARGER} (σ̂), but got {eta!r}."
        ) from None


def _letter(eta: str) -> str:
    return "σ̂" if eta == LARGER else f"η = {float(eta):g}"


def _cell(row: QualityRow, name: str) -> str:
    return "failed" if row.error else str(row.distance(name))


def quality(args: argparse.Namespace) -> int:
    """Distance to data beside error."""
    positive(args, "nfe", "samples", "block")
    solvers = [make_solver(text) for text in args.solvers]
    problem = find_problem(args)
    spacing = find_spacing(args.spacing[0], problem.clock)
    dtype, device = torch_options(args)
    features, named = find_features(args, problem)
    folder = Folder(args, args.problem)

    from flowsolve import plot
    from flowsolve.study.cases import budget_cases
    from flowsolve.study.quality import quality as tasks

    cases = [c for s in solvers for c in budget_cases(s, problem, spacing, args.nfe, ())]
    rows = measured(folder, tasks(
        cases, problem, seeds=range(args.samples), block=args.block, features=features,
        features_name=named, errors=True, dtype=dtype, device=device, folder=folder.path / "samples",
    ), f"{problem!r}: the floor and the reference")  # fmt: skip
    folder.figure("quality", plot.quality_vs_nfe(rows))
    found = {(r.solver, r.asked): r for r in rows}
    names = [*dict.fromkeys(r.solver for r in rows[1:])]
    tables: list[tuple[str, Callable[[Any], str]]] = [
        ("RMS error against the solution of the ODE", lambda r: f"{r.rmse:.2e}"),
        (f"Fréchet distance of {named}, real data {rows[0].distance('frechet')}",
         lambda r: str(r.distance("frechet"))),
    ]  # fmt: skip
    for title, cell in tables:
        body = [
            [str(n), *("failed" if (r := found[s, f"nfe={n}"]).error else cell(r) for s in names)]
            for n in args.nfe
        ]
        show(title, ["NFE", *names], body)
    for n in args.nfe:
        at = [r for r in rows if r.asked == f"nfe={n}" and not r.error]
        a, b = (min(at, key=k, default=None) for k in (lambda r: r.rmse, lambda r: r.frechet))
        if a and b and a is not b:
            print(f"at {n} evaluations {a.solver} is nearest to the ODE, {b.solver} to the data")
    return finish(folder, rows, "quality.png", ".svg", "samples/")


def consistency(args: argparse.Namespace) -> int:
    """One x_T at many S."""
    positive(args, "steps", "samples", "block", "shown")
    solvers = [make_solver(text) for text in args.solvers]
    problem = find_problem(args)
    dtype, device = torch_options(args)
    spacing = steps_of(args, problem)
    folder = Folder(args, args.problem)

    import torch

    from flowsolve import plot
    from flowsolve.integrate.driver import vp_start
    from flowsolve.study.consistency import consistency as tasks
    from flowsolve.study.samples import draw

    common: dict[str, Any] = {
        "seeds": range(args.samples), "block": args.block, "start": vp_start, "dtype": dtype,
        "device": device, "folder": folder.path / "samples",
    }  # fmt: skip
    rows = measured(
        folder,
        tasks(solvers, problem, args.steps, spacing, **common),
        f"{problem!r}: the most steps",
    )
    folder.figure("consistency", plot.consistency_vs_steps(rows))
    files = ["consistency.png", ".svg"]
    if len(problem.event) == 3:
        columns = [(s, n) for s in solvers for n in sorted(args.steps)]
        drawn = [draw(problem, s, spacing(n), **common).x[: args.shown] for s, n in columns]
        sheet = plot.sheet(
            torch.stack(drawn, 1), [f"x_T {i}" for i in range(len(drawn[0]))],
            [str(n) for _, n in columns], "S:   " + "   |   ".join(map(repr, solvers)), len(args.steps),
        )  # fmt: skip
        folder.figure("images", sheet)
        files = ["images.png", *files]
    body = [
        [r.solver, str(r.S), _pm(r.own, r.own_error), _pm(r.first, r.first_error),
         f"{r.identified * r.samples:.0f} of {r.samples}"]
        for r in sorted(rows, key=lambda r: ([*map(repr, solvers)].index(r.solver), r.S))
        if not r.error
    ]  # fmt: skip
    head = [
        "solver",
        "S",
        f"to its own S = {max(args.steps)}",
        f"to {solvers[0]!r}'s",
        "identified",
    ]
    show(
        "distance between images of one x_T, over that between images of different x_T", head, body
    )
    return finish(folder, rows, *files, "samples/")


def _pm(value: float, error: float) -> str:
    from flowsolve.metrics.estimate import Estimate

    return str(Estimate(value, error, 0))
