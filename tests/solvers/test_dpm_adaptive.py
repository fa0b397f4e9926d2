"""DPM-Solver-12 and -23: tolerances, samples that do not see each other, limits, and k-diffusion's."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve import (
    ODE,
    VPSDE,
    DiffusionODE,
    EpsPrediction,
    Grid,
    Wrapped,
    karras,
    log_snr,
    sample,
    solve,
)
from flowsolve.errors import BudgetError, GridError, NonFiniteError
from flowsolve.problems import Mixture, Mixture1D, exact_network
from flowsolve.solver.plugins import make_solver
from flowsolve.study import work_precision
from flowsolve_solvers import DPMSolverAdaptive, Scipy
from tests.helpers import ConstantNoise

PROBLEM, WIDE = Mixture(), Mixture1D()
X = PROBLEM.start(range(5), torch.float64)
ENDS = Grid([10, 0.05])
KINDS = [
    DPMSolverAdaptive(order=order, controller=controller, batch=batch)
    for order in (2, 3)
    for controller in ("pid", "i")
    for batch in ("each", "joint")
]
kinds = pytest.mark.parametrize("solver", KINDS, ids=repr)


class Tally(ODE):
    """Levels and batch sizes of every evaluation."""

    def __init__(self, ode: ODE) -> None:
        self.ode, self.calls = ode, list[tuple[int, float]]()

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        assert isinstance(sigma, float)
        self.calls.append((len(x), sigma))
        return self.ode.eps(x, sigma)


@kinds
def test_errors_follow_the_tolerance(solver: DPMSolverAdaptive) -> None:
    x = WIDE.start(range(8), torch.float64)
    exact = WIDE.flow(x, *ENDS)
    errors, costs = [], []
    for tol in (1e-2, 1e-3, 1e-4, 1e-5):
        got = solve(WIDE, x, ENDS, replace(solver, rtol=tol, atol=tol))
        errors.append(float((got.x - exact).abs().max()))
        costs.append(got.nfe)
        # the official controller's steps grow without limit: of 8 samples one is lost, at 1e-3
        assert errors[-1] < (100 if solver.controller == "i" else 5) * tol
    assert solver.controller == "i" or errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01 * errors[0]
    assert costs == sorted(set(costs))


@kinds
def test_counts(solver: DPMSolverAdaptive) -> None:
    """A trial costs `order` evaluations, less the first after a rejection; ε is asked of one sample."""
    tally = Tally(PROBLEM)
    got = solve(tally, X, ENDS, replace(solver, h_init=3.0, rtol=1e-3, atol=1e-3))
    accepted, rejected = got.stats["accepted"], got.stats["rejected"]
    assert rejected > 0  # a first step of 3 in log σ is too long
    assert got.nfe == len(tally.calls) == solver.order * accepted + (solver.order - 1) * rejected
    assert {n for n, _ in tally.calls} == ({1} if solver.batch == "each" else {len(X)})
    alone = [solve(PROBLEM, x[None], ENDS, replace(got.solver, batch="joint")) for x in X]  # type: ignore[type-var]
    if solver.batch == "each":
        assert got.nfe == sum(a.nfe for a in alone)
        assert got.stats["nfe_max"] == max(a.nfe for a in alone) < got.nfe
        for name in ("accepted", "rejected"):
            assert got.stats[name] == sum(a.stats[name] for a in alone)
    else:
        assert got.stats["nfe_max"] == got.nfe


@kinds
def test_no_trial_is_made_twice(solver: DPMSolverAdaptive) -> None:
    """A rejected step that the end had shortened is not the next one again."""
    tally = Tally(PROBLEM)
    got = solve(tally, X[:1], ENDS, replace(solver, h_init=50.0))
    assert got.stats["rejected"] > 0
    levels = [s for _, s in tally.calls]
    assert len(levels) == len(set(levels))


def test_forwards_are_those_of_a_sample() -> None:
    precondition = EpsPrediction(VPSDE())
    ode = DiffusionODE(exact_network(PROBLEM, precondition), precondition)
    got = solve(ode, X, ENDS, DPMSolverAdaptive())
    assert got.forwards == pytest.approx(got.nfe / len(X))


@pytest.mark.parametrize("grid", [ENDS, karras(7, 10, 0.05)], ids=str)
@pytest.mark.parametrize("order", [2, 3])
def test_a_sample_does_not_see_its_batch(order: int, grid: Grid) -> None:
    solver = DPMSolverAdaptive(order=order)
    together = solve(PROBLEM, X, grid, solver).x
    for i in range(len(X)):
        assert together[i].equal(solve(PROBLEM, X[i : i + 1], grid, solver).x[0])
    pair = solve(PROBLEM, X[[3, 1]], grid, solver).x
    assert pair.equal(together[[3, 1]])
    joint = replace(solver, batch="joint")
    seen = solve(PROBLEM, X, grid, joint).x[0] - solve(PROBLEM, X[:1], grid, joint).x[0]
    assert seen.abs().max() > 1e-6  # there it does


@kinds
def test_levels_are_met(solver: DPMSolverAdaptive) -> None:
    """Every level is a state of the trajectory, and an evaluation is made at exactly that level."""
    run, x = replace(solver, rtol=1e-5, atol=1e-5), X[:2]
    grid = Grid([10, 9.99, 4.1, 0.6, 0.5999999, 0.05])
    tally = Tally(PROBLEM)
    got = solve(tally, x, grid, run, keep=1)
    assert [p.sigma for p in got.path] == list(grid)
    assert set(grid[:-1]) <= {s for _, s in tally.calls}
    assert min(s for _, s in tally.calls) >= grid[-1]
    fine = Scipy()
    for point, level in zip(got.path[1:], grid[1:], strict=True):
        exact = solve(PROBLEM, x, [10, level], fine).x
        torch.testing.assert_close(point.x, exact, rtol=1e-4, atol=1e-4)


def test_a_shortened_step_leaves_the_step_size_alone() -> None:
    """Levels cost their own steps, not a new start after each."""
    solver = DPMSolverAdaptive(rtol=1e-4, atol=1e-4, batch="joint")
    free = solve(PROBLEM, X, ENDS, solver).stats
    with_levels = solve(PROBLEM, X, log_snr(6, 10, 0.05), solver).stats
    assert with_levels["accepted"] <= free["accepted"] + 5
    assert with_levels["rejected"] <= free["rejected"] + 2


def official(order: int, x: Tensor, ode: ODE, ends: Grid) -> tuple[Tensor, int]:
    """dpm_solver_adaptive of the authors' code, line by line: x is x_t = α x̄, (B, d), at ends[0].

    The state at ends[1], and its evaluations, `order` a trial.      Lu et al. 2022a, dpm_solver_pytorch.py.
    """

    def sigma(lam: float) -> float:
        return math.exp(-lam)

    def alpha(lam: float) -> float:
        return ode.alpha(sigma(lam))

    def noise(x: Tensor, lam: float) -> Tensor:
        return ode.eps(x / alpha(lam), sigma(lam))

    def first(x: Tensor, s: float, t: float, e: Tensor) -> Tensor:
        return alpha(t) / alpha(s) * x - alpha(t) * sigma(t) * math.expm1(t - s) * e

    s, end = -math.log(ends[0]), -math.log(ends[1])
    h, nfe, atol, rtol, theta = 0.05, 0, 0.0078, 0.05, 0.9
    x_prev = x
    while end - s > 1e-5:
        t, e = s + h, noise(x, s)
        r1, r2 = (1 / 2 if order == 2 else 1 / 3), 2 / 3
        e1 = noise(first(x, s, s + r1 * h, e), s + r1 * h)
        second = first(x, s, t, e) - (0.5 / r1) * alpha(t) * sigma(t) * math.expm1(h) * (e1 - e)
        if order == 2:
            x_lower, x_higher = first(x, s, t, e), second
        else:
            s2 = s + r2 * h
            phi_22, phi_2 = math.expm1(r2 * h) / (r2 * h) - 1, math.expm1(h) / h - 1
            at_s2 = first(x, s, s2, e) - r2 / r1 * alpha(s2) * sigma(s2) * phi_22 * (e1 - e)
            e2 = noise(at_s2, s2)
            x_lower = second
            x_higher = first(x, s, t, e) - (1 / r2) * alpha(t) * sigma(t) * phi_2 * (e2 - e)
        delta = (rtol * x_lower.abs().maximum(x_prev.abs())).clamp(min=atol)
        error = float(((x_higher - x_lower) / delta).square().mean(-1).sqrt().max())
        if error <= 1:
            x, s, x_prev = x_higher, t, x_lower
        h = min(theta * h * error ** (-1 / order), end - s)
        nfe += order
    return x, nfe


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("top", [10.0, 80.0])
def test_the_official_controller(order: int, top: float) -> None:
    """The error is that of x_t, each state with its own α; of a batch the largest counts."""
    ends, each = Grid([top, 0.01]), DPMSolverAdaptive(order=order, controller="i")
    x = Mixture(sigma_max=top, sigma_min=0.01).start(range(5), torch.float64)
    for solver, starts in ((each, [*x.split(1)]), (replace(each, batch="joint"), [x])):
        for start in starts:
            expected, nfe = official(order, start * PROBLEM.alpha(top), PROBLEM, ends)
            got = solve(PROBLEM, start, ends, solver)
            torch.testing.assert_close(got.x_t, expected, rtol=1e-9, atol=1e-9)
            assert nfe == order * (got.stats["accepted"] + got.stats["rejected"])


def test_the_official_error_beats_one_in_x_bar_on_vp() -> None:
    """At its default tolerances: in x̄ (as if α were 1) the first steps are long, for there x̄ is large."""

    class Unscaled(Wrapped):
        def alpha(self, sigma: float) -> float:
            return 1.0

    ends = Grid([150.0, 0.01])
    problem = Mixture(sigma_max=150.0, sigma_min=0.01)
    x = problem.start(range(16), torch.float64)
    exact = solve(problem, x, ends, DPMSolverAdaptive(rtol=1e-8, atol=1e-8)).x
    solver = DPMSolverAdaptive(controller="i")
    scaled, plain = (solve(ode, x, ends, solver).x for ode in (problem, Unscaled(problem)))
    assert 5 * float((scaled - exact).square().mean().sqrt()) < float(
        (plain - exact).square().mean().sqrt()
    )


# ----------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("batch", ["each", "joint"])
@pytest.mark.parametrize("max_nfe", [1, 20, 50])
def test_max_nfe_holds_what_was_reached(max_nfe: int, batch: str) -> None:
    grid = karras(5, 10, 0.05)
    solver = DPMSolverAdaptive(rtol=1e-7, atol=1e-7, max_nfe=max_nfe, batch=batch)
    for x in (X, X[:1]):
        with pytest.raises(BudgetError, match=f"max_nfe = {max_nfe} ran out") as caught:
            solve(PROBLEM, x, grid, solver)
        partial = caught.value.partial
        assert partial is not None
        reached = partial.grid[-1]
        assert partial.x.shape == x.shape
        if len(x) == 1 or batch == "joint":
            assert partial.nfe == max_nfe
            assert reached < 10 or max_nfe < 3
        else:
            assert reached in grid  # the last level where all samples stood
        if reached != 10:
            fine = DPMSolverAdaptive(rtol=1e-9, atol=1e-9)
            exact = solve(PROBLEM, x, [10, reached], fine).x
            torch.testing.assert_close(partial.x, exact, rtol=1e-5, atol=1e-5)


def test_max_nfe_is_of_one_sample() -> None:
    """Or a sample's fate would depend on its batch."""
    need = solve(PROBLEM, X, ENDS, DPMSolverAdaptive()).stats["nfe_max"]
    assert solve(PROBLEM, X, ENDS, DPMSolverAdaptive(max_nfe=need)).nfe > need
    with pytest.raises(BudgetError):
        solve(PROBLEM, X, ENDS, DPMSolverAdaptive(max_nfe=need - 1))


@kinds
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_values_end_it(solver: DPMSolverAdaptive, bad: float) -> None:
    class Broken(ODE):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            out = PROBLEM.eps(x, sigma)
            return out if sigma > 1 else torch.full_like(out, bad)

    with pytest.raises(
        NonFiniteError, match=r"could not go on from σ = [1-9][\d.]* after \d+ eval"
    ):
        solve(Broken(), X, ENDS, solver)


def test_it_goes_down_only() -> None:
    with pytest.raises(GridError, match="goes down the grid only"):
        solve(PROBLEM, X, ENDS.reversed(), DPMSolverAdaptive())


def test_ends_of_sample() -> None:
    grid = Grid([10, 0.05]).from_infinity().to_zero()
    got = sample(PROBLEM, X / 10, grid, DPMSolverAdaptive())
    assert got.nfe == 2 + 3 * got.stats["accepted"] + 2 * got.stats["rejected"]


def test_a_step_that_is_exact_at_once() -> None:
    """ε constant: no error at all, and no division by it."""

    for solver in KINDS:
        got = solve(ConstantNoise(), X, ENDS, solver).x
        torch.testing.assert_close(got, X + 0.7 * (0.05 - 10), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_dtypes(dtype: torch.dtype) -> None:
    x = PROBLEM.start(range(3), dtype)
    assert solve(PROBLEM, x, ENDS, DPMSolverAdaptive()).x.dtype == dtype


def test_gradients() -> None:
    """Through the accepted steps; the steps themselves move with x, and no gradient sees that."""
    solver = DPMSolverAdaptive(rtol=1e-6, atol=1e-6)
    x = (X / 4).requires_grad_()
    solve(PROBLEM, x, [2.5, 0.3], solver, grad=True).x.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    d = torch.cos(torch.arange(X.numel(), dtype=torch.float64)).reshape(X.shape)

    def value(step: float) -> float:
        return float(solve(PROBLEM, X / 4 + step * d, [2.5, 0.3], solver).x.sum())

    assert float((x.grad * d).sum()) == pytest.approx((value(1e-3) - value(-1e-3)) / 2e-3, rel=1e-2)


@pytest.mark.parametrize(
    "options",
    [
        {"order": 4}, {"controller": "pi"}, {"batch": "all"}, {"rtol": 0.0}, {"atol": -1.0},
        {"h_init": 0.0}, {"max_nfe": 0}, {"accept_safety": 1.0}, {"theta": 1.5},
    ],
)  # fmt: skip
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"DPMSolverAdaptive|tolerances|accept_safety"):
        DPMSolverAdaptive(**options)


def test_the_command_line_knows_it() -> None:
    made = make_solver("dpmsolveradaptive:order=2,controller=i,batch=joint,rtol=0.01")
    assert made == DPMSolverAdaptive(order=2, controller="i", batch="joint", rtol=0.01)
    assert make_solver(repr(made)) == made


@pytest.mark.parametrize("block", [1, 4])
def test_a_study_shows_the_cost_of_a_sample(block: int) -> None:
    study = work_precision(
        [DPMSolverAdaptive()], PROBLEM, [], seeds=range(4), block=block, tolerances=(1e-3,),
        dtype=torch.float64,
    )  # fmt: skip
    assert not study.failures
    (rows,) = study.series.values()
    x = PROBLEM.start(range(4), torch.float64)
    whole = solve(PROBLEM, x, ENDS, DPMSolverAdaptive(rtol=1e-3, atol=1e-3))
    assert rows[0].nfe == round(whole.nfe / 4) == round(whole.per_sample)


# ------------------------------------------------------------------------------------ k-diffusion


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {}, {"rtol": 1e-3, "atol": 1e-4}, {"rtol": 1e-5, "atol": 1e-6}, {"h_init": 3.0},
        {"pcoeff": 0.3, "icoeff": 0.5, "dcoeff": 0.1, "rtol": 1e-3},
        {"accept_safety": 0.95, "rtol": 1e-2},
    ],
    ids=repr,
)  # fmt: skip
def test_sample_dpm_adaptive(k_sampling: Any, order: int, options: dict[str, float]) -> None:
    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return PROBLEM.x0(x, float(sigma[0]))

    def theirs(x: Tensor) -> tuple[Tensor, dict[str, int]]:
        answer: tuple[Tensor, dict[str, int]] = k_sampling.sample_dpm_adaptive(
            denoise, x, 0.05, 10.0, order=order, return_info=True, disable=True, **options
        )
        return answer

    known: Any = options
    x, info = theirs(X)
    joint = solve(PROBLEM, X, ENDS, DPMSolverAdaptive(order=order, batch="joint", **known))
    worst = float((joint.x - x).abs().max())
    assert worst < 1e-10
    assert joint.stats["accepted"] == info["n_accept"]
    assert joint.stats["rejected"] == info["n_reject"]
    assert joint.nfe == info["nfe"] - info["n_reject"]  # theirs asks again where it knows
    each = solve(PROBLEM, X, ENDS, DPMSolverAdaptive(order=order, **known)).x
    for i in range(len(X)):
        worst = max(worst, float((each[i] - theirs(X[i : i + 1])[0][0]).abs().max()))
    print(f"dpm_adaptive, order {order}, {options}: {worst:.1e}")
    assert worst < 1e-10
