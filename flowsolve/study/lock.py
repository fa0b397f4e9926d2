"""One process at a time for a file or a folder. The system holds the lock, so a kill leaves none behind."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import sys
import time
from pathlib import Path
from typing import Self

from flowsolve.errors import ResultsError

BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
FAR = 1 << 20  # Windows locks bytes against reading too: one far behind the words that others read


class Lock:
    """Holds `path`, a file that says who has it, while the block runs; the last to leave removes the file.

    what    is in use, for the error;  advice: what to do then
    shared  others that share it may hold it at the same time; one that does not may not
    wait    until it is free, instead of raising; `waited` then says whether it was not

    Where no file can be made, or the file system has no locks, nothing is held: to write what is to be
    written there fails by itself, or is as safe as the file system is. Raises ResultsError.
    """

    def __init__(
        self, path: Path, what: object, advice: str, *, shared: bool = False, wait: bool = False
    ) -> None:
        self.path, self.what, self.advice = path, what, advice
        self.shared, self.wait = shared, wait
        self.waited = False
        self._held: int | None = None

    def __enter__(self) -> Self:
        while self._held is None:
            try:
                found = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:
                return self
            try:
                try:
                    _hold(found, self.shared)
                except OSError as error:
                    if not self.wait or error.errno not in BUSY:
                        raise
                    self.waited = True
                    _wait(found)
                if os.path.samestat(os.fstat(found), os.stat(self.path)):
                    self._held = found
                else:  # the one before removed the file between the two calls
                    os.close(found)
            except FileNotFoundError:
                os.close(found)
            except OSError as error:
                holder = os.read(found, 500).decode("utf-8", "replace")
                os.close(found)
                if error.errno not in BUSY:
                    return self
                raise ResultsError(
                    f"{self.what} is in use by another process"
                    f"{f' ({holder})' if holder else ''}. {self.advice}"
                ) from None
        words = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:300]
        since = time.strftime("%d %b %H:%M:%S")
        text = f"{os.getpid()} on {platform.node()}, since {since}: {words}"
        with contextlib.suppress(OSError):  # a full disk has the lock, and no words
            os.ftruncate(self._held, 0)
            os.lseek(self._held, 0, os.SEEK_SET)
            os.write(self._held, text.encode("utf-8", "replace"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._held is None:
            return
        with contextlib.suppress(OSError):  # others share it; or on Windows an open file stays
            if self.shared:
                _hold(self._held)
            os.unlink(self.path)
        os.close(self._held)
        self._held = None


if sys.platform == "win32":
    import msvcrt

    def _hold(file: int, shared: bool = False) -> None:
        if shared:  # bytes cannot be locked by several: the part that each writes is
            return
        os.lseek(file, FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)

    def _wait(file: int) -> None:
        while True:
            with contextlib.suppress(OSError):
                return _hold(file)
            time.sleep(0.1)

else:
    import fcntl

    def _hold(file: int, shared: bool = False) -> None:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def _wait(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)
