"""distance to data beside error against the ODE's solution"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from flowsolve.cli import options
from flowsolve.cli.comparison import SOLVERS
from flowsolve.cli.methods import find_methods, find_names

if TYPE_CHECKING:
    from flowsolve.cli.output import Folder
    from flowsolve.study.quality import QualityRow


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("problem", nargs="?", default="digits")
    c.add_argument("--solvers", nargs="+", default=SOLVERS.split(), metavar="SOLVER")
    c.add_argument("--nfe", nargs="+", type=int, default=[5, 6, 8, 10, 16, 24], metavar="N")
    options.add_samples(c, 500, "error")
    options.add_spacing(c, "own")
    options.add_dtype(c)
    options.add_step_noise(c)
    options.add_shared(c, "results/quality-PROBLEM")


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder

    options.positive(args, "nfe", "samples", "block")
    with Folder(args, args.problem, grows=("solvers", "nfe")) as folder:
        return _study(args, folder)


def _study(args: argparse.Namespace, folder: Folder) -> int:
    from flowsolve.cli.experiment import finish, measured, print_table

    problem = options.find_problem(args)
    compared = find_methods(args.solvers, args.spacing[:1], problem)
    settings = options.find_settings(args, seeds=range(args.samples))
    features, named = options.find_features(args, problem)
    reference = options.find_reference(args)

    from flowsolve.metrics.gaussians import Moments
    from flowsolve.plot.quality import quality_vs_nfe
    from flowsolve.study.cases import method_cases, methods
    from flowsolve.study.quality import about_real, quality

    cases = method_cases(methods(compared), problem, args.nfe)
    tasks = quality(
        cases, problem, features=features, features_name=named, distances=args.distances,
        reference=reference, folder=folder.path / "samples",
        **settings,
    )  # fmt: skip
    rows = measured(folder, tasks, f"{problem!r}: the floor and the reference")
    files = ["quality.png", ".svg", ".pdf", "samples/"]
    if reference is None and "frechet" in args.distances:
        files.append("real.npz")
        if not (folder.path / "real.npz").exists():
            with folder.part("real.npz"):
                folder.file("real.npz", Moments.of(problem.data(), features).save)
    draw = partial(quality_vs_nfe, labels=find_names(args.solvers))
    folder.figure("quality", draw, rows)
    with folder.part("the table"):
        found = {(r.solver, r.asked): r for r in rows}
        names = [*dict.fromkeys(r.solver for r in rows if r.asked)]
        tables: list[tuple[str, Callable[[QualityRow], str]]] = []
        if any(r.asked and not math.isnan(r.rmse) for r in rows):  # with noise there is none
            title = "RMS error against the solution of the ODE"
            tables.append((title, lambda r: "-" if math.isnan(r.rmse) else f"{r.rmse:.2e}"))
        if "frechet" in args.distances:
            title = f"Fréchet distance of {named}, {about_real(rows[0], 'frechet')}"
            tables.append((title, lambda r: str(r.distance("frechet"))))

        def shown(row: QualityRow | None, cell: Callable[[QualityRow], str]) -> str:
            return "-" if row is None else "failed" if row.error else cell(row)

        for title, cell in tables:
            body = [
                [str(n), *(shown(found.get((s, f"nfe={n}")), cell) for s in names)]
                for n in args.nfe
            ]
            print_table(args, title, ["NFE", *names], body)
        for n in args.nfe:
            at = [r for r in rows if r.asked == f"nfe={n}" and not r.error]
            with_error = [r for r in at if not math.isnan(r.rmse)]
            a = min(with_error, key=lambda r: r.rmse, default=None)
            b = min(at, key=lambda r: r.frechet, default=None)
            if len(tables) > 1 and a and b and a is not b and args.format == "table":
                print(
                    f"at {n} evaluations {a.solver} is nearest to the ODE, {b.solver} to the data"
                )
    return finish(folder, rows, *files)
