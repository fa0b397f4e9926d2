"""measure what solvers claim: orders, evaluations, memory, linearity"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowsolve.cli import options

if TYPE_CHECKING:
    from flowsolve.study.certificate import Certificate


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("solvers", nargs="*", metavar="SOLVER", help="default: all that packages list")
    c.add_argument("--out", metavar="FILE", help="write the table there as Markdown")
    c.add_argument("--overwrite", action="store_true", help="replace the file")
    options.add_printed(c)


def run(args: argparse.Namespace) -> int:
    """1 if a claim does not hold."""
    from flowsolve.cli import show
    from flowsolve.cli.output import check_file, write_file
    from flowsolve.cli.progress import busy
    from flowsolve.solver import plugins
    from flowsolve.study import certificate

    chosen = [plugins.make_solver(text) for text in args.solvers] or plugins.certified()
    if args.out:
        check_file(Path(args.out), args.overwrite)
    with busy("certifying", args.quiet) as now:

        def on_row(row: Certificate) -> None:
            now.what = f"certifying, {row.solver} done"
            if args.format == "table":
                now.print(_line(row))

        done = certificate.certify(chosen, on_row)
    failed = [row.solver for row in done if not row.holds]
    if args.format == "table":
        print(f"{len(done) - len(failed)} of {len(done)} certified.")
    else:
        show.records(args.format, [_record(row) for row in done])
    if args.out:
        write_file(Path(args.out), certificate.markdown(done), args.overwrite)
    return 1 if failed else 0


def _line(row: Certificate) -> str:
    slopes = " ".join(f"{slope:.2f}" for _, slope in row.slopes)
    paths = "" if row.paths is None else f", of the paths {row.paths:.2f}"
    verdict = "" if row.holds else "  DOES NOT HOLD"
    return f"{row.solver}  order {row.order}  measured {slopes}{paths}{verdict}"


def _record(row: Certificate) -> dict[str, Any]:
    values = {k: v for k, v in vars(row).items() if k != "slopes"}
    return {**values, "holds": row.holds, **dict(row.slopes)}
