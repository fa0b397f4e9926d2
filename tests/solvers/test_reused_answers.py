"""GradientEstimation, FireFlow, PFDiff and STORK against their papers' codes, and what they share with others.

The references below walk a list of levels as the authors' codes do, in their own variables.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flowsolve import FLOW, FlowTime, Grid, Solver, karras, log_snr, sample, solve, tabulate
from flowsolve.integrate.cost import cost
from flowsolve.problems import Mixture, Mixture1D
from flowsolve.solver.stand_in import per_step
from flowsolve.study import convergence
from flowsolve_solvers import (
    IPNDM,
    STORK,
    Adams,
    Ancestral,
    DDIMEta,
    Euler,
    FireFlow,
    GradientEstimation,
    PFDiff,
)
from flowsolve_solvers.eta import SDE_ETA
from flowsolve_solvers.stork import gegenbauer
from tests.helpers import noisy, says

PROBLEM = Mixture(sigma_max=14.6, sigma_min=0.05)
SEEDS = range(8)
GRID = Grid([14.6, 9.1, 8.8, 3.0, 1.7, 0.9, 0.85, 0.31, 0.12, 0.05])
X = PROBLEM.start(SEEDS, torch.float64)


def near(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def same(one: Solver, other: Solver, grid: Grid = GRID) -> None:
    a, b = (tabulate(s, grid).matrix for s in (one, other))
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * grid[0])


def pfdiff(x: Tensor, levels: Grid) -> Tensor:
    """denoising_PFDiff_1.py with η = 0: DDIM in ᾱ, `past` the answer of the last springboard."""
    bar = [1 / (1 + s * s) for s in levels]

    def ddim(theta: Tensor, x_t: Tensor, i: int, j: int) -> Tensor:
        x0 = (x_t - theta * math.sqrt(1 - bar[i])) / math.sqrt(bar[i])
        return math.sqrt(bar[j]) * x0 + math.sqrt(1 - bar[j]) * theta

    def model(x_t: Tensor, i: int) -> Tensor:
        return PROBLEM.eps(x_t / math.sqrt(bar[i]), levels[i])

    x, last = x * math.sqrt(bar[0]), len(levels) - 1
    past = model(x, 0)
    x = ddim(past, x, 0, 1)
    i = 1
    while i < last:
        if i + 1 == last:
            x = ddim(model(x, i), x, i, last)
            break
        past = model(ddim(past, x, i, i + 1), i + 1)
        x = ddim(past, x, i, i + 2)
        i += 2
    return x / math.sqrt(bar[-1])


def velocity(y: Tensor, tau: float) -> Tensor:
    """ε - x₀ of the state y = (1 - τ) x₀ + τ ε of a flow."""
    sigma = tau / (1 - tau)
    x = y * (1 + sigma)
    eps = PROBLEM.eps(x, sigma)
    return eps - (x - sigma * eps)


def flowing(walk: Callable[[Tensor, list[float]], Tensor]) -> Tensor:
    """x̄ at the end of GRID by a code that walks the states and times of a flow."""
    tau = [s / (1 + s) for s in GRID]
    return walk(X / (1 + GRID[0]), tau) * (1 + GRID[-1])


def fireflow(img: Tensor, times: list[float]) -> Tensor:
    """denoise_fireflow of the authors."""
    next_step_velocity = None
    for t_curr, t_prev in pairwise(times):
        pred = next_step_velocity
        if pred is None:
            pred = velocity(img, t_curr)
        img_mid = img + (t_prev - t_curr) / 2 * pred
        next_step_velocity = velocity(img_mid, t_curr + (t_prev - t_curr) / 2)
        img = img + (t_prev - t_curr) * next_step_velocity
    return img


def stork(y: Tensor, tau: list[float]) -> Tensor:
    """step_flow_matching_2 of STORKScheduler with 50 stages: a state and a velocity for each."""
    stages = 50

    def b(j: int) -> float:
        return {0: 1.0, 1: 1 / 3}.get(j) or 4 * (j - 1) * (j + 4) / (
            3 * j * (j + 1) * (j + 2) * (j + 3)
        )

    seen: list[Tensor] = []
    for i, (t, t_next) in enumerate(pairwise(tau)):
        f = velocity(y, t)
        dt = t - t_next
        if i == 0:
            half = y - 0.5 * dt * f
            out = half - 0.75 * dt * velocity(half, t - dt / 2) + 0.25 * dt * f
        elif i == 1:
            h1 = tau[0] - tau[1]
            out = y + (dt**2 / (2 * -h1) - dt) * f + dt**2 / (2 * h1) * seen[-1]
        else:
            h1, h2 = tau[i - 1] - t, tau[i - 2] - tau[i - 1]
            slope = (-seen[-2] + 4 * seen[-1] - 3 * f) / (2 * h1)
            curve = 2 / (h1 * h2 * (h1 + h2)) * (seen[-2] * h1 - seen[-1] * (h1 + h2) + f * h2)
            step = 6 / ((stages + 4) * (stages - 1))
            older, newer = y, y - dt * step * f
            for j in range(2, stages + 1):
                part = 4 / 3 if j == 2 else (j - 1) ** 2 + (j - 1) - 2
                diff = -part / (stages**2 + stages - 2) * dt
                v = f + diff * slope + 0.5 * diff**2 * curve
                mu = (2 * j + 1) * b(j) / (j * b(j - 1))
                nu = -(j + 1) * b(j) / (j * b(j - 2))
                gamma = -mu * step * (1 - j * (j + 1) * b(j - 1) / 2)
                new = mu * newer + nu * older + (1 - mu - nu) * y - dt * (mu * step * v + gamma * f)
                older, newer = newer, new
            out = newer
        seen.append(f)
        y = out
    return y


def test_the_authors_codes() -> None:
    """PFDiff with an odd and an even number of steps, FireFlow, STORK-2."""
    for n in range(1, 10):
        levels = GRID.part(0, n)
        near(solve(PROBLEM, X, levels, PFDiff()).x, pfdiff(X, levels))
    near(solve(PROBLEM, X, GRID, FireFlow()).x, flowing(fireflow))
    found = solve(PROBLEM, X, GRID, STORK(published=True)).x
    torch.testing.assert_close(found, flowing(stork), rtol=1e-11, atol=1e-11)


def test_pfdiff_is_the_stale_midpoint_of_fireflow_in_sigma() -> None:
    """After its first step, on levels of which every second is half-way from the one before to the next."""
    ends = [9.0, 4.0, 1.6, 0.5, 0.1]
    levels = [14.6, *(level for a, b in pairwise(ends) for level in (a, (a + b) / 2)), ends[-1]]
    past = PROBLEM.eps(X, 14.6)
    x = X + (9.0 - 14.6) * past
    for s, t in pairwise(ends):
        past = PROBLEM.eps(x + (t - s) / 2 * past, (s + t) / 2)
        x = x + (t - s) * past
    near(solve(PROBLEM, X, Grid(levels), PFDiff()).x, x)


def test_gradient_estimation_is_the_samples_of_smalldiffusion() -> None:
    """With the same noises; sig_prev == sig**mu sig_p**(1-mu)."""
    for gam, mu in ((2.0, 0.0), (1.7, 0.5), (2.0, 0.3)):
        ode, xt = noisy(PROBLEM), X
        eps = None
        for sig, sig_prev in pairwise(GRID):
            eps_prev, eps = eps, ode.eps(xt, sig)
            eps_av = eps if eps_prev is None else eps * gam + eps_prev * (1 - gam)
            sig_p = (sig_prev / sig**mu) ** (1 / (1 - mu))
            eta = math.sqrt(max(sig_prev**2 - sig_p**2, 0))
            z = ode.noise(xt, sig, sig_prev) if mu else 0
            xt = xt - (sig - sig_p) * eps_av + eta * z
        near(solve(ode, X, GRID, GradientEstimation(gam, mu)).x, xt)


def test_gradient_estimation_among_the_others() -> None:
    same(GradientEstimation(1.0), Euler())
    same(GradientEstimation(1.5), IPNDM(2, guard=None))
    ode = noisy(PROBLEM)

    def end(solver: Solver) -> Tensor:
        return solve(ode, X, GRID, solver).x

    near(end(GradientEstimation(1.0, 0.5)), end(DDIMEta()))
    for mu in (0.2, 0.7):
        family = Ancestral(Euler(), mu / (1 - mu), SDE_ETA)
        near(end(GradientEstimation(1.0, mu)), end(family))
    orders = [GradientEstimation(g, m).order for g, m in ((2, 0), (1.5, 0), (1.5, 0.5))]
    assert orders == [1, 2, 1]


def test_stork_is_a_method_of_three_points() -> None:
    """With the exact b it would be Adams; a is 1/2 as it should be, and short of it as published."""
    a, b = gegenbauer(50, published=False)
    assert a == pytest.approx(1 / 2, abs=1e-13)
    assert b == pytest.approx(0.249433, abs=1e-6)
    assert gegenbauer(50, published=True)[0] == pytest.approx(0.489620, abs=1e-6)
    nodes, t = (0.9, 1.7, 3.0), 0.85
    ours = STORK().weights(nodes, 0.9, t)
    exact = Adams(3, FLOW, FlowTime(), guard=None).weights(nodes, 0.9, t)
    h = FLOW.u(t) - FLOW.u(0.9)
    tau = [FLOW.u(n) for n in nodes]
    h1, h2 = tau[0] - tau[1], tau[1] - tau[2]
    half = np.array([1 / (h1 * (h1 + h2)), -1 / (h1 * h2), 1 / (h2 * (h1 + h2))])  # u''/2
    np.testing.assert_allclose(np.array(ours) + (1 / 3 - b) * h**3 * half, exact, rtol=1e-12)


@pytest.mark.parametrize("problem", [Mixture1D, Mixture])
@pytest.mark.parametrize("spacing", [karras, log_snr])
def test_stork_as_published_is_of_order_1(problem: type, spacing: Any) -> None:
    """Its first-order error is small, so few steps look better than that."""
    solver = STORK(published=True)
    study = convergence(
        solver, problem(sigma_max=1.0, sigma_min=0.2), spacing=spacing, steps=(160, 320, 640)
    )
    assert solver.order == 1
    assert abs(study.order() - 1) < 0.2, study


def test_wrong_options() -> None:
    text = "STORK needs 2 to 1000 stages, a whole number, but got stages = "
    says(ValueError, f"{text}1.", lambda: STORK(1))
    says(ValueError, f"{text}2.5.", lambda: STORK(2.5))  # type: ignore[arg-type]
    for stages in (2, 3, 1000):
        assert gegenbauer(stages, published=False)[0] == pytest.approx(0.5, abs=1e-10)
    text = "GradientEstimation needs gamma above 0 and finite and 0 <= mu < 1, but got gamma = "
    says(ValueError, f"{text}2.0, mu = 1.0.", lambda: GradientEstimation(mu=1.0))
    says(ValueError, f"{text}0.0, mu = 0.0.", lambda: GradientEstimation(0.0))


COSTS = {
    GradientEstimation(): [1, 2, 3, 4, 5, 6],
    FireFlow(): [2, 3, 4, 5, 6, 7],
    PFDiff(): [1, 2, 2, 3, 3, 4],
    STORK(): [2, 3, 4, 5, 6, 7],
}
TO_ZERO: dict[type, Callable[[int], int]] = {
    FireFlow: lambda n: n + 2,
    PFDiff: lambda n: (n + 1) // 2 + 1,
    STORK: lambda n: n + 2,
}


@pytest.mark.parametrize("solver", COSTS, ids=repr)
def test_evaluations_of_one_to_six_steps(solver: Solver) -> None:
    """Counted beforehand and in the run, and with one more step, to σ = 0."""
    for n, expected in enumerate(COSTS[solver], 1):
        assert cost(solver, karras(n, 10, 0.1)) == expected
        assert solve(PROBLEM, X, GRID.part(0, n), solver).nfe == expected
        done = sample(PROBLEM, X / GRID[0], GRID.part(0, n).to_zero(), solver)
        assert done.nfe == TO_ZERO.get(type(solver), lambda n: n + 1)(n)
        assert bool(done.x.isfinite().all())


def test_two_steps_for_one_evaluation() -> None:
    assert [per_step(s) for s in (PFDiff(), FireFlow(), STORK())] == [0.5, 1, 1]
    assert solve(PROBLEM, X, lambda n: karras(n, 10, 0.1), PFDiff(), nfe=5).grid.steps == 9


@pytest.mark.parametrize("solver", [FireFlow(), STORK()], ids=repr)
def test_flows_begin_at_infinity(solver: Solver) -> None:
    """The unit noise at σ = ∞ is the limit of great levels."""
    noise = X / GRID[0]
    far, first = (sample(PROBLEM, noise, Grid([s, *GRID[1:]]), solver) for s in (1e9, math.inf))
    torch.testing.assert_close(first.x, far.x, rtol=1e-6, atol=1e-6)
    assert first.nfe == far.nfe == GRID.steps + 1
