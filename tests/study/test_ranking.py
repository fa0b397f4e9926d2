"""Scores, ranks and ties of the benchmark: against a direct computation, and what leaves a method out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from flowsolve.errors import ResultsError
from flowsolve.study.benchmark import SIDES, BenchRow
from flowsolve.study.ranking import Place, overall, places, read_places, write_places

HELD = [*SIDES["held"]]
WHERE = {"problem_digest": "0" * 12, "dtype": "float64", "device": "cpu", "flowsolve": "", "torch": "",
         "python": "", "order": 1, "spacing": "karras", "asked": "nfe=8"}  # fmt: skip
Made = Mapping[str, Mapping[str, np.ndarray]]


def row(method: str, problem: str, each: np.ndarray, **more: object) -> BenchRow:
    text = " ".join(f"{e!r}" for e in map(float, each))
    return BenchRow(
        **{**WHERE, "solver": method, "problem": problem, "each": text, "scale": 2.0, **more}
    )  # type: ignore[arg-type]


def errors(methods: Mapping[str, float], noise: float, seed: int = 0, n: int = 40) -> Made:
    """exp of a level of each method, a part that all share, and noise of its own."""
    g = np.random.default_rng(seed)
    shared = {p: g.normal(size=n) for p in HELD}
    return {
        m: {p: np.exp(level + shared[p] + noise * g.normal(size=n)) for p in HELD}
        for m, level in methods.items()
    }


def ranked(made: Made, menu: str = "", **more: object) -> dict[str, Place]:
    rows = [row(m, p, each, **more) for m, by in made.items() for p, each in by.items()]
    names = {(m, "karras", ""): m for m in made}
    return {p.method: p for p in places(rows, names, {*(menu.split() or made)})}


def test_scores_and_errors_are_those_of_their_formulas() -> None:
    made = errors({"a": -3.0, "b": -2.0, "c": -2.9}, noise=0.3)
    logs = {m: {p: np.log(e) for p, e in by.items()} for m, by in made.items()}
    best = {p: min(logs, key=lambda m: logs[m][p].mean()) for p in HELD}
    found = ranked(made)
    for m, place in found.items():
        off = {p: logs[m][p] - logs[best[p]][p] for p in HELD}
        assert place.score == pytest.approx(math.exp(np.mean([off[p].mean() for p in HELD])))
        spread = math.sqrt(sum(off[p].var(ddof=1) / 40 for p in HELD)) / len(HELD)
        assert place.spread == pytest.approx(spread)
        assert place.worst == pytest.approx(max(math.exp(off[p].mean()) for p in HELD))
        assert place.worst == pytest.approx(math.exp(off[place.on].mean()))
        level = np.mean([logs[m][p].mean() for p in HELD])
        assert place.error == pytest.approx(math.exp(level) / 2)
        assert (place.side, place.nfe, place.of) == ("held", 8, 3)


@pytest.mark.parametrize("seed", range(3))
def test_better_and_tie_are_those_of_the_paired_difference(seed: int) -> None:
    levels = {m: -3 + 0.02 * i for i, m in enumerate("abcdef")}
    made = errors(levels, noise=0.4, seed=seed)
    logs = {m: {p: np.log(e) for p, e in by.items()} for m, by in made.items()}

    def clear(a: str, b: str) -> float:
        """How much smaller the error of a is, in standard errors."""
        off = [logs[b][p] - logs[a][p] for p in HELD]
        se = math.sqrt(sum(d.var(ddof=1) / len(d) for d in off)) / len(off)
        return float(np.mean([d.mean() for d in off])) / se

    found = ranked(made)
    for m, place in found.items():
        others = [k for k in levels if k != m]
        assert place.rank == 1 + sum(clear(k, m) > 2 for k in others)
        assert place.ties == sum(abs(clear(k, m)) < 2 for k in others)
    assert any(p.ties for p in found.values())
    assert [p.score for p in found.values()] == sorted(p.score for p in found.values())


def test_noise_alone_is_a_tie_nineteen_times_in_twenty() -> None:
    clear = sum(
        2 - len([p for p in ranked(errors({"a": 0.0, "b": 0.0}, 0.5, seed)).values() if p.ties])
        for seed in range(200)
    )
    assert 0.01 < clear / 400 < 0.09


def test_pairing_finds_what_samples_apart_would_hide() -> None:
    """The samples differ by e, the methods by a tenth."""
    found = ranked(errors({"a": 0.0, "b": 0.1}, noise=0.05))
    assert [found[m].rank for m in "ab"] == [1, 2]
    assert [found[m].place for m in "ab"] == ["1 of 2", "2 of 2"]


def test_a_method_that_is_another_ties_with_it() -> None:
    made = errors({"a": 0.0, "b": 1.0}, noise=0.2)
    found = ranked({**made, "copy": made["a"]})
    assert found["copy"].place == found["a"].place == "1 of 3, ties with 1"
    assert found["b"].place == "3 of 3"


def test_scores_do_not_depend_on_who_else_came() -> None:
    made = errors({"a": 0.0, "b": 0.5, "mine": -0.5}, noise=0.1)
    alone = ranked({m: made[m] for m in "ab"})
    found = ranked(made, menu="a b")
    assert [found[m].score for m in "ab"] == [alone[m].score for m in "ab"]
    assert found["mine"].score == pytest.approx(math.exp(-0.5), rel=0.05)
    assert [found[m].rank for m in ("mine", "a", "b")] == [1, 2, 3]


def test_a_side_needs_all_its_problems_and_so_does_a_method() -> None:
    made = errors({"a": 0.0, "b": 0.5}, noise=0.1)
    part = {m: {p: by[p] for p in HELD[1:]} for m, by in made.items()}
    assert not ranked(part)
    assert [*ranked({"a": made["a"], "b": part["b"]})] == ["a"]
    rows = [
        row(m, p, e, error="" if m == "a" else "ValueError")
        for m, by in made.items()
        for p, e in by.items()
    ]
    assert [p.method for p in places(rows, {(m, "karras", ""): m for m in made}, "ab")] == ["a"]
    assert not places(rows, {("c", "karras", ""): "c"}, "c")


def test_an_error_of_zero_has_a_rank() -> None:
    made = errors({"a": 0.0}, noise=0.1)
    exact = {p: np.zeros(40) for p in HELD}
    found = ranked({**made, "exact": exact})
    assert found["exact"].rank == 1
    assert found["a"].score > 1e10


def test_places_are_written_and_read(tmp_path: Path) -> None:
    found = [*ranked(errors({"a": 0.0, "b, or c": 0.5}, noise=0.1)).values()]
    write_places(found, tmp_path / "places.csv")
    again = read_places(tmp_path / "places.csv")
    assert [p.method for p in again] == [p.method for p in found]
    assert again[1].score == pytest.approx(found[1].score, rel=1e-3)
    write_places(again, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "places.csv").read_bytes()
    assert overall(again, "held") == {p.method: pytest.approx(p.score) for p in again}


@pytest.mark.parametrize("text", [None, "side,nfe\nheld,8\n", "a\n1\n"])
def test_what_are_no_places(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "p.csv").write_text(text)
    with pytest.raises(
        ResultsError, match=r"p.csv holds no places of the benchmark.*`flowsolve bench`"
    ):
        read_places(tmp_path / "p.csv")


def test_overall_is_over_all_budgets() -> None:
    blank = {"side": "held", "method": "a", "spread": 0.0, "rank": 1, "ties": 0, "of": 1, "worst": 1.0,
             "on": "ring12", "error": 0.1}  # fmt: skip
    two = [Place(**{**blank, "nfe": n, "score": s}) for n, s in ((4, 1.0), (8, 4.0))]  # type: ignore[arg-type]
    one = Place(**{**blank, "method": "b", "nfe": 4, "score": 1.0})  # type: ignore[arg-type]
    assert overall([*two, one], "held") == {"a": pytest.approx(2.0)}
