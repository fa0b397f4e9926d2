"""Samples from between two noises: the arc keeps the noise, the line does not."""

from __future__ import annotations

import math

import pytest
import torch

from flowsolve.ode.noise import unit_noise
from flowsolve.problems import Digits, Mixture, NetworkProblem
from flowsolve.schedule.spacings import karras
from flowsolve.study.interpolation import between, interpolation
from flowsolve.study.runner import collect
from flowsolve.study.settings import Setup
from flowsolve_solvers import (
    Euler,
)

MIXTURE = Mixture()
PROBLEM = NetworkProblem(MIXTURE, (2,), 10.0, 0.05, data=MIXTURE.data()[:600], digest="600")


def test_the_arc_keeps_the_noise_and_the_line_does_not() -> None:
    """On the sphere in 64 dimensions; |x|² of a line is ((1-t)² + t²) D within its own spread."""
    problem = Digits()
    grid = karras(4, problem.sigma_max, problem.sigma_min)
    rows = collect(interpolation(problem, Euler(), grid, pairs=24, points=3))
    found = {(r.path, r.t): r for r in rows}
    assert len(rows) == 6
    spread = 4 / math.sqrt(2 * 24 * 64)
    for t in (0.0, 0.5, 1.0):
        assert found["slerp", t].deviation == pytest.approx(1, abs=spread)
        assert found["line", t].deviation == pytest.approx(math.hypot(1 - t, t), abs=spread)
    for t in (0.0, 1.0):
        assert found["slerp", t].energy == pytest.approx(found["line", t].energy, rel=1e-4)
    assert all(r.nfe == 4 and r.energy_error > 0 for r in rows)
    noise, x, _ = between(problem, Euler(), grid, Setup.of({"seeds": [3, 4]}), path="slerp", t=0.0)
    torch.testing.assert_close(noise, unit_noise([3], problem.event, torch.float32))
    assert x.shape == (1, 1, 8, 8)
