"""Which methods with noise are the same method, and which deterministic ones they are without noise."""

from __future__ import annotations

import pytest
import torch

from flowsolve import DATA, LOG_SIGMA, SIGMA, Grid, Solver, karras, log_snr, sample, solve
from flowsolve.problems import Mixture
from flowsolve_solvers import (
    DDIM_ETA,
    DDPM,
    EDM,
    ER_SDE,
    ERSDE,
    SDE_ETA,
    Adams,
    Ancestral,
    DDIMEta,
    DPMSolver2,
    DPMSolverPP2M,
    DPMSolverPP2MSDE,
    DPMSolverPP2S,
    DPMSolverPP2SAncestral,
    DPMSolverPP3MSDE,
    DPMSolverPPSDE,
    Euler,
    EulerAncestral,
    Heun,
    SASolver,
    UniPC,
)
from tests.helpers import noisy

PROBLEM = Mixture()
SEEDS = range(8)
UNIT = PROBLEM.start(SEEDS, torch.float64) / PROBLEM.sigma_max
GRID = karras(6, 10.0, 0.05)
NO_NOISE: list[tuple[Solver, Solver]] = [
    (DDIMEta(0.0), Euler()),
    (Ancestral(DPMSolver2(), 0.0), DPMSolver2()),
    (DPMSolverPP2SAncestral(0.0), DPMSolverPP2S()),
    (DPMSolverPPSDE(0.0), DPMSolverPP2S()),
    (DPMSolverPPSDE(0.0, r=0.7, family=SDE_ETA), DPMSolverPP2S(0.7)),
    (DPMSolverPP2MSDE(0.0), DPMSolverPP2M()),
    (DPMSolverPP2MSDE(0.0, heun=True), Adams(2, DATA, LOG_SIGMA)),
    (DPMSolverPP3MSDE(0.0), Adams(3, DATA, LOG_SIGMA)),
    (SASolver(0.0, 3, 0, lower_order_final=False), Adams(3, DATA, LOG_SIGMA)),
    (SASolver(0.0, 2, 3, lower_order_final=False), UniPC(2)),
    (
        SASolver(0.0, 2, 0, published=True, lower_order_final=False),
        UniPC(2, variant="bh1", correct=False),
    ),
    *((ERSDE(points, 0.0), Adams(points, DATA, SIGMA)) for points in (1, 2, 3, 5)),
    (ERSDE(3, 0.0, SDE_ETA), Adams(3, DATA, SIGMA)),
    (EDM(0.0), Heun()),
    (EDM(0.0, method=Euler()), Euler()),
    (EDM(s_tmin=20.0), Heun()),
]


@pytest.mark.parametrize(("solver", "same"), NO_NOISE, ids=repr)
def test_without_noise(solver: Solver, same: Solver) -> None:
    """`PROBLEM` has no noise to give. With EDM, N counts the Euler step to 0 and nothing changes."""
    assert solver.stochastic is (solver == EDM(s_tmin=20.0))
    for grid in (GRID, GRID.to_zero(), Grid([10.0, 0.0])):
        got, want = (sample(PROBLEM, UNIT, grid, s) for s in (solver, same))
        torch.testing.assert_close(got.x, want.x, rtol=1e-10, atol=1e-10)
        assert got.nfe == want.nfe
    if not solver.stochastic:
        up = GRID.reversed()
        got, want = (solve(PROBLEM, UNIT, up, s) for s in (solver, same))
        torch.testing.assert_close(got.x, want.x, rtol=1e-9, atol=1e-9)
        assert solver.order == same.order


def test_eta_0_is_euler_to_the_last_bit() -> None:
    got, want = (sample(PROBLEM, UNIT, GRID, s).x for s in (DDIMEta(0.0), Euler()))
    assert torch.equal(got, want)
    up = [solve(PROBLEM, UNIT, GRID.reversed(), s).x for s in (DDIMEta(0.0), Euler())]
    assert torch.equal(*up)


SAME: list[tuple[Solver, Solver]] = [
    (Ancestral(Euler()), EulerAncestral()),
    (Ancestral(Euler(), 0.5), DDIMEta(0.5)),
    (Ancestral(Euler(), family=SDE_ETA), DDIMEta()),
    (DPMSolverPP2MSDE(family=DDIM_ETA), DPMSolverPP2MSDE()),
    (SASolver(1.0, 1, 0), DDIMEta()),
    (SASolver(1.0, 2, 0, lower_order_final=False), DPMSolverPP2MSDE(heun=True)),
    (SASolver(0.7, 2, 0, lower_order_final=False), DPMSolverPP2MSDE(0.49, heun=True)),
    (SASolver(1.0, 3, 0, lower_order_final=False), DPMSolverPP3MSDE()),
    (SASolver(0.7, 3, 0, lower_order_final=False), DPMSolverPP3MSDE(0.49)),
    (DDPM(), DDIMEta(1.0)),
    (ERSDE(1), Ancestral(Euler(), family=ER_SDE)),
    (ERSDE(1, family=SDE_ETA), DDIMEta()),
    (ERSDE(2, published=True), ERSDE(2)),
]


@pytest.mark.parametrize(("one", "two"), SAME, ids=repr)
def test_two_names_of_one_method(one: Solver, two: Solver) -> None:
    """3M SDE as exact polynomial weights (SA-Solver's, by quadrature) holds its factor 2 and its sign."""
    for grid in (GRID, GRID.to_zero(), log_snr(12, 10.0, 0.05)):
        x, y = (sample(noisy(PROBLEM), UNIT, grid, s).x for s in (one, two))
        torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-10)


def test_published_3m_is_another_method() -> None:
    x, y = (
        sample(noisy(PROBLEM), UNIT, GRID, s).x
        for s in (DPMSolverPP3MSDE(guard=None), DPMSolverPP3MSDE(published=True, guard=None))
    )
    assert float((x - y).abs().max()) > 1e-4
