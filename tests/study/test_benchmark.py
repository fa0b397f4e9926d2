"""The rows of the benchmark: what an entry is on a problem, what a row keeps, energy distances."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from flowsolve.cli.bench_menu import find_entries, menu
from flowsolve.integrate.cost import cost, fit
from flowsolve.ode import Scales
from flowsolve.ode.base import ODE
from flowsolve.problems import Mixture, NetworkProblem, Photos, Signals
from flowsolve.problems.benchmark import HELD
from flowsolve.schedule.spacings import karras, log_snr
from flowsolve.solver.base import Solver
from flowsolve.solver.rule import default_rule
from flowsolve.study import Reference, collect, error, reference, work_precision
from flowsolve.study.benchmark import (
    FLOAT32,
    SIDE_OF,
    SIDES,
    SIZES,
    Entry,
    bench_tasks,
    energy_tasks,
)
from flowsolve.study.references import LOOSE
from flowsolve_solvers import RK4, Heun, TwoScales

RING = HELD["ring12"]()


def test_every_problem_has_one_side() -> None:
    assert [*SIDES] == ["open", "held", "open networks", "held network"]
    assert len(SIDE_OF) == sum(map(len, SIDES.values())) == 17
    assert SIDE_OF["ring12"] == "held"


def test_sizes_grow() -> None:
    quick, standard, full = SIZES.values()
    for small, large in ((quick, standard), (standard, full)):
        assert {*small.nfe} <= {*large.nfe}
        assert small.samples < large.samples
        assert small.network_samples < large.network_samples
        assert {*small.energy} <= {*large.energy}
    assert (min(standard.nfe), max(standard.nfe)) == (4, 100)


def test_a_row_is_that_of_the_study_and_keeps_its_samples() -> None:
    (row,) = collect(bench_tasks([Entry("Heun", Heun(), karras)], RING, [9], seeds=range(8)))
    (same,) = work_precision([Heun()], RING, [9], seeds=range(8), dtype="float64").rows
    assert (row.rmse, row.geometric, row.nfe, row.grid) == (same.rmse, same.geometric, 8, same.grid)
    each = torch.tensor([float(e) for e in row.each.split()])
    assert len(each) == 8
    assert float(each.square().mean().sqrt()) == pytest.approx(row.rmse, rel=5e-3)
    assert (row.budget, row.bench, row.name[:6]) == (9, "1", "ring12")
    assert "error" in row.result
    assert row.key != same.key


def test_rows_are_measured_once(tmp_path: Path) -> None:
    entries = [Entry("Heun", Heun(), karras), Entry("rule", TwoScales(), None, "measured")]
    first = collect(bench_tasks(entries, RING, [8], seeds=range(4)), tmp_path / "rows.jsonl")
    again = collect(bench_tasks(entries, RING, [8], seeds=range(4)), tmp_path / "rows.jsonl")
    assert first == again
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("budget", [5, 8])
def test_every_method_of_the_menu_spends_its_budget(budget: int) -> None:
    """As `fit` says, found without looking for each grid."""
    for entry in menu("full", False):
        for case in entry.cases(RING, [budget], torch.float64):
            grid = case.grid()
            assert cost(case.solver, grid) <= budget
            if entry.spacing is log_snr:
                spacing = entry.spacing
                found = fit(case.solver, budget, lambda n: spacing(n, *RING.sigma_range))  # noqa: B023
                assert grid == found


class NoHash(Heun):
    """As a method that holds a list."""

    __hash__ = None  # type: ignore[assignment]


def test_a_method_without_a_hash_is_measured() -> None:
    (row,) = collect(bench_tasks([Entry("", NoHash(), karras)], RING, [8], seeds=range(2)))
    assert (row.error, row.nfe) == ("", 8)


class Careful(Heun):
    """Euler where the grid goes below 0.1: its cost depends on the levels."""

    def step(self, ode: ODE, x: torch.Tensor, s: float, t: float) -> torch.Tensor:
        return x + (t - s) * ode.eps(x, s) if t < 0.09 else super().step(ode, x, s, t)


def test_a_method_whose_cost_depends_on_levels_gets_its_own_grid() -> None:
    (case,) = Entry("", Careful(), log_snr).cases(RING, [8], torch.float64)
    assert case.grid() == fit(Careful(), 8, lambda n: log_snr(n, *RING.sigma_range))
    assert case.grid().steps > 4


def test_a_rule_is_two_methods() -> None:
    rule = default_rule()
    grids = {}
    for entry in find_entries("default"):
        (case,) = entry.cases(RING, [8], torch.float64)
        grids[entry.scales] = case.grid()
        assert case.label == f"TwoScales(), scales {entry.scales}"
        assert entry.key == (case.label, case.spacing, "")
    known, ends = RING.scales, RING.sigma_range
    assert known
    assert grids["guessed"] == rule.choose(8, *ends, Scales(0.5, 2.0))[1]
    assert (
        grids["measured"] != rule.choose(8, *ends, known)[1]
    )  # not told, though the problem knows
    name = grids["measured"].name
    assert float(name.partition("std=")[2].partition(",")[0]) == pytest.approx(known.std, rel=0.3)
    assert RING.scales == known


def test_a_network_knows_what_its_precondition_says_and_no_more() -> None:
    (case,) = find_entries("default, scales guessed")[0].cases(Photos(), [8], torch.float32)
    assert "std=0.65" in case.grid().name
    signals = Signals()
    [*find_entries("default, scales measured")[0].cases(signals, [8], torch.float32)]
    assert signals.scales is None


def test_references_of_networks_end_where_float32_does(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def watched(*args: Any, **options: Any) -> Reference:
        asked.append(options["tolerance"])
        return reference(*args, **options)

    monkeypatch.setattr(error, "reference", watched)
    problem = NetworkProblem(Mixture(), (2,), 10.0, 0.05)
    (row,) = collect(bench_tasks([Entry("", RK4(), log_snr)], problem, [400], seeds=range(2)))
    assert row.rmse < 1e-5
    assert (asked[0], asked[-1]) == (LOOSE, pytest.approx(FLOAT32))
    assert problem.tolerance < FLOAT32


def test_energy_distance_is_a_row_of_its_own() -> None:
    entries = [Entry("Heun", Heun(), karras)]
    rows = collect(energy_tasks(entries, Signals(), [6, 60], seeds=range(64)))
    coarse, fine = rows
    assert coarse.energy > 3 * fine.energy_error > 0
    assert abs(fine.energy) < 4 * fine.energy_error
    assert (fine.nfe, fine.seeds, fine.samples, fine.each) == (60, "energy 0-63", 64, "")
    assert math.isnan(fine.rmse)
    assert "energy" in fine.result
    solvers: list[Solver] = [Heun()]
    assert fine.solver == repr(solvers[0])
