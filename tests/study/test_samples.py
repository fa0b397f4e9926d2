"""Samples in blocks of seeds: the same whatever the block, and found again on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve.integrate import vp_start
from flowsolve.problems import Mixture, NetworkProblem
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.spacings import log_snr
from flowsolve.solver.base import Solver
from flowsolve.study.samples import Drawn, draw
from flowsolve.study.settings import Setup
from flowsolve_solvers import (
    DDIMEta,
    Euler,
    Heun,
)

MIXTURE = Mixture()
PROBLEM = NetworkProblem(MIXTURE, (2,), 10.0, 0.05, data=MIXTURE.data()[:600], digest="600")


@pytest.mark.parametrize("solver", [Heun(), DDIMEta()], ids=repr)
def test_samples_are_those_of_their_seeds_whatever_the_block(solver: Heun, tmp_path: Path) -> None:
    grid = log_snr(8, 10, 0.05).to_zero()
    whole = draw(MIXTURE, solver, grid, Setup.of({"seeds": range(7), "dtype": torch.float64}))
    parts = draw(
        MIXTURE,
        solver,
        grid,
        Setup.of({"seeds": range(7), "block": 3, "dtype": torch.float64}),
        tmp_path,
    )
    torch.testing.assert_close(parts.x, whole.x, rtol=1e-13, atol=1e-13)
    assert whole.nfe == parts.nfe == (17 if solver == Heun() else 9)
    assert len([*tmp_path.iterdir()]) == 3


def test_samples_on_disk_are_found_by_all_that_they_depend_on(tmp_path: Path) -> None:
    class Loud(Mixture):
        calls = 0

        def eps(self, x: Tensor, sigma: float) -> Tensor:
            Loud.calls += 1
            return super().eps(x, sigma)

    grid = log_snr(4, 10, 0.05)

    def make(solver: Solver, grid: Grid, seeds: range, **options: Any) -> Drawn:
        return draw(Loud(), solver, grid, Setup.of({"seeds": seeds, **options}), tmp_path)

    first = make(Euler(), grid, range(4))
    assert Loud.calls == 4
    assert torch.equal(make(Euler(), grid, range(4)).x, first.x)
    assert Loud.calls == 4
    for solver, other, seeds, options in (
        (Heun(), grid, range(4), {}),
        (Euler(), log_snr(5, 10, 0.05), range(4), {}),
        (Euler(), grid, range(1, 5), {}),
        (Euler(), grid, range(4), {"start": vp_start}),
        (Euler(), grid, range(4), {"dtype": torch.float64}),
    ):
        before = Loud.calls
        assert not torch.equal(make(solver, other, seeds, **options).x, first.x)
        assert Loud.calls > before
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    with pytest.warns(RuntimeWarning, match="is damaged"):
        assert torch.equal(make(Euler(), grid, range(4)).x, first.x)
