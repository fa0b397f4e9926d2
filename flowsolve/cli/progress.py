"""Signs of life from what takes more than two seconds and has no rows."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flowsolve.ode.base import ODE, Wrapped

if TYPE_CHECKING:
    from torch import Tensor

FIRST = 2.0


class Busy:
    """What is being done; `count` is part of the line if it is above 0."""

    def __init__(self, what: str) -> None:
        self.what, self.count, self._begin = what, 0, time.monotonic()

    def __str__(self) -> str:
        count = f", {self.count} evaluations" if self.count else ""
        return f"{self.what}{count}, {time.monotonic() - self._begin:.0f} s"

    def print(self, line: str) -> None:
        """A line of results, in the place of the one that counts seconds."""
        if sys.stderr.isatty():
            print("\r\x1b[K", file=sys.stderr, end="", flush=True)
        print(line, flush=True)


@contextmanager
def busy(what: str, quiet: bool = False) -> Iterator[Busy]:
    """From 2 s on, on a terminal a line that counts seconds, elsewhere a line after 2, 4, 8, ... s."""
    now, over = Busy(what), threading.Event()
    terminal = sys.stderr.isatty()

    def tell() -> None:
        wait = FIRST
        while not over.wait(wait):
            print(f"\r{now}\x1b[K" if terminal else str(now), file=sys.stderr,
                  end="" if terminal else "\n", flush=True)  # fmt: skip
            wait = 0.5 if terminal else 2 * wait
        if terminal and wait < FIRST:
            print("\r\x1b[K", file=sys.stderr, end="", flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    if not quiet:
        teller.start()
    try:
        yield now
    finally:
        over.set()
        if not quiet:
            teller.join()


class Counted(Wrapped):
    """The same ODE, whose evaluations `now` counts."""

    def __init__(self, ode: ODE, now: Busy) -> None:
        super().__init__(ode)
        self.now = now

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.now.count += 1
        return self.ode.eps(x, sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        self.now.count += 1
        return self.ode.x0(x, sigma)
