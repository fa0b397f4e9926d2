"""The weights of Adams methods are the exact integrals of polynomials, to rounding."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from numpy.typing import NDArray
from scipy.integrate import quad

from flowsolve import (
    DATA,
    LOG_SIGMA,
    NOISE,
    SIGMA,
    VPSDE,
    ClockTime,
    Grid,
    Solver,
    tabulate,
)
from flowsolve.schedule.variable import Variable
from flowsolve.solver.chart import Chart
from flowsolve.solver.weights import adams_weights

CLOCK = VPSDE()


def weights(solver: Solver, grid: Grid) -> NDArray[np.float64]:
    return tabulate(solver, grid).matrix


def closed_form(chart: Chart, variable: Variable, k: int, s: float, t: float) -> float:
    """∫_s^t τ(σ)^k du: in log σ by parts, ∫ L^k e^(±L) dL, and in σ by powers."""
    if variable == SIGMA:
        power = k + (0 if chart == NOISE else -2)
        factor = 1 if chart == NOISE else -1
        if power == -1:
            return factor * math.log(t / s)
        return factor * (t ** (power + 1) - s ** (power + 1)) / (power + 1)
    sign = 1 if chart == NOISE else -1  # u = e^(sign L), so ∫ L^k du = [L^k u] - k ∫ L^(k-1) u dL
    ends = math.log(t) ** k * t**sign - math.log(s) ** k * s**sign
    return ends if k == 0 else ends - sign * k * closed_form(chart, variable, k - 1, s, t)


@pytest.mark.parametrize("moulton", [False, True], ids=["bashforth", "moulton"])
@pytest.mark.parametrize("variable", [SIGMA, LOG_SIGMA], ids=repr)
@pytest.mark.parametrize("chart", [NOISE, DATA], ids=repr)
@pytest.mark.parametrize("points", [1, 2, 3, 4, 5])
def test_adams_moments(points: int, chart: Chart, variable: Variable, moulton: bool) -> None:
    """Polynomials in τ of degree < points are integrated exactly, on random levels, up and down."""
    rng = random.Random(points)
    for _ in range(20):
        levels = sorted((math.exp(rng.uniform(-3, 3)) for _ in range(points + 1)), reverse=True)
        if rng.random() < 0.5:
            levels.reverse()
        *past, t = levels
        s = past[-1]
        nodes = tuple([*past[1:], t] if moulton else past)
        w = adams_weights(chart, variable, nodes, s, t)
        for k in range(len(nodes)):
            terms = [a * variable.tau(n) ** k for a, n in zip(w, nodes, strict=True)]
            exact = closed_form(chart, variable, k, s, t)
            scale = max(map(abs, [*terms, exact, (t if chart == NOISE else 1 / t), 1.0]))
            assert math.fsum(terms) == pytest.approx(exact, abs=2e-12 * scale)


def exact_weights(
    chart: Chart, variable: Variable, nodes: list[float], s: float, t: float
) -> list[Any]:
    """∫ ℓ_j du to 50 digits, by the powers of τ - τ(s)."""
    log = variable == LOG_SIGMA
    at = [mp.log(mp.mpf(n) / s) if log else mp.mpf(n) - s for n in nodes]
    length = mp.log(mp.mpf(t) / s) if log else mp.mpf(t) - s
    sign = 1 if chart == NOISE else -1
    moments = [
        # ∫ y^m e^(±y) dy by its series, times du/dσ at s
        mp.mpf(s) ** sign * sign
        * mp.nsum(lambda i, m=m: sign**i * length ** (m + i + 1) / (mp.factorial(i) * (m + i + 1)), [0, 60])
        if log
        else length ** (m + 1) / (m + 1)
        for m in range(len(nodes))
    ]  # fmt: skip
    weights = []
    for j, a in enumerate(at):
        powers = [mp.mpf(1)]
        for k, b in enumerate(at):
            if k != j:
                powers = [
                    (x - b * y) / (a - b)
                    for x, y in zip([mp.mpf(0), *powers], [*powers, mp.mpf(0)], strict=True)
                ]
        weights.append(mp.fdot(powers, moments))
    return weights


@pytest.mark.parametrize(
    ("chart", "variable"), [(NOISE, SIGMA), (NOISE, LOG_SIGMA), (DATA, LOG_SIGMA)], ids=repr
)
def test_adams_weights_on_irregular_grids(chart: Chart, variable: Variable) -> None:
    """300 grids whose steps in log σ are 1e-3 to 1e3 of the one taken, of 0.01 to 2: each weight to 1e-9."""
    worst = 0.0

    @settings(max_examples=300, deadline=None)
    @given(
        st.floats(-4, 4),
        st.floats(math.log(1e-2), math.log(2)),
        st.lists(st.floats(-3, 3), min_size=1, max_size=3),
    )
    def each(start: float, width: float, ratios: list[float]) -> None:
        nonlocal worst
        s, h = math.exp(start), math.exp(width)
        nodes = [s]
        for r in ratios:
            nodes.append(nodes[-1] * math.exp(min(h * 10**r, 3)))
        t = s * math.exp(-h)
        with mp.workdps(50):
            exact = exact_weights(chart, variable, nodes, s, t)
            for got, want in zip(
                adams_weights(chart, variable, tuple(nodes), s, t), exact, strict=True
            ):
                worst = max(worst, float(abs(got - want) / abs(want)))
        assert worst < 1e-9

    each()


@pytest.mark.parametrize(("ratio", "loss"), [(1e-3, 1e-10), (1e-6, 1e-7), (1e-9, 1e-4)])
def test_the_loss_of_adams_weights_beyond(ratio: float, loss: float) -> None:
    """Nodes so close lose their difference to the rounding of log σ: about 1e-13 over the ratio."""
    for s in (0.02, 1.3, 77.0):
        nodes, t = [s, s * math.exp(0.1 * ratio), s * math.exp(0.2)], s * math.exp(-0.1)
        with mp.workdps(50):
            exact = exact_weights(DATA, LOG_SIGMA, nodes, s, t)
            got = adams_weights(DATA, LOG_SIGMA, tuple(nodes), s, t)
            assert max(abs(a - b) / abs(b) for a, b in zip(got, exact, strict=True)) < loss


def test_adams_moments_in_a_clocks_time() -> None:
    """∫ t(σ)^k dσ = ∫ t^k σ'(t) dt, by scipy in t."""
    nodes, t = (5.0, 7.0, 12.0), 3.5
    w = adams_weights(NOISE, ClockTime(CLOCK), nodes, 5.0, t)
    for k in range(3):
        exact, _ = quad(lambda u, k=k: u**k * CLOCK.rate(u), CLOCK.t(5.0), CLOCK.t(t), epsrel=1e-13)
        got = math.fsum(a * CLOCK.t(n) ** k for a, n in zip(w, nodes, strict=True))
        assert got == pytest.approx(exact, rel=1e-12)


def test_textbook_weights() -> None:
    """Adams-Bashforth and Adams-Moulton on a uniform grid in σ."""
    at = [10.0 - 0.5 * k for k in range(6)]
    s, t = at[4], at[5]
    h = t - s
    past = (at[4], at[3], at[2], at[1])
    bashforth = {
        1: [1],
        2: [3 / 2, -1 / 2],
        3: [23 / 12, -16 / 12, 5 / 12],
        4: [55 / 24, -59 / 24, 37 / 24, -9 / 24],
    }
    moulton = {1: [1], 2: [1 / 2, 1 / 2], 3: [5 / 12, 8 / 12, -1 / 12]}
    moulton[4] = [9 / 24, 19 / 24, -5 / 24, 1 / 24]
    for k in range(1, 5):
        ab = [w / h for w in adams_weights(NOISE, SIGMA, past[:k], s, t)]
        am = [w / h for w in adams_weights(NOISE, SIGMA, (t, *past[: k - 1]), s, t)]
        assert ab == pytest.approx(bashforth[k], abs=1e-13)
        assert am == pytest.approx(moulton[k], abs=1e-13)


def test_weights_down_to_zero() -> None:
    """LMS's last step may end at σ = 0: ∫ there is a polynomial's, exact."""
    w = adams_weights(NOISE, SIGMA, (1.0, 2.0), 1.0, 0.0)
    assert w == pytest.approx((-1.5, 0.5), abs=1e-14)
