"""What samples are compared with: real data, or the moments of their features."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from flowsolve import metrics
from flowsolve.errors import SamplesError, StateError
from flowsolve.metrics.estimate import Estimate, random_order
from flowsolve.metrics.features import embed
from flowsolve.metrics.gaussians import Moments
from flowsolve.study.one_thread import one_thread
from flowsolve.study.samples import Blocks

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.metrics.features import Features
    from flowsolve.problems.base import Problem
    from flowsolve.study.settings import Setup

PAIRS: dict[str, Callable[..., Estimate]] = {
    "energy": metrics.energy, "precision": metrics.precision, "recall": metrics.recall,
}  # fmt: skip
DISTANCES = ("frechet", *PAIRS)


@dataclass(frozen=True, eq=False)
class Real:
    """The real side of the distances that are asked for.

    features   of the Fréchet distance, and their name in rows and in files;  reference: their moments, instead
               of those of the problem's data
    """

    problem: Problem
    run: Setup
    features: Features | None
    name: str
    distances: Sequence[str]
    reference: Moments | None

    def __post_init__(self) -> None:
        unknown = [d for d in self.distances if d not in DISTANCES]
        if unknown:
            raise StateError(
                f"distances are some of error, {', '.join(DISTANCES)}, not {', '.join(unknown)}."
            )
        n = len(self.run.seeds)
        if self.reference is not None:
            pairs = [d for d in self.distances if d != "frechet"]
            if pairs:
                raise StateError(
                    f"{', '.join(pairs)} need real data, and a reference has moments alone: take distances="
                    '("frechet",) with it.'
                )
            self.reference.checked("the reference")
        elif min(n, len(self.data) // 2) < 4:
            raise SamplesError(
                f"quality needs 4 samples and 8 real ones at least, but there are {n} and {len(self.data)}."
            )

    @cached_property
    def data(self) -> Tensor:
        """The real samples of the problem, on the device of the run."""
        return self.problem.data().to(self.run.device)

    @cached_property
    def apart(self) -> int:
        """How many of them the floor compares with the rest; 0 if they are too few for that."""
        n = len(self.run.seeds)
        return n if len(self.data) >= 1.5 * n else 0

    @cached_property
    def held(self) -> Tensor:
        """Those that samples are compared with."""
        order = random_order(len(self.data), 0)
        return self.data[order[self.apart :].to(self.data.device)]

    @property
    def count(self) -> int:
        """How many they are, 0 where the reference does not say."""
        return len(self.held) if self.reference is None else self.reference.n or 0

    @property
    def digest(self) -> str:
        """12 hexadecimal digits of the reference, "" without one."""
        if self.reference is None:
            return ""
        values = (self.reference.mean, self.reference.covariance)
        told = b"".join(v.double().cpu().contiguous().numpy().tobytes() for v in values)
        return hashlib.sha256(told).hexdigest()[:12]

    @cached_property
    def _side(self) -> Tensor | Moments:
        if self.reference is not None:
            return self.reference.to(self.run.device)
        return embed(self.held, self.features, "y")

    def distances_of(self, made: Blocks) -> dict[str, Any]:
        """The fields of a row: the distances of samples, on one thread. Only pairs need all of them at once."""
        import torch

        found: dict[str, Estimate] = {}
        with one_thread():
            if "frechet" in self.distances:
                seen = (made.features(b, self.features, self.name).to(b.device) for b in made.each)
                n = len(self.run.seeds)
                found["frechet"] = metrics.frechet_streamed(seen, n, self._side)
            pairs = {k: d for k, d in PAIRS.items() if k in self.distances}
            if pairs:
                x = torch.cat([made.draw(block).x for block in made.each]).to(self.run.device)
                found |= {k: d(x, self.held) for k, d in pairs.items()}
        return _fields(found)

    def floor(self) -> dict[str, Any]:
        """The fields of the row of real data: as many as there are samples, compared with the rest."""
        with one_thread():
            every = {"frechet": metrics.frechet, **PAIRS}
            found = {
                # the floor needs its bias where there is one, and no errors
                k: metrics.floor(
                    every[k] if k in ("frechet", "energy") else partial(every[k], groups=0),
                    self.data,
                    self.features if k == "frechet" else None,
                    samples=self.apart or None,
                )
                for k in self.distances
            }
        count = self.apart or len(self.data) // 2
        return {"samples": count, "real": len(self.data) - count, **_fields(found)}

    def moments(self) -> Moments:
        """Of the features of all real data."""
        return Moments.of(self.data, self.features)


def _fields(found: dict[str, Estimate]) -> dict[str, Any]:
    values = {name: e.value for name, e in found.items()}
    errors = {f"{name}_error": e.error for name, e in found.items()}
    bias = found["frechet"].bias if "frechet" in found else math.nan
    return {**values, **errors, "frechet_bias": bias}
