"""Progress while a reference is integrated: how many evaluations, and how far its answers agree."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def reference_progress(show: Callable[[str], None], every: float) -> Iterator[None]:
    """show(text) after the first `every` seconds of a reference, and then as often."""
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
            show(f"reference: {calls} evaluations{so_far}")

    with watched(watch):
        yield
