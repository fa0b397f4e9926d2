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
    """A JSON Lines file that grows by whole rows, each on the disk before the next is computed."""

    def __init__(self, path: Path, kind: type[R]) -> None:
        self.path = path = file_path(path)
        self.rows, length = _read(path, kind)
        if length:  # drop what a kill left of a line, before more is appended
            with contextlib.suppress(OSError), open(path, "rb+") as file:
                file.truncate(length)

    @property
    def measured(self) -> dict[tuple[Any, ...], R]:
        """The rows that hold a measurement, by key. Those that failed are left out, and so tried again."""
        return {row.key: row for row in self.rows if not row.error}

    def append(self, row: R) -> None:
        """Write one row, and return when it is on the disk. Raises ResultsError, the file as it was."""
        values = {k: _text(v) for k, v in asdict(row).items()}
        line = json.dumps(values, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        try:
            with open(
                self.path, "ab+", buffering=0
            ) as file:  # a buffer would be written at the end too
                length = file.seek(0, os.SEEK_END)
                if length:
                    file.seek(length - 1)
                    line = line if file.read(1) == b"\n" else b"\n" + line
                try:
                    while line:
                        line = line[file.write(line) :]
                    os.fsync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), length)
                    raise
        except OSError as error:
            raise ResultsError(
                f"cannot write {self.path}: {error.strerror}. The {len(self.rows)} rows before are there: "
                "mend that, and the same command continues from them."
            ) from None
        self.rows.append(row)


def _text(value: Any) -> Any:
    """JSON has no NaN and no ∞."""
    return None if isinstance(value, float) and math.isnan(value) else (
        str(value) if isinstance(value, float) and math.isinf(value) else value
    )  # fmt: skip
