"""What the commands of studies and experiments share: rows as they come, tables, a last line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowsolve.cli import tables

if TYPE_CHECKING:
    from flowsolve.cli.output import Folder
    from flowsolve.study.results import R, Row
    from flowsolve.study.runner import Task


def measured(folder: Folder, tasks: Sequence[Task[R]], what: str) -> tuple[R, ...]:
    """All rows, in rows.jsonl as they come and in rows.csv at the end or when interrupted."""
    from flowsolve.study.results import read_jsonl, write_csv
    from flowsolve.study.runner import collect

    kind, path = type(tasks[0].row), folder.path / "rows.jsonl"
    try:
        with tables.progress(tables.console(), what) as on_row:
            rows = collect(tasks, path, on_row)
    except KeyboardInterrupt:
        write_csv(read_jsonl(path, kind), folder.path / "rows.csv", kind)
        print(f"\nrows so far: {path}; the same command continues from there", file=sys.stderr)
        raise
    write_csv(rows, folder.path / "rows.csv", kind)
    return rows


def finish(folder: Folder, rows: Sequence[Row], *files: str) -> int:
    """Print what failed and where the results are. The exit code: 1 if nothing was measured."""
    for row in rows:
        if row.error:
            print(f"{row.name}: {row.error}")
    print(f"{folder.path}: {', '.join((*files, 'rows.csv', 'rows.jsonl'))}")
    return 0 if any(not row.error for row in rows) else 1


def show(title: str, head: list[str], body: list[list[str]]) -> None:
    """Print a title, which may be wider than the table, and the table."""
    print(title)
    tables.console().print(tables.plain(head, body))
