"""tune: what it finds, what it refuses, its noises apart, its file, its command's rows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve import Grid, Replay, Scales, Tuned, tabulate, tune, unit_noise
from flowsolve.errors import BudgetError, ResultsError, StateError, TableError
from flowsolve.ode import Wrapped
from flowsolve.problems import Dataset, Mixture, Problem
from flowsolve.solver import Rule, Solver
from flowsolve.solver.plugins import make_solver
from flowsolve.study import collect, reference
from flowsolve.study.fitting import fit
from flowsolve.study.tuning_rows import tunings
from flowsolve_solvers import Adams, CorrectedStart, Euler, Heun, TwoScales, UniPC
from tests.helpers import Asked, says

PROBLEM = Mixture()
NOISE = unit_noise(range(64), (2,), torch.float64)
UNSEEN = PROBLEM.start(range(1000, 1064), torch.float64)


def unseen(solver: Any, grid: Grid, problem: Problem = PROBLEM, x: Tensor = UNSEEN) -> float:
    """The geometric mean of the errors of other noises."""
    truth = reference(problem, x, problem.sigma_max, problem.sigma_min).x
    off = fs.solve(problem, x, grid, solver).x - truth
    return math.exp(float(off.square().mean(1).sqrt().log().mean()))


@pytest.fixture(scope="module")
def found() -> Tuned:
    return tune(PROBLEM, NOISE, 6)


def test_it_is_better_on_noises_that_it_has_not_seen(found: Tuned) -> None:
    assert not found.refused
    assert isinstance(found.solver, Replay)
    mine = unseen(found.solver, found.grid)
    rule = TwoScales()
    ends = PROBLEM.sigma_max, PROBLEM.sigma_min
    default = unseen(*rule.choose(6, *ends, found.scales))
    menu = min(unseen(*row) for row in rule.menu(6, *ends, found.scales))
    assert mine < 0.7 * default
    assert mine < 1.05 * menu
    # and as much better as it says, within a factor of the spread of 16 noises
    assert abs(math.log(default / mine / found.gain)) < 4 * found.gain_stderr
    assert abs(math.log(mine / found.error)) < 4 * found.stderr
    assert found.ref_err < 0.05 * found.error
    assert found.energy < found.default_energy + 4 * found.energy_stderr


def test_its_cost_is_counted_and_its_budget_met(found: Tuned) -> None:
    asked = Asked(PROBLEM)
    again = tune(asked, NOISE, 6)
    assert again.spent == len(asked.levels)
    assert again.error == found.error
    other = Asked(PROBLEM)
    assert found.sample(other, NOISE).nfe == len(other.levels) == 6


def test_samples_do_not_depend_on_the_batch(found: Tuned) -> None:
    some = found.sample(PROBLEM, NOISE[5:6])
    torch.testing.assert_close(found.sample(PROBLEM, NOISE).x[5:6], some.x, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_costs_it_no_more_than_the_default(dtype: torch.dtype) -> None:
    """Its rows are added up in float32: their terms are large against the sum where σ_max is."""
    far = Mixture(sigma_max=999.0)
    tuned = tune(far, unit_noise(range(64), (2,), torch.float32), 6)
    x = far.start(range(64), torch.float64)
    truth = reference(far, x, 999.0, far.sigma_min).x
    default = TwoScales().choose(6, 999.0, far.sigma_min, tuned.scales)

    def error(solver: Any, grid: Grid) -> float:
        off = fs.solve(far, x.to(dtype), grid, solver).x.double() - truth
        return float(off.square().mean(1).sqrt().log().mean().exp())

    assert isinstance(tuned.solver, Replay)
    assert error(tuned.solver, tuned.grid) < 1.2 * error(*default)


class TwoOfOne(Rule):
    """A menu of one method twice."""

    def choose(self, *known: Any) -> Any:
        return TwoScales().choose(*known)

    def reach(self, *known: Any) -> Any:
        return TwoScales().reach(*known)

    def menu(self, *known: Any) -> Any:
        return [self.choose(*known), self.choose(*known)]


def test_the_default_is_kept_where_nothing_is_better() -> None:
    same = tune(PROBLEM, NOISE, 6, rule=TwoOfOne(), fitted=False)
    assert same.refused
    assert (same.gain, same.gain_stderr) == (1.0, 0.0)
    assert same.error == same.default_error
    assert (same.solver, same.grid) == TwoScales().choose(
        6, PROBLEM.sigma_max, PROBLEM.sigma_min, same.scales
    )
    assert "as good as the default, which it is" in repr(same)


@dataclass(frozen=True, repr=False)
class AlmostExact(Solver):
    """Exact but for eight samples of the third quarter, which it sends far away: a small geometric mean."""

    order = 1

    def steps(self, ode: fs.ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        fine = fs.log_snr(200, grid[0], grid[-1])
        *_, x = UniPC(3).steps(ode, x, fine)
        far = (torch.arange(len(x)) >= 32) & (torch.arange(len(x)) < 40)
        yield from [x + 100.0 * far[:, None]] * grid.steps


class WithAlmostExact(TwoOfOne):
    def menu(self, *known: Any) -> Any:
        solver, grid = self.choose(*known)
        return [(solver, grid), (AlmostExact(), Grid([grid[0], grid[-1]]))]


def test_samples_that_are_far_from_the_law_are_refused() -> None:
    kept = tune(PROBLEM, NOISE, 6, rule=WithAlmostExact(), fitted=False)
    assert kept.menu[1][2] < 1e-5  # it was better on the noises that choose
    assert kept.refused
    assert kept.energy == kept.default_energy < 0.2


def test_the_last_quarter_judges_alone() -> None:
    """What it says of itself is about noises that chose nothing: on others it is no better than that."""
    gains = []
    for seed in range(4):
        noise = unit_noise(range(100 * seed, 100 * seed + 64), (2,), torch.float64)
        found = tune(PROBLEM, noise, 4)
        gains.append(math.log(unseen(found.solver, found.grid) / found.error))
    assert abs(sum(gains) / len(gains)) < 0.5


def test_a_flow_from_pure_noise() -> None:
    """σ = ∞ has no table, so that nothing is fitted, and no classical rows."""

    class Far(Wrapped):
        sigma_range = (math.inf, 0.0)

    found = tune(Far(Mixture()), NOISE[:16], 5)
    assert found.grid[0] == math.inf
    assert not isinstance(found.solver, Replay)
    assert found.sample(Far(Mixture()), NOISE).x.isfinite().all()


@pytest.mark.parametrize("fitted", [True, False])
def test_saved_and_loaded(fitted: bool, tmp_path: Path) -> None:
    found = tune(PROBLEM, NOISE[:16], 5, fitted=fitted)
    found.save(tmp_path / "tuned.json")
    again = Tuned.load(tmp_path / "tuned.json")
    assert again == found
    assert again.grid.name == found.grid.name
    assert again.sample(PROBLEM, NOISE).x.equal(found.sample(PROBLEM, NOISE).x)


def test_every_row_of_the_menu_is_read_back_from_its_repr() -> None:
    for nfe in (4, 8, 20):
        rows = TwoScales().menu(nfe, 80.0, 0.002, Scales(0.5, 4.0))
        assert (
            len({(repr(s), g[:]) for s, g in rows}) >= len(rows) - 2
        )  # the choice may be in it again
        for solver, grid in rows:
            assert make_solver(repr(solver)) == solver
            assert (grid[0], grid[-1]) == (80.0, 0.002)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    says(ResultsError, f"cannot read {path}", lambda: Tuned.load(path))
    path.write_text("{")
    says(ResultsError, f"{path} is not JSON", lambda: Tuned.load(path))
    path.write_text(json.dumps({"version": 99}))
    says(
        ResultsError, f"{path} is no result of tune, or not of version 1", lambda: Tuned.load(path)
    )
    path.write_text(json.dumps({"version": 1, "table": None, "solver": "Euler()"}))
    says(ResultsError, f"{path} is no result of tune", lambda: Tuned.load(path))
    found = tune(PROBLEM, NOISE[:16], 2, fitted=False)
    says(ResultsError, "cannot write", lambda: found.save(tmp_path / "no" / "x.json"))


def test_wrong_calls() -> None:
    says(StateError, "tune needs 16 unit noises or more, such as 64, (B, *event), not (4, 2).",
         lambda: tune(PROBLEM, NOISE[:4], 5))  # fmt: skip
    says(StateError, "tune needs 16 unit noises", lambda: tune(PROBLEM, 3, 5))  # type: ignore[arg-type]
    says(BudgetError, "nfe must be", lambda: tune(PROBLEM, NOISE, 0))


@pytest.mark.parametrize(
    "solver",
    [Adams(3), UniPC(3, fs.FLOW, variable=fs.Phi()), CorrectedStart(UniPC(3, fs.FLOW, variable=fs.Phi()))],
    ids=repr,
)  # fmt: skip
def test_a_fit_is_exact_where_the_solution_is_in_its_reach(solver: Any) -> None:
    """ε that is constant in time: every step stays the exact one, however the δ are; and a fit fits."""
    grid = Grid([10.0, 6.0, 3.0, 1.0, 0.4, 0.1, 0.05])
    x = PROBLEM.start(range(32), torch.float64)
    path: dict[float, Tensor] = {}
    fine = fs.log_snr(400, 10.0, 0.05)
    through = Grid(sorted({*fine, *grid}, reverse=True))
    fs.solve(PROBLEM, x, through, UniPC(3), on_step=lambda k, s, y: path.update({s: y}))
    table = tabulate(solver, grid)
    found, answer = fit(table, PROBLEM, x, {s: path[s] for s in grid[1:]}, first=16)
    truth, plain = path[0.05], fs.solve(PROBLEM, x, grid, solver).x
    assert (answer - truth)[16:].square().mean() < 0.7 * (plain - truth)[16:].square().mean()
    assert fs.solve(PROBLEM, x, grid, Replay(found)).x.equal(answer)
    if not isinstance(solver, CorrectedStart):  # whose first state is not x̄_T
        assert found.row_sums == pytest.approx(table.row_sums, abs=1e-9)
    nothing, _ = fit(
        table, PROBLEM, x, {}, first=16
    )  # no step is fitted: its own steps from its own states
    assert len(nothing.sigmas) == len(table.sigmas)


def test_rows_of_several_budgets(tmp_path: Path) -> None:
    kept: list[Tuned] = []
    rows = collect(
        tunings(Dataset(), [3, 5], kept.append, seeds=range(16)), tmp_path / "rows.jsonl"
    )
    assert [row.nfe for row in rows] == [3, 5] == [one.nfe for one in kept]
    assert [row.tuned_error for row in rows] == [one.error for one in kept]
    again = collect(
        tunings(Dataset(), [3, 5], kept.append, seeds=range(16)), tmp_path / "rows.jsonl"
    )
    assert len(kept) == 2
    assert replace(again[0], seconds=0) == replace(rows[0], seconds=0)
    assert "error" in rows[0].result
    assert rows[0].name == "nfe=3"


def test_a_method_of_several_evaluations_a_step_is_not_fitted() -> None:
    x, grid = PROBLEM.start(range(16), torch.float64), Grid([10.0, 1.0, 0.05])
    says(TableError, "fit takes a method with one evaluation at each level, not Heun().",
         lambda: fit(tabulate(Heun(), grid), PROBLEM, x, {}, first=8))  # fmt: skip


def test_euler_has_nothing_to_fit() -> None:
    """Two answers at least; its first step stays Euler's."""
    x = PROBLEM.start(range(16), torch.float64)
    grid = Grid([10.0, 0.05])
    table, answer = fit(tabulate(Euler(), grid), PROBLEM, x, {0.05: x}, first=8)
    assert answer.equal(fs.solve(PROBLEM, x, grid, Euler()).x)
    assert table.answer == tabulate(Euler(), grid).answer
