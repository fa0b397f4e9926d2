"""the standing benchmark: every method against every other on fixed problems, and the rank of yours"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from flowsolve.cli import options

if TYPE_CHECKING:
    from flowsolve.cli.output import Folder

SIZES = {"quick": "2 minutes", "standard": "20 minutes", "full": "hours"}


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("--size", default="quick", choices=[*SIZES],
                   help=", ".join(f"{size}: {time}" for size, time in SIZES.items()))  # fmt: skip
    c.add_argument("--solvers", nargs="+", default=[], metavar="SOLVER",
                   help="to rank beside the menu: a name, name@spacing or package.module:Mine")  # fmt: skip
    options.add_spacing(c, "own")
    c.add_argument("--problems", nargs="+", default=[], metavar="NAME",
                   help="some of them; a side has ranks when all of its problems are there")  # fmt: skip
    c.add_argument("--device", default="cpu", help="of the networks: cpu, cuda, cuda:1, mps")
    options.add_shared(c, "results/bench-SIZE")


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder

    options.positive(args)
    args.out = str(args.out).replace("SIZE", args.size)
    with Folder(args, grows=("solvers", "spacing", "problems")) as folder:
        return _study(args, folder)


def _study(args: argparse.Namespace, folder: Folder) -> int:
    from flowsolve.cli import show
    from flowsolve.cli.benchmark import found_entries, ranking, tasks
    from flowsolve.cli.experiment import finish, measured
    from flowsolve.study.ranking import write_places

    asked = found_entries(args.solvers, args.size, args.spacing)
    todo = tasks(asked, args.size, args.problems, options.find_device(args))
    made = ranking(measured(folder, todo, f"bench, {args.size}"), asked, args.size)
    with folder.part("places.csv"):
        folder.file("places.csv", partial(write_places, made.places))
    folder.figure("bench", made.draw)
    with folder.part("the table"):
        if args.format == "table":
            for table in made.table.tables:
                show.table(table)
    files = ("bench.png", ".svg", ".pdf", "places.csv")
    return finish(folder, made.rows, *files, notes=made.table.notes)
