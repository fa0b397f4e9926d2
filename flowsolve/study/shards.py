"""One study in several processes: whose turn a unit of work is, and when the work of all is done.

A unit is a case on a block of seeds. Blocks are cut by seed and never by process, so that results do not depend
on how many processes there are, or which. Results go through files of the folder that all of them write to,
never through the network: what a process that dies has finished stays.

    Alone           one process: every unit is its own
    Portion(i, n)   part i of n, as in a job array: every n-th unit, and no word from the others
    Ranks           the ranks of torchrun: the next unit goes to whoever asks first, by one counter in the store
                    of torch.distributed. No collective is called, so nobody waits for a slow rank until the end
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from flowsolve.errors import ResultsError, WrongUse

BEAT = 2.0  # seconds between signs of life
PATIENCE = 60.0  # seconds without one, after which a rank counts as dead
GRACE = 10.0  # seconds that rank 0 stays for the last words of the others
ENDED = (
    "What was computed is on the disk, and the same command continues from there, with any number of "
    "processes."
)


class Store(Protocol):
    """What is asked of a store of torch.distributed: TCPStore, FileStore, HashStore."""

    def add(self, key: str, value: int, /) -> int: ...
    def set(self, key: str, value: str, /) -> None: ...
    def get(self, key: str, /) -> bytes: ...
    def check(self, keys: list[str], /) -> bool: ...


Between = Callable[[int], object]


def _nothing(done: int) -> None:
    """Do nothing."""


class Alone:
    """One process, which takes every unit and writes the file that all results come together in.

    name     of its part of the results; "" for the one that unites them
    whole    whether all units are done when its own are, so that results may be read
    others   whether other processes work on the same folder at the same time
    follows  whether another of them holds the folder, and says what there is to do
    """

    name = ""
    whole = True
    others = False
    follows = False

    def units(self, phase: str, n: int) -> Iterator[int]:
        """The units of range(n) that are this process's, each once it is its turn."""
        yield from range(n)

    def done(self, phase: str) -> int:
        """How many units of the phase are done, as far as this process knows."""
        return 0

    def wait(self, phase: str, n: int, between: Between = _nothing) -> bool:
        """Until every unit of the phase is done, or was left by a process that died; False if none can know.

        between  called with the number of units that are done, now and then
        """
        return True

    def say(self, key: str, value: Any) -> None:
        """Let the others hear a value of JSON."""

    def hear(self, key: str) -> Any:
        """What the first process said, when it has."""

    def close(self) -> None:
        """Let the others know that this one has ended."""


class Portion(Alone):
    """Part `index` of `size`: units index, index + size, ... Results are read by a later process alone.

    Raises WrongUse unless 0 <= index < size.
    """

    whole = False
    others = True

    def __init__(self, index: int, size: int) -> None:
        if not 0 <= index < size:
            raise WrongUse(
                f"--shard is i/n with 0 <= i < n, such as 0/4 to 3/4, but got {index}/{size}."
            )
        self.index, self.size = index, size
        self.name = f"shard{index}of{size}"
        self._done: dict[str, int] = {}

    def units(self, phase: str, n: int) -> Iterator[int]:
        for unit in range(self.index, n, self.size):
            yield unit
            self._done[phase] = self.done(phase) + 1

    def done(self, phase: str) -> int:
        return self._done.get(phase, 0)

    def wait(self, phase: str, n: int, between: Between = _nothing) -> bool:
        return False


class Ranks(Alone):
    """One rank of several that share a store.

    patience  seconds without a sign of life after which another rank counts as dead
    """

    others = True

    def __init__(self, store: Store, index: int, size: int, patience: float = PATIENCE) -> None:
        self.store, self.index, self.size, self.patience = store, index, size, patience
        self.name = f"rank{index}" if index else ""
        self.whole, self.follows = not index, index > 0
        self._over, self._left = threading.Event(), set[tuple[str, int]]()
        self._beats = {rank: (-1, time.monotonic()) for rank in range(size)}
        threading.Thread(target=self._beat, daemon=True).start()

    def units(self, phase: str, n: int) -> Iterator[int]:
        while (unit := self._add(f"{phase}/next", 1) - 1) < n:
            yield unit
            self._add(f"{phase}/done", 1)
        self._add(f"{phase}/left/{self.index}", 1)

    def done(self, phase: str) -> int:
        return self._add(f"{phase}/done", 0)

    def wait(self, phase: str, n: int, between: Between = _nothing) -> bool:
        while (done := self.done(phase)) < n:
            between(done)
            if not any(self._working(phase, rank) for rank in range(self.size)):
                break
            time.sleep(0.2)
        between(done)
        return True

    def say(self, key: str, value: Any) -> None:
        self._asked(lambda: self.store.set(key, json.dumps(value)))

    def hear(self, key: str) -> Any:
        while not self._asked(lambda: self.store.check([key])):
            if not self._lives(0):
                raise ResultsError(f"rank 0 has ended. {ENDED}")
            time.sleep(0.05)
        return json.loads(self._asked(lambda: self.store.get(key)))

    def close(self) -> None:
        if self._over.is_set():
            return
        self._over.set()
        self._add(f"ended/{self.index}", 1)
        until = time.monotonic() + GRACE
        while not self.index and time.monotonic() < until:  # it may be the one that holds the store
            if not any(self._lives(rank) for rank in range(1, self.size)):
                break
            time.sleep(0.05)

    def _working(self, phase: str, rank: int) -> bool:
        if (phase, rank) not in self._left and self._add(f"{phase}/left/{rank}", 0):
            self._left.add((phase, rank))  # need not be asked again
        return (phase, rank) not in self._left and self._lives(rank)

    def _lives(self, rank: int) -> bool:
        """Whether there was a sign of life of it, or little time since the last."""
        if self._add(f"ended/{rank}", 0):
            return False
        beat, (last, since) = self._add(f"beat/{rank}", 0), self._beats[rank]
        if beat != last:
            self._beats[rank] = beat, time.monotonic()
            return True
        return time.monotonic() - since < self.patience

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            try:
                self.store.add(f"beat/{self.index}", 1)
            except Exception:  # the store is gone, which whoever asks it next will say
                return

    def _add(self, key: str, value: int) -> int:
        return int(self._asked(lambda: self.store.add(key, value)))

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except Exception as error:  # torch.distributed has no common class of them
            raise ResultsError(
                f"rank {self.index} does not reach the others any more ({str(error).splitlines()[0]}). {ENDED}"
            ) from None


def several() -> bool:
    """Whether torchrun, or whoever sets the same environment, has started more than one process."""
    found = os.environ.get("WORLD_SIZE", "")
    return (
        found.isdecimal()
        and int(found) > 1
        and {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= {*os.environ}
    )


def my_shard(text: str = "") -> Alone:
    """The part of this process: of "i/n", else as torchrun's environment says, else alone.

    Raises WrongUse for another text, and for both at once.
    """
    if text:
        i, slash, n = text.partition("/")
        if not slash or not i.isdecimal() or not n.isdecimal():
            raise WrongUse(f"--shard is i/n, such as 0/4 to 3/4, but got {text!r}.")
        if several():
            raise WrongUse("--shard is for processes without torchrun, which shares out by itself.")
        return Portion(int(i), int(n))
    if not several():
        return Alone()
    from torch.distributed.rendezvous import rendezvous

    patience = os.environ.get("FLOWSOLVE_PATIENCE", str(PATIENCE))
    if not patience.replace(".", "", 1).isdecimal():
        raise WrongUse(
            f"FLOWSOLVE_PATIENCE is a number of seconds such as 60, but is {patience!r}."
        )
    store, rank, size = next(rendezvous("env://"))
    return Ranks(store, rank, size, float(patience))
