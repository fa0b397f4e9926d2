"""Distances to data: the floor, the error beside it, and the shape of Table 1."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from flowsolve.errors import NetworkError, SamplesError, StateError
from flowsolve.integrate import vp_start
from flowsolve.metrics import Moments, frechet
from flowsolve.plot import quality_vs_nfe
from flowsolve.problems import Digits, Gaussian, Mixture, Mixture1D, NetworkProblem
from flowsolve.schedule.spacings import log_snr
from flowsolve.schedule.timesteps import tau_linear
from flowsolve.study.cases import Case
from flowsolve.study.quality import QualityRow, quality
from flowsolve.study.runner import collect
from flowsolve.study.samples import draw
from flowsolve.study.settings import Setup
from flowsolve.study.studies import work_precision
from flowsolve_solvers import (
    DDIM,
    DDPM,
    DDIMEta,
    Euler,
    Heun,
)

MIXTURE = Mixture()
PROBLEM = NetworkProblem(MIXTURE, (2,), 10.0, 0.05, data=MIXTURE.data()[:600], digest="600")


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
    row = measured(
        Heun(), seeds=range(8), distances=("error", "frechet", "energy", "precision", "recall")
    )[1]
    steps = work_precision([Heun()], PROBLEM, [40], spacings=[log_snr], seeds=range(8),
                           dtype=torch.float64)  # fmt: skip
    assert row.rmse == pytest.approx(steps.rows[0].rmse, rel=1e-9)
    assert row.scale == pytest.approx(steps.rows[0].scale, rel=1e-12)
    assert 0 < row.ref_err < row.rmse / 10
    assert math.isnan(
        measured(
            DDIMEta(),
            seeds=range(8),
            distances=("error", "frechet", "energy", "precision", "recall"),
        )[1].rmse
    )
    assert math.isnan(measured(Heun(), seeds=range(8))[1].rmse)


def test_the_frechet_distance_is_of_the_features_given() -> None:
    first = lambda x: x[:, :1]  # noqa: E731
    rows = measured(Heun(), seeds=range(50), features=first, features_name="first")
    assert {r.features for r in rows} == {"first"}
    order = torch.randperm(600, generator=torch.Generator().manual_seed(0))
    x = draw(
        PROBLEM,
        Heun(),
        log_snr(20, 10, 0.05),
        Setup.of({"seeds": range(50), "dtype": torch.float64}),
    ).x
    whole = frechet(x, PROBLEM.data()[order[50:]], first)  # in blocks it is the same up to rounding
    assert rows[1].distance("frechet").value == pytest.approx(whole.value, rel=1e-9)
    assert rows[1].distance("frechet").error == pytest.approx(whole.error, rel=1e-9)
    plain = measured(Heun(), seeds=range(50))
    assert plain[1].frechet != rows[1].frechet
    assert plain[1].energy == rows[1].energy
    assert plain[1].key != rows[1].key


def test_against_moments_there_is_no_floor_and_no_data_are_asked_for() -> None:
    known = Moments.of(PROBLEM.data())
    bare = NetworkProblem(MIXTURE, (2,), 10.0, 0.05, digest="600")
    options: Any = {"distances": ["frechet"], "reference": known, "dtype": torch.float64}
    (row,) = collect(quality(cases(Heun()), bare, seeds=range(50), **options))
    x = draw(
        bare, Heun(), log_snr(20, 10, 0.05), Setup.of({"seeds": range(50), "dtype": "float64"})
    ).x
    expected = frechet(x, known)
    assert row.frechet == pytest.approx(expected.value, rel=1e-9)
    assert row.frechet_error == pytest.approx(expected.error, rel=1e-9)
    assert (row.real, len(row.reference)) == (600, 12)
    assert math.isnan(row.energy)
    assert math.isnan(row.rmse)
    assert error_panels([row]) == ["distance to data: Mixture, 50 samples, 600 real ones"]
    unknown = Moments(known.mean + 0.1, known.covariance)
    (other,) = collect(
        quality(cases(Heun()), bare, seeds=range(50), **{**options, "reference": unknown})
    )
    assert other.real == 0
    assert other.key != row.key
    assert error_panels([other]) == ["distance to data: Mixture, 50 samples, moments of real ones"]


def error_panels(rows: list[QualityRow]) -> list[str]:
    """The titles of the panels."""
    return [axes.get_title() for axes in quality_vs_nfe(rows).axes]


def test_only_the_distances_that_are_asked_for_are_measured() -> None:
    floor, heun = measured(Heun(), seeds=range(20), distances=["energy"])
    assert heun.energy > 0 < floor.energy
    assert math.isnan(heun.frechet)
    assert math.isnan(floor.precision)
    heun = measured(Heun(), seeds=range(20), distances=["error"])[1]
    assert heun.rmse > 0
    assert error_panels([heun]) == ["distance to the ODE's solution"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"distances": ["fid"]}, r"distances are some of error, frechet, .*recall, not fid\."),
        (
            {"reference": 1},
            r"energy, precision, recall need real data, and a reference has moments",
        ),
    ],
)
def test_what_cannot_be_asked_for(words: dict[str, Any], said: str) -> None:
    words = {k: Moments.of(PROBLEM.data()) if v == 1 else v for k, v in words.items()}
    with pytest.raises(StateError, match=said):
        quality(cases(Heun()), PROBLEM, **words)


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
            if 0.06 < sigma < 9:  # not at the ends, where it is met beforehand
                raise NetworkError("no answer")
            return super().eps(x, sigma)

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


def test_the_shape_of_table_1_on_digits() -> None:
    """At S = 10 η = 1 is worse than η = 0 and σ̂ far worse; at S = 50 σ̂ has come near.

    In errors of the differences: with 1000 samples η = 1 is 4 of them above η = 0 (0.55 ± 0.06 and
    0.23 ± 0.04), σ̂ 20 and more above both, and its distance to η = 0 falls by 20 until S = 50.
    """
    problem = Digits()
    real = problem.data()

    def distance(solver: DDIMEta, n: int, samples: int) -> tuple[float, float]:
        grid = tau_linear(n, clock=problem.clock)
        x = draw(
            problem,
            solver,
            grid,
            Setup.of({"seeds": range(samples), "block": 500, "start": vp_start}),
        ).x
        found = frechet(x, real)
        return found.corrected, found.error

    def above(a: tuple[float, float], b: tuple[float, float]) -> float:
        return (a[0] - b[0]) / math.hypot(a[1], b[1])

    zero, one = distance(DDIM(), 10, 1000), distance(DDIMEta(), 10, 1000)
    hat = distance(DDPM(larger_variance=True), 10, 300)
    assert above(one, zero) > 2
    assert above(hat, one) > 8
    late_zero, late_hat = distance(DDIM(), 50, 300), distance(DDPM(larger_variance=True), 50, 300)
    gap, late = (
        (a[0] - b[0], math.hypot(a[1], b[1])) for a, b in ((hat, zero), (late_hat, late_zero))
    )
    assert above(gap, late) > 8
    assert abs(late[0]) < 3 * late[1]
