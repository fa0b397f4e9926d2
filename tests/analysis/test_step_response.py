"""The weights of a step of a stochastic method: what it remembers, and methods that have none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import ODE, Grid, Solver, log_snr
from flowsolve.analysis.step_response import responses
from flowsolve.errors import TableError
from flowsolve_solvers import (
    EDM,
    DDIMEta,
    DPMSolverPP2MSDE,
    DPMSolverPP3MSDE,
    DPMSolverPPSDE,
    SASolver,
)

MEMORY: list[tuple[Solver, int]] = [
    (DDIMEta(), 0), (EDM(3.0), 0), (DPMSolverPPSDE(), 0), (DPMSolverPP2MSDE(), 1),
    (DPMSolverPP3MSDE(), 2), (SASolver(), 2), (SASolver(predictor=3, corrector=3), 3),
]  # fmt: skip


@pytest.mark.parametrize(("solver", "memory"), MEMORY, ids=repr)
def test_how_many_answers_a_step_remembers(solver: Solver, memory: int) -> None:
    steps = responses(solver, log_snr(6, 1.0, 0.2))
    assert not steps[0].memory
    assert len(steps[3].memory) == memory
    last = DPMSolverPPSDE() == solver
    assert [sum(g.kind == "noise" for g in step.asked) for step in steps] == [1 + last] * 6


@dataclass(frozen=True, repr=False)
class Remembers(Solver):
    """The noise of the step before, once more."""

    order = 0
    stochastic = True

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        last = torch.zeros_like(x)
        for s, t in pairwise(grid):
            z = ode.noise(x, s, t)
            x = x + 0.1 * (z + last)
            last = z
            yield x


@dataclass(frozen=True, repr=False)
class Looks(DDIMEta):
    """Another step for states that are large."""

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        return super().step(ode, x.clamp(-0.5, 0.5), s, t)


@pytest.mark.parametrize(
    ("solver", "text"), [(Remembers(), "remembers noise"), (Looks(), "other weights for other")]
)
def test_steps_that_have_no_weights(solver: Solver, text: str) -> None:
    with pytest.raises(TableError, match=text):
        responses(solver, log_snr(4, 1.0, 0.2))
