"""Methods as their authors run them: literal transcriptions of published code, in its own x_t and times.

Sources: SA-Solver's sample_few_steps (Xue et al. 2023), PNDM's runner/method.py (Liu et al. 2022),
diff-sampler's solvers.py (ipndm_v_sampler) and dpm_solver_pytorch.py (Lu et al. 2022a).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from flowsolve import (
    NOISE,
    VPSDE,
    ClockTime,
    Grid,
    SeededNoise,
    Solver,
    WithNoise,
    karras,
    leading,
    linear_beta,
    log_snr,
    solve,
    tabulate,
    uniform,
    uniform_t,
)
from flowsolve.problems import Mixture, Mixture1D
from flowsolve.schedule.grid import Spacing
from flowsolve.study import convergence
from flowsolve_solvers import (
    DEIS,
    IPNDM,
    IPNDMV,
    LMS,
    PLMS,
    PNDM,
    SPNDM,
    DPMSolverFast,
    Euler,
    GridDPMSolverFast,
    GridSinglestep,
    Heun,
    PseudoRK4,
    SASolver,
)

VP = VPSDE()
SEEDS = range(4)
PROBLEM = Mixture(sigma_max=VP.sigma(1.0), sigma_min=VP.sigma(1e-3))
X = PROBLEM.start(SEEDS, torch.float64)
Model = Callable[[Tensor, float], Tensor]


def time_uniform(n: int) -> Grid:
    """t from 1 to 1e-3 in n equal steps, their time_uniform."""
    return uniform_t(n, VP.sigma(1.0), VP.sigma(1e-3), clock=VP)


def alpha(t: float) -> float:
    return 1 / math.hypot(1, VP.sigma(t))


def noise_model(x: Tensor, t: float) -> Tensor:
    """ε(x_t, t)."""
    return PROBLEM.eps(x / alpha(t), VP.sigma(t))


def data_model(x: Tensor, t: float) -> Tensor:
    """x₀(x_t, t)."""
    return PROBLEM.x0(x / alpha(t), VP.sigma(t))


def times(n: int) -> list[float]:
    return np.linspace(1.0, 1e-3, n + 1).tolist()


def lam(t: float) -> float:
    return -math.log(VP.sigma(t))


def ours(solver: Solver, grid: Grid) -> Tensor:
    """The final x_t."""
    return solve(WithNoise(PROBLEM, SeededNoise(SEEDS)), X, grid, solver).x_t


def rms(x: Tensor, y: Tensor) -> float:
    return float((x - y).square().mean().sqrt())


# --------------------------------------------------------------------------------------- SA-Solver


def exponential_moment(order: int, start: float, end: float, tau: float) -> float:
    """get_coefficients_exponential_positive: ∫ e^((1+τ²)λ) λ^order dλ."""
    k = 1 + tau**2
    a, b = k * start, k * end
    shape: Callable[[float], float] = {
        0: lambda v: 1.0,
        1: lambda v: v - 1,
        2: lambda v: v**2 - 2 * v + 2,
        3: lambda v: v**3 - 3 * v**2 + 6 * v - 6,
    }[order]
    return math.exp(b) * (shape(b) - shape(a) * math.exp(-(b - a))) / k ** (order + 1)


def gradient_coefficients(start: float, end: float, lams: list[float], tau: float) -> list[float]:
    """get_coefficients_fn, with the coefficients of its Lagrange polynomials from numpy."""
    out = []
    for i, own in enumerate(lams):
        others = [v for j, v in enumerate(lams) if j != i]
        lagrange = np.atleast_1d(np.poly(others)) / np.prod([own - v for v in others])
        degree = len(lams) - 1
        out.append(
            sum(c * exponential_moment(degree - j, start, end, tau) for j, c in enumerate(lagrange))
        )
    return out


def adams_few_steps(
    x: Tensor,
    tau: float,
    models: list[Tensor],
    at: list[float],
    ends: tuple[float, float],
    z: Tensor,
) -> Tensor:
    """adams_bashforth_update_few_steps, or adams_moulton_..., if t is the first of `at`. Newest first."""
    s, t = ends
    h, k = lam(t) - lam(s), 1 + tau**2
    c = gradient_coefficients(lam(s), lam(t), [lam(v) for v in at], tau)
    if len(at) == 2:
        rest = (h * k - 1 + math.exp(-k * h)) / k**2
        if at[0] == t:
            more = math.exp(k * lam(t)) * (h / 2 - rest / h)
        else:
            more = math.exp(k * lam(t)) * (h**2 / 2 - rest) / (lam(s) - lam(at[1]))
        c = [c[0] + more, c[1] - more]
    sigma_t, sigma_s = VP.sigma(t) * alpha(t), VP.sigma(s) * alpha(s)
    gradient = sum(
        k * sigma_t * math.exp(-(tau**2) * lam(t)) * w * m for w, m in zip(c, models, strict=True)
    )
    noise = sigma_t * math.sqrt(1 - math.exp(-2 * tau**2 * h)) * z
    return math.exp(-(tau**2) * h) * (sigma_t / sigma_s) * x + gradient + noise


def sa_solver(n: int, tau: float, predictor: int, corrector: int) -> Tensor:
    """sample_few_steps: PEC, lower_order_final and skip_final_step, which they never turn off."""
    ts, grid, draw = times(n), time_uniform(n), SeededNoise(SEEDS)
    x = X * alpha(ts[0])
    seen, models = [ts[0]], [data_model(x, ts[0])]
    warm = max(predictor, corrector - 1)
    for step in range(1, n + 1):
        s, t = ts[step - 1], ts[step]
        if step < warm:
            p, c = min(predictor, step), min(corrector, step + 1)
        else:
            p, c = min(predictor, n - step + 1), min(corrector, n - step + 2)
        z = draw(x, grid[step - 1], grid[step])
        used = 0.0 if step == n else tau
        x_p = adams_few_steps(x, used, models[:p], seen[:p], (s, t), z)
        if step == n:
            return x_p
        seen, models = [t, *seen], [data_model(x_p, t), *models]
        x = adams_few_steps(x, tau, models[:c], seen[:c], (s, t), z) if corrector else x_p
    raise AssertionError


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("predictor", "corrector"), [(1, 1), (2, 2), (2, 0), (3, 3), (3, 4)])
@pytest.mark.parametrize("n", [5, 10, 20])
def test_sa_solver_as_its_authors_run_it(
    tau: float, predictor: int, corrector: int, n: int
) -> None:
    solver = SASolver(tau, predictor, corrector, published=True, final_noise=False, guard=None)
    mine = ours(solver, time_uniform(n))
    torch.testing.assert_close(
        mine, sa_solver(n, tau, predictor, corrector), rtol=1e-10, atol=1e-10
    )


def test_sa_solver_needs_its_lower_end_on_uniform_times() -> None:
    """The last step is long in log σ: with three points across it the answer is worse than Euler's."""
    grid = time_uniform(10)
    truth = solve(PROBLEM, X, log_snr(2000, grid[0], grid[-1]), Heun()).x_t
    low, full, euler = (
        rms(ours(solver, grid), truth)
        for solver in (
            SASolver(0.0, 3, 4, guard=None),
            SASolver(0.0, 3, 4, lower_order_final=False, guard=None),
            Euler(),
        )
    )
    assert low < 1.1 * euler < 0.2 * full


def test_the_order_that_the_lower_end_leaves() -> None:
    assert (SASolver(0, 3, 4).order, SASolver(0, 3, 4, lower_order_final=False).order) == (2, 3)
    problem = Mixture1D(sigma_max=1.0, sigma_min=0.2)
    for solver in (SASolver(0.0, 3, 4), SASolver(0.0, 3, 4, lower_order_final=False)):
        slope = convergence(solver, problem, steps=(80, 160, 320)).order()
        assert slope == pytest.approx(solver.order, abs=0.2)


# -------------------------------------------------------------------------------------------- PNDM


def pndm(labels: list[int], update: Callable[..., Tensor]) -> Tensor:
    """Their runner: x_t at the first label to x_t at the last, by one of their gen_order functions."""
    clock = linear_beta()
    x = X * (1 / math.hypot(1, clock.sigma(labels[0])))
    ets: list[Tensor] = []
    for t, t_next in pairwise(labels):
        x = update(x, t, t_next, ets)
    return x


def label_model(x: Tensor, t: float) -> Tensor:
    sigma = linear_beta().sigma(t)
    return PROBLEM.eps(x * math.hypot(1, sigma), sigma)


def transfer(x: Tensor, t: float, t_next: float, et: Tensor) -> Tensor:
    at, an = (1 / (1 + linear_beta().sigma(v) ** 2) for v in (t, t_next))
    one = 1 / (math.sqrt(at) * (math.sqrt(at) + math.sqrt(an)))
    two = 1 / (math.sqrt(at) * (math.sqrt((1 - an) * at) + math.sqrt((1 - at) * an)))
    return x + (an - at) * (one * x - two * et)


def gen_order_2(x: Tensor, t: float, t_next: float, ets: list[Tensor]) -> Tensor:
    """S-PNDM."""
    ets.append(label_model(x, t))
    if len(ets) > 1:
        noise = 0.5 * (3 * ets[-1] - ets[-2])
    else:
        noise = (ets[-1] + label_model(transfer(x, t, t_next, ets[-1]), t_next)) / 2
    return transfer(x, t, t_next, noise)


def gen_order_4(x: Tensor, t: float, t_next: float, ets: list[Tensor]) -> Tensor:
    """F-PNDM."""
    ets.append(label_model(x, t))
    if len(ets) > 3:
        noise = (1 / 24) * (55 * ets[-1] - 59 * ets[-2] + 37 * ets[-3] - 9 * ets[-4])
        return transfer(x, t, t_next, noise)
    m = (t + t_next) / 2
    e_2 = label_model(transfer(x, t, m, ets[-1]), m)
    e_3 = label_model(transfer(x, t, m, e_2), m)
    e_4 = label_model(transfer(x, t, t_next, e_3), t_next)
    return transfer(x, t, t_next, (1 / 6) * (ets[-1] + 2 * e_2 + 2 * e_3 + e_4))


def test_s_pndm_and_f_pndm_as_their_authors_run_them() -> None:
    clock, n = linear_beta(), 10
    grid = leading(n, clock=clock, final="first")
    labels = [*range(900, -1, -100)]
    assert [clock.t(s) for s in grid] == pytest.approx(labels, abs=1e-6)
    fast = PNDM(start=PseudoRK4(ClockTime(clock)), guard=None)
    for solver, update in ((SPNDM(guard=None), gen_order_2), (fast, gen_order_4)):
        torch.testing.assert_close(ours(solver, grid), pndm(labels, update), rtol=1e-10, atol=1e-10)
    assert SPNDM() == PNDM(2, Heun())
    assert rms(ours(PLMS(guard=None), grid), pndm(labels, gen_order_2)) > 1e-3


# ----------------------------------------------------------------------------------------- ipndm_v


def ipndm_v(ts: list[float], max_order: int) -> Tensor:
    """Their ipndm_v_sampler, in x̄ and σ, line by line."""
    x, old = X * (ts[0] / PROBLEM.sigma_max), list[Tensor]()
    for i, (cur, nxt) in enumerate(pairwise(ts)):
        d, order = PROBLEM.eps(x, cur), min(max_order, i + 1)
        h = nxt - cur
        if order == 1:
            x = x + h * d
        elif order == 2:
            h1 = cur - ts[i - 1]
            x = x + h * ((2 + h / h1) / 2 * d + -(h / h1) / 2 * old[-1])
        elif order == 3:
            h1, h2 = cur - ts[i - 1], ts[i - 1] - ts[i - 2]
            temp = (1 - h / (3 * (h + h1)) * (h * (h + h1)) / (h1 * (h1 + h2))) / 2
            c1 = (2 + (h / h1)) / 2 + temp
            c2 = -(h / h1) / 2 - (1 + h1 / h2) * temp
            c3 = temp * h1 / h2
            x = x + h * (c1 * d + c2 * old[-1] + c3 * old[-2])
        else:
            h1, h2, h3 = cur - ts[i - 1], ts[i - 1] - ts[i - 2], ts[i - 2] - ts[i - 3]
            temp1 = (1 - h / (3 * (h + h1)) * (h * (h + h1)) / (h1 * (h1 + h2))) / 2
            temp2 = (
                ((1 - h / (3 * (h + h1))) / 2 + (1 - h / (2 * (h + h1))) * h / (6 * (h + h1 + h2)))
                * (h * (h + h1) * (h + h1 + h2))
                / (h1 * (h1 + h2) * (h1 + h2 + h3))
            )
            p = h1 * (h1 + h2) / (h2 * (h2 + h3))
            c1 = (2 + (h / h1)) / 2 + temp1 + temp2
            c2 = -(h / h1) / 2 - (1 + h1 / h2) * temp1 - (1 + (h1 / h2) + p) * temp2
            c3 = temp1 * h1 / h2 + ((h1 / h2) + p * (1 + h2 / h3)) * temp2
            c4 = -temp2 * p * h1 / h2
            x = x + h * (c1 * d + c2 * old[-1] + c3 * old[-2] + c4 * old[-3])
        old.append(d)
    return x


@pytest.mark.parametrize("points", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "grid", [karras(12, 80, 0.002), log_snr(9, 10, 0.05), Grid([5, 4, 3.5, 2, 1.2, 1, 0])], ids=repr
)
def test_ipndm_v_is_diff_samplers(points: int, grid: Grid) -> None:
    x = X * (grid[0] / PROBLEM.sigma_max)
    mine = solve(PROBLEM, x, grid, IPNDMV(points)).x
    torch.testing.assert_close(mine, ipndm_v([*grid], points), rtol=1e-11, atol=1e-11)
    if points <= 2:
        torch.testing.assert_close(mine, solve(PROBLEM, x, grid, LMS(points, guard=None)).x)
    else:
        assert rms(mine, solve(PROBLEM, x, grid, LMS(points, guard=None)).x) > 1e-5


def ipndm(ts: list[float], max_order: int) -> Tensor:
    """Their ipndm_sampler, in x̄ and σ: the weights of equal steps on any."""
    x, old = X * (ts[0] / PROBLEM.sigma_max), list[Tensor]()
    for i, (cur, nxt) in enumerate(pairwise(ts)):
        d, order = PROBLEM.eps(x, cur), min(max_order, i + 1)
        if order == 1:
            x = x + (nxt - cur) * d
        elif order == 2:
            x = x + (nxt - cur) * (3 * d - old[-1]) / 2
        elif order == 3:
            x = x + (nxt - cur) * (23 * d - 16 * old[-1] + 5 * old[-2]) / 12
        else:
            x = x + (nxt - cur) * (55 * d - 59 * old[-1] + 37 * old[-2] - 9 * old[-3]) / 24
        old.append(d)
    return x


@pytest.mark.parametrize("points", [1, 2, 3, 4])
def test_ipndm_is_diff_samplers(points: int) -> None:
    grid = karras(12, 80, 0.002)
    x = X * (grid[0] / PROBLEM.sigma_max)
    mine = solve(PROBLEM, x, grid, IPNDM(points, guard=None)).x
    torch.testing.assert_close(mine, ipndm([*grid], points), rtol=1e-11, atol=1e-11)


def test_what_its_slips_are() -> None:
    """b is 11/24 at equal steps, not 9/24; and weights that do not sum to 1 leave no order at all."""
    equal = tabulate(IPNDMV(), uniform(5, 6.0, 1.0))
    last = np.array(equal.nodes[-1]) - np.append(equal.nodes[-2], 0.0)
    assert last[:0:-1][:4] * -24 == pytest.approx([57, -65, 43, -11])

    def sums(steps: list[float]) -> float:
        grid = Grid(np.cumsum([0, *steps])[::-1] + 1)
        table = tabulate(IPNDMV(), grid)
        return (table.row_sums[-1] - sum(table.nodes[-2][1:])) / (grid[-1] - grid[-2])

    assert sums([1.0, 1.0, 2.0, 4.0]) == pytest.approx(1)  # h₂² = h₁ h₃
    assert abs(sums([1.0, 1.0, 2.0, 1.0]) - 1) > 0.1

    def alternating(n: int, sigma_max: float, sigma_min: float) -> Grid:
        ends = np.cumsum([0, *(2 - i % 2 for i in range(n))])
        return Grid(sigma_max * (sigma_min / sigma_max) ** (ends / ends[-1]))

    problem, spacings = (
        Mixture1D(sigma_max=1.0, sigma_min=0.2),
        list[Spacing]([karras, alternating]),
    )
    errors = [
        [row.rmse for row in convergence(IPNDMV(), problem, spacing=s, steps=(40, 80)).rows]
        for s in spacings
    ]
    assert errors[0][1] < 0.3 * errors[0][0]  # of order 2, as IPNDMV(4) declares
    assert not errors[1][1] < errors[1][0]


# ----------------------------------------------------------------------------------- DPM-Solver-fast


def first_update(x: Tensor, s: float, t: float, e: Tensor) -> Tensor:
    return alpha(t) / alpha(s) * x - alpha(t) * VP.sigma(t) * math.expm1(lam(t) - lam(s)) * e


def fast(steps: int, order: int) -> Tensor:
    """DPM_Solver.sample(method="singlestep", skip_type="time_uniform"), algorithm_type="dpmsolver"."""
    if order == 3:
        k = steps // 3 + 1
        orders = [3] * (k - 2) + [2, 1] if steps % 3 == 0 else [3] * (k - 1) + [steps % 3]
    else:
        orders = [2] * (steps // 2) + [1] * (steps % 2)
    outer = np.array(times(steps))[np.cumsum([0, *orders])].tolist()
    x = X * alpha(1.0)
    for (s, t), k in zip(pairwise(outer), orders, strict=True):
        inner = np.linspace(s, t, k + 1).tolist()
        h, sigma_t = lam(t) - lam(s), alpha(t) * VP.sigma(t)
        e = noise_model(x, s)
        euler = first_update(x, s, t, e)
        if k == 1:
            x = euler
            continue
        s1, r1 = inner[1], (lam(inner[1]) - lam(s)) / h
        e1 = noise_model(first_update(x, s, s1, e), s1)
        if k == 2:
            x = euler - (0.5 / r1) * (sigma_t * math.expm1(h)) * (e1 - e)
            continue
        s2, r2 = inner[2], (lam(inner[2]) - lam(s)) / h
        phi_22, phi_2 = math.expm1(r2 * h) / (r2 * h) - 1, math.expm1(h) / h - 1
        bend = r2 / r1 * (alpha(s2) * VP.sigma(s2) * phi_22) * (e1 - e)
        e2 = noise_model(first_update(x, s, s2, e) - bend, s2)
        x = euler - (1 / r2) * (sigma_t * phi_2) * (e2 - e)
    return x


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("n", range(1, 16))
def test_fast_on_uniform_times(n: int, order: int) -> None:
    torch.testing.assert_close(
        ours(GridDPMSolverFast(order), time_uniform(n)), fast(n, order), rtol=1e-10, atol=1e-10
    )


def test_fast_by_its_other_names() -> None:
    assert GridDPMSolverFast(2) == GridSinglestep(2, NOISE, lower_order_final=False)
    with pytest.raises(ValueError, match="GridDPMSolverFast has order 2 or 3, but got order = 1"):
        GridDPMSolverFast(1)
    problem = Mixture1D(sigma_max=1.0, sigma_min=0.2)  # its end follows n modulo 3
    slope = convergence(GridDPMSolverFast(), problem, steps=(60, 120, 240)).order()
    assert slope == pytest.approx(GridDPMSolverFast().order, abs=0.2)
    # where the stages of DPM-Solver-fast, uniform in log σ, are the levels, the two are one
    grid = log_snr(6, 10.0, 0.5)
    outer = Grid([grid[0], grid[3], grid[5], grid[6]])
    table, other = tabulate(GridDPMSolverFast(), grid), tabulate(DPMSolverFast(6), outer)
    assert table.answer == pytest.approx(other.answer, abs=1e-12)


# --------------------------------------------------------------------------------------------- DEIS


@pytest.mark.parametrize(("n", "expected"), [(1, 0.076), (5, 5e-4)])
def test_published_deis_weights_are_left_sums(n: int, expected: float) -> None:
    """10,000 terms in t, each at its left end: the weight of the first step, in x_t, is off by this much."""
    grid = time_uniform(n)
    s, t = VP.t(grid[0]), VP.t(grid[1])
    # their integrand is ψ(t, τ) ½ (d log α²/dτ)/s_τ = α_t dσ/dτ
    left = sum(VP.rate(float(v)) for v in np.linspace(s, t, 10_001)[:-1]) * (t - s) / 10_000
    exact = tabulate(DEIS(), grid).nodes[0][1]
    assert exact == pytest.approx(grid[1] - grid[0])
    assert alpha(t) * abs(left - exact) == pytest.approx(expected, rel=0.1)
