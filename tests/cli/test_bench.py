"""flowsolve bench: its version, its menu, the rank of a stranger's method, growing, and what is refused."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

import flowsolve as fs
from flowsolve.cli import bench_menu
from flowsolve.cli.bench_menu import (
    LEFT_OUT,
    METHODS,
    PEERS,
    WITH_ENERGY,
    find_entries,
    fingerprint,
    menu,
)
from flowsolve.cli.commands import bench as command
from flowsolve.errors import NameUnknown, StateError
from flowsolve.solver.plugins import make_solver, provided
from flowsolve.study.benchmark import BENCH, SIDES, SIZES, BenchRow
from flowsolve.study.ranking import Place, read_places
from flowsolve.study.results import read_jsonl
from flowsolve_solvers import DPMSolverPP2M, Euler
from tests.cli.helpers import done, flowsolve, outside, progress, table_of
from tests.project.test_packaging import provider

pytestmark = pytest.mark.usefixtures("undrawn")
ROOT = Path(__file__).parents[2]
LINE = ("bench", "--problems", "line3", "--out", "out")
STRANGER = '''
"""Two methods of a stranger."""

from dataclasses import dataclass

from flowsolve import OneStep
from flowsolve.solver import Solver
from flowsolve_solvers import DPMSolverPP2M

__all__ = ["Copy", "SlowStart"]


@dataclass(frozen=True, repr=False)
class Copy(DPMSolverPP2M):
    """x_t = (t/s) x_s + (1 - t/s) D̄,   as k-diffusion's DPM-Solver++(2M) does.      A stranger."""

    guard: float | None = None


@dataclass(frozen=True, repr=False)
class SlowStart(OneStep):
    """x_t = x_s + 0.9 (t - s) ε(x_s, s).      A stranger."""

    order = 1

    def step(self, ode, x, s, t):
        return x + 0.9 * (t - s) * ode.eps(x, s)
'''
# of all that a number depends on; where it changes, BENCH does, and the pages are made again
FINGERPRINTS = {"1": "b6c6568b7727"}


def test_the_version_changes_with_what_it_stands_for() -> None:
    assert BENCH in FINGERPRINTS, "write the fingerprint of the new version here"
    assert fingerprint() == FINGERPRINTS[BENCH], "raise BENCH in flowsolve/study/benchmark.py"


def test_the_sizes_are_those_of_the_command() -> None:
    assert {*command.SIZES} == {*SIZES}


def test_every_deterministic_method_is_on_the_menu_or_said_why_not() -> None:
    """Of one's own choice of steps, or with noise, none has an error at a budget."""
    named = {type(make_solver(text)).__name__ for text in METHODS}
    made = {
        p.name: p.make()
        for p in provided().values()
        if not p.needs and p.provider == "flowsolve_solvers"
    }
    plain = {name: s for name, s in made.items() if not s.stochastic and not s.adaptive}
    assert len(plain) > 30
    listed = {name for name, s in plain.items() if type(s).__name__ in named}
    assert {*plain} - listed <= {*LEFT_OUT}, {*plain} - listed - {*LEFT_OUT}
    assert len(METHODS) == len({*METHODS})


@pytest.mark.parametrize("network", [False, True])
def test_a_larger_menu_has_what_a_smaller_one_has(network: bool) -> None:
    quick, standard, full = ({e.key: e.name for e in menu(size, network)} for size in SIZES)
    assert quick.items() <= standard.items() <= full.items()
    assert {*PEERS, *WITH_ENERGY} <= {*quick.values()}
    for names in (quick, standard, full):
        assert len({*names.values()}) == len(names)


def test_the_quick_bench_ranks_a_strangers_method(tmp_path: Path) -> None:
    """The whole held side; then a package with an entry point: only its rows are measured."""
    held = [*SIDES["held"], "letters"]
    done("bench", "--problems", *held, "--out", "out", "--quiet", cwd=tmp_path)
    places = read_places(tmp_path / "out" / "places.csv")
    assert {(p.side, p.nfe) for p in places} == {
        (side, n) for side in ("held", "held network") for n in SIZES["quick"].nfe
    }
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", BenchRow)
    assert len(rows) == 9 * 4 * len(menu("quick", True))
    assert not [r for r in rows if r.error]
    assert all(r.certified and r.nfe <= r.budget and r.bench == BENCH for r in rows)
    first = {(p.side, p.nfe): p for p in places if p.rank == 1}
    assert {p.method.partition(",")[0] for p in first.values()} <= {
        "default", "Adams (points=3", "IPNDM (points=3)", "UniPC (points=3",
    }  # fmt: skip
    assert all(p.score >= 1 for p in places)

    site = provider(tmp_path, "stranger", "", module=STRANGER)
    stranger = partial(
        outside, PYTHONPATH=os.pathsep.join(map(str, (site, ROOT, ROOT / "solvers")))
    )
    text = done(
        "bench", "--out", "out", "--solvers", "copy", "slow-start", cwd=tmp_path, run=stranger
    )
    again = read_jsonl(tmp_path / "out" / "rows.jsonl", BenchRow)
    assert again[: len(rows)] == rows
    assert {(r.solver, len(r.code)) for r in again[len(rows) :]} == {
        ("Copy()", 8),
        ("SlowStart()", 8),
    }
    assert len(again) == len(rows) + 2 * 9 * 4
    now = read_places(tmp_path / "out" / "places.csv")
    of_menu = {(p.side, p.nfe, p.method): p.score for p in now}
    assert all(of_menu[p.side, p.nfe, p.method] == p.score for p in places)
    for p in (p for p in now if p.method == "Copy, karras"):
        assert p.score == of_menu[p.side, p.nfe, "k-diffusion sample_dpmpp_2m, karras"]
        assert p.ties >= 1
        assert 0 < p.spread < 0.2
        assert f"{p.score:.2f} ± {p.spread:.0%}" in text
        assert p.place in text
    for p in (p for p in now if p.method == "SlowStart, karras"):
        assert p.rank > 15
        assert p.score - 2 * p.spread > 10


def test_rows_of_a_method_that_was_changed_are_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "mymodule.py").write_text(STRANGER)
    mine = (*LINE, "--solvers", "mymodule:SlowStart@log_snr")
    progress(*mine, cwd=tmp_path)
    (tmp_path / "mymodule.py").write_text(STRANGER.replace("0.9 * (t", "(t"))
    lines = progress(*mine, cwd=tmp_path)
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", BenchRow)
    assert len(rows) == 4 * (len(menu("quick", False)) + 2)
    changed = rows[-4:]
    assert {r.solver for r in changed} == {"SlowStart()"}
    assert len(lines) == len(rows) - 4
    euler = {r.asked: r for r in rows if (r.solver, r.spacing) == ("Euler()", "karras")}
    assert changed[0].rmse != euler["nfe=5"].rmse


def test_a_part_of_a_side_has_no_ranks_and_a_study_grows(tmp_path: Path) -> None:
    text = done(*LINE, cwd=tmp_path)
    assert text.splitlines() == [
        f"benchmark {BENCH}, flowsolve {fs.__version__}",
        "no ranks: a side has them when a method has a row on each of its problems",
        "out: bench.png, .svg, .pdf, places.csv, rows.csv, rows.jsonl",
    ]
    assert len(table_of(tmp_path / "out" / "places.csv")) == 0
    before = (tmp_path / "out" / "rows.jsonl").read_bytes()
    done(*LINE, "--format", "json", cwd=tmp_path)
    assert (tmp_path / "out" / "rows.jsonl").read_bytes() == before
    done("bench", "--out", "out", "--solvers", "euler@ays", cwd=tmp_path)
    rows = read_jsonl(tmp_path / "out" / "rows.jsonl", BenchRow)
    failed = [r for r in rows if r.error]
    assert {r.spacing for r in failed} == {"ays"}
    assert "knows levels" in failed[0].error
    refused = flowsolve("bench", "--out", "out", "--size", "standard", cwd=tmp_path)
    assert refused.returncode == 1
    assert "size quick, not standard" in refused.stderr


def test_in_python(tmp_path: Path) -> None:
    own = fs.bench(
        [DPMSolverPP2M(), (Euler(), fs.log_snr)], problems=["line3"], path=tmp_path / "rows.jsonl"
    )
    assert own.asked == ("DPMSolverPP2M, karras", "Euler, log_snr")
    assert own.places == ()
    assert repr(own).startswith(f"benchmark {BENCH}")
    same = fs.bench("euler@karras", problems=["line3"])
    assert same.asked == ("k-diffusion sample_euler, karras",)


def test_tables_of_ranks_and_of_samples() -> None:
    """Those asked for stand below the best too, and alone with all that is said of them."""
    blank = {
        "side": "held",
        "nfe": 8,
        "spread": 0.04,
        "of": 15,
        "worst": 9.0,
        "on": "ring12",
        "error": 0.1,
    }
    found = tuple(
        Place(**blank, method=f"m{i}", score=1.5 * i, rank=i, ties=int(i == 15))  # type: ignore[arg-type]
        for i in range(1, 16)
    )
    row = BenchRow(
        problem="letters", problem_digest="", dtype="float32", device="cpu", flowsolve="1", torch="", python="",
        solver="M()", order=1, spacing="karras", asked="nfe=5", energy=0.1234, energy_error=0.01,
    )  # fmt: skip
    made = fs.Ranking(found, ("m15",), (row,), {("M()", "karras", ""): "m15"})
    side, own, energy = made.tables()
    assert [line[0] for line in side.body] == [*(f"m{i}" for i in range(1, 13)), "m15"]
    assert side.body[-1] == ["m15", "22.50 (15=)", "22.50"]
    assert own.body == [
        ["m15", "held", "8", "22.50 ± 4%", "15 of 15, ties with 1", "9.00 on ring12"]
    ]
    assert energy.body == [["m15", "5", "0.123 ± 0.010"]]
    assert "22.50 ± 4%" in repr(made)
    assert made._repr_html_().count("<table>") == 4
    assert len(made.figure.axes) == 1


def test_spacings_of_its_own() -> None:
    assert [e.name for e in find_entries("heun", ["own", "log_snr"])] == [
        "Heun, karras",
        "Heun, log_snr",
    ]
    assert [e.name for e in find_entries("heun@uniform_t")] == ["Heun, uniform_t"]
    (entry,) = find_entries("heun@uniform_t")
    assert entry.spacing is not None
    assert entry.spacing(8, 157.0, 0.01) == fs.Grid(fs.uniform_t(8, 157.0, 0.01, clock=fs.VPSDE()))
    assert entry.spacing(8, 999.0, 0.001)[4] == pytest.approx(
        1, rel=0.01
    )  # t = 1/2 of flow matching


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("edm", StateError, "draws noise"),
        (
            "scipy",
            StateError,
            "chooses its own steps, so it has no place at a budget. `flowsolve compare`",
        ),
        ("huen", NameUnknown, "Did you mean heun"),
        ("heun@karas", NameUnknown, "there is no spacing 'karas'"),
        ("nowhere:Mine", NameUnknown, "there is no solver 'nowhere:Mine'"),
        ("fractions:Fraction", NameUnknown, "is a Fraction, not a flowsolve Solver"),
    ],
)
def test_what_cannot_be_ranked(text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        find_entries(text)


def test_wrong_use(tmp_path: Path) -> None:
    made = flowsolve("bench", "--problems", "ring13", cwd=tmp_path)
    assert (made.returncode, made.stdout) == (2, "")
    assert made.stderr.startswith(
        "flowsolve: the benchmark has no problem 'ring13'. It has line4, plane5"
    )
    with pytest.raises(NameUnknown, match=r"has no size 'large'\. It has quick, standard, full"):
        fs.bench(size="large")
    assert not [*tmp_path.iterdir()]


def test_names_are_those_of_the_menu() -> None:
    """A figure draws methods by these names."""
    from flowsolve.plot.benchmark import SHOWN

    assert {*SHOWN} <= {e.name for e in menu("quick", True)}
    assert all(name in {*PEERS, *bench_menu.DEFAULT} for name in SHOWN)
