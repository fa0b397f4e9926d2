"""One measurement after another, each on the disk before the next begins."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from flowsolve.study.results import RowFile

if TYPE_CHECKING:
    import torch

    from flowsolve.problems.base import Problem


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a row of every experiment says; what it measured is in the fields of its class.

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
    seconds: float = float("nan")
    error: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two measurements the same one."""
        return tuple(getattr(self, name) for name in self.KEY)

    @property
    def name(self) -> str:
        """Who was measured."""
        raise NotImplementedError

    @property
    def result(self) -> str:
        """What came out, in a line."""
        raise NotImplementedError


R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Task(Generic[R]):
    """A row without its numbers, and the function that puts them in."""

    row: R
    measure: Callable[[R], R]


def stamp(problem: Problem, dtype: torch.dtype, device: torch.device | str) -> dict[str, Any]:
    """The fields of a Record that say what was run, and on what."""
    import torch

    from flowsolve._version import __version__

    return {
        "problem": problem.name,
        "problem_digest": problem.digest,
        "dtype": str(dtype)[6:],
        "device": torch.device(device).type,
        "flowsolve": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def collect(
    tasks: Sequence[Task[R]],
    path: str | Path | None = None,
    on_row: Callable[[R, int, int], None] | None = None,
) -> tuple[R, ...]:
    """The rows of all tasks.

    path    a JSON Lines file: each row is on the disk before the next is begun, and rows found there
            are not measured again, except those that say why they hold no measurement
    on_row  called with each row, how many are done and how many there will be

    A measurement that fails leaves a row whose `error` says why, and the next one begins.
    """
    file = RowFile(Path(path), type(tasks[0].row)) if path and tasks else None
    done, rows = file.measured if file else {}, []
    for task in tasks:
        row = done.get(task.row.key)
        if row is None:
            begin = time.perf_counter()
            try:
                row = task.measure(task.row)
            except Exception as error:  # the experiment outlives it, and the row says why it fell
                row = replace(task.row, error=f"{type(error).__name__}: {error}")
            row = replace(row, seconds=time.perf_counter() - begin)
            if file:
                file.append(row)
        rows.append(row)
        if on_row:
            on_row(row, len(rows), len(tasks))
    return tuple(rows)
