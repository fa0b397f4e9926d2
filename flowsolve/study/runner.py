"""Tasks, measured one after another, each row on the disk before the next task begins."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic

from flowsolve._arguments import file_path, instance, several, shown
from flowsolve.errors import StateError
from flowsolve.study.float32 import true_float32
from flowsolve.study.lock import Lock
from flowsolve.study.results import R, RowFile


def _nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Task(Generic[R]):
    """A row without its numbers, and the function that puts them in.

    prepare  what comes before: it counts in no time, and where it fails the whole run ends
    """

    row: R
    measure: Callable[[R], R]
    prepare: Callable[[], object] = _nothing


def collect(
    tasks: Sequence[Task[R]],
    path: str | Path | None = None,
    on_row: Callable[[R, int, int], None] | None = None,
) -> tuple[R, ...]:
    """The rows of all tasks.

    path    a JSON Lines file: each row is on the disk before the next is begun, and rows found there
            are not measured again, except those that say why they hold no measurement; one process at a
            time
    on_row  called with each row, how many are done and how many there will be

    A measurement that fails leaves a row whose `error` says why, and the next one begins. TF32 is off
    while they run, so that float32 is float32 on a GPU too. Raises ResultsError for a file that cannot
    be written, holds something else or is in use.
    """
    tasks = several("tasks", tasks, "Tasks, as experiments make them", empty=True)
    for i, task in enumerate(tasks):
        instance(f"tasks[{i}]", task, Task)
    if on_row is not None and not callable(on_row):
        raise StateError(f"on_row must be a function (row, done, all), not {shown(on_row)}.")
    if path is None or not tasks:
        return _collected(tasks, None, on_row)
    path = file_path(path)
    with Lock(path.with_name(f".{path.name}.lock"), path, "Wait for it, or write to another file."):
        return _collected(tasks, RowFile(path, type(tasks[0].row)), on_row)


def _collected(
    tasks: Sequence[Task[R]],
    file: RowFile[R] | None,
    on_row: Callable[[R, int, int], None] | None,
) -> tuple[R, ...]:
    done, rows = file.measured if file else {}, []
    for task in tasks:
        row = done.get(task.row.key)
        if row is None:
            with true_float32():
                task.prepare()
                row = _measured(task)
            if file:
                file.append(row)
            if not row.error:
                done[row.key] = row
        rows.append(row)
        if on_row:
            on_row(row, len(rows), len(tasks))
    return tuple(rows)


def _measured(task: Task[R]) -> R:
    begin = time.perf_counter()
    try:
        row = task.measure(task.row)
    except Exception as error:  # a study outlives what it measures, and the row says why it fell
        row = replace(task.row, error=f"{type(error).__name__}: {error}")
    if math.isnan(row.seconds):
        row = replace(row, seconds=time.perf_counter() - begin)
    return row
