"""What the commands of studies and experiments share: rows as they come, tables, a last line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from flowsolve.cli import row_progress, show

if TYPE_CHECKING:
    from flowsolve.cli.output import Folder
    from flowsolve.study.results import R, Row
    from flowsolve.study.runner import Task


def measured(folder: Folder, tasks: Sequence[Task[R]], what: str) -> tuple[R, ...]:
    """All rows, in rows.jsonl as they come and in rows.csv at the end or when interrupted.

    Raises PartDone in a process that has only a part of them.
    """
    from flowsolve.study.results import read_jsonl, write_csv
    from flowsolve.study.runner import collect

    kind, path, shard = type(tasks[0].row), folder.path / "rows.jsonl", folder.shard
    folder.begin()
    quiet = folder.args.quiet or shard.follows
    try:
        out = row_progress.console(stderr=True)
        with row_progress.progress(out, what, quiet) as told:
            rows = collect(tasks, path, told.row, shard, told.parts)
    except KeyboardInterrupt:
        if shard.whole:
            with folder.part("rows.csv"):
                write_csv(read_jsonl(path, kind), folder.path / "rows.csv", kind)
        print(f"\nrows so far: {path}; the same command continues from there", file=sys.stderr)
        raise
    folder.check_whole(
        f"done, and {len(rows)} of {len(tasks)} rows are in {folder.path}",
        "takes their rows, measures what is missing and makes tables and figures",
    )
    with folder.part("rows.csv"):
        write_csv(rows, folder.path / "rows.csv", kind)
    return rows


def print_table(
    args: argparse.Namespace, title: str, head: list[str], body: list[list[str]]
) -> None:
    """A title and a table, unless --format asks for the rows instead."""
    if args.format == "table":
        show.table(show.Table(head, body, title))


def finish(folder: Folder, rows: Sequence[Row], *files: str, notes: Sequence[str] = ()) -> int:
    """Print what failed and where the results are, or in another --format the rows.

    The exit code: 1 if nothing was measured, or if a table or a figure is missing.
    """
    form = folder.args.format
    if form != "table":
        show.records(form, [asdict(row) for row in rows])
    where = sys.stdout if form == "table" else sys.stderr
    failures = [f"{row.name}: {row.error}" for row in rows if row.error]
    made = f"{folder.path}: {', '.join((*files, 'rows.csv', 'rows.jsonl'))}"
    for line in (*(notes or failures), *([] if folder.failed else [made])):
        print(line, file=where)
    return folder.code() or int(all(row.error for row in rows))
