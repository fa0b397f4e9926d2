"""write the explorer, a page in which a browser replays the solvers, and open it"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve.cli import options

if TYPE_CHECKING:
    from flowsolve.solver.base import Solver


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
    from flowsolve.cli.output import check_file
    from flowsolve.cli.progress import busy

    options.positive(args, "steps")
    steps = sorted({*args.steps}) or explorer.STEPS
    out = Path(args.out)
    check_file(out, args.overwrite)
    own = [explorer.own(_solver(text), i) for i, text in enumerate(args.solver, 1)]
    with busy(f"writing {out}"):
        explorer.write(out, own, steps=steps)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, one file that needs no network")
    if not args.no_open:
        webbrowser.open(out.resolve().as_uri())
    return 0


def _solver(text: str) -> Solver:
    """The solver of package.module:Mine, an instance or what gives one, or as `make_solver` reads the text."""
    import importlib

    from flowsolve.errors import NameUnknown
    from flowsolve.solver.base import Solver
    from flowsolve.solver.plugins import make_solver

    module, _, name = text.partition(":")
    if not all(word.isidentifier() for word in (*module.split("."), name)):
        return make_solver(text)
    options.here()
    try:
        found = getattr(importlib.import_module(module), name)
        solver: object = found if isinstance(found, Solver) else found()
    except (ImportError, AttributeError) as error:
        raise NameUnknown(f"there is no solver {text!r}: {error}.") from error
    except TypeError as error:
        raise NameUnknown(
            f"{text} must be a Solver, or a class or function without arguments that gives one: {error}."
        ) from error
    if not isinstance(solver, Solver):
        raise NameUnknown(f"{text} is a {type(solver).__name__}, not a flowsolve Solver.")
    return solver
