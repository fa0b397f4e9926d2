"""Progress by rows: a bar on a terminal, a line a row elsewhere."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from flowsolve.cli.reference_progress import reference_progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowsolve.study.results import Row


def console(stderr: bool = False) -> Console:
    """Standard output or error; where it is no terminal, wide enough that no table is folded."""
    if (sys.stderr if stderr else sys.stdout).isatty():
        return Console(stderr=stderr)
    return Console(width=int(os.environ.get("COLUMNS", 160)), highlight=False, stderr=stderr)


class Told:
    """What `collect` calls: `row` with each row, `parts` with how many parts of measurements are done."""

    def __init__(
        self, row: Callable[[Row, int, int], None], say: Callable[[str], None], every: float
    ) -> None:
        self.row, self._say, self._every, self._last = row, say, every, -math.inf

    def parts(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= self._every or done == total:
            self._last = now if done < total else math.inf
            self._say(f"blocks: {done} of {total}")


@contextmanager
def progress(out: Console, what: str, quiet: bool = False) -> Iterator[Told]:
    """Callbacks for rows: a bar with the time left on a terminal, else one line for each row.

    References, and blocks that processes share, show how far they are in the bar, or in a line every 5 seconds.
    """
    if quiet or not out.is_terminal:

        def say(text: str) -> None:
            if not quiet:
                print(text, file=sys.stderr, flush=True)

        def line(row: Row, done: int, total: int) -> None:
            say(f"[{done}/{total}] {row.name}  {row.error or row.result}")

        with reference_progress(say, 5.0):
            yield Told(line, say, 5.0)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns, console=out, transient=True) as bar,
        reference_progress(lambda text: bar.update(task, description=text), 0.2),
    ):
        task = bar.add_task(what, total=None)

        def advance(row: Row, done: int, total: int) -> None:
            result = "failed" if row.error else row.result
            bar.update(task, completed=done, total=total, description=f"{row.name}: {result}")

        yield Told(advance, lambda text: bar.update(task, description=text), 0.2)
