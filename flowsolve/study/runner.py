"""Tasks, measured one after another or shared out, each row on the disk before the next task begins."""

from __future__ import annotations

import contextlib
import glob
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
from flowsolve.study.shards import Alone


def _nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Part:
    """A piece of a measurement that any process may do before it, and that leaves its result on the disk.

    key  two parts of one key are the same;  make: does it, if it is not there yet
    """

    key: str
    make: Callable[[], object]


@dataclass(frozen=True)
class Task(Generic[R]):
    """A row without its numbers, and the function that puts them in.

    prepare  what comes before: it counts in no time, and where it fails the whole run ends
    parts    what several processes share out, where there are several; `measure` finds it, or makes it itself.
             The same in every process
    """

    row: R
    measure: Callable[[R], R]
    prepare: Callable[[], object] = _nothing
    parts: Callable[[], Sequence[Part]] = tuple


OnRow = Callable[[R, int, int], None]


def collect(
    tasks: Sequence[Task[R]],
    path: str | Path | None = None,
    on_row: OnRow[R] | None = None,
    shard: Alone | None = None,
    on_parts: Callable[[int, int], None] | None = None,
) -> tuple[R, ...]:
    """The rows of all tasks.

    path      a JSON Lines file: each row is on the disk before the next is begun, and rows found there
              are not measured again, except those that say why they hold no measurement; one process at a
              time, unless they share it as shards
    on_row    called with each row, how many are done and how many there will be
    shard     which part of the work is this process's, all of it unless given (`study.shards`). Every process
              returns when its part is done: with the rows that are on the disk, which are all where
              `shard.whole`. A shard of several processes needs a path
    on_parts  called with how many parts of measurements are done and how many there are

    A measurement that fails leaves a row whose `error` says why, and the next one begins. TF32 is off
    while they run, so that float32 is float32 on a GPU too. Raises ResultsError for a file that cannot
    be written, holds something else or is in use.
    """
    tasks = several("tasks", tasks, "Tasks, as experiments make them", empty=True)
    shard = shard or Alone()
    for i, task in enumerate(tasks):
        instance(f"tasks[{i}]", task, Task)
    if on_row is not None and not callable(on_row):
        raise StateError(f"on_row must be a function (row, done, all), not {shown(on_row)}.")
    told = _Told(on_row, len(tasks))
    if path is None or not tasks:
        if shard.others:
            raise StateError("several processes share their results through a file: give path=.")
        return _collected(tasks, None, told)
    path, kind = file_path(path), type(tasks[0].row)
    advice = "Wait for it, or write to another file."
    portion = not (shard.whole or shard.follows)
    with contextlib.ExitStack() as locks:
        if not shard.follows:  # rank 0 holds the file for all ranks
            name = f".{path.name}.lock"
            locks.enter_context(Lock(path.with_name(name), path, advice, shared=portion))
        if shard.name:
            name = f".{path.name}.{shard.name}.lock"
            locks.enter_context(Lock(path.with_name(name), f"{shard.name} of {path}", advice))
        file = RowFile(path, kind, shard.name)
        if shard.others:
            _share(tasks, file, told, shard, on_parts)
        if not shard.whole:
            file.read()
            done = file.measured
            return tuple(done[task.row.key] for task in tasks if task.row.key in done)
        file.unite()
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.lock"):  # by a kill
            with contextlib.suppress(OSError):
                left.unlink()
        return _collected(tasks, file, told)


class _Told(Generic[R]):
    """Calls on_row with each row once."""

    def __init__(self, on_row: OnRow[R] | None, total: int) -> None:
        self.on_row, self.total, self.seen = on_row, total, set[object]()

    def __call__(self, row: R) -> None:
        if row.key not in self.seen:
            self.seen.add(row.key)
            if self.on_row:
                self.on_row(row, len(self.seen), self.total)


def _collected(tasks: Sequence[Task[R]], file: RowFile[R] | None, told: _Told[R]) -> tuple[R, ...]:
    done, rows = file.measured if file else {}, []
    for task in tasks:
        row = done.get(task.row.key)
        if row is None:
            row = _measured(task)
            if file:
                file.append(row)
            if not row.error:
                done[row.key] = row
        rows.append(row)
        told(row)
    return tuple(rows)


def _share(
    tasks: Sequence[Task[R]],
    file: RowFile[R],
    told: _Told[R],
    shard: Alone,
    on_parts: Callable[[int, int], None] | None,
) -> None:
    """Do what is this process's of the parts, and then of the rows."""
    name, done = type(tasks[0].row).__name__, file.measured
    made = [(task, part) for task in tasks for part in task.parts()]
    parts = {part.key: (part, task) for task, part in made}
    wanted = {part.key for task, part in made if task.row.key not in done}
    split = {task.row.key for task, _ in made}

    def say(count: int) -> None:
        if on_parts and wanted:
            on_parts(count, len(parts))

    each = [*parts.values()]
    for i in shard.units(f"{name} parts", len(each)):
        part, task = each[i]
        if part.key in wanted:
            with true_float32():
                task.prepare()
                with contextlib.suppress(Exception):  # its row will fail too, and say why
                    part.make()
        say(shard.done(f"{name} parts"))
    complete = shard.wait(f"{name} parts", len(each), say)

    again = 0.0

    def news(count: int = -1) -> None:
        nonlocal again
        begin = time.monotonic()
        if count != len(told.seen) and begin > again:
            file.read()
            for row in file.measured.values():
                told(row)
            now = time.monotonic()
            again = now + 20 * (now - begin)  # a twentieth of the time of rank 0, however many rows

    for i in shard.units(f"{name} rows", len(tasks)):
        key = tasks[i].row.key
        if key not in done and (complete or key not in split):
            file.append(_measured(tasks[i]))
        if shard.whole:
            news()
    if shard.whole:
        shard.wait(f"{name} rows", len(tasks), news)


def _measured(task: Task[R]) -> R:
    with true_float32():
        task.prepare()
        begin = time.perf_counter()
        try:
            row = task.measure(task.row)
        except Exception as error:  # a study outlives what it measures, and the row says why
            row = replace(task.row, error=f"{type(error).__name__}: {error}")
    if math.isnan(row.seconds):
        row = replace(row, seconds=time.perf_counter() - begin)
    return row
