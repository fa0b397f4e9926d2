"""The command `flowsolve`, `flowsolve.compare`, `flowsolve.bench`. Nothing imports torch before a command runs.

parser      what the command accepts, and its exit codes
commands    one file a command: its options and what it does
comparison  compare: what the command of that name does, for a network in Python
benchmark   bench, in the same way;  bench_menu: what it compares, by name
methods     methods by their texts
options     options that several commands share, made into what they name
spacings    grids by name;  perturbations: errors of a network by name
output      the folder of results: locked, grown, never overwritten unasked;  folder_settings: of what
show        what is printed: tables, CSV, JSON, in any encoding
progress    signs of life from what has no rows
experiment  rows as they come, tables, and what is left behind
row_progress        progress by rows
reference_progress  how far a reference is
"""

from __future__ import annotations

from collections.abc import Sequence

from flowsolve.cli.benchmark import Ranking as Ranking
from flowsolve.cli.benchmark import bench as bench
from flowsolve.cli.comparison import Comparison as Comparison
from flowsolve.cli.comparison import compare as compare


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    from flowsolve.cli import parser  # argparse, which `compare` does not need

    return parser.main(argv)
