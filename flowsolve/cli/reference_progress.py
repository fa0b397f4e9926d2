"""Progress while a reference is integrated: how many evaluations, and how far its answers agree."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MANY = 3000  # evaluations: a smooth network needs 2,000 for eight digits


@contextmanager
def reference_progress(show: Callable[[str], None], every: float) -> Iterator[None]:
    """show(text) after the first `every` seconds of a reference, then as often; past MANY, why it may be."""
    from flowsolve.study.integrators import watched

    last = time.monotonic()

    def watch(calls: int, agreement: float) -> None:
        nonlocal last
        now = time.monotonic()
        if calls == 1:
            last = now
        elif now - last >= every:
            last = now
            so_far = "" if math.isnan(agreement) else f", two answers agree to {agreement:.0e}"
            many = "; does the network round its labels? fs.check says so" if calls > MANY else ""
            show(f"reference: {calls} evaluations{so_far}{many}")

    with watched(watch):
        yield
