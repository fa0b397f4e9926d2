"""Ranks of the benchmark: who is better by more than the error of the difference, and who is not.

For methods a and b on the problems p = 1, ..., P of a side, at one budget, with errors e of samples 1, ..., n:

    D = mean_p mean_i log(e_a,p,i / e_b,p,i)        se² = Σ_p var_i(log e_a,p,i / e_b,p,i)/n / P²

Samples are paired: both start from the same noise. `a` is better where D < -2 se; where |D| < 2 se they tie.
The problems are fixed, so that a rank is a statement about these problems and any samples of them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowsolve._arguments import file_path
from flowsolve.errors import ResultsError
from flowsolve.study.benchmark import SIDE_OF, SIDES, BenchRow, Key
from flowsolve.study.results import write_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Errors = dict[str, dict[str, NDArray[Any]]]  # log e by problem and method

LEAST = 1e-16  # an error of zero counts as this
CLEAR = 2.0  # standard errors


@dataclass(frozen=True)
class Place:
    """One method at one budget on one side.

    score   exp mean_p log(e_p/best_p): e_p the geometric mean of the samples' errors on a problem, best_p
            that of the best of the menu there, in hindsight;  spread: the standard error of log score
    rank    1 + how many are better by two standard errors;  ties: how many differ by less;  of: all
    worst   the largest e_p/best_p;  on: which problem's
    error   exp mean_p log(e_p/scale_p), scale_p the RMS of the solution
    """

    side: str
    nfe: int
    method: str
    score: float
    spread: float
    rank: int
    ties: int
    of: int
    worst: float
    on: str
    error: float

    @property
    def place(self) -> str:
        """Its rank as it is said: "3 of 30" or "3 of 30, ties with 2"."""
        return f"{self.rank} of {self.of}" + (f", ties with {self.ties}" if self.ties else "")


def places(
    rows: Iterable[BenchRow], names: Mapping[Key, str], menu: Collection[str]
) -> list[Place]:
    """Of every method that has a row on each problem of a side; by side and budget, best first.

    names  what methods are called, by solver, spacing and code; other rows are left out
    menu   the names of those that make the best of a problem, so that a score does not depend on who else came
    """
    import numpy as np

    cells: dict[tuple[str, int], Errors] = {}
    sizes: dict[str, float] = {}
    for row in rows:
        name, side = names.get((row.solver, row.spacing, row.code)), SIDE_OF.get(row.problem)
        if name is None or side is None or row.error or not row.each:
            continue
        errors = np.log(np.maximum(np.array(row.each.split(), dtype=float), LEAST))
        cells.setdefault((side, row.budget), {}).setdefault(row.problem, {})[name] = errors
        sizes[row.problem] = row.scale
    order = [*SIDES]
    found: list[Place] = []
    for side, nfe in sorted(cells, key=lambda cell: (order.index(cell[0]), cell[1])):
        found += _places(side, nfe, cells[side, nfe], sizes, menu)
    return found


def _places(
    side: str, nfe: int, errors: Errors, sizes: Mapping[str, float], menu: Collection[str]
) -> list[Place]:
    """Of one side at one budget; none unless all its problems were measured."""
    import numpy as np

    problems = [p for p in SIDES[side] if p in errors]
    if len(problems) < len(SIDES[side]):
        return []
    whole = [m for m in errors[problems[0]] if all(m in errors[p] for p in problems)]
    if not whole:
        return []
    each = [np.stack([errors[p][m] for m in whole]) for p in problems]  # (methods, samples)
    means = np.stack([e.mean(1) for e in each], 1)  # (methods, problems)
    count = len(problems)
    centred = [e - e.mean(1, keepdims=True) for e in each]
    weights = [1 / (max(e.shape[1] - 1, 1) * e.shape[1] * count**2) for e in each]
    gram = sum(w * (c @ c.T) for w, c in zip(weights, centred, strict=True))
    own = np.diag(gram)
    error = np.sqrt(np.maximum(own[:, None] + own[None] - 2 * gram, 0))
    apart = means.mean(1)[:, None] - means.mean(1)[None]
    beaten = (apart > CLEAR * error) & (apart > 0)
    tied = (~beaten & ~beaten.T).sum(1) - 1

    bests, spread = [], np.zeros(len(whole))
    for p, e, w in zip(problems, each, weights, strict=True):
        known = {m: v for m, v in errors[p].items() if m in menu} or errors[p]
        best = min(known.values(), key=lambda v: float(v.mean()))
        bests.append(float(best.mean()))
        off = e - best
        spread += w * np.square(off - off.mean(1, keepdims=True)).sum(1)
    ratios = means - np.array(bests)
    scales = np.log([sizes[p] for p in problems])
    ranked = np.argsort(ratios.mean(1), kind="stable").tolist()
    return [
        Place(
            side, nfe, whole[i], math.exp(ratios[i].mean()), math.sqrt(spread[i]),
            1 + int(beaten[i].sum()), int(tied[i]), len(whole), math.exp(ratios[i].max()),
            problems[int(ratios[i].argmax())], math.exp((means[i] - scales).mean()),
        )
        for i in ranked
    ]  # fmt: skip


def write_places(found: Sequence[Place], path: str | Path) -> None:
    """As CSV, four digits."""

    def write(temporary: Path) -> None:
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [f.name for f in fields(Place)], lineterminator="\n")
            writer.writeheader()
            for place in found:
                values = asdict(place).items()
                writer.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in values})

    write_whole(file_path(path), write)


def read_places(path: str | Path) -> list[Place]:
    """What `write_places` wrote. Raises ResultsError."""
    path, kinds = file_path(path), {f.name: f.type for f in fields(Place)}
    convert: dict[str, Any] = {"int": int, "float": float, "str": str}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [
                Place(**{k: convert[str(kinds[k])](v) for k, v in line.items()})
                for line in csv.DictReader(file)
            ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ResultsError(
            f"{path} holds no places of the benchmark: {error}. `flowsolve bench` writes them."
        ) from None


def overall(found: Iterable[Place], side: str) -> dict[str, float]:
    """The geometric mean of a method's scores over the budgets, best first; of those that have every budget."""
    scores: dict[str, dict[int, float]] = {}
    for place in found:
        if place.side == side:
            scores.setdefault(place.method, {})[place.nfe] = math.log(place.score)
    budgets = {n for by_nfe in scores.values() for n in by_nfe}
    means = {
        m: math.exp(math.fsum(s.values()) / len(s)) for m, s in scores.items() if {*s} == budgets
    }
    return dict(sorted(means.items(), key=lambda item: item[1]))
