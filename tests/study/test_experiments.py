"""Experiments of samples: tasks that continue, samples on disk, distances to data, consistency."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flowsolve.errors import NetworkError, SamplesError
from flowsolve.integrate.driver import vp_start
from flowsolve.integrate.inversion import round_trip_error
from flowsolve.metrics import frechet
from flowsolve.ode.noise import unit_noise
from flowsolve.problems import Digits, Gaussian, Mixture, Mixture1D, NetworkProblem
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.spacings import karras, log_snr
from flowsolve.schedule.timesteps import tau_linear
from flowsolve.study.cases import Case
from flowsolve.study.consistency import consistency, identified, relative_distance
from flowsolve.study.error import work_precision
from flowsolve.study.interpolation import between, interpolation
from flowsolve.study.likelihood import likelihood
from flowsolve.study.quality import QualityRow, quality
from flowsolve.study.results import read_jsonl
from flowsolve.study.round_trip import Way, round_trips
from flowsolve.study.runner import Record, Task, collect, stamp
from flowsolve.study.samples import draw
from flowsolve_solvers import (
    DDIM,
    DDPM,
    OBELM,
    DDIMEta,
    DDIMInverse,
    DPMSolverPP2M,
    Euler,
    Heun,
)

MIXTURE = Mixture()
PROBLEM = NetworkProblem(MIXTURE, (2,), 10.0, 0.05, data=MIXTURE.data()[:600], digest="600")


@dataclass(frozen=True, kw_only=True)
class Square(Record):
    KEY = (*Record.KEY, "number")

    number: int
    square: float = math.nan

    @property
    def name(self) -> str:
        return str(self.number)

    @property
    def result(self) -> str:
        return str(self.square)


class Squares:
    """Tasks that count how often each is measured, and fail for some."""

    def __init__(self, *broken: int) -> None:
        self.broken, self.calls = broken, list[int]()

    def __call__(self, row: Square) -> Square:
        self.calls.append(row.number)
        if row.number in self.broken:
            raise ZeroDivisionError("no square today")
        return replace(row, square=float(row.number**2))

    def tasks(self, n: int = 4) -> list[Task[Square]]:
        common = stamp(MIXTURE, torch.float64, "cpu")
        return [Task(Square(**common, number=i), self) for i in range(n)]


# --- collect --------------------------------------------------------------------------------------


def test_rows_are_kept_and_continued_and_failures_are_tried_again(tmp_path: Path) -> None:
    path, seen = tmp_path / "rows.jsonl", []
    first = Squares(2)
    rows = collect(first.tasks(), path, lambda row, i, n: seen.append((row.number, i, n)))
    assert [r.square for r in rows][:2] == [0.0, 1.0]
    assert rows[2].error == "ZeroDivisionError: no square today"
    assert math.isnan(rows[2].square)
    assert seen == [(i, i + 1, 4) for i in range(4)]
    assert all(r.seconds >= 0 for r in rows)
    again = Squares()
    more = collect(again.tasks(5), path)
    assert again.calls == [2, 4]
    assert [r.square for r in more] == [0.0, 1.0, 4.0, 9.0, 16.0]
    assert more[0] == rows[0]
    assert len(read_jsonl(path, Square)) == 6
    assert collect([], path) == ()


def test_what_a_measurement_computed_is_on_the_disk_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"

    def stop(row: Square, done: int, total: int) -> None:
        assert len(read_jsonl(path, Square)) == done
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(Squares().tasks(), path, stop)
    assert len(read_jsonl(path, Square)) == 2


def test_rows_say_where_they_come_from() -> None:
    row = Squares().tasks()[1].row
    assert (row.problem, row.dtype, row.device) == ("mixture", "float64", "cpu")
    assert row.torch == torch.__version__
    assert row.key == ("mixture", MIXTURE.digest, "float64", "cpu", row.flowsolve, 1)


# --- draw -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [Heun(), DDIMEta()], ids=repr)
def test_samples_are_those_of_their_seeds_whatever_the_block(solver: Heun, tmp_path: Path) -> None:
    grid = log_snr(8, 10, 0.05).to_zero()
    whole = draw(MIXTURE, solver, grid, range(7), dtype=torch.float64)
    parts = draw(MIXTURE, solver, grid, range(7), block=3, dtype=torch.float64, folder=tmp_path)
    torch.testing.assert_close(parts.x, whole.x, rtol=1e-13, atol=1e-13)
    assert whole.nfe == parts.nfe == (17 if solver == Heun() else 9)
    assert len([*tmp_path.iterdir()]) == 3


def test_samples_on_disk_are_found_by_all_that_they_depend_on(tmp_path: Path) -> None:
    class Loud(Mixture):
        calls = 0

        def eps(self, x: Tensor, sigma: float) -> Tensor:
            Loud.calls += 1
            return super().eps(x, sigma)

    grid = log_snr(4, 10, 0.05)
    make = partial(draw, Loud(), folder=tmp_path)
    first = make(Euler(), grid, range(4))
    assert Loud.calls == 4
    assert torch.equal(make(Euler(), grid, range(4)).x, first.x)
    assert Loud.calls == 4
    for solver, other, seeds, options in (
        (Heun(), grid, range(4), {}),
        (Euler(), log_snr(5, 10, 0.05), range(4), {}),
        (Euler(), grid, range(1, 5), {}),
        (Euler(), grid, range(4), {"start": vp_start}),
        (Euler(), grid, range(4), {"dtype": torch.float64}),
    ):
        before = Loud.calls
        assert not torch.equal(make(solver, other, seeds, **options).x, first.x)
        assert Loud.calls > before
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    with pytest.warns(RuntimeWarning, match="is damaged"):
        assert torch.equal(make(Euler(), grid, range(4)).x, first.x)


# --- quality --------------------------------------------------------------------------------------


def cases(*solvers: Euler, n: int = 20) -> list[Case]:
    return [Case(s, repr(s), "log_snr", f"S={n}", partial(log_snr, n, 10.0, 0.05)) for s in solvers]


def measured(*solvers: Euler, n: int = 20, **options: object) -> tuple[QualityRow, ...]:
    return collect(quality(cases(*solvers, n=n), PROBLEM, dtype=torch.float64, **options))  # type: ignore[arg-type]


def test_a_good_solver_is_at_the_floor_and_too_few_steps_are_not() -> None:
    floor, heun = measured(Heun(), n=40, seeds=range(200))
    euler = measured(Euler(), n=3, seeds=range(200))[1]
    assert (floor.solver, floor.samples, floor.real) == ("real data", 200, 400)
    assert (heun.samples, heun.real, heun.steps, heun.nfe) == (200, 400, 40, 80)
    for name in ("frechet", "energy", "precision", "recall"):
        a, b, c = (row.distance(name) for row in (floor, heun, euler))
        assert abs(b.value - a.value) < 4 * math.hypot(a.error, b.error), name
        if name in ("frechet", "energy"):
            assert abs(c.value - a.value) > 4 * math.hypot(a.error, c.error), name
    assert floor.distance("frechet").bias > 0


def test_the_error_is_that_of_the_study() -> None:
    row = measured(Heun(), seeds=range(8), errors=True)[1]
    steps = work_precision([Heun()], PROBLEM, [40], spacings=[log_snr], seeds=range(8),
                           dtype=torch.float64)  # fmt: skip
    assert row.rmse == pytest.approx(steps.rows[0].rmse, rel=1e-9)
    assert row.scale == pytest.approx(steps.rows[0].scale, rel=1e-12)
    assert 0 < row.ref_err < 1e-8
    assert math.isnan(measured(DDIMEta(), seeds=range(8), errors=True)[1].rmse)
    assert math.isnan(measured(Heun(), seeds=range(8))[1].rmse)


def test_the_frechet_distance_is_of_the_features_given() -> None:
    first = lambda x: x[:, :1]  # noqa: E731
    rows = measured(Heun(), seeds=range(50), features=first, features_name="first")
    assert {r.features for r in rows} == {"first"}
    order = torch.randperm(600, generator=torch.Generator().manual_seed(0))
    x = draw(PROBLEM, Heun(), log_snr(20, 10, 0.05), range(50), dtype=torch.float64).x
    assert rows[1].frechet == frechet(x, PROBLEM.data()[order[50:]], first).value
    plain = measured(Heun(), seeds=range(50))
    assert plain[1].frechet != rows[1].frechet
    assert plain[1].energy == rows[1].energy
    assert plain[1].key != rows[1].key


def test_few_data_are_all_the_reference_and_the_floor_is_of_halves() -> None:
    data = MIXTURE.data()[:100]
    problem = NetworkProblem(MIXTURE, (2,), 10.0, 0.05, data=data)
    tasks = quality(cases(Heun()), problem, seeds=range(80), dtype=torch.float64)
    floor, heun = collect(tasks)
    assert (floor.samples, floor.real, heun.samples, heun.real) == (50, 50, 80, 100)
    few = NetworkProblem(MIXTURE, (2,), 10.0, 0.05, data=data[:7])
    with pytest.raises(
        SamplesError, match="4 samples and 8 real ones at least, but there are 80 and 7"
    ):
        quality(cases(Heun()), few, seeds=range(80))
    with pytest.raises(SamplesError, match="but there are 3 and 100"):
        quality(cases(Heun()), problem, seeds=range(3))


def test_a_network_that_fails_leaves_a_row_that_says_so() -> None:
    class Wrong(Mixture):
        def eps(self, x: Tensor, sigma: float) -> Tensor:
            raise NetworkError("no answer")

    floor, row = collect(
        quality(
            cases(Heun()),
            NetworkProblem(Wrong(), (2,), 10.0, 0.05, data=MIXTURE.data()[:50]),
            seeds=range(8),
        )
    )
    assert not floor.error
    assert row.error == "NetworkError: no answer"
    assert math.isnan(row.frechet)


@pytest.mark.parametrize("problem", [Gaussian(), Mixture1D(), Mixture()], ids=lambda p: p.name)
def test_the_data_of_exact_problems_follow_their_law(problem: Mixture) -> None:
    """E[x0(x_0 + σz, σ) - x_0] = 0, within 4 standard errors, and the same for its square."""
    x, sigma = problem.data(), 0.5
    z = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    assert x.shape == (2000, *problem.event)
    assert torch.equal(x, problem.data())
    noisy = x + sigma * z
    miss = problem.x0(noisy, sigma) - x
    for moment in (miss, miss * noisy):
        assert bool((moment.mean(0).abs() < 4 * moment.std(0) / math.sqrt(2000)).all())


# --- Table 1 --------------------------------------------------------------------------------------


def test_the_shape_of_table_1_on_digits() -> None:
    """At S = 10 η = 1 is worse than η = 0 and σ̂ far worse; at S = 50 σ̂ has come near.

    In errors of the differences: with 1500 samples η = 1 is 4 of them above η = 0 (0.64 ± 0.06 and
    0.37 ± 0.03), σ̂ 20 and more above both, and its distance to η = 0 falls by 20 until S = 50.
    """
    problem = Digits()
    real = problem.data()

    def distance(solver: DDIMEta, n: int, samples: int) -> tuple[float, float]:
        grid = tau_linear(n, clock=problem.clock)
        x = draw(problem, solver, grid, range(samples), block=500, start=vp_start).x
        found = frechet(x, real)
        return found.corrected, found.error

    def above(a: tuple[float, float], b: tuple[float, float]) -> float:
        return (a[0] - b[0]) / math.hypot(a[1], b[1])

    zero, one = distance(DDIM(), 10, 1500), distance(DDIMEta(), 10, 1500)
    hat = distance(DDPM(larger_variance=True), 10, 300)
    assert above(one, zero) > 2
    assert above(hat, one) > 8
    late_zero, late_hat = distance(DDIM(), 50, 300), distance(DDPM(larger_variance=True), 50, 300)
    gap, late = (
        (a[0] - b[0], math.hypot(a[1], b[1])) for a, b in ((hat, zero), (late_hat, late_zero))
    )
    assert above(gap, late) > 8
    assert abs(late[0]) < 3 * late[1]


# --- consistency ----------------------------------------------------------------------------------


def test_relative_distance_is_0_of_the_same_and_1_of_strangers() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 200, 3, 4, generator=g, dtype=torch.float64)
    assert relative_distance(x, x).value == 0
    strangers = relative_distance(x, y)
    assert abs(strangers.value - 1) < 4 * strangers.error
    near = relative_distance(x + 0.1 * y, x)  # |0.1 y|² = 0.01 D against |x_i - x_j|² = 2.01 D
    assert near.value == pytest.approx(math.sqrt(0.01 / 2.01), abs=4 * near.error)
    assert identified(x + 0.1 * y, x) == 1
    assert identified(x, y) < 0.05
    half = torch.cat([x[:100], y[100:]])
    assert identified(half, x) == pytest.approx(0.5, abs=0.02)


def test_the_error_of_the_relative_distance_is_its_spread() -> None:
    g = torch.Generator().manual_seed(3)
    found = [
        relative_distance(x + 0.3 * z, x)
        for x, z in torch.randn(300, 2, 30, 2, generator=g, dtype=torch.float64)
    ]
    values = torch.tensor([e.value for e in found])
    errors = torch.tensor([e.error for e in found])
    assert float(errors.mean()) == pytest.approx(float(values.std()), rel=0.15)


@pytest.mark.parametrize("y", [torch.zeros(3, 2), torch.zeros(4, 3)], ids=str)
def test_what_is_not_paired_is_refused(y: Tensor) -> None:
    with pytest.raises(SamplesError, match=r"three or more pairs, .* but are \(4, 2\) and \("):
        relative_distance(torch.zeros(4, 2), y)


def test_an_image_is_of_its_x_T_without_noise_and_of_nothing_with_it() -> None:
    problem, solvers = Digits(), [DDIM(), DPMSolverPP2M(), DDIMEta()]
    spacing = partial(tau_linear, clock=problem.clock)
    rows = collect(consistency(solvers, problem, [10, 20, 40], spacing, seeds=range(48)))
    found = {(r.solver, r.S): r for r in rows}
    assert len(found) == 9
    for solver in ("Euler()", "DPMSolverPP2M()"):
        at10, at20, at40 = (found[solver, n] for n in (10, 20, 40))
        assert at40.own == 0
        assert at20.own < at10.own < 0.35
        assert max(at10.first, at20.first) < 0.35
        assert min(r.identified for r in (at10, at20, at40)) == 1
        assert (at10.nfe, at40.nfe) == (10, 40)
    for n in (10, 20):
        row = found["DDIMEta()", n]
        assert abs(row.own - 1) < 4 * row.own_error
        assert abs(row.first - 1) < 4 * row.first_error
        assert row.identified < 0.1


def test_what_all_are_compared_with_is_drawn_once(tmp_path: Path) -> None:
    class Loud(Mixture):
        calls = 0

        def eps(self, x: Tensor, sigma: float) -> Tensor:
            Loud.calls += 1
            return super().eps(x, sigma)

    def spacing(n: int) -> Grid:
        return karras(n, 10.0, 0.05)

    for _ in range(2):  # the second time from the disk
        path = tmp_path / "rows.jsonl"
        tasks = consistency(
            [Euler(), Heun()], Loud(), [4, 8], spacing, seeds=range(4), folder=tmp_path
        )
        rows = collect(tasks, path)
        path.unlink()
        assert Loud.calls == 4 + 8 + 8 + 16
    assert [asdict(r)["S"] for r in rows] == [8, 4, 8, 4]


# --- round trips, interpolation, likelihood -------------------------------------------------------


def grid_of(n: int) -> Grid:
    return log_snr(n, 10.0, 0.05)


def test_round_trips_lose_what_each_way_loses() -> None:
    ways = [
        Way(Euler()),
        Way(Heun()),
        Way(Euler(), DDIMInverse()),
        Way(Euler(), inverted=True),
        Way(OBELM()),
    ]
    rows = collect(round_trips(ways, PROBLEM, [10, 20], grid_of, samples=6, block=4))
    found = {(r.way, r.S): r for r in rows}
    assert [*dict.fromkeys(r.way for r in rows)] == [
        "Euler()", "Heun()", "DDIMInverse() up, Euler() down", "invert up, Euler() down", "OBELM()",
    ]  # fmt: skip
    assert not any(r.error for r in rows)
    for way in ("Euler()", "Heun()"):
        assert found[way, 20].mse < found[way, 10].mse
    for way in ("invert up, Euler() down", "OBELM()"):
        assert found[way, 20].mse < 1e-20
    inverted = found["invert up, Euler() down", 20]
    assert (inverted.converged, found["Euler()", 20].converged) == (6, -1)
    assert inverted.nfe_up > inverted.nfe_down == 20
    assert found["Heun()", 20].sampler < found["Euler()", 20].sampler == inverted.sampler
    own = round_trip_error(PROBLEM, PROBLEM.data()[:6], grid_of(10), Heun())
    assert found["Heun()", 10].mse == pytest.approx(own.mse, rel=1e-9)
    assert found["Heun()", 10].mse_error == pytest.approx(own.stderr, rel=1e-9)


def test_round_trips_to_zero_and_in_other_dtypes() -> None:
    tasks = round_trips(
        [Way(Heun())], PROBLEM, [10], lambda n: grid_of(n).to_zero(), samples=3,
        dtypes=[torch.float64, torch.float32],
    )  # fmt: skip
    double, single = collect(tasks)
    assert (double.dtype, single.dtype) == ("float64", "float32")
    assert double.mse == pytest.approx(single.mse, rel=1e-3)
    assert double.sampler == pytest.approx(single.sampler, rel=1e-2)


def test_a_method_without_an_inverse_leaves_a_row_that_says_so() -> None:
    (row,) = collect(round_trips([Way(DDIMEta())], PROBLEM, [5], grid_of, samples=3))
    assert "draws noise, so it only goes down the grid, not up" in row.error
    with pytest.raises(SamplesError, match="2 to 600 samples of the data, not 601"):
        round_trips([Way(Euler())], PROBLEM, [5], grid_of, samples=601)


def test_the_arc_keeps_the_noise_and_the_line_does_not() -> None:
    """On the sphere in 64 dimensions; |x|² of a line is ((1-t)² + t²) D within its own spread."""
    problem = Digits()
    grid = karras(4, problem.sigma_max, problem.sigma_min)
    rows = collect(interpolation(problem, Euler(), grid, pairs=24, points=3))
    found = {(r.path, r.t): r for r in rows}
    assert len(rows) == 6
    spread = 4 / math.sqrt(2 * 24 * 64)
    for t in (0.0, 0.5, 1.0):
        assert found["slerp", t].deviation == pytest.approx(1, abs=spread)
        assert found["line", t].deviation == pytest.approx(math.hypot(1 - t, t), abs=spread)
    for t in (0.0, 1.0):
        assert found["slerp", t].energy == pytest.approx(found["line", t].energy, rel=1e-4)
    assert all(r.nfe == 4 and r.energy_error > 0 for r in rows)
    noise, x, _ = between(problem, Euler(), grid, "slerp", 0.0, [(3, 4)])
    torch.testing.assert_close(noise, unit_noise([3], problem.event, torch.float32))
    assert x.shape == (1, 1, 8, 8)


def test_likelihood_rows_know_the_closed_form() -> None:
    cases = [
        Case(s, repr(s), "log_snr", f"S={n}", partial(grid_of, n))
        for s in (Heun(),)
        for n in (20, 40)
    ]
    coarse, fine = collect(
        likelihood(cases, MIXTURE, samples=6, probes=None, block=4, dtype=torch.float64)
    )
    assert fine.rmse < coarse.rmse / 3 < 0.1
    x = MIXTURE.data()[:6] + 0.05 * unit_noise(range(6), (2,), torch.float64)
    exact = MIXTURE.log_density(x, 0.05)
    assert fine.log_p == pytest.approx(float(exact.mean()), abs=fine.rmse)
    assert fine.log_p_error == pytest.approx(float(exact.std()) / math.sqrt(6), rel=0.02)
    assert (fine.probes, fine.probes_error, fine.nfe, fine.backwards) == (0, 0, 80, 160)
    assert math.isnan(fine.bits)
    with pytest.raises(SamplesError, match="2 to 2000 samples of the data, not 1"):
        likelihood(cases, MIXTURE, samples=1)


def test_likelihood_rows_of_data_on_levels_are_in_bits() -> None:
    problem = Digits().between(100.0, 0.04)
    case = Case(DPMSolverPP2M(), "2M", "log_snr", "S=10", partial(log_snr, 10, 100.0, 0.04))
    (row,) = collect(likelihood([case], problem, samples=4, probes=2, levels=problem.levels))
    assert (row.levels, row.probes, row.solver) == (17, 2, "2M")
    assert 1 < row.bits < 3
    assert row.bits == pytest.approx(-(row.log_p / 64 + math.log(2 / 16)) / math.log(2))
    assert 0 < row.probes_error < row.log_p_error
    assert math.isnan(row.rmse)


def test_the_density_of_a_gaussian() -> None:
    p = Gaussian()
    cov = torch.tensor(p.covariance, dtype=torch.float64) + 0.25 * torch.eye(2)
    law = torch.distributions.MultivariateNormal(torch.tensor(p.mean, dtype=torch.float64), cov)
    x = p.data()[:20]
    torch.testing.assert_close(p.log_density(x, 0.5), law.log_prob(x))
