"""One row for several blocks of seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from flowsolve.errors import ResultsError
from flowsolve.study.error import ErrorRow
from flowsolve.study.settings import seeds_of


def pool(block: Sequence[ErrorRow]) -> ErrorRow:
    """One row for several blocks of seeds: median and p90 are averages, the others exact.

    Raises ResultsError for rows that cannot be: of one seed twice, or of two problems, perturbations, dtypes or
    versions.
    """
    n = sum(r.samples for r in block)

    def mean(value: Callable[[ErrorRow], float]) -> float:
        return math.fsum(r.samples * value(r) for r in block) / n

    if len(block) == 1:
        return block[0]
    _check_blocks(block)
    rmse = math.sqrt(mean(lambda r: r.rmse**2))
    spread = math.fsum((r.samples * r.rmse * r.stderr) ** 2 for r in block)  # of mean e², over 2 n
    return replace(
        block[0],
        samples=n,
        seeds=", ".join(r.seeds for r in block),
        rmse=rmse,
        stderr=math.sqrt(spread) / (n * rmse) if rmse else math.nan,
        geometric=math.exp(mean(lambda r: math.log(r.geometric))) if rmse else 0.0,
        scale=math.sqrt(mean(lambda r: r.scale**2)),
        ref_err=math.sqrt(mean(lambda r: r.ref_err**2)),
        median=mean(lambda r: r.median),
        p90=mean(lambda r: r.p90),
        max=max(r.max for r in block),
        nfe=round(mean(lambda r: r.nfe)),
        certified=all(r.certified for r in block),
        seconds=math.fsum(r.seconds for r in block),
    )


def _check_blocks(block: Sequence[ErrorRow]) -> None:
    """Raise ResultsError unless the rows differ in their seeds alone, and share none."""
    row = block[0]
    what = f"the rows of {row.solver}, {row.spacing}, {row.asked} cannot be pooled"
    for name in ("perturb", *(n for n in row.KEY if n != "seeds")):
        found = sorted({str(getattr(r, name)) for r in block})
        if len(found) > 1:
            raise ResultsError(
                f"{what}: their {name} is {' and '.join(found)}. Take those of one: "
                f"Study(tuple(r for r in study.rows if r.{name} == {getattr(row, name)!r}))."
            )
    seeds = [seed for r in block for seed in seeds_of(r.seeds)]
    if len(set(seeds)) < len(seeds):
        raise ResultsError(
            f"{what}: some seeds of {' and '.join(r.seeds for r in block)} are the same, and would count "
            f"twice. Take one block: Study(tuple(r for r in study.rows if r.seeds == {row.seeds!r}))."
        )
