"""RES 2S and 3S meet the conditions of Hochbruck and Ostermann at every h; DPM-Solver-2 does not.

The coefficients are read off the methods themselves: `tabulate` gives what one step does to x̄ and
to each ε, and a triangular solve turns that into a_ij(h) and b_i(h) in either chart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowsolve import DATA, NOISE, ODE, Grid, OneStep, karras, log_snr, solve, tabulate
from flowsolve.problems import Dataset, Mixture, Mixture1D
from flowsolve.solver.chart import Chart
from flowsolve.solver.weights import phi
from flowsolve.study.references import reference
from flowsolve_solvers import RES2S, RES3S, DPMSolver2, DPMSolver3, DPMSolverPP2S
from tests.helpers import ConstantData

HS = [1e-3, 0.03, 0.4, 1.0, 2.5, 5.0]
RES = [RES2S(), RES2S(c2=0.8), RES2S(c2=1.0), RES3S(), RES3S(c2=0.4, c3=0.8), RES3S(0.5, 1)]


# ------------------------------------------------------------------------------- φ by other means


def exact_phi(k: int, z: float) -> float:
    """Σ z^j/(j+k)! in rational arithmetic."""
    x, term, total = Fraction(z), Fraction(1, math.factorial(k)), Fraction(0)
    for j in range(1, 200):
        total += term
        term *= x / (j + k)
        if abs(term) < Fraction(1, 10**40):
            break
    return float(total + term)


@pytest.mark.parametrize("k", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "z", [0.0, 1e-300, 1e-12, 1e-5, 0.01, 0.3, 1.0, 1.999, 2.0, 2.001, 5.0, 10.6, 20.0]
)
def test_phi(k: int, z: float) -> None:
    for signed in (z, -z):
        assert phi(k, signed) == pytest.approx(exact_phi(k, signed), rel=2e-14, abs=0)


def test_phi_by_formula_would_cancel() -> None:
    """What the series is there for."""
    z = 1e-5
    naive = (math.exp(z) - 1 - z - z * z / 2) / z**3
    assert abs(naive / phi(3, z) - 1) > 1e-6
    assert phi(3, z) == pytest.approx(1 / 6, rel=1e-5)


# ------------------------------------------------------------------------------------- conditions


@dataclass
class Tableau:
    """c, a and b of one step with h = log(s/t), and z, the linear part times h."""

    c: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    z: float

    def defects(self) -> dict[str, float]:
        """How far each condition is from being met; 0 is met."""
        c, a, b, z = self.c, self.a, self.b, self.z
        psi = [ci**2 * phi(2, ci * z) - row @ c for ci, row in zip(c, a, strict=True)]
        return {
            "stages": max(
                abs(row.sum() - ci * phi(1, ci * z)) for ci, row in zip(c, a, strict=True)
            ),
            "b": abs(b.sum() - phi(1, z)),
            "bc": abs(b @ c - phi(2, z)),
            "bcc": abs(b @ c**2 / 2 - phi(3, z)),
            "bpsi": abs(float(b @ psi)),
        }


def tableau(solver: OneStep, h: float, chart: Chart) -> Tableau:
    """Of one step from σ = 1, the linear part being -1 in the data chart and 1 in the noise chart."""
    s, t = 1.0, math.exp(-h)
    table = tabulate(solver, Grid([s, t]))
    levels = np.array([*table.sigmas, t])
    n = len(table.sigmas)
    rows = np.zeros((n + 1, n + 1))  # x̄ at each evaluation and at t, by x̄_s and the ε
    for i, row in enumerate([*table.probes, table.nodes[0]]):
        rows[i, : len(row)] = row
    if chart == DATA:  # x̄ = (σ/s) x̄_s + h Σ w D,  D = x̄ - σ ε
        known = rows[:n] - np.eye(n + 1)[1:] * levels[:n, None]
        linear = levels / s
    else:  # x̄/σ = x̄_s/s · (s/σ) - h Σ w ε
        known = -np.eye(n + 1)[1:]
        rows = rows / levels[:, None]
        linear = 1 / levels
    rest = rows - linear[:, None] * np.eye(n + 1)[0]
    weights, *_ = np.linalg.lstsq(known.T, rest.T / h, rcond=None)
    assert np.abs(known.T @ weights - rest.T / h).max() < 1e-9  # it has this form at all
    w = weights.T
    return Tableau(-np.log(levels[:n]) / h, w[:n], w[n], -h if chart == DATA else h)


@pytest.mark.parametrize("h", HS)
@pytest.mark.parametrize("solver", RES, ids=repr)
def test_stiff_conditions(solver: OneStep, h: float) -> None:
    defects = tableau(solver, h, DATA).defects()
    tight = 1e-9 if h < 0.01 else 1e-12  # the extraction divides by h
    assert defects["stages"] < tight
    assert defects["b"] < tight
    assert defects["bc"] < tight
    if solver.order == 3:
        assert defects["bpsi"] < tight


@pytest.mark.parametrize("h", HS)
def test_dpm_solver_3_meets_them_in_its_own_chart(h: float) -> None:
    """It is the method of Hochbruck and Ostermann with γ = 0 on dy/dλ = y - ε, y = x̄/σ."""
    own = tableau(DPMSolver3(), h, NOISE)
    tight = 1e-9 if h < 0.01 else 1e-12 * math.exp(h)
    for name in ("stages", "b", "bc", "bpsi"):
        assert own.defects()[name] < tight, name
    other = tableau(RES3S(), h, DATA)
    for c, mine in zip(own.c, other.c, strict=True):
        assert c == pytest.approx(mine, abs=1e-12)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(own.b, other.b, rtol=1e-4)  # another linear part


@pytest.mark.parametrize("h", [0.4, 1.0, 2.5])
@pytest.mark.parametrize(
    ("solver", "chart"),
    [(DPMSolver2(), NOISE), (DPMSolver2(r=0.8), NOISE), (DPMSolverPP2S(), DATA), (DPMSolverPP2S(0.8), DATA)],
    ids=repr,
)  # fmt: skip
def test_dpm_solver_2_does_not(solver: OneStep, chart: Chart, h: float) -> None:
    """Σ b c is φ₁/2 there, whatever r."""
    found = tableau(solver, h, chart)
    assert found.b @ found.c == pytest.approx(phi(1, found.z) / 2, rel=1e-10)
    assert found.defects()["bc"] == pytest.approx(abs(phi(1, found.z) / 2 - phi(2, found.z)))
    assert found.defects()["bc"] > 0.02 * h
    assert found.defects()["stages"] < 1e-12
    assert found.defects()["b"] < 1e-12


@pytest.mark.parametrize("solver", [DPMSolver2(), DPMSolverPP2S()], ids=repr)
def test_its_defect_vanishes_like_h(solver: OneStep) -> None:
    """Which is why it has order 2 all the same: the defect costs a constant."""
    chart = DATA if isinstance(solver, DPMSolverPP2S) else NOISE
    one, two = (tableau(solver, h, chart).defects()["bc"] for h in (0.02, 0.01))
    assert math.log2(one / two) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("solver", "chart"), [(RES3S(), DATA), (RES3S(0.5, 1), DATA), (DPMSolver3(), NOISE)], ids=repr
)
def test_the_last_condition_of_order_3_is_weak(solver: OneStep, chart: Chart) -> None:
    """Σ b c²/2 = φ₂/3, not φ₃: enough, for they agree at h = 0, and both methods have it so."""
    for h in (0.4, 2.5):
        found = tableau(solver, h, chart)
        assert found.b @ found.c**2 / 2 == pytest.approx(phi(2, found.z) / 3, rel=1e-10)
    one, two = (tableau(solver, h, chart).defects()["bcc"] for h in (0.02, 0.01))
    assert math.log2(one / two) == pytest.approx(1, abs=0.02)


# ----------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("solver", RES, ids=repr)
def test_constant_data_take_one_step(solver: OneStep) -> None:
    point = torch.tensor([0.3, -2.0], dtype=torch.float64)
    x = torch.tensor([[5.0, 7.0], [-1.0, 30.0]], dtype=torch.float64)
    got = solve(ConstantData(point), x, [10, 0.1], solver).x
    torch.testing.assert_close(got, point + (x - point) * 0.01, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", RES, ids=repr)
def test_data_linear_in_log_sigma_take_one_step(solver: OneStep) -> None:
    """Σ b c = φ₂ says just this: exact where D = a + b λ. DPM-Solver++(2S) is not."""
    a, slope = 0.3, -1.7

    class Linear(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return (x - (a - slope * math.log(sigma))) / sigma

    x = torch.tensor([4.0], dtype=torch.float64)
    s, t = 3.0, 0.2
    # dx̄/dλ = -x̄ + a + b λ has the solution a + b (λ - 1) + C e^(-λ)

    def particular(sigma: float) -> float:
        return a + slope * (-math.log(sigma) - 1)

    exact = particular(t) + (x - particular(s)) * t / s
    torch.testing.assert_close(solve(Linear(), x, [s, t], solver).x, exact, rtol=1e-12, atol=0)
    off = solve(Linear(), x, [s, t], DPMSolverPP2S()).x - exact
    assert abs(float(off)) > 0.1


def test_up_and_down_again() -> None:
    problem = Mixture1D()
    x = problem.start(range(4), torch.float64)
    grid = log_snr(40, 10, 0.05)
    for solver in (RES2S(), RES3S()):
        down = solve(problem, x, grid, solver).x
        up = solve(problem, down, grid.reversed(), solver).x
        torch.testing.assert_close(up, x, rtol=0, atol=0.5 / solver.order**3)


@pytest.mark.parametrize("problem", [Dataset(), Mixture()], ids=lambda p: p.name)
def test_errors_at_equal_cost(problem: Dataset | Mixture) -> None:
    """Measured, σ = 10 to the problem's end, levels even in log σ: what the conditions buy.

    RES 2S is 1.5 to 2 times better than DPM-Solver++(2S), its neighbour in the same chart, at every
    budget. Against the noise chart the data chart wins 1.5 to 4 times at 6 evaluations, and no more
    from 48 on, where DPM-Solver-3 is ahead of RES 3S.
    """
    x = problem.start(range(64), torch.float64)
    truth = reference(problem, x, 10, problem.sigma_min).x

    def error(solver: OneStep, nfe: int) -> float:
        got = solve(problem, x, lambda n: log_snr(n, 10, problem.sigma_min), solver, nfe=nfe)
        assert got.nfe == nfe
        return float((got.x - truth).square().mean().sqrt())

    for nfe in (6, 12, 24, 48, 96):
        assert error(RES2S(), nfe) < 0.8 * error(DPMSolverPP2S(), nfe), nfe
    assert error(RES2S(), 6) < 0.5 * error(DPMSolver2(), 6)
    assert error(RES3S(), 6) < 0.6 * error(DPMSolver3(), 6)
    assert error(RES3S(), 12) < 0.6 * error(DPMSolver3(), 12)
    assert error(RES2S(), 96) == pytest.approx(error(DPMSolver2(), 96), rel=0.25)
    assert error(DPMSolver3(), 96) < error(RES3S(), 96) < 0.3 * error(RES2S(), 96)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RES2S(0), lambda: RES2S(1.1), lambda: RES3S(0, 1), lambda: RES3S(0.5, 0.5),
        lambda: RES3S(0.7, 0.9), lambda: RES3S(0.5, 1.01), lambda: RES3S(0.3, 0.6),
    ],
)  # fmt: skip
def test_bad_nodes(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"RES\dS needs 0 < c2"):
        make()


def test_levels_far_apart_stay_finite() -> None:
    """One step over all of EDM's range, h = 10.6: weights are bounded at any h."""
    problem = Mixture()
    x = problem.start(range(4), torch.float64) * 8
    for solver in RES:
        assert solve(problem, x, [80, 0.002], solver).x.abs().max() < 10
        assert solve(problem, x, karras(5, 80, 0.002), solver).x.abs().max() < 10
