"""quality of samples against S and η: Table 1 of the DDIM paper"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from flowsolve.cli import options
from flowsolve.errors import WrongUse

if TYPE_CHECKING:
    from flowsolve.cli.output import Folder
    from flowsolve.study.quality import QualityRow

LARGER = "hat"


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--etas", nargs="+", default=["0", "0.2", "0.5", "1", LARGER], metavar="ETA",
                   help="0 to 1, or hat for σ̂ (default: 0 0.2 0.5 1 hat)")  # fmt: skip
    options.add_samples(c, 500)
    options.add_steps(c)
    options.add_dtype(c)
    options.add_step_noise(c)
    options.add_shared(c, "results/table1-PROBLEM")


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder

    options.positive(args, "steps", "samples", "block")
    with Folder(args, args.problem, grows=("etas", "steps")) as folder:
        return _study(args, folder)


def _study(args: argparse.Namespace, folder: Folder) -> int:
    from flowsolve.cli.experiment import finish, measured, print_table
    from flowsolve.integrate.starting import vp_start
    from flowsolve.solver.plugins import make_solver

    etas = [make_solver(_ddim(eta)) for eta in args.etas]
    problem = options.find_problem(args)
    settings = options.find_settings(args, seeds=range(args.samples), start=vp_start)
    grids = options.find_grids(args, problem)
    features, named = options.find_features(args, problem)
    reference = options.find_reference(args)

    from flowsolve.plot import quality as figures
    from flowsolve.study.cases import Case
    from flowsolve.study.quality import about_real, quality

    cases = [
        Case(s, repr(s), args.grid, f"S={n}", partial(grids, n)) for n in args.steps for s in etas
    ]
    tasks = quality(
        cases, problem, features=features, features_name=named, distances=args.distances,
        reference=reference, folder=folder.path / "samples",
        **settings,
    )  # fmt: skip
    rows = measured(folder, tasks, f"{problem!r}: the floor")
    labels = {repr(s): _letter(eta) for s, eta in zip(etas, args.etas, strict=True)}
    folder.figure("table1", partial(figures.table1, labels=labels), rows)
    with folder.part("the table"):
        found = {(r.solver, r.asked): r for r in rows}
        for name, title in (
            ("frechet", f"Fréchet distance of {named}"),
            ("energy", "energy distance"),
        ):
            body = [
                [letter, *(_cell(found[s, f"S={n}"], name) for n in args.steps)]
                for s, letter in labels.items()
            ]
            if name not in args.distances:
                continue
            print_table(
                args,
                f"{title}, {about_real(rows[0], name)}",
                ["η", *(f"S = {n}" for n in args.steps)],
                body,
            )
    return finish(folder, rows, "table1.png", ".svg", ".pdf", "samples/")


def _ddim(eta: str) -> str:
    """The member of the DDIM family, as `make_solver` reads it."""
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
