"""The observed order of convergence: the slope of log error, over the steps where it is constant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from flowsolve._arguments import reals


@dataclass(frozen=True)
class Slope:
    """error ~ steps^(-order).

    order    the slope fitted, NaN if fewer than two clean points are left
    steps    the step counts that it was fitted to
    settled  whether the slopes of successive pairs agree there to 0.15: the asymptotic range
    """

    order: float
    steps: tuple[int, ...]
    settled: bool

    def __str__(self) -> str:
        if math.isnan(self.order):
            return "no slope (fewer than two clean points)"
        return f"{self.order:.2f}" + ("" if self.settled else " (not settled)")


def observed_order(steps: Sequence[int], errors: Sequence[float], floor: float = 0.0) -> Slope:
    """The slope of log(error) against log(steps) over the asymptotic range.

    Errors at or below `floor` are dropped, and so are the finest ones while they do not fall (that
    is round-off, or the error of the reference). Then the range is the longest run of finest points whose
    pairwise slopes agree to 0.15 with the finest, at most four points; a least-squares line there.
    If not even the two finest slopes agree, the answer is the finest one, unsettled.
    """
    pairs_of = zip(reals("steps", steps), reals("errors", errors), strict=True)
    clean = [(int(n), e) for n, e in sorted(pairs_of) if floor < e < math.inf]
    while len(clean) > 1 and clean[-1][1] >= clean[-2][1]:
        clean.pop()
    if len(clean) < 2:
        return Slope(math.nan, tuple(n for n, _ in clean), False)
    pairs = [math.log(a[1] / b[1]) / math.log(b[0] / a[0]) for a, b in pairwise(clean)]
    agree = 1
    while agree < min(3, len(pairs)) and abs(pairs[-1 - agree] - pairs[-1]) <= 0.15:
        agree += 1
    used = clean[-1 - agree :]
    return Slope(_fit(used), tuple(n for n, _ in used), agree > 1)


def _fit(points: Sequence[tuple[int, float]]) -> float:
    xs, ys = [math.log(n) for n, _ in points], [math.log(e) for _, e in points]
    x, y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    top = math.fsum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    return -top / math.fsum((a - x) ** 2 for a in xs)
