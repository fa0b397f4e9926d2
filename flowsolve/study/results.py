"""Rows: one a measurement, in CSV and JSON Lines, safe against a kill at any moment."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from flowsolve.errors import ResultsError

R = TypeVar("R", bound="Row")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement. What it measured is in the fields of its class; these say of what, and on what.

    seconds  that the measurement took
    error    why there is none, or ""
    KEY      the fields that make two rows the same measurement
    """

    KEY: ClassVar[tuple[str, ...]] = ("problem", "problem_digest", "dtype", "device", "flowsolve")

    problem: str
    problem_digest: str
    dtype: str
    device: str
    flowsolve: str
    torch: str
    python: str
    seconds: float = math.nan
    error: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """The values of KEY."""
        return tuple(getattr(self, name) for name in self.KEY)

    @property
    def name(self) -> str:
        """What was measured, for a line of progress."""
        raise NotImplementedError

    @property
    def result(self) -> str:
        """What came out, for a line of progress."""
        raise NotImplementedError


def write_csv(rows: Iterable[Row], path: Path, kind: type[Row]) -> None:
    """All columns of that kind of row, one line a row. The file is replaced whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(kind)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    os.replace(temporary, path)


def read_jsonl(path: Path, kind: type[R]) -> list[R]:
    """The whole rows of a file; a last line cut off by a kill is left out. Raises ResultsError."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            if line:
                rows.append(kind(**{k: _number(v) for k, v in json.loads(line).items()}))
        except (ValueError, TypeError) as error:
            if number == len(lines):
                break
            raise ResultsError(f"{path}, line {number} is not a result row: {error}.") from None
    return rows


class RowFile(Generic[R]):
    """A JSON Lines file that grows by whole rows, each on the disk before the next is computed."""

    def __init__(self, path: Path, kind: type[R]) -> None:
        self.path, self.rows = path, read_jsonl(path, kind)
        if path.exists():  # drop what a kill left of a line, before more is appended
            text = path.read_bytes()
            if not text.endswith(b"\n"):
                path.write_bytes(text[: text.rfind(b"\n") + 1])

    @property
    def measured(self) -> dict[tuple[Any, ...], R]:
        """The rows that hold a measurement, by key. Those that failed are left out, and so tried again."""
        return {row.key: row for row in self.rows if not row.error}

    def append(self, row: R) -> None:
        """Write one row, and return when it is on the disk."""
        values = {k: _text(v) for k, v in asdict(row).items()}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.rows.append(row)


def _text(value: Any) -> Any:
    """JSON has no NaN and no ∞."""
    return None if isinstance(value, float) and math.isnan(value) else (
        str(value) if isinstance(value, float) and math.isinf(value) else value
    )  # fmt: skip


def _number(value: Any) -> Any:
    if value is None:
        return math.nan
    return float(value) if value in ("inf", "-inf") else value
