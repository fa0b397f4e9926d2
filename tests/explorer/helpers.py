"""engine.js under node: jobs are collected, done in one process, and compared with Python."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowsolve import ODE, Guided
from flowsolve.explorer.page import PAGE
from flowsolve.explorer.scenes import scene
from flowsolve.ode import Wrapped

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="needs node (nodejs.org), on the PATH")
Array = NDArray[np.float64]


class Jobs:
    """Jobs for jobs.js, each with what Python has for it."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.jobs: list[dict[str, Any]] = []
        self.expected: list[Array] = []
        self.inputs: list[Array] = []
        self.filled = 0

    def add(self, call: str, expected: Tensor | Array | list[float], **options: Any) -> None:
        """A job: tensors among the options are handed over bit for bit."""
        given = {k: self._place(v) if isinstance(v, Tensor) else v for k, v in options.items()}
        self.jobs.append({"call": call, **given})
        self.expected.append(np.asarray(expected, dtype=np.float64).ravel())

    def _place(self, x: Tensor) -> list[int]:
        flat = x.detach().numpy().astype(np.float64).ravel()
        self.inputs.append(flat)
        self.filled += flat.size
        return [self.filled - flat.size, flat.size]

    def done(self, folder: Path) -> list[tuple[dict[str, Any], Array, Array]]:
        """Each job, what node has for it, and what was expected."""
        (folder / "data.json").write_text(json.dumps(self.data))
        (folder / "jobs.json").write_text(json.dumps(self.jobs))
        np.concatenate([*self.inputs, np.zeros(1)]).tofile(folder / "in.bin")
        command = [
            str(NODE),
            str(Path(__file__).with_name("jobs.js")),
            str(PAGE),
            str(folder),
        ]
        made = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert made.returncode == 0, made.stderr[-3000:]
        ends = np.cumsum([0, *json.loads((folder / "lengths.json").read_text())])
        out = np.fromfile(folder / "out.bin")
        found = [out[a:b] for a, b in pairwise(ends)]
        return [*zip(self.jobs, found, self.expected, strict=True)]


def largest(found: Array, expected: Array) -> float:
    """The largest difference, relative to the RMS of what was expected (or to 1, if that is more)."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(abs(found - expected).max() / max(1.0, np.sqrt((expected**2).mean())))


def ode_of(name: str, label: int | None = None, scale: float = 1.0) -> ODE:
    """The ODE of a scene, with guidance where a label is given."""
    found = scene(name)
    plain = found.problem()
    return plain if label is None else Guided(found.problem(label), plain, scale)


def start(name: str, samples: int = 64) -> Tensor:
    """x̄ at σ_max of the seeds 0, 1, ..."""
    return scene(name).problem().start(range(samples), torch.float64)


class Drawn(Wrapped):
    """Another ODE with noise of its own, all of which it keeps."""

    def __init__(self, ode: ODE) -> None:
        super().__init__(ode)
        self.generator = torch.Generator().manual_seed(0)
        self.kept: list[Tensor] = []

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        self.kept.append(torch.randn(x.shape, dtype=x.dtype, generator=self.generator))
        return self.kept[-1]

    @property
    def all(self) -> Tensor:
        return torch.cat([torch.zeros(0, dtype=torch.float64), *(z.ravel() for z in self.kept)])
