"""The folder of results: held by one process, never overwritten unasked, and grown by what is new."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from flowsolve.cli.commands import PartDone
from flowsolve.cli.folder_settings import LOCK, NOTE, grow, read_settings, settings_of
from flowsolve.errors import ResultsError, WrongUse
from flowsolve.study import shards
from flowsolve.study.lock import Lock

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Folder:
    """--out, held against other processes while the block runs.

    grows  options that may differ from those of the results there. Where they are left out they are those
           of the folder. Lists become the union, old first (in order where all are numbers), and of numbers
           of seeds the larger counts: `args` is then the study of everything, and only rows that are not
           there yet are measured
    free   options that may differ and change no row
    shard  the part of the work that is this process's; of several ranks the first holds the folder for all
    cuts   where the seeds of the results there end: rows are of blocks between these

    settings.json holds the union. It is written by `begin`, before the first result; what was made for a
    command that came to no result is removed again. Raises ResultsError.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        problem: str = "",
        grows: Sequence[str] = (),
        free: Sequence[str] = (),
    ) -> None:
        self.args, self.grows, self.free = args, grows, free
        self.shard = shards.my_shard(getattr(args, "shard", ""))
        self.path = Path(str(args.out).replace("PROBLEM", problem.replace(":", "-")))
        self.cuts: list[int] = []
        self.failed: list[str] = []
        self._made: list[Path] = []
        self._begun = False

    def __enter__(self) -> Self:
        try:
            if self.shard.follows:
                self._follow(self.shard.hear("folder"))
            else:
                self._hold()
        except BaseException as error:
            self.shard.say("folder", {"error": str(error)})
            self.shard.close()
            raise
        self._set_threads()
        if not self.shard.follows:
            self.shard.say("folder", {"args": settings_of(self.args), "cuts": self.cuts})
        return self

    def _set_threads(self) -> None:
        """Those of the folder, so that its results do not depend on who computes them."""
        if "threads" in self.args:
            import torch

            self._threads = torch.get_num_threads()
            self.args.threads = self.args.threads or self._threads
            torch.set_num_threads(self.args.threads)

    def _hold(self) -> None:
        self._read()  # before the lock is made: a folder of another's is not touched
        with self._writing():
            self._made = [p for p in (self.path, *self.path.parents) if not p.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
        advice = "Wait until it has ended, or give another --out."
        portion = not self.shard.whole
        if portion and self.args.overwrite:
            raise WrongUse(
                "--overwrite is for one process: remove the folder before the shards start."
            )
        self._lock = Lock(self.path / LOCK, self.path, advice, shared=portion)
        self._lock.__enter__()
        try:
            found = self._read()
            if not self.args.overwrite:
                self.cuts = grow(self.args, found, self.path, self.grows, self.free)
        except BaseException:
            self._release()
            raise

    def _follow(self, told: dict[str, Any]) -> None:
        """Take the arguments that the first process has made with what was found in the folder."""
        if "error" in told:
            raise ResultsError(f"rank 0 says: {told['error']}")
        vars(self.args).update(told["args"])
        self.cuts = told["cuts"]

    def __exit__(self, *_: object) -> None:
        if "threads" in self.args:
            import torch

            torch.set_num_threads(self._threads)
        if not self.shard.follows:
            self._release()
        self.shard.close()

    def _release(self) -> None:
        for empty in self.path.iterdir():
            if empty.is_dir():
                with contextlib.suppress(OSError):
                    empty.rmdir()
        if self._made and {p.name for p in self.path.iterdir()} <= {NOTE, LOCK}:
            (self.path / NOTE).unlink(missing_ok=True)
            self._lock.__exit__()
            with contextlib.suppress(OSError):
                for made in self._made:
                    made.rmdir()
        self._lock.__exit__()

    def check_whole(self, done: str, then: str) -> None:
        """Raise PartDone, silent in a rank, unless this process is to put the parts together."""
        if not self.shard.whole:
            raise PartDone(
                ""
                if self.shard.follows
                else f"{self.shard.name}: {done}. When all shards have ended, the same command without "
                f"--shard {then}."
            )

    def begin(self) -> None:
        """Write settings.json, after what --overwrite removes; once."""
        if self._begun:
            return
        self._begun = True
        if self.shard.follows:
            self.shard.hear("begun")
            return
        with self._writing():
            for old in self.path.iterdir() if self.args.overwrite else ():
                if old.name not in (
                    LOCK,
                    NOTE,
                ):  # without which the rest would be no folder of ours
                    shutil.rmtree(old) if old.is_dir() else old.unlink()
        settings = settings_of(self.args) | ({"cuts": self.cuts} if self.cuts else {})
        text = json.dumps(settings, indent=1, ensure_ascii=False) + "\n"
        note = self.path / NOTE
        if not note.exists() or note.read_text("utf-8", "replace") != text:
            self.file(NOTE, lambda path: path.write_text(text, encoding="utf-8"))
        self.shard.say("begun", True)

    def file(self, name: str, write: Callable[[Path], object]) -> None:
        """A file by write(path), whole or not at all. Raises ResultsError."""
        from flowsolve.study.results import write_whole

        write_whole(self.path / name, write)

    @contextlib.contextmanager
    def part(self, what: str) -> Iterator[None]:
        """A part of the summary: if it fails, the others are made, and `finish` says so."""
        try:
            yield
        except BrokenPipeError:
            raise
        except Exception as error:  # the measurements are on the disk, and worth more than a table
            told = str(error) if isinstance(error, ResultsError) else (
                f"{what} could not be made: {type(error).__name__}: {error}"
            )  # fmt: skip
            self.failed.append(told)

    def figure(self, name: str, draw: Callable[..., Figure], *of: object) -> None:
        """The figure draw(*of) as PNG, SVG and PDF; a part of the summary."""
        from flowsolve.cli.progress import busy

        quiet = getattr(self.args, "quiet", False)
        with self.part(f"{name}.png"), busy(f"drawing {name}", quiet):
            from flowsolve import plot

            self.begin()
            figure = draw(*of)
            for suffix in ("png", "svg", "pdf"):
                self.file(f"{name}.{suffix}", partial(plot.save, figure))

    def code(self) -> int:
        """The exit code: 1 if a part of the summary failed, which is said, with how to have it."""
        for text in self.failed:
            print(f"flowsolve: {text}", file=sys.stderr)
        if self.failed:
            print(
                f"flowsolve: what was measured is in {self.path}; once that is mended, the same command "
                "makes what is missing",
                file=sys.stderr,
            )
        return 1 if self.failed else 0

    def _read(self) -> dict[str, Any]:
        return read_settings(self.path, self.args.overwrite)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ResultsError(f"cannot write to {self.path}: {error.strerror}.") from None


def check_file(path: Path, overwrite: bool) -> None:
    """Raise ResultsError if the file exists and may not be replaced."""
    if path.exists() and not overwrite:
        raise ResultsError(f"{path} exists. Give another --out, or --overwrite.")


def write_file(path: Path, text: str, overwrite: bool) -> None:
    """Write one file, whole. Raises ResultsError as `check_file` does, or if it cannot be written."""
    from flowsolve.study.results import write_whole

    check_file(path, overwrite)
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
