"""Tasks that are measured one after another, continue, and leave a row where they fail."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from flowsolve.problems import Mixture, NetworkProblem
from flowsolve.study.results import Row, read_jsonl
from flowsolve.study.runner import Task, collect
from flowsolve.study.settings import Setup

MIXTURE = Mixture()
PROBLEM = NetworkProblem(MIXTURE, (2,), 10.0, 0.05, data=MIXTURE.data()[:600], digest="600")


@dataclass(frozen=True, kw_only=True)
class Square(Row):
    KEY = (*Row.KEY, "number")

    number: int
    square: float = math.nan

    @property
    def name(self) -> str:
        return str(self.number)

    @property
    def result(self) -> str:
        return str(self.square)


class Squares:
    """Tasks that count how often each is measured, and fail for some."""

    def __init__(self, *broken: int) -> None:
        self.broken, self.calls = broken, list[int]()

    def __call__(self, row: Square) -> Square:
        self.calls.append(row.number)
        if row.number in self.broken:
            raise ZeroDivisionError("no square today")
        return replace(row, square=float(row.number**2))

    def tasks(self, n: int = 4) -> list[Task[Square]]:
        common = Setup.of({"dtype": torch.float64}).stamp(MIXTURE)
        return [Task(Square(**common, number=i), self) for i in range(n)]


def test_rows_are_kept_and_continued_and_failures_are_tried_again(tmp_path: Path) -> None:
    path, seen = tmp_path / "rows.jsonl", []
    first = Squares(2)
    rows = collect(first.tasks(), path, lambda row, i, n: seen.append((row.number, i, n)))
    assert [r.square for r in rows][:2] == [0.0, 1.0]
    assert rows[2].error == "ZeroDivisionError: no square today"
    assert math.isnan(rows[2].square)
    assert seen == [(i, i + 1, 4) for i in range(4)]
    assert all(r.seconds >= 0 for r in rows)
    again = Squares()
    more = collect(again.tasks(5), path)
    assert again.calls == [2, 4]
    assert [r.square for r in more] == [0.0, 1.0, 4.0, 9.0, 16.0]
    assert more[0] == rows[0]
    assert len(read_jsonl(path, Square)) == 6
    assert collect([], path) == ()


def test_what_a_measurement_computed_is_on_the_disk_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"

    def stop(row: Square, done: int, total: int) -> None:
        assert len(read_jsonl(path, Square)) == done
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(Squares().tasks(), path, stop)
    assert len(read_jsonl(path, Square)) == 2


def test_rows_say_where_they_come_from() -> None:
    row = Squares().tasks()[1].row
    assert (row.problem, row.dtype, row.device) == ("mixture", "float64", "cpu")
    assert row.torch == torch.__version__
    assert row.key == ("mixture", MIXTURE.digest, "float64", "cpu", row.flowsolve, 1)
