"""list the solvers: order, evaluations per step, paper"""

from __future__ import annotations

import argparse

from flowsolve.cli import options


def add(c: argparse.ArgumentParser) -> None:
    options.add_printed(c)


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli import show
    from flowsolve.integrate.cost import per_step
    from flowsolve.solver.base import formula_and_source
    from flowsolve.solver.plugins import provided

    rows = []
    for p in sorted(provided().values(), key=lambda p: p.name.lower()):
        formula, source = formula_and_source(p.make)
        order: object = "-" if args.format == "table" else None
        cost = order
        if p.needs:
            formula += f"  Needs {', '.join(p.needs)}."
        else:
            solver = p.make()
            order, cost = solver.order, per_step(solver)
        rows.append(
            {
                "name": p.name,
                "order": order,
                "NFE a step": cost,
                "source": source,
                "formula": formula,
            }
        )
    show.listing(args, rows, none="adaptive")
    return 0
