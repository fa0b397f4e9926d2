"""measure what solvers claim: orders, evaluations, memory, linearity"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowsolve.study.certificate import Certificate


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("solvers", nargs="*", metavar="SOLVER", help="default: all that packages list")
    c.add_argument("--out", metavar="FILE", help="write the table there as Markdown")
    c.add_argument("--overwrite", action="store_true", help="replace the file")


def run(args: argparse.Namespace) -> int:
    """1 if a claim does not hold."""
    from flowsolve.cli import tables
    from flowsolve.cli.output import write_file
    from flowsolve.solver import plugins
    from flowsolve.study import certificate

    chosen = [plugins.make_solver(text) for text in args.solvers] or plugins.certified()
    done = certificate.certify(chosen, _show)
    failed = [row.solver for row in done if not row.holds]
    tables.console().print(f"{len(done) - len(failed)} of {len(done)} certified.", markup=False)
    if args.out:
        write_file(Path(args.out), certificate.markdown(done), args.overwrite)
    return 1 if failed else 0


def _show(row: Certificate) -> None:
    slopes = " ".join(f"{slope:.2f}" for _, slope in row.slopes)
    paths = "" if row.paths is None else f", of the paths {row.paths:.2f}"
    verdict = "" if row.holds else "  DOES NOT HOLD"
    print(f"{row.solver}  order {row.order}  measured {slopes}{paths}{verdict}", flush=True)
