"""bench: methods against those of the benchmark's menu, as the command `bench` has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from flowsolve._arguments import several
from flowsolve.errors import NameUnknown

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

    from flowsolve.cli.comparison import Report
    from flowsolve.cli.show import Table
    from flowsolve.plot.look import Look
    from flowsolve.study.benchmark import BenchRow, Entry, Key
    from flowsolve.study.cases import Method
    from flowsolve.study.ranking import Place
    from flowsolve.study.runner import Task

TOP = 12  # methods of a table


@dataclass(frozen=True, repr=False)
class Ranking:
    """What `bench` measured; printed, its tables.

    places  a score, its standard error, a rank and ties for each method, budget and side, best first
    asked   the names of the methods that were asked for;  rows: the measurements
    names   what methods are called, by what rows have of them
    """

    places: tuple[Place, ...]
    asked: tuple[str, ...]
    rows: tuple[BenchRow, ...]
    names: Mapping[Key, str]

    @cached_property
    def figure(self) -> Figure:
        return self.draw()

    def draw(self, **look: Unpack[Look]) -> Figure:
        """Error against evaluations, a panel for each side, with the options of every figure."""
        from flowsolve.plot.benchmark import work_precision_by_side

        return work_precision_by_side(self.places, self.asked, **look)

    @property
    def table(self) -> Report:
        from flowsolve.cli.comparison import Report
        from flowsolve.study.benchmark import BENCH

        failed = [f"{r.name}: {r.error}" for r in self.rows if r.error]
        near = sum(not (r.certified or r.error) for r in self.rows if r.each)
        told = [f"benchmark {BENCH}, flowsolve {', '.join({r.flowsolve for r in self.rows})}"]
        if near:
            told.append(f"rows within ten times the error of their reference: {near}")
        if not self.places:
            told.append("no ranks: a side has them when a method has a row on each of its problems")
        return Report(tuple(self.tables()), (*told, *failed))

    def __repr__(self) -> str:
        return repr(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()

    def tables(self, top: int = TOP) -> Iterator[Table]:
        """For each side the `top` methods and those asked for; then what is to be said of those asked for."""
        from flowsolve.cli.show import Table
        from flowsolve.study.ranking import overall

        at = {(p.side, p.nfe, p.method): p for p in self.places}
        for side in dict.fromkeys(p.side for p in self.places):
            budgets = sorted({p.nfe for p in self.places if p.side == side})
            mean = overall(self.places, side)
            ordered = [m for i, m in enumerate(mean) if i < top or m in self.asked]
            body = [
                [m, *(_cell(at.get((side, n, m))) for n in budgets), f"{mean[m]:.2f}"]
                for m in ordered
            ]
            what = "error over the best of the menu on each problem (rank, = where it ties)"
            yield Table(["method", *map(str, budgets), "all"], body, f"{side}: {what}")
        own = [p for m in self.asked for p in self.places if p.method == m]
        if own:
            body = [
                [p.method, p.side, str(p.nfe), f"{p.score:.2f} ± {p.spread:.0%}", p.place,
                 f"{p.worst:.2f} on {p.on}"]
                for p in own
            ]  # fmt: skip
            head = ["method", "side", "NFE", "score", "rank", "worst"]
            what = "Scores with their standard errors; below 1 is better than the best of the menu"
            yield Table(head, body, what)
        if found := self.energies():
            networks = [*dict.fromkeys(problem for _, problem, _ in found)]
            lines = dict.fromkeys((method, n) for method, _, n in found)
            body = [[m, str(n), *(found.get((m, p, n), "-") for p in networks)] for m, n in lines]
            what = "Energy distance to data, unbiased, with its standard error"
            yield Table(["method", "NFE", *networks], body, what)

    def energies(self) -> dict[tuple[str, str, int], str]:
        """The energy distances of samples of networks, by method, network and budget."""
        rows = [r for r in self.rows if r.energy == r.energy]
        return {
            (self.names[r.solver, r.spacing, r.code], r.problem, r.budget):
            f"{r.energy:.3f} ± {r.energy_error:.3f}" for r in rows
        }  # fmt: skip


def _cell(place: Place | None) -> str:
    return "-" if place is None else f"{place.score:.2f} ({place.rank}{'=' if place.ties else ''})"


def bench(
    solvers: str | Iterable[str | Method] = (),
    size: str = "quick",
    *,
    spacings: Sequence[str] = ("own",),
    problems: Sequence[str] = (),
    path: str | Path | None = None,
    on_row: Callable[[BenchRow, int, int], None] | None = None,
    device: torch.device | str = "cpu",
) -> Ranking:
    """The ranks of methods among those of the menu, on the problems of the benchmark.

    solvers   as on the command line, "heun@log_snr mine:Mine", or a sequence of such names, of solvers (on
              karras), rules and pairs (solver, spacing)
    size      "quick" (2 minutes), "standard" (20) or "full" (hours)
    spacings  for solvers that are named without one
    problems  some of them; a side has ranks when all of its problems are there
    path      a file of rows, which is continued;  on_row: called with each row, how many are done, of how many
    device    of the networks
    """
    from flowsolve.study.runner import collect

    asked = found_entries(solvers, size, spacings)
    return ranking(collect(tasks(asked, size, problems, device), path, on_row), asked, size)


def ranking(rows: tuple[BenchRow, ...], asked: Sequence[Entry], size: str) -> Ranking:
    """Of these rows, by the names of the menu and of what was asked for."""
    from flowsolve.cli.bench_menu import menu
    from flowsolve.study.ranking import places

    listed = {e.key: e.name for network in (True, False) for e in menu(size, network)}
    names: dict[Key, str] = {**{e.key: e.name for e in asked}, **listed}
    found = places(rows, names, {*listed.values()})
    return Ranking(tuple(found), tuple(names[e.key] for e in asked), rows, names)


def found_entries(
    solvers: str | Iterable[str | Method], size: str, spacings: Sequence[str]
) -> list[Entry]:
    """What was asked for; what the menu has, as the menu has it."""
    from flowsolve.cli.bench_menu import entries_of, menu

    given = solvers.split() if isinstance(solvers, str) else solvers
    listed = {e.key: e for network in (True, False) for e in menu(size, network)}
    made: dict[Key, Entry] = {}
    for one in several("solvers", given, 'names and solvers such as ["heun@karras"]', empty=True):
        for entry in entries_of(one, spacings):
            same = listed.get(entry.key)
            own = same if same and type(same.method) is type(entry.method) else entry.read()
            made[own.key] = own
    return [*made.values()]


def tasks(
    asked: Sequence[Entry], size: str, problems: Sequence[str] = (), device: Any = "cpu"
) -> list[Task[BenchRow]]:
    """Problem by problem, so that a reference is made once; the exact ones first. Raises NameUnknown."""
    from flowsolve.cli.bench_menu import WITH_ENERGY, menu
    from flowsolve.study.benchmark import SIDES, SIZES, bench_tasks, energy_tasks

    every = {name: make for made in SIDES.values() for name, make in made.items()}
    for kind, names, known in (("size", [size], SIZES), ("problem", problems, every)):
        if unknown := [name for name in names if name not in known]:
            raise NameUnknown(
                f"the benchmark has no {kind} {', '.join(map(repr, unknown))}. It has {', '.join(known)}."
            )
    what, found = SIZES[size], [every[name]() for name in every if name in (problems or every)]
    made: list[Task[BenchRow]] = []
    for problem in sorted(found, key=lambda p: p.is_network):
        network = problem.is_network
        entries = [*{e.key: e for e in (*menu(size, network), *asked)}.values()]
        seeds = range(what.network_samples if network else what.samples)
        where = device if network else "cpu"
        made += bench_tasks(entries, problem, what.nfe, seeds=seeds, device=where)
        if network and what.energy:
            some = [e for e in entries if e.name in WITH_ENERGY or e in asked]
            made += energy_tasks(some, problem, what.energy, seeds=range(what.drawn), device=where)
    return made
