"""docs/which-solver.md is what its data make it, and docs/bench.md says what the benchmark is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import which_solver
from benchmarks.which_solver import ENERGY, FIGURE, PAGE, PLACES, page, parts, read_energies
from flowsolve.cli.bench_menu import DEFAULT, PEERS, find_entries, menu
from flowsolve.study.benchmark import BENCH, SIDES, SIZES
from flowsolve.study.ranking import read_places

DOCS = Path(__file__).parents[2] / "docs"
AGAIN = "run: python benchmarks/which_solver.py"


def test_the_data_are_of_this_version() -> None:
    assert PLACES.name == f"bench-{BENCH}.csv"
    assert all(file.exists() for file in (PLACES, ENERGY, FIGURE)), AGAIN


def test_the_page_is_made_of_the_data() -> None:
    text = PAGE.read_text("utf-8")
    assert page(text, read_places(PLACES), read_energies()) == text, f"{AGAIN} --page"
    blank = re.sub(r"(-->\n).*?(<!-- end -->)", r"\1\2", text, flags=re.DOTALL)
    assert len(blank) < len(text) / 2
    assert page(blank, read_places(PLACES), read_energies()) == text


def test_every_table_of_numbers_is_made() -> None:
    """Written by hand is only the table of what to take for what."""
    names = [name for name, _ in parts(read_places(PLACES), read_energies())]
    text = PAGE.read_text("utf-8")
    assert re.findall(r"<!-- bench: (.*?) -->", text) == names
    outside = re.sub(r"<!-- bench.*?<!-- end -->", "", text, flags=re.DOTALL)
    assert len(re.findall(r"^\|---", outside, re.M)) == 1


def test_all_sides_budgets_and_names_are_there() -> None:
    places = read_places(PLACES)
    assert {(p.side, p.nfe) for p in places} == {
        (s, n) for s in SIDES for n in SIZES["standard"].nfe
    }
    assert {*DEFAULT, *PEERS} <= {p.method for p in places}
    assert {problem for _, problem, _ in read_energies()} == {*SIDES["open networks"], "letters"}
    assert {p.of for p in places if p.side == "held"} == {len(menu("standard", False))}


def test_no_default_is_worse_than_ddim() -> None:
    """With scales measured, at any budget of any side."""
    at = {(p.side, p.nfe, p.method): p.score for p in read_places(PLACES)}
    for side, nfe, method in at:
        if method == "diffusers DDIM":
            assert at[side, nfe, DEFAULT[0]] < at[side, nfe, method]


def test_a_mark_that_is_missing_is_said() -> None:
    with pytest.raises(AssertionError, match="must have <!-- bench: version --> once"):
        page("", read_places(PLACES), read_energies())


def test_the_page_of_the_benchmark_says_its_sizes_problems_and_names() -> None:
    text = (DOCS / "bench.md").read_text("utf-8")
    for what, network in (("exact problems", False), ("networks", True)):
        counts = " | ".join(str(len(menu(size, network))) for size in SIZES)
        assert f"| methods on {what} | {counts} |" in text
    for side in ("open", "held"):
        for name, make in SIDES[side].items():
            problem = make()
            assert problem.scales is not None
            found = re.search(rf"`{name}`.*? \| (\d+) \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|", text)
            assert found, name
            size, top, high, low = found.groups()
            assert int(size) == max(problem.event, default=1)
            assert float(top) == pytest.approx(problem.scales.top, rel=0.05)
            assert (float(high), float(low)) == problem.sigma_range
    for name in PEERS:
        (entry,) = find_entries(name)
        assert f"| {name} | `{entry.method!r}` on {entry.key[1]} |" in text
    assert which_solver.TITLES.keys() == SIDES.keys()
