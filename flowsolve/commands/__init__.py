"""What the commands do. torch is imported inside them."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from flowsolve.commands import experiments, inversion, listings, noises, samples, studies

COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "compare": studies.compare,
    "order": studies.order,
    "certify": studies.certify,
    "table1": experiments.table1,
    "quality": experiments.quality,
    "consistency": experiments.consistency,
    "table2": inversion.table2,
    "edit": inversion.edit,
    "interpolate": noises.interpolate,
    "likelihood": noises.likelihood,
    "solvers": listings.solvers,
    "problems": listings.problems,
    "grids": listings.grids,
    "sample": samples.sample,
    "table": listings.table,
}


def run(args: argparse.Namespace) -> int:
    """Run the command that was parsed."""
    return COMMANDS[args.command](args)
