"""What commands print: tables on a terminal, plain columns elsewhere, CSV and JSON for programs.

Characters that the output's encoding lacks are spelled out: "sigma" for σ.
"""

from __future__ import annotations

import argparse
import codecs
import math
import sys
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table as RichTable

FORMATS = ["table", "csv", "json"]
SPELLED = {
    "σ": "sigma", "Σ": "Sum", "ε": "eps", "η": "eta", "τ": "tau", "ρ": "rho", "α": "alpha", "β": "beta",
    "γ": "gamma", "λ": "lambda", "θ": "theta", "∞": "inf", "√": "sqrt", "±": "+-", "→": "->", "≥": ">=",
    "≤": "<=", "×": "x", "·": "*", "−": "-", "∫": "int", "∂": "d", "≠": "!=", "½": "1/2", "…": "...",
    "’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "━": "-", "─": "-", "│": "|",
}  # fmt: skip


class Table(NamedTuple):
    """Cells that are texts, as they are to be read. foot: more rows, below a line."""

    head: Sequence[str]
    body: Sequence[Sequence[str]]
    title: str = ""
    foot: Sequence[Sequence[str]] = ()


def spelled(error: UnicodeError) -> tuple[str, int]:
    """An error handler of `codecs`: what cannot be encoded is spelled, without its accents, or "?"."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = "".join(
        "" if unicodedata.combining(c) else SPELLED.get(c)
        or "".join(x for x in unicodedata.normalize("NFKD", c) if x.isascii()) or "?"
        for c in text
    )  # fmt: skip
    return plain, error.end


def prepare() -> None:
    """No character ends a command, and a warning is one line."""
    codecs.register_error("flowsolve", spelled)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="flowsolve")
    warnings.showwarning = _warned


def _warned(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    print(f"flowsolve: {category.__name__}: {message}", file=sys.stderr)


def numeric(text: str) -> bool:
    """Whether a cell is set to the right."""
    return not text or text[0].isdigit() or text in ("-", "?", "adaptive") or text[0] in "+-"


def table(made: Table) -> None:
    """Print a table: in lines on a terminal, in columns without lines elsewhere."""
    if not sys.stdout.isatty():
        print(columns(made))
        return
    from rich.console import Console

    out = Console()
    if made.title:  # it may be wider than the table
        out.print(made.title, markup=False)
    out.print(boxed(made))


def boxed(made: Table) -> RichTable:
    """With lines between the cells."""
    from rich.table import Table as RichTable
    from rich.text import Text

    out = RichTable()
    for i, name in enumerate(made.head):
        right = all(numeric(row[i]) for row in made.body)
        out.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for row in made.body:
        out.add_row(*map(Text, row))  # brackets in names are not rich's markup
    if made.foot:
        out.add_section()
    for row in made.foot:
        out.add_row(*map(Text, row))
    return out


def columns(made: Table) -> str:
    """The table in plain text: a line a row, two spaces between columns, numbers to the right."""
    encoding = sys.stdout.encoding or "utf-8"

    def fitting(text: str) -> str:
        return text.encode(encoding, "flowsolve").decode(encoding).replace("\n", " ")

    rows = [[fitting(c) for c in row] for row in (made.head, *made.body, *made.foot)]
    inner, n = rows[1:], len(made.body)
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    right = [all(numeric(row[i]) for row in inner[:n]) for i in range(len(widths))]
    rule = ["-" * width for width in widths]
    lines = [rows[0], rule, *inner[:n], *([rule] if made.foot else []), *inner[n:]]
    laid = [
        "  ".join(
            " " * (w - _width(c)) + c if r else c + " " * (w - _width(c))
            for c, w, r in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in lines
    ]
    return "\n".join([fitting(made.title), *laid] if made.title else laid)


def _width(text: str) -> int:
    """How many places it takes: the macron of x̄ takes none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def records(form: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as CSV with a header, or as a JSON list of objects, NaN as null and ±∞ as a text."""
    if form == "json":
        import json

        safe = [{k: _json(v) for k, v in row.items()} for row in rows]
        print(json.dumps(safe, indent=1, ensure_ascii=not _unicode()))
        return
    import csv

    names = [*dict.fromkeys(name for row in rows for name in row)]
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def listing(
    args: argparse.Namespace,
    rows: Sequence[Mapping[str, Any]],
    title: str = "",
    number: str = "",
    none: str = "",
) -> None:
    """The rows in args.format.

    number  how a table writes floats, as ".6g";  none: what it writes for None
    """

    def cell(value: object) -> str:
        return none if value is None else (
            format(value, number) if isinstance(value, float) else str(value)
        )  # fmt: skip

    if args.format != "table":
        records(args.format, rows)
        return
    head = [*rows[0]] if rows else []
    table(Table(head, [[cell(row[name]) for name in head] for row in rows], title))


def _json(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
