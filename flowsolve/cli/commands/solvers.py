"""list the solvers: order, evaluations per step, paper"""

from __future__ import annotations

import argparse


def add(c: argparse.ArgumentParser) -> None:
    """It has no options."""


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli import tables
    from flowsolve.integrate.cost import per_step
    from flowsolve.solver.base import formula_and_source
    from flowsolve.solver.plugins import provided

    rows = []
    for p in sorted(provided().values(), key=lambda p: p.name.lower()):
        solver = p.make()
        count = per_step(solver)
        each = "adaptive" if count is None else str(count)
        rows.append([p.name, str(solver.order), each, *formula_and_source(p.make)])
    columns = ["name", "order", "NFE a step", "formula", "source"]
    tables.console().print(tables.plain(columns, rows))
    return 0
