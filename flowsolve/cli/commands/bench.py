"""the standing benchmark: every method against every other on fixed problems, and the rank of yours"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowsolve.cli import options

if TYPE_CHECKING:
    from flowsolve.cli.output import Folder
    from flowsolve.study.benchmark import BenchRow, Entry
    from flowsolve.study.runner import Task

SIZES = {"quick": "2 minutes", "standard": "20 minutes", "full": "hours"}


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("--size", default="quick", choices=[*SIZES],
                   help=", ".join(f"{size}: {time}" for size, time in SIZES.items()))  # fmt: skip
    c.add_argument("--solvers", nargs="+", default=[], metavar="SOLVER",
                   help="to rank beside the menu: a name, name@spacing or package.module:Mine")  # fmt: skip
    options.add_spacing(c, "own")
    c.add_argument("--problems", nargs="+", default=[], metavar="NAME",
                   help="some of the problems; a side has ranks when all of it is there")  # fmt: skip
    c.add_argument("--device", default="cpu", help="of the networks: cpu, cuda, cuda:1, mps")
    options.add_results(c, "results/bench-SIZE")


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli.output import Folder

    args.out = str(args.out).replace("SIZE", args.size)
    with Folder(args, grows=("solvers", "spacing", "problems")) as folder:
        return _study(args, folder)


def _study(args: argparse.Namespace, folder: Folder) -> int:
    from functools import partial

    from flowsolve.cli import show
    from flowsolve.cli.benchmark import find_entries, menu, tables
    from flowsolve.cli.experiment import finish, measured
    from flowsolve.study.benchmark import BENCH
    from flowsolve.study.ranking import places, write_places

    asked = [e for text in args.solvers for e in find_entries(text, args.spacing)]
    rows = measured(folder, _tasks(args, asked), f"benchmark {BENCH}, {args.size}")

    entries = {e.key: e.name for network in (True, False) for e in menu(args.size, network)}
    named = {**{e.key: e.name for e in asked}, **entries}
    found = places(rows, named, {*entries.values()})
    with folder.part("places.csv"):
        folder.file("places.csv", partial(write_places, found))
    own = [named[e.key] for e in asked]
    if found:
        from flowsolve.plot.benchmark import work_precision_by_side

        folder.figure("bench", work_precision_by_side, found, own)
    with folder.part("the table"):
        if args.format == "table":
            for table in tables(found, own):
                show.table(table)
    failed = [f"{r.name}: {r.error}" for r in rows if r.error]
    notes = [f"benchmark {BENCH}, size {args.size}, flowsolve {rows[0].flowsolve}", *failed]
    return finish(folder, rows, "bench.png", ".svg", ".pdf", "places.csv", notes=notes)


def _tasks(args: argparse.Namespace, asked: Sequence[Entry]) -> list[Task[BenchRow]]:
    """Problem by problem, so that a reference is made once; those of exact problems first."""
    from flowsolve.cli.benchmark import WITH_ENERGY, menu
    from flowsolve.errors import NameUnknown
    from flowsolve.study.benchmark import SIDES, SIZES, bench_tasks, energy_tasks

    every = {name: make for made in SIDES.values() for name, make in made.items()}
    if unknown := {*args.problems} - {*every}:
        raise NameUnknown(
            f"there is no problem {', '.join(sorted(unknown))} in the benchmark. It has {', '.join(every)}."
        )
    size, device = SIZES[args.size], options.find_device(args)
    problems = [every[name]() for name in every if name in (args.problems or every)]
    tasks: list[Task[BenchRow]] = []
    for problem in sorted(problems, key=lambda p: p.is_network):
        network = problem.is_network
        entries = [*{e.key: e for e in (*menu(args.size, network), *asked)}.values()]
        count = size.network_samples if network else size.samples
        where = device if network else "cpu"
        tasks += bench_tasks(entries, problem, size.nfe, seeds=range(count), device=where)
        if network and size.energy:
            some = [e for e in entries if e.name in WITH_ENERGY or e in asked]
            tasks += energy_tasks(some, problem, size.energy, seeds=range(size.drawn), device=where)
    return tasks
