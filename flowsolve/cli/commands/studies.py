"""The commands that measure error: compare, order, certify. torch is imported inside them."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from flowsolve.cli import tables as report
from flowsolve.cli.options import find_problem, positive, torch_options
from flowsolve.cli.output import Folder, write_file
from flowsolve.cli.spacings import find_spacing
from flowsolve.errors import WrongUse
from flowsolve.solver.plugins import certified, make_solver


def compare(args: argparse.Namespace) -> int:
    """Error against evaluations."""
    positive(args, "nfe", "seeds", "block")
    if not all(0 < tol < math.inf for tol in args.tolerances or ()):
        raise WrongUse(f"--tolerances must be positive, but got {args.tolerances}.")
    solvers = [make_solver(text) for text in args.solvers]
    problem = find_problem(args)
    spacings = [find_spacing(text, problem.clock) for text in args.spacing]
    dtype, device = torch_options(args)
    folder = Folder(args, args.problem)

    from flowsolve import plot
    from flowsolve.study.error import TOLERANCES, Study, work_precision
    from flowsolve.study.results import write_csv

    out, rows = report.console(), folder.path / "rows.jsonl"
    try:
        with report.progress(out, f"{problem!r}: reference") as on_row:
            study = work_precision(
                solvers, problem, args.nfe, spacings=spacings, seeds=range(args.seeds),
                block=args.block, tolerances=args.tolerances or TOLERANCES, dtype=dtype,
                device=device, path=rows, on_row=on_row,
            )  # fmt: skip
    except KeyboardInterrupt:
        write_csv(Study.load(rows).rows, folder.path / "rows.csv")
        print(f"\nrows so far: {rows}; the same command continues from there", file=sys.stderr)
        raise
    study.save_csv(folder.path / "rows.csv")
    _write_orders(study, folder.path / "orders.csv")
    folder.figure("error_vs_nfe", plot.error_vs_nfe(study))
    for table in report.errors(study):
        out.print(table)
    for note in report.notes(study):
        out.print(note, markup=False, soft_wrap=True)
    out.print(
        f"{folder.path}: error_vs_nfe.png, .svg, rows.csv, rows.jsonl, orders.csv", markup=False
    )
    return 0 if study.series else 1


def _write_orders(study: Any, path: Path) -> None:
    import csv

    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["solver", "spacing", "declared", "measured", "settled", "steps"])
        for (solver, spacing), rows in study.series.items():
            s = study.slope(solver, spacing)
            used = " ".join(map(str, s.steps))
            writer.writerow([solver, spacing, rows[0].order, s.order, s.settled, used])


def order(args: argparse.Namespace) -> int:
    """Orders of convergence."""
    positive(args, "steps", "seeds")
    solvers = [make_solver(text) for text in args.solvers]
    problem = find_problem(args)
    spacings = [find_spacing(text, problem.clock) for text in args.spacing]
    dtype, device = torch_options(args)
    folder = Folder(args, args.problem) if args.out else None

    from flowsolve.study.error import convergence

    out, studies, summary = report.console(), [], []
    for solver in solvers:
        for spacing in spacings:
            study = convergence(
                solver, problem, steps=args.steps, spacing=spacing, seeds=range(args.seeds),
                dtype=dtype, device=device,
            )  # fmt: skip
            studies.append(study)
            out.print(str(study), markup=False)
            summary.append(
                [repr(solver), study.rows[0].spacing, str(solver.order), str(study.slope())]
            )
    out.print(report.plain(["solver", "grid", "declared", "measured"], summary))
    if folder:
        from flowsolve import plot

        folder.figure("convergence", plot.convergence(studies, f"convergence on {problem.name}"))
    return 0


def certify(args: argparse.Namespace) -> int:
    """Certify solvers; 1 if a claim does not hold."""
    from flowsolve.study import certificate as c

    def show(row: c.Certificate) -> None:
        slopes = " ".join(f"{slope:.2f}" for _, slope in row.slopes)
        paths = "" if row.paths is None else f", of the paths {row.paths:.2f}"
        verdict = "" if row.holds else "  DOES NOT HOLD"
        print(f"{row.solver}  order {row.order}  measured {slopes}{paths}{verdict}", flush=True)

    chosen = [make_solver(text) for text in args.solvers] or certified()
    done = c.certify(chosen, show)
    failed = [row.solver for row in done if not row.holds]
    report.console().print(f"{len(done) - len(failed)} of {len(done)} certified.", markup=False)
    if args.out:
        write_file(Path(args.out), c.markdown(done), args.overwrite)
    return 1 if failed else 0
