"""list the problems"""

from __future__ import annotations

import argparse


def add(c: argparse.ArgumentParser) -> None:
    """It has no options."""


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli import tables
    from flowsolve.problems.catalogue import PROBLEMS

    rows = [[name, p.summary] for name, p in PROBLEMS.items()]
    tables.console().print(tables.plain(["name", "what it is"], rows))
    return 0
