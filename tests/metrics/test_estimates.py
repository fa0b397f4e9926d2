"""Errors of distances: the jackknife against fresh sets, its bias, and the floor on real data."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flowsolve import Solver, karras, sample, unit_noise, vp_start
from flowsolve.metrics import (
    Estimate,
    energy,
    floor,
    frechet,
    kid,
    mmd,
    precision,
    recall,
    sliced_wasserstein,
)
from flowsolve.metrics.estimate import jackknife
from flowsolve.problems import Digits
from flowsolve_solvers import DPMSolverPP2M, Euler
from tests.metrics.sets import SETS, Distance, X, Y, normal

# --- errors ----------------------------------------------------------------------------------------


@cache
def repeats(distance: Distance, shift: float, times: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    """Values, errors and biases over fresh sets of 80 and 100 samples in three dimensions."""
    pairs = [(normal(80, 3, 2 * i) + shift, normal(100, 3, 2 * i + 1)) for i in range(times)]
    got = [distance(x, y) for x, y in pairs]
    value, error, bias = zip(*[(e.value, e.error, e.bias) for e in got], strict=True)
    return torch.tensor(value), torch.tensor(error), torch.tensor(bias)


@pytest.mark.parametrize(
    ("distance", "widest"),
    [
        (frechet, 1.2),
        (partial(sliced_wasserstein, directions=4), 1.2),
        (energy, 1.2),
        (kid, 1.2),
        (mmd, 1.2),
        (precision, 1.5),  # not smooth in the samples: wide, by a third here
        (recall, 1.5),
    ],
)
def test_the_error_is_the_spread_of_repeats(distance: Distance, widest: float) -> None:
    """A spread of 200 repeats is known to 5%; and the error covers the mean as a normal one does."""
    value, error, _ = repeats(distance, 1.0)
    ratio = float(error.square().mean().sqrt() / value.std())
    assert 0.85 < ratio < widest
    covered = ((value - value.mean()).abs() < 1.96 * error).double().mean()
    assert 0.9 < covered < 1


@pytest.mark.parametrize("distance", [frechet, energy, kid, mmd])
def test_the_error_between_equal_laws_is_wide(distance: Distance) -> None:
    """The first-order part is gone there, and the jackknife counts the second twice: up to √2."""
    value, error, _ = repeats(distance, 0.0)
    assert 1.1 < error.square().mean().sqrt() / value.std() < 1.6


@pytest.mark.parametrize(
    ("distance", "shift", "truth"),
    [
        (frechet, 1.0, 3.0),
        (frechet, 0.0, 0.0),
        (energy, 0.0, 0.0),
        (kid, 0.0, 0.0),
        (mmd, 0.0, 0.0),
    ],
)
def test_the_bias_is_found(distance: Distance, shift: float, truth: float) -> None:
    """Corrected, the mean over repeats is the truth within 4 of its own standard errors."""
    value, _, bias = repeats(distance, shift)
    fixed = value - bias
    assert abs(fixed.mean() - truth) < 4 * fixed.std() / math.sqrt(len(fixed))
    if distance in (frechet, energy):
        assert bias.mean() > 20 * bias.std() / math.sqrt(len(bias))


def test_why_not_a_bootstrap() -> None:
    """Replicates of a Fréchet distance are high by its bias once more; its value is 0 plus one of these."""
    x, y, generator = normal(80, 3, 0), normal(100, 3, 1), torch.Generator().manual_seed(0)
    got = frechet(x, y)

    def again(a: Tensor) -> Tensor:
        return a[torch.randint(len(a), (len(a),), generator=generator)]

    replicates = torch.tensor([frechet(again(x), again(y), groups=0).value for _ in range(100)])
    assert replicates.mean() - got.value == pytest.approx(got.bias, rel=0.3)
    assert replicates.mean() > 1.7 * got.value


def test_the_order_of_the_data_does_not_make_the_error() -> None:
    """Groups of neighbours in a sorted set would differ wildly, and every n-th one hardly at all."""
    x = X[X[:, 0].argsort()]
    for distance in (frechet, sliced_wasserstein):
        assert 0.5 < distance(x, Y).error / distance(X, Y).error < 2


def test_jackknife_of_a_mean_and_of_a_square() -> None:
    """The mean's is s/√n to rounding, without bias; the mean's square is high by s²/n."""
    x = X[:, 0]
    n, less = len(x), (x.sum() - x) / (len(x) - 1)
    got = jackknife(float(x.mean()), less.tolist())
    assert (got.error, got.bias) == pytest.approx((float(x.std()) / n**0.5, 0), abs=1e-12)
    square = jackknife(float(x.mean() ** 2), less.square().tolist())
    assert square.bias == pytest.approx(float(x.var()) / n, rel=1e-9)
    assert square.corrected == square.value - square.bias


def test_an_estimate_prints_two_digits_of_its_error() -> None:
    assert str(Estimate(0.123456, 0.0456, 0.0)) == "0.123 ± 0.046"
    assert str(Estimate(1234.5, 67.8, 0.0)) == "1234 ± 68"
    assert str(Estimate(1.25e-13, 2e-14, 0.0)) == "1.25e-13 ± 2.0e-14"
    assert str(Estimate(0.0, 0.0, 0.0)) == "0 ± 0"
    assert str(Estimate(0.123456, math.nan, math.nan)) == "0.1235 ± nan"


@pytest.mark.parametrize("distance", [frechet, sliced_wasserstein, precision, recall])
def test_without_groups_there_is_no_error(distance: Callable[..., Estimate]) -> None:
    got = distance(X, Y, groups=0)
    assert got.value == pytest.approx(distance(X, Y).value, rel=1e-12)
    assert math.isnan(got.error)
    assert math.isnan(got.bias)


def test_more_groups_than_samples_are_single_samples() -> None:
    assert frechet(X, Y, groups=70).error == frechet(X, Y, groups=1000).error


# --- the floor -------------------------------------------------------------------------------------


def test_the_floor_is_what_equal_laws_give() -> None:
    """Halves of one set differ as fresh sets of that size do, in the mean and in the spread."""
    plain = partial(frechet, groups=0)
    got = floor(plain, normal(400, 4, 20), repeats=100)
    fresh = torch.tensor(
        [plain(normal(200, 4, 2 * i), normal(200, 4, 2 * i + 1)).value for i in range(100)]
    )
    assert got.value == pytest.approx(float(fresh.mean()), rel=0.1)
    assert got.error == pytest.approx(float(fresh.std()), rel=0.3)
    one, same, other = (floor(energy, X, seed=s, repeats=3) for s in (1, 1, 2))
    assert one == same
    assert one != other
    assert abs(floor(frechet, normal(400, 4, 20)).corrected) < got.error


def test_the_floors_error_is_the_sample_deviation_of_its_halvings() -> None:
    """The squares over repeats - 1, of which 2 values give most: |a - b|/√2, and not |a - b|/2."""
    answers = [Estimate(3.0, 9.0, 0.5), Estimate(5.0, 9.0, 1.5), Estimate(10.0, 9.0, 4.0)]
    sizes: list[tuple[int, int]] = []

    def known(a: Tensor, b: Tensor) -> Estimate:
        sizes.append((len(a), len(b)))
        return answers[len(sizes) - 1]

    assert floor(known, X, repeats=2).error == pytest.approx(2 / math.sqrt(2), rel=1e-15)
    sizes.clear()
    got = floor(known, X, samples=11, repeats=3)
    assert (got.value, got.bias) == pytest.approx((6.0, 2.0), rel=1e-15)
    assert got.error == pytest.approx(math.sqrt((9 + 1 + 16) / 2), rel=1e-15)
    assert sizes == [(11, 49)] * 3


def test_digits_against_the_page() -> None:
    """docs/metrics.md's figures, to a tenth of their errors: 20 steps are at the floor, 5 of Euler are not."""
    problem = Digits()
    real = problem.data()
    half = real[torch.randperm(len(real), generator=torch.Generator().manual_seed(0))[:898]]
    noise, ends = unit_noise(range(898), (1, 8, 8)), (problem.sigma_max, problem.sigma_min)

    def made(solver: Solver, steps: int) -> Tensor:
        return sample(problem, noise, karras(steps, *ends), solver, start=vp_start).x

    good, poor = made(DPMSolverPP2M(), 20), made(Euler(), 5)
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", page, re.MULTILINE))
    assert rows.keys() >= {distance.__name__ for distance in SETS}
    for distance in SETS:
        cells = [re.findall(r"-?[\d.]+(?:e-\d+)?", c) for c in rows[distance.__name__].split("|")]
        shown = [(float(v), float(e)) for v, e in (cells[0], cells[1], cells[-1])]
        bottom = Estimate(*shown[0], 0.0)
        if distance in (frechet, precision):  # the others' take seconds
            bottom = floor(partial(distance, groups=0), real)
        got = [bottom, distance(good, half), distance(poor, half)]
        for e, (value, error) in zip(got, shown, strict=True):
            assert abs(e.value - value) < 0.1 * e.error, distance.__name__
            assert e.error == pytest.approx(error, rel=0.1)
        assert abs(got[1].value - bottom.value) < 3 * bottom.error
        assert abs(got[2].value - bottom.value) > 5 * bottom.error
