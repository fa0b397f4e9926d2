"""settings.json of a folder of results: what they are of, and what they may be grown by."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowsolve.errors import ResultsError

NOTE, ROWS, LOCK = "settings.json", "rows.jsonl", ".lock"
# options that say where results go, how they are shown and whose work they are, not what they are
ASIDE = ("out", "overwrite", "format", "quiet", "given", "shard")


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """The options that say what results are."""
    return {k: v for k, v in vars(args).items() if k not in ASIDE}


def read_settings(path: Path, overwrite: bool) -> dict[str, Any]:
    """The settings of the results there; {} where there are none. Raises ResultsError."""
    note, rows = path / NOTE, path / ROWS
    if not path.is_dir():
        return {}
    try:
        others = [p.name for p in path.iterdir() if not _passing(p.name)]
    except OSError as error:
        raise ResultsError(f"cannot write to {path}: {error.strerror}.") from None
    if not others:
        return {}
    ours = _ours(rows)
    if ours and not note.exists():
        return {}
    try:
        settings = json.loads(note.read_bytes())
        if {"command", "version"} <= {*settings}:
            return dict(settings)
    except (OSError, ValueError, TypeError):
        pass
    if not ours:
        raise ResultsError(f"{path} holds files that flowsolve did not make. Give another --out.")
    if overwrite:
        return {}
    raise ResultsError(
        f"{note} is damaged, but the rows in {rows.name} are there. Delete {note}: the same command "
        "then writes it again and continues from the rows."
    )


def grow(
    args: argparse.Namespace,
    found: dict[str, Any],
    path: Path,
    grows: Sequence[str] = (),
    free: Sequence[str] = (),
) -> list[int]:
    """Make of args the union with the settings found in the folder; returns where the seeds of those end.

    Raises ResultsError, saying what stands against it. See `Folder`.
    """
    cuts = list(found.pop("cuts", []))
    given, differ = settings_of(args), []
    for name, old in found.items():
        new: Any = given.get(name)
        if name in free or old == new:
            continue
        if name == "threads" and name not in args.given:
            args.threads = old
            continue
        fits = not old or isinstance(old, type(new))
        if name not in grows or not fits:
            differ.append(f"{name.replace('_', '-')} {_shown(old)}, not {_shown(new)}")
        elif name not in args.given:
            setattr(args, name, old)
        elif isinstance(new, list):
            setattr(args, name, _union(old or [], new))
        elif old > new:
            setattr(args, name, old)
        else:
            cuts.append(old)
    if differ:
        grown = ", ".join(f"--{name}" for name in grows)
        also = f" (what they can be grown by: {grown})" if grown else ""
        raise ResultsError(
            f"{path} holds other results, of {'; '.join(differ)}{also}. Give another --out, or "
            "--overwrite to replace what is there."
        )
    return cuts


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else (
        "none" if value is None else str(value)
    )  # fmt: skip


def _union(old: list[Any], new: list[Any]) -> list[Any]:
    out = [*old, *(v for v in new if v not in old)]
    numbers = all(isinstance(v, (int, float)) for v in out)
    return sorted(out) if numbers and old == sorted(old) and len(out) > len(old) else out


def _passing(name: str) -> bool:
    """Whether it is a lock, or what a kill left of a file that was being written."""
    return name[0] == "." and (name.endswith(LOCK) or ".part." in name)


def _ours(rows: Path) -> bool:
    """Whether the file begins as rows of flowsolve do."""
    try:
        with open(rows, "rb") as file:
            return b'"problem_digest"' in file.readline(4096)
    except OSError:
        return False
