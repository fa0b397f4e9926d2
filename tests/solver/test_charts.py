"""The four charts: what Euler is in each, F against its definition, both ends as ordinary points."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from flowsolve import (
    DATA,
    FLOW,
    LOG_SIGMA,
    NOISE,
    SIGMA,
    VELOCITY,
    Grid,
    Solver,
    karras,
    sample,
    solve,
    tabulate,
    uniform_phi,
    unit_noise,
)
from flowsolve.problems import Gaussian, Mixture, Mixture1D
from flowsolve.schedule import FlowTime, Phi, Theta, TwoPower, Variable
from flowsolve.solver import Chart, Flow, Velocity, adams_weights, make_solver
from flowsolve_solvers import RK4, Adams, Euler, GridSinglestep, Heun, PublishedDPMSolver, UniPC
from tests.helpers import says

MIXTURE = Mixture()
CHARTS = [NOISE, DATA, VELOCITY, FLOW, Velocity(0.3), Flow(7.0)]
BOUNDED = CHARTS[2:]
inf = math.inf


def start(seeds: int = 32) -> Tensor:
    return MIXTURE.start(range(seeds), torch.float64)


def far(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


@pytest.mark.parametrize("chart", CHARTS, ids=repr)
@pytest.mark.parametrize("sigma", [0.05, 1.0, 9.0])
def test_f_is_the_slope_of_z(chart: Chart, sigma: float) -> None:
    """dz/du by differences of z = kept x̄ along the exact flow of a Gaussian, to 1e-7."""
    gaussian, h = Gaussian(), 1e-4
    x = gaussian.start(range(8), torch.float64)
    up, down = (gaussian.flow(x, 10.0, sigma * (1 + d)) for d in (h, -h))
    here = gaussian.flow(x, 10.0, sigma)
    z = [v * chart.kept(sigma * (1 + d), sigma) for v, d in ((up, h), (down, -h))]
    rise = chart.u(sigma * (1 + h)) - chart.u(sigma * (1 - h))
    # kept brings both to the scale of x̄ at σ, where z = x̄/r
    slope = (z[0] - z[1]) / rise
    one = chart.advance(
        torch.zeros_like(x), sigma, sigma, [1.0], [chart.value(gaussian, here, sigma)]
    )
    assert far(slope, one) < 1e-6 * float(one.abs().max())
    assert chart.du_dlog(sigma) == pytest.approx(rise / math.log((1 + h) / (1 - h)), rel=1e-6)


@pytest.mark.parametrize("chart", CHARTS, ids=repr)
@pytest.mark.parametrize("sigma", [0.05, 1.0, 9.0])
def test_f_gives_back_eps_and_x0(chart: Chart, sigma: float) -> None:
    x = start()
    value = chart.value(MIXTURE, x, sigma)
    assert far(chart.eps(x, value, sigma), MIXTURE.eps(x, sigma)) < 1e-12
    assert far(chart.x0(x, value, sigma), MIXTURE.x0(x, sigma)) < 1e-12


def test_velocity_is_minus_the_network_of_edm() -> None:
    """x₀ = c_skip x̄ + c_out F' with σ_data = c has F' = -F: Karras et al. 2022, Table 1."""
    x, sigma, c = start(), 3.0, 0.5
    r = math.hypot(sigma, c)
    f = -Velocity(c).value(MIXTURE, x, sigma)
    assert far((c / r) ** 2 * x + sigma * c / r * f, MIXTURE.x0(x, sigma)) < 1e-13


@pytest.mark.parametrize("scale", [1.0, 0.2, 30.0])
def test_euler_in_flow_is_ddim(scale: float) -> None:
    grid = karras(12, 10.0, 0.05)
    assert (
        far(
            solve(MIXTURE, start(), grid, Euler(Flow(scale))).x,
            solve(MIXTURE, start(), grid, Euler()).x,
        )
        < 4e-15
    )


def test_euler_in_flow_is_ddim_at_both_ends() -> None:
    noise, grid = unit_noise(range(32), (2,), torch.float64), uniform_phi(9, inf, 0)
    assert (
        far(sample(MIXTURE, noise, grid, Euler(FLOW)).x, sample(MIXTURE, noise, grid, Euler()).x)
        < 4e-15
    )


@pytest.mark.parametrize("scale", [0.4, 1.0, 5.0])
def test_euler_in_velocity_is_exact_for_a_gaussian_of_its_scale(scale: float) -> None:
    data = Gaussian((0.0,), ((scale**2,),), sigma_max=80.0, sigma_min=0.002)
    x = data.start(range(32), torch.float64)
    for steps in (1, 5):
        found = solve(data, x, karras(steps, 80.0, 0.002), Euler(Velocity(scale))).x
        assert far(found, data.flow(x, 80.0, 0.002)) < 1e-13 * scale
    noise = unit_noise(range(32), (1,), torch.float64)
    assert (
        far(sample(data, noise, [inf, 0.0], Euler(Velocity(scale))).x, scale * noise)
        < 1e-14 * scale
    )


@pytest.mark.parametrize(
    "variable", [Theta(), Phi(0.5), FlowTime(), TwoPower(0.5, 2.0, 0.35, 0.35)], ids=repr
)
@pytest.mark.parametrize("chart", BOUNDED, ids=repr)
@pytest.mark.parametrize(("s", "t"), [(inf, 3.0), (inf, 0.0), (2.0, 0.0), (5.0, 1.0)])
def test_weights_are_finite_at_both_ends(
    chart: Chart, variable: Variable, s: float, t: float
) -> None:
    """They sum to u_t - u_s, and a polynomial in τ is integrated exactly: Adams of 1 and of 2 points agree."""
    nodes = (s, *((s + 2.0, s + 7.0) if s < inf else ()))
    weights = adams_weights(chart, variable, nodes, s, t)
    assert sum(weights) == pytest.approx(chart.u(t) - chart.u(s), rel=1e-12)
    through = tuple(sorted({s, t}, reverse=True))
    slope = adams_weights(
        chart, variable, through, s, t
    )  # ∫ of the straight line through both ends
    middle = variable.sigma((variable.tau(s) + variable.tau(t)) / 2)
    three = adams_weights(chart, variable, (s, middle, t), s, t)
    assert slope[0] == pytest.approx(three[0] + three[1] / 2, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("chart", BOUNDED, ids=repr)
@pytest.mark.parametrize(
    "make",
    [lambda c: Adams(3, c, Phi()), lambda c: UniPC(2, c, variable=Phi())],
    ids=["adams", "unipc"],
)
def test_multistep_from_infinity_to_zero(make: object, chart: Chart) -> None:
    """No head and no tail: every step is the method's, and it converges at second order or better."""
    assert callable(make)
    solver: Solver = make(chart)
    noise = unit_noise(range(64), (2,), torch.float64)
    assert solver.leaves_infinity
    assert solver.reaches_zero
    ends = [sample(MIXTURE, noise, uniform_phi(n, inf, 0), solver) for n in (40, 80, 640)]
    coarse, fine = (float((e.x - ends[2].x).square().mean().sqrt()) for e in ends[:2])
    assert coarse / fine > 3.5
    assert fine < 2e-3
    assert ends[0].nfe == 40


def test_the_first_step_from_infinity_is_in_the_chart() -> None:
    """Adams in VELOCITY leaves noise by z_t = noise - x̄₀-mean/c (θ_t - π/2), which is not DDIM's step."""
    noise, t = unit_noise(range(8), (2,), torch.float64), 3.0
    mean = MIXTURE.x0(noise, inf)
    found = sample(MIXTURE, noise, [inf, t], Adams(1, VELOCITY, Phi())).x
    assert far(found, math.hypot(1, t) * (noise - mean * (math.atan(t) - math.pi / 2))) < 1e-13


def test_third_order_on_flow_levels_does_not_blow_up() -> None:
    """Levels uniform in t, the last step from σ = 0.048 to 0, without a guard."""
    x = MIXTURE.start(range(64), torch.float64)
    times = [10 / 11 * (1 - i / 20) for i in range(20)]
    grid = Grid([10.0, *(t / (1 - t) for t in times[1:]), 0.0])
    exact = sample(MIXTURE, x / 10, karras(300, 10.0, 0.001).to_zero(), Heun()).x

    def error(solver: Solver) -> float:
        return float((sample(MIXTURE, x / 10, grid, solver).x - exact).square().mean().sqrt())

    euler = error(Euler())
    for chart in (FLOW, VELOCITY):
        assert error(Adams(3, chart, FlowTime(), guard=None)) < euler / 3
        assert error(UniPC(3, chart, variable=FlowTime(), guard=None)) < euler / 3


@pytest.mark.parametrize("chart", [VELOCITY, FLOW], ids=repr)
def test_a_path_in_a_bounded_chart_is_dense(chart: Chart) -> None:
    noise = unit_noise(range(16), (2,), torch.float64)
    done = sample(MIXTURE, noise, uniform_phi(60, inf, 0), Adams(3, chart, Phi()), keep=1)
    fine = sample(MIXTURE, noise, uniform_phi(480, inf, 0), Adams(3, chart, Phi()), keep=1)
    for i in (8 * 7 + 4, 8 * 30 + 3, 8 * 58 + 5):
        assert far(done.at(fine.grid[i]), fine.path[i].x) < 2e-3 * max(1.0, fine.grid[i])
    assert far(done.at(done.grid[5]), done.path[5].x) == 0


def test_up_and_down_again_through_infinity() -> None:
    """Encoded to σ = ∞ and back: a round trip of second order, unit noise in between."""
    solver, x = Adams(3, VELOCITY, Phi()), MIXTURE.data()[:64].double()
    grid = uniform_phi(200, 20.0, 0.05)
    up = solve(MIXTURE, x, grid.reversed(), solver).x
    assert far(solve(MIXTURE, up, grid, solver).x, x) < 1e-2


def test_flow_is_exact_for_a_constant_eps_and_velocity_is_not() -> None:
    """So the ε-weights of a table sum to σ - σ_T in FLOW; in VELOCITY they do in the limit, at second order."""

    def off(chart: Chart, n: int) -> float:
        return abs(
            tabulate(Adams(2, chart, Phi()), uniform_phi(n, 10.0, 0.05)).row_sums[-1]
            - (0.05 - 10.0)
        )

    assert off(FLOW, 8) < 1e-13
    assert off(VELOCITY, 20) > 1e-3
    assert 3.3 < off(VELOCITY, 80) / off(VELOCITY, 160) < 4.7


def test_charts_print_as_they_are_written() -> None:
    assert [repr(c) for c in CHARTS] == [
        "NOISE",
        "DATA",
        "VELOCITY",
        "FLOW",
        "Velocity(0.3)",
        "Flow(7.0)",
    ]
    for solver in (
        Adams(3, VELOCITY, Phi()),
        Adams(2, Flow(7.0), TwoPower(0.5, 2.0)),
        UniPC(variable=Theta(2.0)),
    ):
        assert make_solver(repr(solver)) == solver
    assert make_solver("adams:chart=velocity,variable=phi") == Adams(2, VELOCITY, Phi())
    assert Velocity(2.0) != Flow(2.0)
    assert Velocity(1.0) == VELOCITY


@pytest.mark.parametrize("kind", [Velocity, Flow, Theta, Phi, FlowTime])
def test_a_scale_is_above_zero(kind: type) -> None:
    for wrong in (0.0, -1.0, inf, math.nan, "a"):
        with pytest.raises(ValueError, match="scale"):
            kind(wrong)


def test_unipc_as_published_is_for_the_papers_charts() -> None:
    for wrong in ({"chart": VELOCITY}, {"variable": SIGMA}):
        with pytest.raises(ValueError, match=r"where B\(h\) is known"):
            UniPC(variant="bh1", **wrong)  # type: ignore[arg-type]
    assert UniPC(2, VELOCITY, variable=LOG_SIGMA).leaves_infinity is False


def test_what_is_published_for_two_charts_refuses_the_others() -> None:
    only = (
        "PublishedDPMSolver has the weights of NOISE and DATA only. Adams and UniPC take any chart."
    )
    says(ValueError, only, lambda: PublishedDPMSolver(chart=FLOW))


@pytest.mark.parametrize("chart", [VELOCITY, FLOW, Velocity(0.3)], ids=repr)
def test_groups_of_steps_in_a_bounded_chart(chart: Chart) -> None:
    """DPM-Solver of the grid's levels: order 2 of two points and, on whole groups, 3 of three."""
    x = MIXTURE.start(range(32), torch.float64) / 10
    exact = solve(MIXTURE, x, karras(400, 1.0, 0.2), RK4()).x
    for points, least in ((2, 3.3), (3, 6.0)):
        solver = GridSinglestep(points, chart, lower_order_final=False)
        grids = (karras(n, 1.0, 0.2) for n in (60, 120))
        coarse, fine = (float((solve(MIXTURE, x, g, solver).x - exact).norm()) for g in grids)
        assert coarse / fine > least


def test_mixture_1d_agrees_with_its_closed_form() -> None:
    problem = Mixture1D(sigma_max=10.0, sigma_min=0.05)
    x = problem.start(range(32), torch.float64)
    exact = problem.flow(x, 10.0, 0.05)
    for chart in (VELOCITY, FLOW):
        found = solve(problem, x, uniform_phi(200, 10.0, 0.05), Adams(4, chart, Phi())).x
        assert far(found, exact) < 1e-4
