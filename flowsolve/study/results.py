"""Results as long-format rows: one a measurement, in CSV and JSON Lines, safe against a kill."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from flowsolve.errors import ResultsError

KEY = ("problem", "problem_digest", "solver", "spacing", "asked", "sigma_max", "sigma_min",
       "seeds", "dtype", "device", "flowsolve")  # fmt: skip


class AnyRow(Protocol):
    """A dataclass of numbers and texts. Two rows of one `key` are the same measurement.

    name  what was measured;  result  what came out, in a line
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def error(self) -> str: ...

    @property
    def key(self) -> tuple[Any, ...]: ...

    @property
    def name(self) -> str: ...

    @property
    def result(self) -> str: ...


R = TypeVar("R", bound=AnyRow)


@dataclass(frozen=True)
class Row:
    """One solver on one grid for one block of seeds.

    asked      what was asked for: "nfe=10", "steps=40" or "tol=1e-05"
    nfe        evaluations counted, per sample;  forwards: network passes per sample
    rmse       √mean|x - reference|² over all values;  median, p90, max: of the per-sample RMS errors
    scale      the RMS of the reference;  ref_err: its own error;  certified: rmse >= 10 ref_err
    seconds    of the solve, the device synchronised
    error      why there is no measurement, or ""
    """

    problem: str
    problem_digest: str
    solver: str
    order: int
    spacing: str
    asked: str
    grid: str = ""
    grid_hash: str = ""
    sigma_max: float = math.nan
    sigma_min: float = math.nan
    steps: int = 0
    nfe: int = 0
    forwards: float = 0.0
    seeds: str = ""
    samples: int = 0
    rmse: float = math.nan
    median: float = math.nan
    p90: float = math.nan
    max: float = math.nan
    scale: float = math.nan
    ref_err: float = math.nan
    certified: bool = False
    seconds: float = math.nan
    dtype: str = ""
    device: str = ""
    flowsolve: str = ""
    torch: str = ""
    python: str = ""
    error: str = ""

    @property
    def fixed(self) -> bool:
        """Whether it is a run on a fixed grid, not one of an adaptive method."""
        return self.asked.startswith(("nfe=", "steps="))

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two measurements the same one."""
        return tuple(getattr(self, name) for name in KEY)

    @property
    def name(self) -> str:
        """The solver and what was asked for."""
        return f"{self.solver}  {self.asked}"

    @property
    def result(self) -> str:
        """Error, evaluations, time."""
        return f"rmse {self.rmse:.3e}  nfe {self.nfe}  {self.seconds:.2f} s"


def write_csv(rows: Iterable[AnyRow], path: Path, kind: type[AnyRow] = Row) -> None:
    """All columns of that kind of row, one line a row; replaced whole."""
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
        """The rows that hold a measurement, by key; those that say why they hold none are tried again."""
        return {row.key: row for row in self.rows if not row.error}

    def append(self, row: R) -> None:
        """Write one row through to the disk."""
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
