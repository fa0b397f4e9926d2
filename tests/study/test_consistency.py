"""One x_T at many steps: relative distances, and what is drawn once."""

from __future__ import annotations

import math
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flowsolve.errors import SamplesError
from flowsolve.problems import Digits, Mixture, NetworkProblem
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.spacings import karras
from flowsolve.schedule.timesteps import tau_linear
from flowsolve.study.consistency import consistency, identified, relative_distance
from flowsolve.study.runner import collect
from flowsolve_solvers import (
    DDIM,
    DDIMEta,
    DPMSolverPP2M,
    Euler,
    Heun,
)

MIXTURE = Mixture()
PROBLEM = NetworkProblem(MIXTURE, (2,), 10.0, 0.05, data=MIXTURE.data()[:600], digest="600")


def test_relative_distance_is_0_of_the_same_and_1_of_strangers() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 200, 3, 4, generator=g, dtype=torch.float64)
    assert relative_distance(x, x).value == 0
    strangers = relative_distance(x, y)
    assert abs(strangers.value - 1) < 4 * strangers.error
    near = relative_distance(x + 0.1 * y, x)  # |0.1 y|² = 0.01 D against |x_i - x_j|² = 2.01 D
    assert near.value == pytest.approx(math.sqrt(0.01 / 2.01), abs=4 * near.error)
    assert identified(x + 0.1 * y, x) == 1
    assert identified(x, y) < 0.05
    half = torch.cat([x[:100], y[100:]])
    assert identified(half, x) == pytest.approx(0.5, abs=0.02)


def test_the_error_of_the_relative_distance_is_its_spread() -> None:
    g = torch.Generator().manual_seed(3)
    found = [
        relative_distance(x + 0.3 * z, x)
        for x, z in torch.randn(300, 2, 30, 2, generator=g, dtype=torch.float64)
    ]
    values = torch.tensor([e.value for e in found])
    errors = torch.tensor([e.error for e in found])
    assert float(errors.mean()) == pytest.approx(float(values.std()), rel=0.15)


@pytest.mark.parametrize("y", [torch.zeros(3, 2), torch.zeros(4, 3)], ids=str)
def test_what_is_not_paired_is_refused(y: Tensor) -> None:
    with pytest.raises(SamplesError, match=r"three or more pairs, .* but are \(4, 2\) and \("):
        relative_distance(torch.zeros(4, 2), y)


def test_an_image_is_of_its_x_T_without_noise_and_of_nothing_with_it() -> None:
    problem, solvers = Digits(), [DDIM(), DPMSolverPP2M(), DDIMEta()]
    spacing = partial(tau_linear, clock=problem.clock)
    rows = collect(consistency(solvers, problem, [10, 20, 40], spacing, seeds=range(48)))
    found = {(r.solver, r.S): r for r in rows}
    assert len(found) == 9
    for solver in ("Euler()", "DPMSolverPP2M()"):
        at10, at20, at40 = (found[solver, n] for n in (10, 20, 40))
        assert at40.own == 0
        assert at20.own < at10.own < 0.35
        assert max(at10.first, at20.first) < 0.35
        assert min(r.identified for r in (at10, at20, at40)) == 1
        assert (at10.nfe, at40.nfe) == (10, 40)
    for n in (10, 20):
        row = found["DDIMEta()", n]
        assert abs(row.own - 1) < 4 * row.own_error
        assert abs(row.first - 1) < 4 * row.first_error
        assert row.identified < 0.1


def test_what_all_are_compared_with_is_drawn_once(tmp_path: Path) -> None:
    class Loud(Mixture):
        calls = 0

        def eps(self, x: Tensor, sigma: float) -> Tensor:
            Loud.calls += 1
            return super().eps(x, sigma)

    def spacing(n: int) -> Grid:
        return karras(n, 10.0, 0.05)

    for run in (1, 2):  # the second time from the disk
        path = tmp_path / "rows.jsonl"
        tasks = consistency(
            [Euler(), Heun()], Loud(), [4, 8], spacing, seeds=range(4), folder=tmp_path
        )
        rows = collect(tasks, path)
        path.unlink()
        assert Loud.calls == 4 + 8 + 8 + 16 + 3 * run  # it is met before it is measured
    assert [asdict(r)["S"] for r in rows] == [8, 4, 8, 4]
