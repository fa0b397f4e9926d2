"""GITS: costs as transcribed, a dynamic programme as good as trying all, and what the grids buy here."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from itertools import combinations, pairwise

import pytest
import torch
from torch import Tensor

from flowsolve import (
    GITS,
    ODE,
    Grid,
    gits,
    gits_table,
    karras,
    log_snr,
    sample,
    scaled_linear_beta,
    solve,
)
from flowsolve.cli.spacings import find_spacing
from flowsolve.errors import GridError, NonFiniteError, StateError
from flowsolve.problems import Dataset, Mixture, Mixture1D, Problem
from flowsolve.schedule.gits_published import GITS_TABLES
from flowsolve.solver.base import OneStep, Solver
from flowsolve.study import work_precision
from flowsolve.study.references import reference
from flowsolve_solvers import DDPM, IPNDM, LMS, DPMSolverPP2M, Euler, Heun, Midpoint, Scipy, UniPC

PROBLEM = Mixture()
X = PROBLEM.start(range(6), torch.float64)
FINE = karras(9, 10, 0.05)


class Calls(ODE):
    """PROBLEM, counting what it is asked, by anyone."""

    def __init__(self) -> None:
        self.calls = 0

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        self.calls += 1
        return PROBLEM.eps(x, sigma)


# ----------------------------------------------------------------------------------------- the costs


def deviation(y: Tensor, first: Tensor, last: Tensor) -> float:
    """cal_deviation of gits_utils.py, for one sample."""
    ac, bc = last - y, last - first
    unit = bc / torch.linalg.vector_norm(bc)
    return float(torch.linalg.vector_norm(ac - (ac * unit).sum() * unit))


def transcribed(ode: ODE, x: Tensor, grid: Grid, solver: Solver, metric: str) -> list[list[float]]:
    states = [x, *solver.steps(ode, x, grid)]
    n = grid.steps
    costs = [[math.inf] * (n + 1) for _ in range(n + 1)]
    for i in range(n):
        eps = ode.eps(states[i], grid[i])
        for j in range(i + 1, n + 1):
            each = []
            for b in range(len(x)):
                y = states[i][b] + (grid[j] - grid[i]) * eps[b]
                if metric == "dev":
                    ends = (states[0][b], states[-1][b])
                    each.append(deviation(y, *ends) - deviation(states[j][b], *ends))
                else:
                    each.append(float((y - states[j][b]).flatten().norm(p=int(metric[1]))))
            costs[i][j] = math.fsum(each) / len(each)
    return costs


@pytest.mark.parametrize("solver", [Euler(), Heun(), IPNDM(), DPMSolverPP2M(), UniPC(2)], ids=repr)
@pytest.mark.parametrize("metric", ["dev", "l1", "l2"])
def test_costs_are_those_of_the_paper(metric: str, solver: Solver) -> None:
    got = gits(PROBLEM, X, FINE, solver, metric=metric)
    expected = transcribed(PROBLEM, X, FINE, solver, metric)
    assert len(got.costs) == len(expected) == 10
    for row, other in zip(got.costs, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-9, abs=1e-12)
    assert (got.samples, got.metric, got.coeff, got.teacher) == (6, metric, 1.15, FINE)


@pytest.mark.parametrize("metric", ["dev", "l1", "l2"])
def test_eulers_own_steps_cost_nothing(metric: str) -> None:
    found = gits(PROBLEM, X, FINE, Euler(), metric=metric)
    assert [found.costs[i][i + 1] for i in range(9)] == pytest.approx([0] * 9, abs=1e-12)
    assert found(9).levels == FINE.levels


def test_costs_scale_with_the_state() -> None:
    """ε(cx, cσ) = ε(x, σ) for data scaled by c: all costs scale, and the same steps are chosen."""
    wide = Mixture1D(means=(-3.0, 2.4), deviations=(0.9, 0.6), sigma_max=30, sigma_min=0.15)
    narrow = Mixture1D()
    x = narrow.start(range(8), torch.float64)
    a = gits(narrow, x, FINE, Heun(), metric="l2")
    b = gits(wide, 3 * x, Grid(3 * s for s in FINE), Heun(), metric="l2")
    assert b.costs[2][3:] == pytest.approx([3 * c for c in a.costs[2][3:]], rel=1e-9)
    assert b(4).levels == pytest.approx([3 * s for s in a(4)])


@pytest.mark.parametrize("shape", [(6, 2), (6, 1, 2), (6, 2, 1, 1)])
def test_any_event_shape(shape: tuple[int, ...]) -> None:
    class Shaped(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            return PROBLEM.eps(x.reshape(6, 2), sigma).reshape(x.shape)

    got = gits(Shaped(), X.reshape(shape), FINE, Heun())
    assert got == gits(PROBLEM, X, FINE, Heun())


def test_float32_is_compared_in_float64() -> None:
    x = PROBLEM.start(range(64), torch.float32)
    single = gits(PROBLEM, x, karras(30, 10, 0.05), Heun())
    double = gits(PROBLEM, x.double(), karras(30, 10, 0.05), Heun(), keep_on=None)
    for n in (3, 6, 10):
        assert single(n) == double(n)
    assert single.costs[3][4:] == pytest.approx(double.costs[3][4:], rel=1e-3, abs=1e-5)


def test_the_state_is_left_alone() -> None:
    x = X.clone().requires_grad_()
    found = gits(PROBLEM, x, FINE, Heun())
    assert torch.equal(x.detach(), X)
    assert x.grad is None
    assert found == gits(PROBLEM, X, FINE, Heun())


# ------------------------------------------------------------------------------ the dynamic programme


def total(found: GITS, nodes: tuple[int, ...]) -> float:
    return math.fsum(found.coeff**k * found.costs[i][j] for k, (i, j) in enumerate(pairwise(nodes)))


@pytest.mark.parametrize("coeff", [0.8, 1.0, 1.15])
@pytest.mark.parametrize("metric", ["dev", "l1", "l2"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_it_is_as_good_as_trying_all(n: int, metric: str, coeff: float) -> None:
    found = gits(PROBLEM, X, FINE, Heun(), coeff=coeff, metric=metric)
    every = [(0, *inner, 9) for inner in combinations(range(1, 9), n - 1)]
    best = min(every, key=partial(total, found))
    assert found(n).levels == tuple(FINE[i] for i in best)
    assert found(n).steps == n


@pytest.mark.parametrize("n", range(1, 10))
def test_every_number_of_steps(n: int) -> None:
    grid = gits(PROBLEM, X, FINE, Heun())(n, 10, 0.05)
    assert (grid.steps, grid[0], grid[-1]) == (n, 10, 0.05)
    assert set(grid) <= set(FINE)


def test_of_equal_costs_the_first_level() -> None:
    """Also where rounding would make sums that should be equal differ."""
    rows = [[0.1 if j > i else math.inf for j in range(6)] for i in range(6)]
    found = GITS(Grid([5, 4, 3, 2, 1, 0.5]), tuple(map(tuple, rows)), 1)
    assert found(3).levels == (5, 4, 3, 0.5)


def test_more_steps_cost_less_without_a_weight() -> None:
    """γ = 1 and errors in norm: a step more is never worse (the triangle of Euler's steps aside)."""
    found = gits(PROBLEM, X, karras(30, 10, 0.05), Euler(), coeff=1, metric="l2")
    level = {s: i for i, s in enumerate(found.teacher)}
    costs = [total(found, tuple(level[s] for s in found(n))) for n in range(1, 31)]
    assert all(b < a for a, b in pairwise(costs))
    assert costs[-1] == pytest.approx(0, abs=1e-12)


# ------------------------------------------------------------------------------------------- its use


@pytest.mark.parametrize("parts", [(3, 3), (1, 5), (2, 2, 2)])
@pytest.mark.parametrize("metric", ["dev", "l1", "l2"])
def test_searches_add_up(metric: str, parts: tuple[int, ...]) -> None:
    whole = gits(PROBLEM, X, FINE, Heun(), metric=metric)
    split = [gits(PROBLEM, x, FINE, Heun(), metric=metric) for x in X.split(parts)]
    joined = split[0]
    for part in split[1:]:
        joined = joined + part
    assert joined.samples == 6
    for row, other in zip(joined.costs, whole.costs, strict=True):
        assert row == pytest.approx(other, rel=1e-12, abs=1e-14)
    for n in range(1, 10):
        assert joined(n) == whole(n)


def test_searches_that_are_not_one() -> None:
    one = gits(PROBLEM, X, FINE, Heun())
    for name, other in {
        "teacher": gits(PROBLEM, X, karras(8, 10, 0.05), Heun()),
        "metric": gits(PROBLEM, X, FINE, Heun(), metric="l2"),
        "coeff": replace(one, coeff=1.0),
    }.items():
        with pytest.raises(
            GridError, match=f"the two searches differ in {name}, so they have no sum"
        ):
            one + other


@pytest.mark.parametrize(
    ("solver", "nfe"),
    [(Euler(), 10), (IPNDM(), 10), (DPMSolverPP2M(), 10), (Heun(), 19), (UniPC(2), 18)],
    ids=repr,
)
def test_what_it_costs(solver: Solver, nfe: int) -> None:
    """The solver's evaluations are used again; UniPC's are at predicted, not at corrected, states."""
    ode = Calls()
    found = gits(ode, X, FINE, solver)
    assert ode.calls == nfe
    found(3), found(5)
    assert ode.calls == nfe


def test_down_to_zero() -> None:
    """By a teacher that goes there, with no evaluation there; others say what to do."""
    ode = Calls()
    found = gits(ode, X, FINE.to_zero(), Euler())
    assert ode.calls == 10
    assert found(4)[-1] == 0
    assert solve(PROBLEM, X, found(4), LMS(2)).x.isfinite().all()
    inner = gits(PROBLEM, X, FINE, Heun())
    noise = torch.randn(4, 2, dtype=torch.float64)
    assert sample(PROBLEM, noise, lambda n: inner(n).to_zero(), Heun(), nfe=7).nfe == 7


def test_in_a_study_and_by_nfe() -> None:
    found = gits(PROBLEM, X, karras(60, 10, 0.05), Heun())
    study = work_precision(
        [Euler(), Heun()], PROBLEM, [6, 10], spacings=[found, replace(found, coeff=1.0), karras],
        seeds=range(4), cached=False,
    )  # fmt: skip
    assert not study.failures
    names = {"gits", "gits(coeff=1)", "karras"}
    assert set(study.series) == {(s, name) for s in ("Euler()", "Heun()") for name in names}
    assert solve(PROBLEM, X, found, Heun(), nfe=10).grid == found(5)
    # although the search for the longest grid tries 64 steps
    assert solve(PROBLEM, X, found, Euler(), nfe=40).grid == found(40)
    with pytest.raises(GridError, match="among the teacher's 60 steps, and cannot make 61"):
        solve(PROBLEM, X, found, Euler(), nfe=61)
    assert found(5).name == "gits"
    assert replace(found, coeff=1.2, metric="l2")(5).name == "gits(coeff=1.2, metric=l2)"
    assert repr(found) == "GITS(samples=6, metric='dev', coeff=1.15)"


def test_what_it_buys_on_exact_problems() -> None:
    """Euler, whose steps the costs are, with metric l2 and γ = 1: less than both even grids."""
    for problem in (Mixture(), Dataset()):
        ends = (problem.sigma_max, problem.sigma_min)
        found = gits(
            problem, problem.start(range(256), torch.float64), karras(60, *ends), IPNDM(),
            coeff=1, metric="l2",
        )  # fmt: skip
        error = partial(error_of, problem)
        for n in (5, 6, 8, 10):
            tuned = error(Euler(), found(n))
            assert tuned < error(Euler(), log_snr(n, *ends)) < error(Euler(), karras(n, *ends))
        # and no promise for other methods
        assert any(
            error(solver, found(n)) > error(solver, log_snr(n, *ends))
            for solver in (IPNDM(), DPMSolverPP2M())
            for n in (5, 6, 8, 10)
        )


def error_of(problem: Problem, solver: Solver, grid: Grid) -> float:
    x = problem.start(range(1000, 1064), torch.float64)
    truth = reference(problem, x, problem.sigma_max, problem.sigma_min).x
    return float((solve(problem, x, grid, solver).x - truth).square().mean().sqrt())


# ---------------------------------------------------------------------------------------- wrong input


def test_what_it_cannot_search() -> None:
    search = partial(gits, PROBLEM, X)
    with pytest.raises(GridError, match="metric must be one of dev, l1, l2, but got 'lpips'"):
        search(FINE, Heun(), metric="lpips")
    for coeff in (0, -1.0, math.nan, math.inf):
        with pytest.raises(
            GridError, match=r"coeff must be a number above 0, .*The paper's is 1\.15"
        ):
            search(FINE, Heun(), coeff=coeff)
    with pytest.raises(GridError, match=r"DDIMEta\(\) draws noise; the teacher needs fixed steps"):
        search(FINE, DDPM())
    with pytest.raises(GridError, match=r"Scipy.* chooses its own steps; the teacher needs fixed"):
        search(FINE, Scipy())
    with pytest.raises(GridError, match="σ must fall on its grid"):
        search(FINE.reversed(), Heun())
    for grid in (FINE.to_zero(), FINE.from_infinity()):
        with pytest.raises(GridError, match=r"Heun\(\) walks finite levels .*\.from_infinity\(\)"):
            search(grid, Heun())
    with pytest.raises(StateError, match=r"did you mean Heun\(\)"):
        search(FINE, Heun)
    with pytest.raises(GridError, match=r'a state of one number has no others.*Use metric="l2"'):
        gits(Mixture1D(), Mixture1D().start(range(4)), FINE, Heun())


def test_grids_that_it_does_not_have() -> None:
    found = gits(PROBLEM, X, FINE, Heun())
    with pytest.raises(GridError, match="gits: a grid needs at least one step, but got n = 0"):
        found(0)
    with pytest.raises(GridError, match="among the teacher's 9 steps, and cannot make 10 of them"):
        found(10)
    with pytest.raises(
        GridError, match=r"searched from σ = 10\.0 to 0\.05, and has no grid from 80"
    ):
        found(5, 80, 0.05)


class BetweenNodes(OneStep):
    """Never asks at a level, so a network that fails there alone does not spoil its states."""

    order = 1

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        return x + (t - s) * ode.eps(x, (s + t) / 2)


@pytest.mark.parametrize(("solver", "says"), [
    (Heun(), "network's answer is not finite at evaluation 8"),
    (Midpoint(), "network's answer is not finite at evaluation 9"),
    (BetweenNodes(), r"gits: the costs from σ = 1\.\d+ on are not finite"),
], ids=repr)  # fmt: skip
def test_a_network_that_fails(solver: Solver, says: str) -> None:
    class Broken(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            out = PROBLEM.eps(x, sigma)
            return out * math.nan if sigma == FINE[4] else out

    with pytest.raises(NonFiniteError, match=says):
        gits(Broken(), X, FINE, solver)


# ----------------------------------------------------------------------------------- published tables


def test_the_published_lists() -> None:
    """Each a choice of a 61-level grid that its paper's code makes, to the four digits printed."""
    clock = scaled_linear_beta(between="log_alpha")
    fine = {name: karras(60, 80, 0.002) for name in ("cifar10", "ffhq", "afhqv2")}
    fine["sd15"] = Grid(clock.sigma(999 * (1 - i / 60)) for i in range(61))
    for name, lists in GITS_TABLES.items():
        assert [*lists] == [*range(min(lists), max(lists) + 1)]
        for n, levels in lists.items():
            assert Grid(levels).steps == n
            assert (levels[0], levels[-1]) == (lists[10][0], lists[10][-1])
            if name in fine:
                assert set(levels) <= {round(s, 4) for s in fine[name]}
    readme = (80, 10.9836, 3.8811, 1.584, 0.5666, 0.1698, 0.002)
    assert GITS_TABLES["ffhq"][6] == readme  # where it is the list of CIFAR-10


@pytest.mark.parametrize("table", GITS_TABLES)
def test_the_tables_are_spacings(table: str) -> None:
    lists = GITS_TABLES[table]
    for n, levels in lists.items():
        got = gits_table(n, levels[0], levels[-1], table)
        assert got.levels == pytest.approx(levels, rel=1e-12)
    ends = (lists[10][0], lists[10][-1])
    longest = lists[max(lists)]
    doubled = gits_table(2 * max(lists), *ends, table)
    assert doubled[::2] == pytest.approx(longest, rel=1e-12)
    assert gits_table(1, *ends, table).levels == ends
    part = gits_table(7, 10, 0.05, table)
    assert (part.steps, part[0], part[-1]) == (7, 10, 0.05)
    assert part.name == ("gits_table" if table == "sd15" else f"gits_table(table={table})")
    with pytest.raises(GridError, match=r"gits_table\(.*knows levels from"):
        gits_table(7, 100, 0.05, table)


def test_an_unknown_table() -> None:
    with pytest.raises(
        GridError, match="knows the tables cifar10, ffhq, afhqv2, lsun, sd15, not 'sd3'"
    ):
        gits_table(5, 10, 0.05, "sd3")


@pytest.mark.parametrize("text", ["gits_table", "gits_table:table=cifar10"])
def test_the_command_line_finds_them(text: str) -> None:
    table = text.partition("=")[2] or "sd15"
    assert find_spacing(text, scaled_linear_beta())(6, 10, 0.05) == gits_table(6, 10, 0.05, table)
