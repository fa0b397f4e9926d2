"""sample without a grid and a solver: the default rule, its budget, its levels and what it says."""

from __future__ import annotations

import math
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import torch

import flowsolve as fs
from flowsolve import DiffusionODE, FlowPrediction, Grid, Scales, karras, sample, solve, unit_noise
from flowsolve.errors import BudgetError, NameClash, NameUnknown, StateError
from flowsolve.problems import Dataset, Digits, Mixture, Mixture1D, NetworkProblem, Problem
from flowsolve.solver import Rule, Solver, default_rule, rule
from flowsolve.study import reference
from flowsolve_solvers import AdaptiveUniPC, CorrectedStart, Euler, Heun, TwoScales, UniPC
from tests.helpers import says


class Fresh(fs.ODE):
    """The mixture, which does not know its scales."""

    def eps(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return Mixture().eps(x, sigma)


PROBLEMS = [Mixture(), Mixture1D(), Dataset()]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
@pytest.mark.parametrize("nfe", [1, 2, 3, 4, 7, 8, 15, 16, 40, 100])
def test_the_budget_is_met(problem: Problem, nfe: int) -> None:
    done = sample(problem, unit_noise(range(4), problem.event, torch.float64), nfe=nfe)
    assert done.nfe == nfe
    assert (done.grid[0], done.grid[-1]) == (problem.sigma_max, problem.sigma_min)
    assert bool(done.x.isfinite().all())


def test_it_says_what_was_chosen() -> None:
    ode = NetworkProblem(Fresh(), (2,), 10.0, 0.05)
    noise = unit_noise(range(8), (2,), torch.float64)
    guessed = sample(ode, noise, nfe=8)
    assert guessed.grid.name == "two_scales(std=0.5, top=2)"
    assert sample(ode, noise, guessed.grid, guessed.solver).x.equal(guessed.x)
    measured = fs.scales(ode, noise)
    done = sample(ode, noise, nfe=8)
    assert done.grid.name == f"two_scales(std={measured.std:.3g}, top={measured.top:.3g})"
    assert isinstance(done.solver, CorrectedStart)
    assert isinstance(sample(ode, noise, nfe=40).solver, UniPC)


def test_from_pure_noise_to_data() -> None:
    """A flow network knows σ = ∞ and 0, and the last step is the method's own."""
    exact = Mixture()

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        at = float(t[0])
        if at == 1:
            return x - exact.x0(x, math.inf)
        sigma = at / (1 - at)
        return exact.eps(x * (1 + sigma), sigma) - exact.x0(x * (1 + sigma), sigma)

    ode = DiffusionODE(velocity, FlowPrediction())
    noise = unit_noise(range(64), (2,), torch.float64)
    ends = [sample(ode, noise, nfe=n) for n in (8, 20, 120)]
    assert (ends[0].grid[0], ends[0].grid[-1], ends[0].nfe) == (math.inf, 0.0, 8)
    errors = [float((e.x - ends[2].x).square().mean().sqrt()) for e in ends[:2]]
    assert errors[0] < 0.05
    assert errors[1] < 0.01


@pytest.mark.parametrize(
    "problem", [Mixture(), Mixture1D(), Dataset(), Digits()], ids=lambda p: p.name
)
def test_never_worse_than_ddim(problem: Problem) -> None:
    """Scales measured or guessed, on DDIM's own levels by every spacing, in the geometric mean over samples."""
    from flowsolve.study import reference

    dtype = torch.float32 if problem.is_network else torch.float64
    seeds = range(100, 116)
    x = problem.start(seeds, dtype)
    s, t = problem.sigma_max, problem.sigma_min
    truth = reference(problem, x, s, t, tolerance=1e-4).x

    def error(solver: Solver, grid: Grid) -> float:
        off = (solve(problem, x, grid, solver).x - truth).reshape(len(x), -1)
        return float(off.square().mean(1).sqrt().log().mean().exp())

    measured = fs.scales(problem, unit_noise(range(16), problem.event, dtype))
    for nfe in (4, 6, 9, 14, 20):
        ddim = min(
            error(Euler(), grid)
            for grid in (
                karras(nfe, s, t),
                fs.log_snr(nfe, s, t),
                fs.uniform_t(nfe, s, t, clock=problem.clock),
                fs.quadratic_t(nfe, s, t, clock=problem.clock),
            )
        )
        for scales in (measured, Scales(0.5, 2.0)):
            solver, grid = TwoScales().choose(nfe, s, t, scales)
            assert error(solver, grid) < ddim, (nfe, scales)


def test_measured_orders() -> None:
    """From 16 evaluations on it is UniPC with three points: third order once no start is left."""
    problem = Mixture1D(sigma_max=10.0, sigma_min=0.05)
    x = problem.start(range(32), torch.float64)
    exact = problem.flow(x, 10.0, 0.05)
    errors = []
    for nfe in (80, 160):
        solver, grid = TwoScales().choose(nfe, 10.0, 0.05, Scales(0.9, 0.9))
        errors.append(float((solve(problem, x, grid, solver).x - exact).square().mean().sqrt()))
    assert math.log2(errors[0] / errors[1]) > 2.7


def test_what_is_missing_is_said() -> None:
    noise = unit_noise(range(2), (2,))
    says(BudgetError, "sample(ode, noise) needs nfe=", lambda: sample(Mixture(), noise))
    says(
        BudgetError,
        "Heun() needs a grid: sample(ode, noise, lambda n:",
        lambda: sample(Mixture(), noise, solver=Heun(), nfe=3),
    )
    says(
        BudgetError,
        "nfe must be a whole number of at least 1",
        lambda: sample(Mixture(), noise, nfe=0),
    )
    says(StateError, "ode must be an ODE such as", lambda: sample(3, noise, nfe=3))  # type: ignore[arg-type]
    says(
        StateError,
        "solver must be a Solver instance",
        lambda: sample(Mixture(), noise, karras(3, 10, 1)),
    )


def test_a_rule_of_ones_own() -> None:
    class Plain(Rule):
        def choose(
            self, nfe: int, sigma_max: float, sigma_min: float, scales: Scales
        ) -> tuple[Solver, Grid]:
            return Euler(), karras(nfe, sigma_max, sigma_min)

    done = sample(Mixture(), unit_noise(range(2), (2,)), solver=Plain(), nfe=5)
    assert (done.solver, done.nfe, repr(Plain())) == (Euler(), 5, "Plain()")


def test_the_default_comes_from_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_rule() == TwoScales()
    ours = EntryPoint("two_scales", "flowsolve_solvers.two_scales:TwoScales", rule.GROUP)
    other = EntryPoint("other", "elsewhere:Rule", rule.GROUP)
    for found, kind, text in (
        ([], NameUnknown, "no installed package offers a default method"),
        ([ours, other], NameClash, "several packages offer a default method: elsewhere:Rule"),
    ):
        monkeypatch.setattr(rule, "entry_points", lambda group, found=found: found)
        default_rule.cache_clear()
        says(kind, text, default_rule)
    monkeypatch.undo()
    default_rule.cache_clear()


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_a_tolerance_instead_of_a_budget(problem: Problem) -> None:
    x = problem.start(range(64), torch.float64)
    truth = reference(problem, x, problem.sigma_max, problem.sigma_min).x
    ratios, costs = [], []
    for tol in (1e-1, 1e-2, 1e-3, 1e-4):
        found = sample(problem, x / problem.sigma_max, tol=tol)
        ratios.append(float((found.x - truth).square().mean().sqrt()) / tol)
        costs.append(found.nfe)
    assert 0.1 < math.prod(ratios) ** (1 / 4) < 1.5
    assert max(ratios) < 4
    assert costs == sorted(set(costs))
    assert costs[1] <= 16
    assert costs[3] <= 45


def test_a_tolerance_says_what_was_chosen_and_ends_at_the_budget() -> None:
    problem, noise = Mixture(), unit_noise(range(8), (2,), torch.float64)
    done = sample(problem, noise, tol=1e-3)
    assert isinstance(done.solver, AdaptiveUniPC)
    assert (done.solver.tol, done.solver.points, done.solver.max_nfe) == (1e-3, 3, 1000)
    assert done.grid.name == "two_scales(std=0.72, top=0.736)"
    assert set(done.stats) == {"accepted", "rejected", "nfe_max"}
    assert sample(problem, noise, tol=1e-3, nfe=done.nfe).x.equal(done.x)
    with pytest.raises(BudgetError, match=r"max_nfe = 9 ran out.*`partial`") as error:
        sample(problem, noise, tol=1e-3, nfe=9)
    partial: Any = error.value.partial
    assert partial.x.shape == noise.shape


def test_a_tolerance_on_a_network() -> None:
    """Whose scales are guessed."""
    digits = Digits()
    x = digits.start(range(8))
    truth = reference(digits, x, digits.sigma_max, digits.sigma_min, tolerance=1e-3).x
    found = sample(digits, x / digits.sigma_max, tol=3e-2)
    assert found.nfe <= 12
    assert float((found.x.double() - truth).square().mean().sqrt()) < 0.1


class FarField(fs.Wrapped):
    """An ODE whose ε at high noise is not a Gaussian's, as that of a network that has not learned it."""

    sigma_range = (80.0, 0.05)

    def eps(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return super().eps(x, sigma) + 0.3 * sigma / (30 + sigma) * x.flip(-1) / math.hypot(
            1, sigma
        )

    def x0(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return x - sigma * self.eps(x, sigma)


def test_a_tolerance_is_met_where_the_far_field_is_no_gaussians() -> None:
    ode, noise = FarField(Mixture(sigma_max=80.0)), unit_noise(range(32), (2,), torch.float64)
    fine = solve(ode, 80 * noise, fs.log_snr(600, 80.0, 0.05), UniPC(3)).x
    for tol in (1e-1, 1e-2, 1e-3):
        assert float((sample(ode, noise, tol=tol).x - fine).square().mean().sqrt()) < 3 * tol


def test_wrong_tolerances() -> None:
    noise = unit_noise(range(2), (2,), torch.float64)
    for wrong in (0, -1.0, math.inf, math.nan):
        says(BudgetError, "tol is the RMS error to reach, a number above 0, but got",
             lambda wrong=wrong: sample(Mixture(), noise, tol=wrong))  # fmt: skip
    says(BudgetError, "tol must be a number, but got 'small'",
         lambda: sample(Mixture(), noise, tol="small"))  # fmt: skip
    says(BudgetError, "tol= is for the default, which has no grid",
         lambda: sample(Mixture(), noise, karras(4, 10, 0.1), Euler(), tol=1e-2))  # fmt: skip

    class Budgets(Rule):
        def choose(self, *known: Any) -> Any:
            raise AssertionError

    says(BudgetError, "Budgets() chooses for a budget only: give nfe= instead of tol=.",
         lambda: sample(Mixture(), noise, solver=Budgets(), tol=1e-2))  # fmt: skip
