"""list the solvers: order, evaluations per step, paper"""

from __future__ import annotations

import argparse
import inspect

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
        try:
            inspect.signature(p.make).bind()
        except TypeError as error:  # it has no default: GaussianStart is given data
            row: dict[str, object] = {"name": p.name, "order": "", "NFE a step": f"{error}"}
        else:
            solver = p.make()
            row = {"name": p.name, "order": solver.order, "NFE a step": per_step(solver)}
        rows.append({**row, "source": source, "formula": formula})
    show.listing(args, rows, none="adaptive")
    return 0
