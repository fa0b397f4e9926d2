"""Every table and the figure of docs/which-solver.md: python benchmarks/which_solver.py

It runs `flowsolve bench --size standard` in --out, which measures only what is not there (20 minutes), keeps
what the page shows in docs/data/, and writes what stands between <!-- bench: NAME --> and <!-- end -->.

    python benchmarks/which_solver.py --page    the page again, from docs/data/ alone
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from flowsolve.cli.bench_menu import DEFAULT, PEERS
from flowsolve.cli.parser import main as command
from flowsolve.plot import save, work_precision_by_side
from flowsolve.study import BenchRow, Place, read_jsonl
from flowsolve.study.benchmark import BENCH, SIDES, SIZES
from flowsolve.study.ranking import overall, read_places, write_places

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "which-solver.md"
PLACES, ENERGY = DOCS / f"data/bench-{BENCH}.csv", DOCS / f"data/bench-{BENCH}-energy.csv"
FIGURE = DOCS / "figures" / "which-solver.png"
MEASURED, GUESSED = DEFAULT
SOME = (5, 8, 12, 20, 50)
TITLES = {
    "held": "eight exact problems held back", "held network": "a network held back, `letters`",
    "open": "five exact problems to develop on",
    "open networks": "`digits`, `signals` and `photos`, on which the default was made",
}  # fmt: skip
Energies = dict[tuple[str, str, int], tuple[float, float]]


def shown(places: Sequence[Place]) -> list[Place]:
    """Of the default, of other programs, and of the first three of any budget of any side."""
    first: set[str] = {*DEFAULT, *PEERS}
    for side, nfe in {(p.side, p.nfe) for p in places}:
        first |= {p.method for p in [p for p in places if (p.side, p.nfe) == (side, nfe)][:4]}
    return [p for p in places if p.method in first]


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def table(head: Sequence[object], body: Sequence[Sequence[object]]) -> str:
    return "\n".join([row(*head), "|---" * len(head) + "|", *(row(*line) for line in body)])


def score(p: Place | None) -> str:
    """1.35 ± 2% (3=): the ratio, its standard error, the rank, = where it ties."""
    if p is None:
        return "-"
    number = f"{p.score:.2f}" if p.score < 10 else f"{p.score:.0f}"
    return f"{number} ± {p.spread:.0%} ({p.rank}{'=' if p.ties else ''})"


def best(places: Sequence[Place], among: Callable[[str], bool]) -> str:
    found = next((p for p in places if among(p.method)), None)
    return "- | -" if found is None else f"{found.method} | {score(found)}"


def budgets(places: Sequence[Place], side: str) -> str:
    """For each budget the default, the best other method and the best of other programs."""
    body = []
    for n in SIZES["standard"].nfe:
        here = [p for p in places if (p.side, p.nfe) == (side, n)]
        own = {p.method: p for p in here}
        others = best(here, lambda m: m not in DEFAULT and m not in PEERS)
        body.append(
            [
                n,
                score(own.get(MEASURED)),
                score(own.get(GUESSED)),
                others,
                best(here, PEERS.__contains__),
            ]
        )
    head = [
        "NFE", "default, scales measured", "scales guessed", "best other method here", "its score",
        "best of other programs", "its score",
    ]  # fmt: skip
    return table(head, body)


def single(places: Sequence[Place]) -> str:
    """The geometric mean of the scores over all budgets, of the best ten and the worst case of each."""
    sides = [*SIDES]
    means = {side: overall(places, side) for side in sides}
    methods = sorted(means["held"], key=lambda m: means["held"][m])[:10]
    worst = {m: max((p for p in places if p.method == m), key=lambda p: p.worst) for m in methods}
    body = [
        [m, *(f"{means[s][m]:.2f}" if m in means[s] else "-" for s in sides),
         f"{worst[m].worst:.0f} on `{worst[m].on}` at {worst[m].nfe}"]
        for m in methods
    ]  # fmt: skip
    return table(["method", *sides, "worst"], body)


def beaten(places: Sequence[Place]) -> str:
    """Where the default with measured scales is first or ties for it, and what is better elsewhere."""
    cells = [*dict.fromkeys((p.side, p.nfe) for p in places)]
    first, behind, better = 0, 0, []
    for side, nfe in cells:
        here = {p.method: p for p in places if (p.side, p.nfe) == (side, nfe)}
        own = here[MEASURED]
        first += own.rank == 1
        ahead = [
            p
            for m, p in here.items()
            if m not in DEFAULT and p.score < own.score and p.rank < own.rank
        ]
        behind += own.rank > 1 and not ahead
        better += [
            f"- {side}, {nfe} evaluations: {p.method}, {score(p)}, against {score(own)}"
            for p in ahead[:1]
        ]
    text = (
        f"Of {len(cells)} cells, eleven budgets of four sides, the default with measured scales is first or "
        f"ties with the first in {first}, and behind itself with guessed scales alone in {behind}. Another "
        f"method is better in {len(better)}:"
    )
    return "\n".join([text, "", *better])


def peers(places: Sequence[Place], side: str) -> str:
    at = {(p.method, p.nfe): p for p in places if p.side == side}
    body = [[m, *(score(at.get((m, n))) for n in SOME)] for m in (*DEFAULT, *PEERS)]
    return table([f"{side}: NFE", *SOME], body)


def samples(energies: Energies) -> str:
    """Energy distances, each network's error in its own column's head."""
    networks = [*dict.fromkeys(problem for _, problem, _ in energies)]
    methods = [*dict.fromkeys(method for method, _, _ in energies)]
    body = [
        [m, n, *(f"{e[0]:.3f} ± {e[1]:.3f}" if (e := energies.get((m, p, n))) else "-" for p in networks)]
        for m in methods for n in SIZES["standard"].energy
    ]  # fmt: skip
    return table(["method", "NFE", *(f"`{p}`" for p in networks)], body)


def parts(places: Sequence[Place], energies: Energies) -> Iterator[tuple[str, str]]:
    """What stands between the marks of the page, by name."""
    size = SIZES["standard"]
    yield (
        "version",
        (
            f"Benchmark {BENCH}, size standard: {size.samples} samples of an exact problem in float64, "
            f"{size.network_samples} of a network in float32; {places[0].of} methods on exact problems, "
            f"{next(p.of for p in places if 'network' in p.side)} on networks."
        ),
    )
    yield "single", single(places)
    yield "beaten", beaten(places)
    for side, title in TITLES.items():
        yield side, f"**{title[0].upper()}{title[1:]}**\n\n{budgets(places, side)}"
    yield "peers", "\n\n".join(peers(places, side) for side in ("held", "held network"))
    yield "energy", samples(energies)


def page(text: str, places: Sequence[Place], energies: Energies) -> str:
    """The page with the parts between its marks made again."""
    for name, made in parts(places, energies):
        text, count = re.subn(
            rf"(<!-- bench: {name} -->\n).*?(<!-- end -->)",
            lambda m, made=made: f"{m[1]}\n{made}\n\n{m[2]}",  # type: ignore[misc]
            text, flags=re.DOTALL,
        )  # fmt: skip
        assert count == 1, f"{PAGE} must have <!-- bench: {name} --> once"
    return text


def read_energies() -> Energies:
    with open(ENERGY, newline="", encoding="utf-8") as file:
        return {
            (r["method"], r["problem"], int(r["nfe"])): (float(r["energy"]), float(r["error"]))
            for r in csv.DictReader(file)
        }


def keep(folder: Path) -> None:
    """What the page shows, from a folder of results to docs/data/."""
    from flowsolve.cli.bench_menu import menu

    PLACES.parent.mkdir(exist_ok=True)
    write_places(shown(read_places(folder / "places.csv")), PLACES)
    names = {e.key: e.name for e in menu("standard", True)}
    with open(ENERGY, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["method", "problem", "nfe", "energy", "error"])
        for r in read_jsonl(folder / "rows.jsonl", BenchRow):
            if r.energy == r.energy and r.bench == BENCH:
                name = names[r.solver, r.spacing, r.code]
                writer.writerow(
                    [name, r.problem, r.budget, f"{r.energy:.4f}", f"{r.energy_error:.4f}"]
                )


def main() -> None:
    """Measure, keep, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="results/bench-standard", help="where the rows are")
    parser.add_argument("--page", action="store_true", help="from docs/data/ alone")
    args = parser.parse_args()
    if not args.page:
        if code := command(["bench", "--size", "standard", "--out", args.out]):
            raise SystemExit(code)
        keep(Path(args.out))
    places = read_places(PLACES)
    PAGE.write_text(page(PAGE.read_text("utf-8"), places, read_energies()), encoding="utf-8")
    save(work_precision_by_side(places), FIGURE)


if __name__ == "__main__":
    main()
