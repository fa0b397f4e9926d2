"""The scenes of the explorer: Gaussian mixtures with mean 0 and covariance 1, so that one default fits all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from flowsolve.ode.base import Scales
from flowsolve.problems.base import Problem
from flowsolve.problems.mixture import Mixture, Mixture1D

SIGMA_MAX, SIGMA_MIN = 80.0, 0.01
SCALES = Scales(1.0, 1.0)

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Scene:
    """Data Σ w N(m, s²) in one or two dimensions.

    means   (K, d);  labels: the class of each component, of a scene that has classes
    """

    name: str
    title: str
    weights: Vector
    means: tuple[Vector, ...]
    deviations: Vector
    labels: tuple[int, ...] = ()

    def problem(self, label: int | None = None) -> Problem:
        """The mixture between the explorer's ends; of the components of one class, if a label is given."""
        own = [k for k, other in enumerate(self.labels) if other == label]
        chosen = range(len(self.weights)) if label is None else own
        total = math.fsum(self.weights[k] for k in chosen)
        w = tuple(self.weights[k] / total for k in chosen)
        s = tuple(self.deviations[k] for k in chosen)
        if len(self.means[0]) == 1:
            return Mixture1D(w, tuple(self.means[k][0] for k in chosen), s, SIGMA_MAX, SIGMA_MIN)
        c = tuple(((v * v, 0.0), (0.0, v * v)) for v in s)
        return Mixture(w, tuple(self.means[k] for k in chosen), c, SIGMA_MAX, SIGMA_MIN)

    def as_dict(self) -> dict[str, Any]:
        """What engine.js reads: {name, title, d, components: [{w, m, s, label}]}."""
        labels = self.labels or (None,) * len(self.weights)
        parts = zip(self.weights, self.means, self.deviations, labels, strict=True)
        components = [{"w": w, "m": [*m], "s": s, "label": label} for w, m, s, label in parts]
        return {
            "name": self.name, "title": self.title, "d": len(self.means[0]), "components": components,
        }  # fmt: skip


def _unit(
    name: str,
    title: str,
    means: tuple[Vector, ...],
    deviations: Vector,
    *,
    weights: Vector = (),
    labels: tuple[int, ...] = (),
) -> Scene:
    """The scene moved to mean 0 and scaled to deviation 1.  Equal weights, unless they are given."""
    d, w = len(means[0]), weights or (1 / len(means),) * len(means)
    middle = [math.fsum(a * m[i] for a, m in zip(w, means, strict=True)) for i in range(d)]
    moved = [tuple(m[i] - middle[i] for i in range(d)) for m in means]
    parts = zip(w, moved, deviations, strict=True)
    std = math.sqrt(math.fsum(a * (math.fsum(v * v for v in m) / d + s * s) for a, m, s in parts))
    scaled = tuple(tuple(v / std for v in m) for m in moved)
    return Scene(name, title, w, scaled, tuple(s / std for s in deviations), labels)


def _circle(*degrees: float) -> tuple[Vector, ...]:
    return tuple((math.cos(math.radians(a)), math.sin(math.radians(a))) for a in degrees)


SCENES = (
    _unit("modes2", "two modes, 1-D", ((-1.0,), (1.0,)), (0.3, 0.2), weights=(0.35, 0.65)),
    _unit("three", "three modes, 2-D", _circle(90, 210, 330), (0.2, 0.3, 0.4)),
    _unit("ring", "a ring, 2-D", _circle(*range(0, 360, 24)), (0.12,) * 15),
    _unit("narrow", "a narrow mode, 1-D", ((-0.8,), (1.0,)), (0.5, 0.02), weights=(0.7, 0.3)),
    _unit(
        "classes", "three classes, 2-D", _circle(60, 120, 180, 240, 300, 360), (0.18,) * 6,
        labels=(0, 0, 1, 1, 2, 2),
    ),
)  # fmt: skip


def scene(name: str) -> Scene:
    """The scene of that name. Raises StopIteration for another."""
    return next(s for s in SCENES if s.name == name)
