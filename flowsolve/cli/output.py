"""The folder of results: never overwritten unasked, continued when the settings are the same."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve.errors import ResultsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _is_ours(note: Path) -> bool:
    """Whether it is the settings.json of a flowsolve command, and not some other program's."""
    try:
        settings = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(settings, dict) and "command" in settings and "version" in settings


class Folder:
    """A folder for one set of settings, which it holds as settings.json. Raises ResultsError."""

    def __init__(self, args: argparse.Namespace, problem: str = "") -> None:
        settings = {k: v for k, v in vars(args).items() if k not in ("out", "overwrite")}
        self.path = Path(str(args.out).replace("PROBLEM", problem.replace(":", "-")))
        note = self.path / "settings.json"
        text = json.dumps(settings, indent=1, ensure_ascii=False) + "\n"
        try:
            if self.path.is_dir() and any(self.path.iterdir()):
                if not _is_ours(note):
                    raise ResultsError(
                        f"{self.path} holds files that flowsolve did not make. Give another --out."
                    )
                if args.overwrite:
                    shutil.rmtree(self.path)
                elif note.read_text(encoding="utf-8") != text:
                    raise ResultsError(
                        f"{self.path} holds other results. Give another --out, or --overwrite."
                    )
            self.path.mkdir(parents=True, exist_ok=True)
            note.write_text(text, encoding="utf-8")
        except ResultsError:
            raise
        except OSError as error:
            raise ResultsError(f"cannot write to {self.path}: {error.strerror}.") from None

    def figure(self, name: str, figure: Figure) -> None:
        """Write a figure as PNG and SVG."""
        from flowsolve import plot

        for suffix in ("png", "svg"):
            plot.save(figure, self.path / f"{name}.{suffix}")


def write_file(path: Path, text: str, overwrite: bool) -> None:
    """Write one file, whole. Raises ResultsError if it exists and may not be replaced."""
    if path.exists() and not overwrite:
        raise ResultsError(f"{path} exists. Give another --out, or --overwrite.")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"cannot write to {path}: {error.strerror}.") from None
