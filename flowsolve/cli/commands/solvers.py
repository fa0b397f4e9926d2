"""list the solvers: family, order, evaluations a step, memory, paper"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from flowsolve.cli import options

if TYPE_CHECKING:
    from flowsolve.solver.plugins import Provided

FAMILIES = ("one-step", "multistep", "around", "reversible", "adaptive", "noise")


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument(
        "--family",
        choices=FAMILIES,
        help="around: around another method; noise: draws noise, whatever else it is",
    )
    c.add_argument("--order", type=int, metavar="N", help="of this order only")
    c.add_argument("--memory", type=int, metavar="N", help="at most N states alive at once")
    c.add_argument("--stochastic", action="store_true", help="those that draw noise only")
    options.add_printed(c)


def run(args: argparse.Namespace) -> int:
    """NFE a step and memory are counted, on a stand-in for the state."""
    from flowsolve.cli import show
    from flowsolve.solver.plugins import provided

    empty = "-" if args.format == "table" else None
    rows = [_row(p, empty) for p in sorted(provided().values(), key=lambda p: p.name.lower())]
    family = "noise" if args.stochastic else args.family
    wanted = [
        row
        for row in rows
        if (args.family is None or row["family"] == args.family)
        and (family is None or row["family"] == family)
        and (args.order is None or row["order"] == args.order)
        and (
            args.memory is None or (isinstance(row["memory"], int) and row["memory"] <= args.memory)
        )
    ]
    if not wanted and args.format == "table":
        print("no solver is all of that")
    else:
        show.listing(args, wanted, none="adaptive")
    return 0


def _row(p: Provided, empty: object) -> dict[str, Any]:
    from flowsolve.solver.base import formula_and_source
    from flowsolve.solver.plugins import family
    from flowsolve.solver.stand_in import counted

    formula, source = formula_and_source(p.make)
    kind = order = cost = states = empty
    if p.needs:
        formula += f"  Needs {', '.join(p.needs)}."
    else:
        solver = p.make()
        kind, order = family(solver), solver.order
        cost, states = counted(solver)
    return {
        "name": p.name,
        "family": kind,
        "order": order,
        "NFE a step": cost,
        "memory": empty if states is None else states,
        "source": source,
        "formula": formula,
    }
