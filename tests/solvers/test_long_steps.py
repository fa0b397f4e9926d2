"""Steps that are long against those before them: fewer points there, and no method worse than Euler.

Against the exact flow of three problems, in float64, on the levels of flow matching, karras to zero, and
the labels of Stable Diffusion (benchmarks/long_steps.py).
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.long_steps import NAMES, PROBLEMS, error, grid_of, law_distance
from flowsolve import (
    DATA,
    LOG_SIGMA,
    NOISE,
    SIGMA,
    Grid,
    Solver,
    karras,
    log_snr,
    tabulate,
    uniform,
)
from flowsolve.problems import Mixture
from flowsolve.solver import adams_weights, guarded, within
from flowsolve.solver.weights import GUARD
from flowsolve_solvers import (
    DEIS,
    ERSDE,
    IPNDM,
    IPNDMV,
    LMS,
    PLMS,
    PNDM,
    Adams,
    DDIMEta,
    DPMSolverM,
    DPMSolverPP2M,
    DPMSolverPP2MSDE,
    DPMSolverPP3MSDE,
    DPMSolverPPM,
    Euler,
    GridSinglestep,
    PublishedDPMSolver,
    SASolver,
    UniPC,
)
from tests.helpers import says

SOLVERS = [DPMSolverPP2M(), UniPC(3)]
MORE = [
    UniPC(2),
    UniPC(4),
    UniPC(3, NOISE),
    DPMSolverPPM(3),
    DPMSolverM(3),
    LMS(3),
    DEIS(3),
    Adams(8),
    IPNDM(),
    PLMS(),
    PNDM(),
]
SD3 = grid_of("flow, shift 3, to 1/T", 28)


@pytest.mark.parametrize("n", [8, 10, 14, 20, 28, 40, 50])
@pytest.mark.parametrize("name", NAMES)
def test_at_least_euler(name: str, n: int) -> None:
    grid = grid_of(name, n)
    for problem in PROBLEMS:
        euler = error(Euler(), problem, grid)
        for solver in SOLVERS:
            assert error(solver, problem, grid) < 1.05 * euler, (solver, problem.name)


@pytest.mark.parametrize("n", [8, 14, 28])
@pytest.mark.parametrize("name", NAMES)
def test_the_other_multistep_methods(name: str, n: int) -> None:
    grid = grid_of(name, n)
    for problem in PROBLEMS:
        euler = error(Euler(), problem, grid)
        for solver in MORE:
            assert error(solver, problem, grid) < 1.1 * euler, (solver, problem.name)


def test_stable_diffusion_3() -> None:
    """Its levels, n = 28, to 1/T: the step before the last is 3.7 long in log σ, the one before it 0.72."""
    euler, problem = error(Euler(), Mixture(), SD3), Mixture()
    assert error(UniPC(3, guard=None), problem, SD3) > 20 * euler
    assert error(DPMSolverPP2M(guard=None), problem, SD3) > 1.5 * euler
    assert error(UniPC(3), problem, SD3) < 0.7 * euler
    assert error(DPMSolverPP2M(), problem, SD3) < 0.7 * euler


@pytest.mark.parametrize(
    ("make", "euler"),
    [
        (partial(DPMSolverPP2MSDE), DDIMEta()),
        (partial(DPMSolverPP2MSDE, heun=True), DDIMEta()),
        (partial(DPMSolverPP3MSDE), DDIMEta()),
        (partial(DPMSolverPP3MSDE, published=True), DDIMEta()),
        (partial(SASolver, 1.0, 3, 4, lower_order_final=False), DDIMEta()),
        (partial(SASolver, 0.5, 3, 4, lower_order_final=False), DPMSolverPP2MSDE(0.25, guard=1e-9)),
        (partial(ERSDE, 4), ERSDE(1)),
    ],
    ids=str,
)
def test_methods_with_noise(make, euler: Solver) -> None:
    """W₁ of their law at σ = 0 from the exact one, the noises those of a stratified sample."""
    published, guarded = 0.0, 0.0
    for name, n in (("flow, shift 3, to 1/T", 14), ("flow, shift 1, to 1/T", 28), ("linspace", 8),
                    ("karras 80 to 0.002", 14)):  # fmt: skip
        grid = grid_of(name, n)
        base = law_distance(euler, grid)
        published = max(published, law_distance(make(guard=None), grid) / base)
        guarded = max(guarded, law_distance(make(), grid) / base)
    print(f"of Euler's: {published:.2f} as published, {guarded:.2f}")
    assert guarded < 1.15
    assert published > (1 if isinstance(euler, ERSDE) else 3)


def test_the_lower_end_of_sa_solver() -> None:
    """karras to zero, τ = 1: the lowered end of the published method lost 1.5 times; the guard gains."""
    grid = grid_of("karras 80 to 0.002", 20)
    low, full, ours = (
        law_distance(SASolver(1.0, 3, 4, lower_order_final=lower, guard=guard), grid)
        for lower, guard in ((True, None), (False, None), (True, GUARD))
    )
    assert full < 0.7 * low
    assert ours < 0.75 * full


def test_four_points_on_equal_steps() -> None:
    """Steps of 0.4 in log σ take all four; a bound of guard/reach took three, with up to 6 times the error."""
    for hi, lo, n in ((80.0, 0.01, 24), (80.0, 0.002, 30), (80.0, 0.01, 20)):
        grid = log_snr(n, hi, lo)
        for make in (partial(DPMSolverPPM, 4), partial(UniPC, 4), partial(Adams, 4)):
            assert tabulate(make(), grid).answer == tabulate(make(guard=None), grid).answer
    four, three = (tabulate(DPMSolverPPM(k), log_snr(10, 80, 0.002)).answer for k in (4, 3))
    assert four == three  # steps of 1.06


def test_many_points_stay_bounded() -> None:
    """Eight points were off by 10⁵ on a mixture."""
    grid = grid_of("leading", 40)
    assert error(Adams(8, guard=None), Mixture(), grid) > 1000
    assert error(Adams(8), Mixture(), grid) < error(Euler(), Mixture(), grid)


def test_the_measure() -> None:
    """Equal steps in σ: 2 and 11/3; and 1 + r of two points whose step is r times the one before it."""
    for points, growth in ((2, 2), (3, 11 / 3), (4, 20 / 3)):
        nodes = tuple(100.0 + k for k in range(points))
        w = adams_weights(NOISE, SIGMA, nodes, 100.0, 99.0)
        assert sum(map(abs, w)) / abs(sum(w)) == pytest.approx(growth)
    for ratio in (0.5, 2.0, 4.0):
        w = adams_weights(NOISE, SIGMA, (100.0, 101.0), 100.0, 100.0 - ratio)
        assert sum(map(abs, w)) / abs(sum(w)) == pytest.approx(1 + ratio)
        assert within(w, 1.0, 2.1) == (1 + ratio <= 2.1)
        assert within(w, 2.1 / (1 + ratio) - 1e-9, 2.1)  # a short step has any number of points


@pytest.mark.parametrize("chart", [NOISE, DATA], ids=repr)
def test_fewer_points_in_a_long_step(chart) -> None:
    """Three points where the steps are alike; the long step takes one, as Euler does."""

    def weights(nodes):
        return adams_weights(chart, LOG_SIGMA, nodes, nodes[0], t)

    for t, kept in ((0.7, 3), (0.003, 1)):
        assert len(guarded(weights, (1.0, 1.5, 2.2), 1.0, t, GUARD)) == kept
        assert len(guarded(weights, (1.0, 1.5, 2.2), 1.0, t, None)) == 3
    table = tabulate(Adams(3, chart), Grid([2.2, 1.5, 1.0, 0.003])).nodes
    added = np.array(table[2]) - np.pad(table[1], (0, 1)) * 1.0
    if chart == NOISE:
        assert added[-1] == pytest.approx(0.003 - 1.0)
        assert abs(added[:-1]).max() < 1e-14


EVEN = [
    log_snr(12, 10, 0.05),
    log_snr(20, 80, 0.002),
    karras(40, 10, 0.05),
    karras(160, 1, 0.2),
    uniform(10, 10, 4),
]


@pytest.mark.parametrize("grid", EVEN, ids=str)
def test_grids_without_long_steps_are_left_alone(grid: Grid) -> None:
    """Bit for bit, where the orders and most grids are."""
    pairs: list[tuple[Solver, Solver]] = [
        (DPMSolverPP2M(), DPMSolverPP2M(guard=None)),
        *((UniPC(k, c), UniPC(k, c, guard=None)) for k in (1, 2, 3) for c in (DATA, NOISE)),
        *((make(3), make(3, guard=None)) for make in (LMS, DEIS, DPMSolverM, DPMSolverPPM)),
    ]
    for ours, published in pairs:
        assert tabulate(ours, grid).matrix.tolist() == tabulate(published, grid).matrix.tolist()


def test_up_the_grid_the_same_steps_are_long() -> None:
    up = Grid([2.0, 1.5, 1.0, 0.01]).reversed()
    assert [t / s > 50 for s, t in pairwise(up)] == [True, False, False]
    assert tabulate(UniPC(3), up).answer is not None


def test_as_published_by_name() -> None:
    assert repr(UniPC(3, guard=None)) == "UniPC(points=3, guard=None)"
    assert repr(LMS(3, guard=None)) == "LMS(3, guard=None)"
    assert repr(DPMSolverPP2M()) == "DPMSolverPP2M()"
    assert UniPC(3) != UniPC(3, guard=None)
    assert LMS(3) == Adams(3, NOISE, SIGMA)


@pytest.mark.parametrize("guard", [0, -1.0, True, "2", float("nan")])
@pytest.mark.parametrize(
    "make",
    [
        Adams,
        UniPC,
        DPMSolverPP2M,
        IPNDM,
        PLMS,
        PNDM,
        ERSDE,
        SASolver,
        DPMSolverPP2MSDE,
        DPMSolverPP3MSDE,
    ],
)
def test_a_guard_is_a_number(make, guard) -> None:
    says(
        ValueError,
        f"{make.__name__}: guard must be a number above 0, or None for the method as published, but got "
        f"{guard!r}.",
        lambda: make(guard=guard),
    )


@pytest.mark.parametrize("points", [0, -1, 2.0, 3.5, 1e9, True, "3", None])
@pytest.mark.parametrize(
    ("make", "least", "most"),
    [(Adams, 1, 8), (UniPC, 1, 8), (PNDM, 1, 4), (IPNDM, 1, 4), (IPNDMV, 1, 4), (GridSinglestep, 1, 3),
     (PublishedDPMSolver, 2, 3), (ERSDE, 1, 8)],
)  # fmt: skip
def test_points_are_a_whole_number(make, least: int, most: int, points) -> None:
    """2.0 and 1e9 once ended in a TypeError of a slice, inside the first step."""
    says(
        ValueError,
        f"{make.__name__} has {least} to {most} points, a whole number, but got points = {points!r}.",
        lambda: make(points),
    )
    with pytest.raises(ValueError, match=f"points = {most + 1}"):
        make(most + 1)
    assert make(most).points == most
