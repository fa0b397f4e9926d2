"""PNDM, PLMS, iPNDM, UniPC, the published DPM-Solver and grid_singlestep: orders, identities, evaluations.

The configurations in ALL go through the tests of every method; here are those that are another
method's twin, and what is particular to the family.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.peer_code import graded
from flowsolve import (
    DATA,
    LOG_SIGMA,
    NOISE,
    SIGMA,
    VPSDE,
    ClockTime,
    Grid,
    OneStep,
    Solver,
    karras,
    leading,
    linear_beta,
    log_snr,
    solve,
    tabulate,
    uniform,
)
from flowsolve.integrate.cost import cost, fit
from flowsolve.problems import Mixture, Mixture1D, Problem
from flowsolve.solver.chart import Chart
from flowsolve.solver.weights import adams_weights, span
from flowsolve.study import convergence
from flowsolve_solvers import (
    ALL,
    IPNDM,
    LMS,
    PLMS,
    PNDM,
    RK4,
    Adams,
    DPMSolver2,
    DPMSolver3,
    DPMSolverPP2M,
    DPMSolverPP2S,
    Euler,
    GridSinglestep,
    Heun,
    PseudoRK4,
    PublishedDPMSolver,
    UniPC,
)
from flowsolve_solvers.published import taylor_weights

PROBLEMS = [Mixture1D(sigma_max=1.0, sigma_min=0.2), Mixture(sigma_max=1.0, sigma_min=0.2)]
PLACES = [*zip(PROBLEMS, (karras, log_snr), strict=True)]
IRREGULAR = Grid([14.6, 9.0, 8.5, 3.1, 1.4, 1.3, 0.4, 0.05])
CLOSE = {"rtol": 1e-12, "atol": 1e-13}

TWINS: dict[Solver, int] = {
    IPNDM(1): 1,
    IPNDM(3): 2,
    PNDM(points=2): 2,
    PNDM(start=PseudoRK4(ClockTime(VPSDE()))): 2,
    PNDM(start=Heun()): 2,
    UniPC(1, correct=False): 1,
    UniPC(2, correct=False): 2,
    UniPC(3, correct=False): 2,
    UniPC(4, NOISE): 3,
    UniPC(1, variant="bh1"): 2,
    UniPC(1, variant="bh2"): 2,
    UniPC(4, variant="bh1"): 3,
    UniPC(4, variant="bh2"): 3,
    UniPC(2, NOISE, "bh2"): 3,
    UniPC(3, NOISE, "bh1"): 3,
    UniPC(3, NOISE, "bh2"): 3,
    UniPC(2, start=Heun()): 3,
    UniPC(3, start=Heun()): 3,
    UniPC(3, correct=False, start=DPMSolver3()): 3,
    UniPC(2, lower_order_final=True): 2,
    UniPC(3, NOISE, lower_order_final=True): 2,
    PublishedDPMSolver(2): 2,
    PublishedDPMSolver(2, lower_order_final=True): 2,
    PublishedDPMSolver(3, factor_two=True): 2,
    PublishedDPMSolver(3, NOISE, factor_two=True): 2,
}


@pytest.mark.parametrize(("problem", "spacing"), PLACES, ids=["1d", "2d"])
@pytest.mark.parametrize("solver", TWINS, ids=repr)
def test_order_of_the_twins(solver: Solver, problem: Problem, spacing: object) -> None:
    assert solver not in ALL
    assert solver.order == TWINS[solver]
    result = convergence(solver, problem, steps=(160, 320, 640), spacing=spacing, seeds=range(8))  # type: ignore[arg-type]
    slope = result.slope()
    assert abs(slope.order - solver.order) < 0.2, f"declared {solver.order}, measured:\n{result}"
    assert slope.settled, str(result)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_equal_steps_give_the_order_that_the_weights_have(problem: Problem) -> None:
    """With a start of order 4, four constant weights are order 4 on levels equal in σ, else 2 (T-42)."""
    for start in (RK4(), PseudoRK4(SIGMA)):
        for spacing, order in ((uniform, 4), (karras, 2)):
            result = convergence(
                PNDM(start=start), problem, steps=(160, 320, 640), spacing=spacing, seeds=range(8)
            )
            assert result.slope().order == pytest.approx(order, abs=0.2), str(result)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
@pytest.mark.parametrize("chart", [NOISE, DATA], ids=repr)
def test_the_missing_factor_two_costs_an_order(chart: Chart, problem: Problem) -> None:
    """From a start that is accurate, because its first steps are short: 3 as derived, 2 as published."""
    for factor_two, order in ((True, 3), (False, 2)):
        solver = PublishedDPMSolver(3, chart, factor_two)
        result = convergence(solver, problem, steps=(160, 320, 640), spacing=graded, seeds=range(8))
        assert result.slope().order == pytest.approx(order, abs=0.1), str(result)


def test_pseudo_runge_kutta_is_kuttas_where_the_middle_is_the_middle() -> None:
    a, b = (tabulate(s, IRREGULAR) for s in (PseudoRK4(SIGMA), RK4()))
    np.testing.assert_allclose(a.matrix, b.matrix, **CLOSE)
    assert a.sigmas == b.sigmas
    middle = tabulate(PseudoRK4(), Grid([4, 1])).sigmas
    assert middle == pytest.approx((4, 2, 2, 1))  # by default half-way in log σ


def same(a: Solver, b: Solver, grid: Grid) -> None:
    one, two = tabulate(a, grid), tabulate(b, grid)
    assert one.sigmas == two.sigmas
    np.testing.assert_allclose(one.matrix, two.matrix, **CLOSE)
    np.testing.assert_allclose(one.nodes[-1], two.nodes[-1], **CLOSE)


@pytest.mark.parametrize("chart", [DATA, NOISE], ids=repr)
@pytest.mark.parametrize("points", [1, 2, 3, 4])
def test_unip_is_adams(points: int, chart: Chart) -> None:
    for start in (None, Heun(), RK4()):
        a = UniPC(points, chart, correct=False, start=start)
        same(a, Adams(points, chart, start=start), IRREGULAR)
        a = replace(a, guard=None)
        same(a, Adams(points, chart, start=start, guard=None), IRREGULAR)


@pytest.mark.parametrize("chart", [DATA, NOISE], ids=repr)
def test_the_published_two_point_forms(chart: Chart) -> None:
    """ρ = 1/2 with B(h) = e^h - 1 is the midpoint form of DPM-Solver(++); B(h) = h is another."""
    same(UniPC(2, chart, "bh2", correct=False, guard=None), PublishedDPMSolver(2, chart), IRREGULAR)
    one, two = (
        tabulate(UniPC(2, chart, variant, correct=False, guard=None), IRREGULAR).answer
        for variant in ("bh1", "bh2")
    )
    assert max(abs(a - b) for a, b in zip(one, two, strict=True)) > 1e-3


def test_the_published_two_point_method_is_dpmpp_2m() -> None:
    same(PublishedDPMSolver(2), DPMSolverPP2M(guard=None), IRREGULAR)


@pytest.mark.parametrize("chart", [DATA, NOISE], ids=repr)
def test_the_factor_two_makes_the_three_point_method_adams(chart: Chart) -> None:
    """The weights of a step, once three points are in play; without the factor they differ."""
    s, t = 3.1, 1.4
    exact = adams_weights(chart, LOG_SIGMA, (s, 8.5, 9.0), s, t)
    for factor, equal in ((2.0, True), (1.0, False)):
        got = taylor_weights((s, 8.5, 9.0), t, span(chart, s, t), factor)
        assert sum(got) == pytest.approx(sum(exact), rel=1e-12)
        assert (got == pytest.approx(exact, rel=1e-10)) == equal


@pytest.mark.parametrize("chart", [DATA, NOISE], ids=repr)
@pytest.mark.parametrize("points", [1, 2, 3])
def test_the_exact_corrector_is_adams_moulton(points: int, chart: Chart) -> None:
    """Row by row from the table: node k is what the corrector makes of node k - 1."""
    table = tabulate(UniPC(points, chart, guard=None), IRREGULAR)
    levels = IRREGULAR.levels
    for k in range(1, len(levels) - 1):
        s, t = levels[k - 1], levels[k]
        nodes = (t, *levels[max(0, k - points) : k][::-1])
        weights = adams_weights(chart, LOG_SIGMA, nodes, s, t)
        before = np.array(levels[:1] and ([1.0] if k == 1 else table.nodes[k - 2]))
        width = len(table.nodes[k - 1])
        expected = np.zeros(width)
        scale = 1.0 if chart == NOISE else t / s
        expected[: len(before)] += scale * before
        for w, node in zip(weights, nodes, strict=True):
            j = levels.index(node)
            probe = np.zeros(width)
            if chart == NOISE:
                probe[j + 1] = 1.0
            else:  # x₀ = (the state it was evaluated at) - σ ε
                probe[: len(table.probes[j])] = table.probes[j]
                probe[j + 1] -= node
                w = w * t
            expected += w * probe
        np.testing.assert_allclose(table.nodes[k - 1], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("points", [1, 2, 3, 4])
def test_ipndm_is_lms_on_equal_steps(points: int) -> None:
    ipndm, lms = IPNDM(points, guard=None), LMS(points, guard=None)
    same(ipndm, lms, uniform(9, 10, 1))
    same(ipndm, lms, uniform(9, 10, 1).reversed())
    if points > 1:
        a, b = (tabulate(s, IRREGULAR).answer for s in (ipndm, lms))
        assert max(abs(p - q) for p, q in zip(a, b, strict=True)) > 1e-2


def test_plms_is_ipndm_after_a_heun_step() -> None:
    table = tabulate(PLMS(), IRREGULAR)
    assert table.sigmas[:3] == (14.6, 9.0, 9.0)
    same(PLMS(), Heun(), Grid([3, 2]))
    same(PNDM(), PseudoRK4(), Grid([8, 4, 2, 1]))
    assert table.nodes[1][-1] == pytest.approx(1.5 * (8.5 - 9.0))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 10, 50])
def test_evaluations(n: int) -> None:
    grid = log_snr(n, 10, 0.1)
    assert cost(PLMS(), grid) == n + 1
    assert cost(PNDM(), grid) == n + 3 * min(n, 3)
    assert cost(PseudoRK4(), grid) == 4 * n
    for solver in (IPNDM(), UniPC(), UniPC(3, variant="bh1"), PublishedDPMSolver()):
        assert cost(solver, grid) == cost(solver, grid.to_zero()) - 1 == n
    assert cost(UniPC(3, start=DPMSolver3()), grid) == n + 2 * min(n, 2)
    assert cost(UniPC(4, start=Heun()), grid) == n + min(n, 3)
    grid = leading(n, clock=linear_beta())
    assert cost(PLMS(), grid) == n + (n > 1)
    assert cost(PNDM(), grid) == n + 3 * min(n - 1, 3)
    assert fit(PLMS(), n + 1, lambda k: log_snr(k, 10, 0.1)).steps == n


ENDING = [
    IPNDM(guard=None),
    PLMS(guard=None),
    PNDM(guard=None),
    UniPC(),
    UniPC(2, NOISE),
    UniPC(3, variant="bh1"),
]


@pytest.mark.parametrize("solver", [*ENDING, PublishedDPMSolver()], ids=repr)
def test_the_step_to_zero(solver: Solver) -> None:
    """Equal-step weights go on to σ = 0; UniPC and DPM-Solver take DDIM's step, UniPC corrected first."""
    assert solver.reaches_zero
    grid = Grid([5, 3, 2, 1, 0.5, 0.3, 0])
    table = tabulate(solver, grid)
    assert table.levels[-1] == 0
    end, before, probe = (
        np.array(row) for row in (table.nodes[-1], table.nodes[-2], table.probes[-1])
    )
    full = len(end)
    if isinstance(solver, IPNDM | PLMS | PNDM):
        added = end - np.pad(before, (0, full - len(before)))
        expected = [-0.3 * w / 24 for w in (-9, 37, -59, 55)]
        assert [w for w in added if abs(w) > 1e-9] == pytest.approx(expected)
        return
    # the last ε was asked at the predicted state; DATA goes to its x₀, NOISE on from the corrected one
    data = getattr(solver, "chart", DATA) == DATA
    base = np.pad(probe if data else before, (0, full))[:full]
    base[full - 1] -= 0.3
    np.testing.assert_allclose(end, base, **CLOSE)
    corrected = isinstance(solver, UniPC)
    assert (probe[: full - 1] == pytest.approx(before[: full - 1])) != corrected


def test_lower_order_final_counts_the_step_to_zero() -> None:
    """As diffusers: on n steps the last one has one point, the one before it two."""
    grid = Grid([5, 3, 2, 1, 0.5])
    for solver in (PublishedDPMSolver(3), UniPC(3, variant="bh2")):
        name = type(solver)
        low = name(3, lower_order_final=True, **({"variant": "bh2"} if name is UniPC else {}))
        kept = [tabulate(s, grid.to_zero()).nodes for s in (low, solver)]
        # three points to 1 are in both; then two points to 0.5
        for k in range(3):
            assert kept[0][k] == pytest.approx(kept[1][k])
        assert kept[0][3] != pytest.approx(kept[1][3], rel=1e-6)
    end = tabulate(PublishedDPMSolver(3, lower_order_final=True), grid).nodes
    step = solve(Mixture(), torch.ones(1, 2).double(), Grid([1, 0.5]), Euler())
    assert step.nfe == 1
    ratio = 0.5
    # the last step is DDIM's: x_t = t/s x_s + (1 - t/s) x₀, so ε_s alone is added to x_s
    added = np.array(end[-1]) - np.pad(end[-2], (0, 1))[: len(end[-1])]
    assert added[-1] == pytest.approx(ratio - 1.0)
    assert abs(added[:-1]).max() < 1e-12


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: PNDM(points=5), "PNDM has 1 to 4 points, a whole number, but got points = 5."),
        (lambda: IPNDM(0), "IPNDM has 1 to 4 points, a whole number, but got points = 0."),
        (lambda: PublishedDPMSolver(1), "PublishedDPMSolver has 2 to 3 points, a whole number"),
        (lambda: GridSinglestep(4), "GridSinglestep has 1 to 3 points, a whole number, but got points = 4."),
        (lambda: UniPC(0), "UniPC has 1 to 8 points, a whole number, but got points = 0."),
        (lambda: UniPC(2, variant="bh3"), "UniPC has variants exact, bh1 and bh2, not 'bh3'."),
    ],
)  # fmt: skip
def test_bad_points_and_variants(make: object, text: str) -> None:
    with pytest.raises(ValueError, match=text.replace(".", r"\.")):
        make()  # type: ignore[operator]


def test_a_start_takes_single_steps() -> None:
    with pytest.raises(TypeError, match="start must be a one-step solver such as Heun"):
        UniPC(start=IPNDM())  # type: ignore[arg-type]


@pytest.mark.parametrize("start", [Heun(), DPMSolver3(), DPMSolverPP2S(), Euler(DATA)], ids=repr)
@pytest.mark.parametrize("chart", [NOISE, DATA], ids=repr)
@pytest.mark.parametrize("method", [Adams, UniPC])
def test_a_start_takes_its_own_steps(
    method: type[Adams | UniPC], chart: Chart, start: OneStep
) -> None:
    """Whichever of ε and x₀ the start asks for, it is that of the shared evaluation."""
    alone = tabulate(start, IRREGULAR)
    table = tabulate(method(3, chart, start=start, guard=None), IRREGULAR)
    for got, want in zip(table.nodes[:2], alone.nodes[:2], strict=True):
        # UniPC evaluates at the next level before it gives the state there
        np.testing.assert_allclose(got, np.pad(want, (0, len(got) - len(want))), **CLOSE)
    assert abs(table.nodes[2][1] - alone.nodes[2][1]) > 1e-3


def test_dpm_solver_3_is_not_the_multistep_method_of_that_name() -> None:
    assert cost(DPMSolver3(), IRREGULAR) == 3 * cost(PublishedDPMSolver(3, NOISE), IRREGULAR)


@pytest.mark.parametrize("data", [True, False])
def test_a_group_of_steps_is_one_step_of_the_singlestep_method(data: bool) -> None:
    """1, 2 is DPM-Solver(++)-2 with the middle level of the grid for its stage."""
    s, m, t = 10.0, 4.0, 1.0
    r = math.log(s / m) / math.log(s / t)
    method: Solver = DPMSolverPP2S(r) if data else DPMSolver2(r)
    chart = DATA if data else NOISE
    solver = GridSinglestep(2, chart, lower_order_final=False)
    a, b = (tabulate(z, Grid(g)) for z, g in ((solver, [s, m, t]), (method, [s, t])))
    np.testing.assert_allclose(a.matrix, b.matrix, **CLOSE)


@pytest.mark.parametrize("chart", [NOISE, DATA], ids=repr)
def test_groups_of_three(chart: Chart) -> None:
    """Order 3 where the last group is whole, for r₂ tends to 2/3; 2 with the lowered end."""
    solver = GridSinglestep(3, chart, lower_order_final=False)
    for problem in PROBLEMS:
        for spacing in (karras, log_snr):
            result = convergence(
                solver, problem, steps=(150, 300, 600), spacing=spacing, seeds=range(8)
            )
            assert result.slope().order == pytest.approx(3, abs=0.1), str(result)
            lowered = convergence(
                GridSinglestep(3, chart), problem, steps=(150, 300, 600, 1200), spacing=spacing,
                seeds=range(8),
            )  # fmt: skip
            assert lowered.slope().order == pytest.approx(2, abs=0.1), str(lowered)


def test_places_in_a_group() -> None:
    """As DPMSolverSinglestepScheduler.get_order_list."""
    ends = {3: [1, 2, 1], 4: [1, 2, 3, 1], 5: [1, 2, 3, 1, 2], 6: [1, 2, 3, 1, 2, 1]}
    assert {n: GridSinglestep(3)._group(n) for n in ends} == ends
    assert [GridSinglestep(2)._group(n)[-2:] for n in (2, 3, 4)] == [[1, 1], [2, 1], [1, 1]]
    assert cost(GridSinglestep(3), log_snr(7, 10, 0.1)) == 7
