"""write the explorer, a page in which a browser replays the solvers, and open it"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowsolve.cli import options


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("--out", default="explorer.html", metavar="FILE", help="default: explorer.html")
    c.add_argument("--overwrite", action="store_true", help="replace the file")
    c.add_argument("--solver", action="append", default=[], metavar="SOLVER",
                   help="a method to add: a name or package.module:Mine; may be given again")  # fmt: skip
    c.add_argument("--steps", nargs="+", type=int, default=[], metavar="N",
                   help="the numbers of steps to choose among, 1 to 64 (14 of them)")  # fmt: skip
    c.add_argument("--no-open", action="store_true", help="do not open it in a browser")


def run(args: argparse.Namespace) -> int:
    import webbrowser

    from flowsolve import explorer
    from flowsolve.cli.methods import find_solver
    from flowsolve.cli.output import check_file
    from flowsolve.cli.progress import busy

    options.positive(args, "steps")
    steps = sorted({*args.steps}) or explorer.STEPS
    out = Path(args.out)
    check_file(out, args.overwrite)
    own = [explorer.own(find_solver(text), i) for i, text in enumerate(args.solver, 1)]
    with busy(f"writing {out}"):
        explorer.write(out, own, steps=steps)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, one file that needs no network")
    if not args.no_open:
        webbrowser.open(out.resolve().as_uri())
    return 0
