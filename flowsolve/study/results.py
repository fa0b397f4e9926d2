"""Rows: one a measurement, in CSV and JSON Lines, safe against a kill at any moment."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from flowsolve._arguments import file_path, html_table
from flowsolve.errors import ResultsError

R = TypeVar("R", bound="Row")


@dataclass(frozen=True, kw_only=True, repr=False)
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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.problem}: {self.name}: {self.error or self.result})"

    def _repr_html_(self) -> str:
        body = [[f.name, str(getattr(self, f.name))] for f in fields(self)]
        return html_table([], body, type(self).__name__)

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


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """A file by write(temporary path), replaced whole or not at all. Raises ResultsError."""
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}.") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_csv(rows: Iterable[Row], path: Path, kind: type[Row]) -> None:
    """All columns of that kind of row, one line a row. The file is replaced whole or not at all."""

    def write(temporary: Path) -> None:
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [f.name for f in fields(kind)])
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)

    write_whole(file_path(path), write)


def read_jsonl(path: Path, kind: type[R]) -> list[R]:
    """The whole rows of a file; a last line cut off by a kill is left out. Raises ResultsError."""
    return _read(file_path(path), kind)[0]


def _read(path: Path, kind: type[R]) -> tuple[list[R], int]:
    """The rows, and the length in bytes of the lines that hold them."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror}.") from None
    rows, length = [], 0
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                rows.append(_row(json.loads(line), kind))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            # what a kill leaves is the beginning of a row, or zeros where the system fell
            if number == len(lines) and (line.startswith(b'{"') or not line.strip(b"\0")):
                break
            raise ResultsError(
                f"{path}, line {number} is not a result row: {error}. The file is left as it is: mend or "
                "delete that line, and the same command continues with all other rows."
            ) from None
        length += len(line) + (number < len(lines))
    return rows, length


def _row(values: dict[str, Any], kind: type[R]) -> R:
    """Raises ValueError or TypeError where a value is not of its field's type."""
    types = {f.name: str(f.type) for f in fields(kind)}
    for name, value in values.items():
        wanted = types.get(name, "")
        if wanted == "float" and (value is None or value in ("inf", "-inf")):
            values[name] = math.nan if value is None else float(value)
        elif wanted in _TYPES and type(value) not in _TYPES[wanted]:
            raise ValueError(f"{name} is {value!r}, not {_NAMES[wanted]}")
    return kind(**values)


_TYPES: dict[str, tuple[type, ...]] = {
    "float": (float, int), "int": (int,), "bool": (bool,), "str": (str,),
}  # fmt: skip
_NAMES = {"float": "a number", "int": "a whole number", "bool": "true or false", "str": "a text"}


class RowFile(Generic[R]):
    """A JSON Lines file that grows by whole rows, each on the disk before the next is computed.

    part  rows of several processes are in as many files: rows.jsonl and, of the part "rank1",
          rows.rank1.jsonl. Each process writes its own, and reads all of them
    """

    def __init__(self, path: Path, kind: type[R], part: str = "") -> None:
        self.path, self.kind = file_path(path), kind
        self.own = self.path.with_suffix(f".{part}{self.path.suffix}") if part else self.path
        _, length = _read(self.own, kind)
        if length:  # drop what a kill left of a line, before more is appended
            with contextlib.suppress(OSError), open(self.own, "rb+") as file:
                file.truncate(length)
        self.read()

    @property
    def measured(self) -> dict[tuple[Any, ...], R]:
        """The rows that hold a measurement, by key. Those that failed are left out, and so tried again."""
        return {row.key: row for row in self.rows if not row.error}

    def read(self) -> None:
        """Take the rows that are on the disk now, of all parts."""
        self.rows = [
            row for file in (self.path, *self._parts()) for row in read_jsonl(file, self.kind)
        ]

    def append(self, *rows: R) -> None:
        """Write rows, and return when they are on the disk. Raises ResultsError, the file as it was."""
        lines = b"".join(_line(row) for row in rows)
        try:
            with open(
                self.own, "ab+", buffering=0
            ) as file:  # a buffer would be written at the end too
                length = file.seek(0, os.SEEK_END)
                if length:
                    file.seek(length - 1)
                    lines = lines if file.read(1) == b"\n" else b"\n" + lines
                try:
                    while lines:
                        lines = lines[file.write(lines) :]
                    os.fsync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), length)
                    raise
        except OSError as error:
            raise ResultsError(
                f"cannot write {self.own}: {error.strerror}. The {len(self.rows)} rows before are there: "
                "mend that, and the same command continues from them."
            ) from None
        self.rows += rows

    def unite(self) -> None:
        """Bring the rows of all parts into one file, each measurement once, when no other process writes."""
        parts = self._parts()
        self.read()
        if not parts:
            return
        known = {row.key for row in read_jsonl(self.path, self.kind)}
        found = {key: row for key, row in self.measured.items() if key not in known}
        if found:
            self.append(*found.values())
        for part in parts:
            part.unlink(missing_ok=True)
        self.read()

    def _parts(self) -> list[Path]:
        name, suffix = self.path.stem, self.path.suffix
        files = self.path.parent.iterdir() if self.path.parent.is_dir() else ()
        return sorted(
            p
            for p in files
            if p.name.startswith(f"{name}.") and p.suffix == suffix and p != self.path
        )


def _line(row: Row) -> bytes:
    values = {k: _text(v) for k, v in asdict(row).items()}
    return json.dumps(values, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _text(value: Any) -> Any:
    """JSON has no NaN and no ∞."""
    return None if isinstance(value, float) and math.isnan(value) else (
        str(value) if isinstance(value, float) and math.isinf(value) else value
    )  # fmt: skip
