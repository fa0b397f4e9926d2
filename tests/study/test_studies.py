"""Convergence and work against precision: what a row holds, what blocks and failures leave."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve.errors import BudgetError, FlowsolveError, ResultsError, StateError
from flowsolve.ode.base import ODE
from flowsolve.problems import Digits, Gaussian, Mixture, Mixture1D
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.spacings import karras, log_snr
from flowsolve.solver.base import OneStep, Solver
from flowsolve.solver.rule import default_rule
from flowsolve.study.error import ErrorRow
from flowsolve.study.references import Reference, reference
from flowsolve.study.series import Study
from flowsolve.study.studies import convergence, work_precision
from flowsolve_solvers import DPMSolver3, DPMSolverPP2M, Euler, Heun, ParaDiGMS, Torchdiffeq

STEPS = (10, 20, 40, 80, 160, 320)
WHERE = {"problem": "made_up", "problem_digest": "0" * 12, "dtype": "float64", "device": "cpu",
         "flowsolve": "", "torch": "", "python": ""}  # fmt: skip


@dataclass(frozen=True, repr=False)
class WrongHeun(OneStep):
    """The mean of two slopes, the second taken at the wrong level."""

    order = 2

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        e = ode.eps(x, s)
        return x + (t - s) / 2 * (e + ode.eps(x + (t - s) * e, s))


@dataclass(frozen=True, repr=False)
class Broken(OneStep):
    """A method that raises, or answers NaN."""

    order = 1
    nan: bool = False

    def step(self, ode: ODE, x: Tensor, s: float, t: float) -> Tensor:
        if self.nan:
            return ode.eps(x, s) * math.nan
        raise ZeroDivisionError("a bug in a method")


@dataclass(frozen=True, repr=False)
class Untuned(Solver):
    """Adaptive, without tolerances to turn."""

    order = 1
    adaptive = True

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Iterator[Tensor]:
        yield x + (grid[-1] - grid[0]) * ode.eps(x, grid[0])


# --- convergence -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solver", "order"), [(Euler(), 1), (Heun(), 2), (DPMSolver3(), 3)], ids=repr
)
def test_convergence_measures_the_order(solver: Solver, order: int) -> None:
    study = convergence(solver, Mixture1D(), steps=(80, 160, 320, 640), seeds=range(8))
    assert study.order() == pytest.approx(order, abs=0.15)
    assert study.slope().settled
    assert all(r.dtype == "float64" and r.samples == 8 for r in study.rows)
    assert "slope" in str(study)


def test_a_wrong_heun_is_found_out() -> None:
    study = convergence(WrongHeun(), Mixture1D(), steps=(160, 320, 640, 1280), seeds=range(8))
    assert WrongHeun().order == 2
    assert study.order() < 1.2


def test_convergence_raises_what_fails_and_asks_for_a_solver() -> None:
    with pytest.raises(FlowsolveError, match=r"Broken\(\) with steps=4: ZeroDivisionError: a bug"):
        convergence(Broken(), Mixture1D(), steps=(4,), seeds=range(2))
    with pytest.raises(StateError, match="instance"):
        convergence(Heun, Mixture1D(), steps=(4,))  # type: ignore[arg-type]


def test_heun_has_order_2_on_the_real_network() -> None:
    class Rougher(Digits):
        tolerance = 1e-5  # Heun's error on 64 steps is 6e-4

    problem = Rougher().between(40.0, 0.05)
    study = convergence(Heun(), problem, steps=(16, 32, 64), seeds=range(2))
    assert study.order() == pytest.approx(2, abs=0.25)
    row = study.rows[-1]
    assert (row.problem, row.dtype, row.device) == ("digits", "float64", "cpu")
    assert (row.sigma_max, row.sigma_min) == (40, 0.05)
    assert row.nfe == row.forwards == 128
    assert row.certified


# --- work_precision --------------------------------------------------------------------------


def small(**options: object) -> Study:
    given = {"seeds": range(8), "dtype": torch.float64, **options}
    return work_precision([Euler(), Heun()], Mixture1D(), [4, 9], **given)  # type: ignore[arg-type]


def test_every_column_of_every_row_is_filled() -> None:
    study = small()
    assert [(r.solver, r.asked, r.nfe, r.steps) for r in study.rows] == [
        ("Euler()", "nfe=4", 4, 4), ("Euler()", "nfe=9", 9, 9),
        ("Heun()", "nfe=4", 4, 2), ("Heun()", "nfe=9", 8, 4),
    ]  # fmt: skip
    for row in study.rows:
        for name, value in asdict(row).items():
            assert (value == "") is (name in ("error", "perturb")), name
            assert not (isinstance(value, float) and math.isnan(value)), name
        assert row.grid == row.spacing == "karras"
        assert row.grid_hash == karras(row.steps, 10.0, 0.05).digest
        assert row.problem_digest == Mixture1D().digest
        assert (row.seeds, row.samples, row.dtype, row.device) == ("0-7", 8, "float64", "cpu")
        assert 0 < row.median <= row.p90 <= row.max
        assert row.rmse <= row.max
        assert row.ref_err < row.rmse / 10
        assert row.certified
        assert row.seconds > 0
        assert row.forwards == 0  # a closed form has no network
        assert row.torch == torch.__version__


def test_errors_are_those_of_the_final_states() -> None:
    problem, row = Mixture1D(), small().rows[3]
    x = problem.start(range(8), torch.float64)
    exact = problem.flow(x, 10.0, 0.05)
    for s, t in zip(karras(4, 10.0, 0.05), karras(4, 10.0, 0.05)[1:], strict=False):
        e = problem.eps(x, s)
        x = x + (t - s) / 2 * (e + problem.eps(x + (t - s) * e, t))
    each = (x - exact).abs()
    expected = [each.square().mean().sqrt(), each.median(), each.quantile(0.9), each.max()]
    assert [row.rmse, row.median, row.p90, row.max] == pytest.approx([*map(float, expected)])
    assert row.scale == pytest.approx(float(exact.square().mean().sqrt()))


def test_all_solvers_and_all_blocks_get_the_noise_of_their_seeds() -> None:
    seen: list[Tensor] = []

    class Watched(Mixture1D):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            if sigma == self.sigma_max and len(x) > 1:
                seen.append(x.clone())
            return super().eps(x, sigma)

    work_precision([Euler(), Heun()], Watched(), [4], seeds=range(3, 9), block=3)
    expected = Mixture1D().start(range(3, 9), torch.float32)
    assert len(seen) == 6  # for each block a warm-up and two solvers
    for i, x in enumerate(seen):
        assert torch.equal(x, expected[:3] if i < 3 else expected[3:])


def test_blocks_pool_to_what_one_block_gives() -> None:
    whole, parts = small(seeds=range(32)), small(seeds=range(32), block=8)
    assert len(parts.rows) == 4 * len(whole.rows)
    for name, rows in whole.series.items():
        for one, pooled in zip(rows, parts.series[name], strict=True):
            assert pooled.rmse == pytest.approx(one.rmse, rel=1e-12)
            assert pooled.max == pytest.approx(one.max, rel=1e-12)
            assert pooled.scale == pytest.approx(one.scale, rel=1e-12)
            assert (pooled.samples, pooled.nfe) == (32, one.nfe)
            assert pooled.median == pytest.approx(one.median, rel=0.5)
            assert pooled.seeds == "0-7, 8-15, 16-23, 24-31"


def test_what_cannot_be_pooled_is_said(tmp_path: Path) -> None:
    """A file that grew by overlapping seeds once counted those twice, and pooled two dtypes, in silence."""
    path = tmp_path / "rows.jsonl"
    for options in ({"seeds": range(4)}, {"seeds": range(2, 6)}):
        work_precision(Euler(), Gaussian(), [4], path=path, cached=False, **options)
    both = Study.load(path)
    with pytest.raises(
        ResultsError, match=r"cannot be pooled: some seeds of 0-3 and 2-5 are the same"
    ):
        both.series  # noqa: B018
    one = Study(tuple(r for r in both.rows if r.seeds == "0-3"))
    assert [r.samples for rows in one.series.values() for r in rows] == [4]
    rows = one.rows[0], replace(one.rows[0], seeds="4-7", dtype="float64")
    with pytest.raises(
        ResultsError, match=r"their dtype is float32 and float64.*r\.dtype == 'float32'"
    ):
        Study(rows).series  # noqa: B018
    assert Study((rows[0], replace(rows[0], seeds="4-7"))).series


def test_a_last_block_may_be_smaller_and_weighs_less() -> None:
    whole, parts = small(seeds=range(11)), small(seeds=range(11), block=8)
    assert [r.samples for r in parts.rows] == [8] * 4 + [3] * 4
    for name, rows in whole.series.items():
        assert [r.rmse for r in parts.series[name]] == pytest.approx([r.rmse for r in rows])


def test_nothing_is_measured_twice_and_adaptive_methods_have_no_spacing() -> None:
    study = work_precision(
        [Euler(), Euler(), Torchdiffeq()], Mixture1D(), [4, 4], spacings=[karras, log_snr],
        tolerances=[1e-2, 1e-4], seeds=range(4),
    )  # fmt: skip
    assert [(r.solver, r.spacing, r.asked) for r in study.rows] == [
        ("Euler()", "karras", "nfe=4"), ("Euler()", "log_snr", "nfe=4"),
        ("Torchdiffeq()", "adaptive", "tol=0.01"), ("Torchdiffeq()", "adaptive", "tol=0.0001"),
    ]  # fmt: skip
    coarse, fine = study.rows[2:]
    assert fine.rmse < coarse.rmse / 5
    assert coarse.nfe < fine.nfe
    assert coarse.steps > 0  # accepted steps
    with pytest.raises(ValueError, match="has 2 such series"):
        study.slope("Euler()")


def test_a_method_that_needs_a_grid_and_has_no_budget_is_refused() -> None:
    with pytest.raises(StateError, match=r"takes as many evaluations as it needs on a grid"):
        work_precision(ParaDiGMS(), Mixture1D(), nfe=[10], seeds=range(2))


def test_an_adaptive_method_without_tolerances_runs_once() -> None:
    study = work_precision([Untuned()], Mixture1D(), [4, 8], seeds=range(2))
    assert [(r.asked, r.nfe) for r in study.rows] == [("as given", 1)]


def test_a_failing_method_leaves_a_row_that_says_why() -> None:
    told: list[tuple[int, int]] = []
    study = work_precision(
        [Broken(), Broken(nan=True), DPMSolver3(), Euler()], Mixture1D(), [2], seeds=range(2),
        on_row=lambda row, done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(i, 4) for i in (1, 2, 3, 4)]
    assert [r.error.partition(":")[0] for r in study.rows] == [
        "ZeroDivisionError", "NonFiniteError", BudgetError.__name__, "",
    ]  # fmt: skip
    assert "needs at least 3 evaluations" in study.rows[2].error
    assert study.failures == [*study.rows[:3]]
    assert [*study.series] == [("Euler()", "karras")]
    assert all(math.isnan(r.rmse) and r.solver and r.asked == "nfe=2" for r in study.failures)
    assert "a bug in a method" in str(study)


def test_a_study_whose_errors_reach_the_reference_says_so() -> None:
    class Coarse(Mixture):
        tolerance = 1e-3  # so that the reference's own error is large

    study = work_precision(
        [Heun(), DPMSolver3()], Coarse(), [6, 600], seeds=range(4), dtype=torch.float64
    )
    by_budget = {(r.solver, r.asked): r for r in study.rows}
    best = by_budget["DPMSolver3()", "nfe=600"]
    assert not best.certified
    assert best.rmse < 10 * best.ref_err
    assert by_budget["Heun()", "nfe=6"].certified
    assert "reference reached" in str(study)
    notes = [*study.notes()]
    assert any("reference's own error" in note for note in notes)
    assert 600 not in study.slope("DPMSolver3()").steps
    honest = work_precision([Heun()], Mixture1D(), [6, 60], seeds=range(4), dtype=torch.float64)
    assert not any("reference's own" in note for note in honest.notes())


@pytest.mark.parametrize(("part", "certified"), [(9, False), (11, True)])
def test_a_result_is_certified_ten_times_above_the_error_of_its_reference(
    part: float, certified: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = {"seeds": range(2), "dtype": torch.float64}
    (row,) = work_precision([Heun()], Mixture1D(), [8], **run).rows  # type: ignore[arg-type]

    def told(*args: Any, **options: Any) -> Reference:
        return replace(reference(*args, **options), err=row.rmse / part)

    monkeypatch.setattr("flowsolve.study.error.reference", told)
    (again,) = work_precision([Heun()], Mixture1D(), [8], **run).rows  # type: ignore[arg-type]
    assert again.rmse == row.rmse
    assert again.certified is certified


def made_up(errors: list[float], **options: object) -> Study:
    row = ErrorRow(**WHERE, solver="Heun()", order=2, spacing="karras", asked="", scale=1.0,
                   ref_err=1e-15, certified=True)  # fmt: skip
    return Study(tuple(
        replace(row, asked=f"steps={n}", steps=n, nfe=2 * n, rmse=e, **options)  # type: ignore[arg-type]
        for n, e in zip(STEPS, errors, strict=True)
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("options", "used"),
    [
        ({}, STEPS[-2:]),
        ({"ref_err": 2e-5}, STEPS[:4]),  # a floor of ten times that
        ({"dtype": "float32", "scale": 20.0}, STEPS[:4]),  # a hundred units in the last place
        ({"dtype": "bfloat16", "scale": 1e-3}, STEPS[:3]),
    ],
    ids=str,
)
def test_slopes_keep_off_the_reference_and_round_off(
    options: dict[str, object], used: tuple[int, ...]
) -> None:
    study = made_up([n**-2 + 1e-4 for n in STEPS], **options)  # falls on, but ever more slowly
    assert study.slope().steps[-1] == used[-1]
    assert {*study.slope().steps} <= {*used}


def test_float32_rows_bottom_out_without_a_false_slope() -> None:
    study = convergence(
        DPMSolver3(), Gaussian(), steps=(8, 16, 32, 256, 512, 1024), seeds=range(4),
        dtype=torch.float32,
    )  # fmt: skip
    assert study.rows[0].dtype == "float32"
    assert max(study.slope().steps) <= 256


def test_the_default_solvers_of_a_study_agree_with_the_2m_of_the_paper() -> None:
    study = work_precision([DPMSolverPP2M()], Mixture1D(), [10], seeds=range(8))
    assert study.rows[0].order == 2
    assert study.rows[0].dtype == "float32"
    assert study.rows[0].rmse < 0.1


def test_methods_from_a_generator_rules_and_pairs() -> None:
    given = (m for m in (default_rule(), (Euler(), log_snr), Heun()))
    study = work_precision(given, Mixture1D(), [6], seeds=range(4))
    assert [(r.solver, r.spacing.partition("(")[0]) for r in study.rows] == [
        ("TwoScales()", "two_scales"), ("Euler()", "log_snr"), ("Heun()", "karras"),
    ]  # fmt: skip
    assert all(r.rmse > r.stderr > 0 for r in study.rows)
