"""list the problems"""

from __future__ import annotations

import argparse

from flowsolve.cli import options


def add(c: argparse.ArgumentParser) -> None:
    options.add_printed(c)


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli import show
    from flowsolve.problems.catalogue import PROBLEMS

    rows = [{"name": name, "what it is": p.summary} for name, p in PROBLEMS.items()]
    show.listing(args, rows)
    return 0
