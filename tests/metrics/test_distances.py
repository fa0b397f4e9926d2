"""Distances of sample sets: closed forms, invariances, features, and bad input."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial

import pytest
import torch
from scipy import stats
from scipy.linalg import sqrtm
from torch import Tensor

from flowsolve.errors import SamplesError
from flowsolve.metrics import (
    energy,
    floor,
    frechet,
    kid,
    mmd,
    pca,
    precision,
    recall,
    sliced_wasserstein,
)
from tests.metrics.sets import Distance, X, Y, named, normal

# --- closed forms ----------------------------------------------------------------------------------


def test_frechet_of_a_shift_is_its_square() -> None:
    delta = torch.tensor([3.0, 0.0, -4.0, 0.0, 0.0])
    assert frechet(X + delta, X, groups=0).value == pytest.approx(25, rel=1e-13)


def test_frechet_of_a_scaling() -> None:
    """Σ and c²Σ: (c - 1)² tr Σ."""
    centred = X - X.mean(0)
    assert frechet(centred * 3, centred, groups=0).value == pytest.approx(
        4 * float(X.var(0).sum()), rel=1e-13
    )


def test_frechet_is_the_formula_with_a_matrix_square_root() -> None:
    S, L = X.T.cov(), Y.T.cov()
    root = torch.as_tensor(sqrtm((S @ L).numpy()).real)
    expected = (X.mean(0) - Y.mean(0)).square().sum() + (S + L - 2 * root).trace()
    assert frechet(X, Y, groups=0).value == pytest.approx(float(expected), rel=1e-11)


def test_frechet_with_fewer_samples_than_dimensions() -> None:
    """Rank 7 in 50 dimensions is rank 7 in the 20 that hold both sets, seen through a rotation."""
    a, b = normal(8, 20, 2), normal(13, 20, 3)
    turn = torch.linalg.qr(normal(50, 20, 4)).Q
    assert frechet(a @ turn.T, b @ turn.T, groups=0).value == pytest.approx(
        frechet(a, b, groups=0).value, rel=1e-12
    )
    assert frechet(a @ turn.T + 1, a @ turn.T, groups=0).value == pytest.approx(50, rel=1e-12)


def test_frechet_keeps_digits_where_the_traces_cancel() -> None:
    """tr(Σ + Λ - 2 root) would be rounding here: 1e-16 of 1e6, and the answer is 1e-14."""
    a = (X - X.mean(0)) * 1e3
    got = frechet(a * (1 + 1e-10), a, groups=0).value
    assert got == pytest.approx(1e-20 * float(a.var(0).sum()), rel=1e-4)


@pytest.mark.parametrize("distance", [frechet, sliced_wasserstein, energy])
def test_equal_sets_are_at_zero(distance: Distance) -> None:
    assert distance(X, X).value == pytest.approx(0, abs=1e-8)
    assert distance(X, Y).value > 0.05


@pytest.mark.parametrize("m", [60, 35])
def test_one_dimension_against_scipy(m: int) -> None:
    """SciPy's energy distance is the root of Székely's."""
    x, y = normal(60, 1, 5), normal(m, 1, 6) * 2 + 1
    u, v = x[:, 0].numpy(), y[:, 0].numpy()
    assert energy(x, y).value == pytest.approx(stats.energy_distance(u, v) ** 2, rel=1e-9)
    got = sliced_wasserstein(x, y, p=1, directions=3, groups=0).value
    assert got == pytest.approx(stats.wasserstein_distance(u, v), rel=1e-12)


def test_wasserstein_2_of_a_shift() -> None:
    """|θ·δ| on each line: its mean square is |δ|²/d, in units of δ."""
    delta = torch.tensor([3.0, 0.0, -4.0, 0.0, 0.0])
    got = sliced_wasserstein(X + delta, X, directions=4000, groups=0).value
    assert got == pytest.approx(math.sqrt(25 / 5), rel=0.03)
    one = sliced_wasserstein(X[:, :1] + 2, X[:, :1], groups=0).value
    assert one == pytest.approx(2, rel=1e-12)


def test_energy_corrected_is_the_unbiased_statistic() -> None:
    U = 2 * torch.cdist(X, Y).mean() - torch.pdist(X).mean() - torch.pdist(Y).mean()
    assert energy(X, Y).corrected == pytest.approx(float(U), rel=1e-9)


@pytest.mark.parametrize("distance", [kid, partial(mmd, bandwidth=1.5)], ids=["kid", "mmd"])
def test_mmd_over_all_pairs(distance: Distance) -> None:
    def k(a: Tensor, b: Tensor) -> Tensor:
        cubic: Tensor = (a @ b.T / 5 + 1) ** 3
        return cubic if distance is kid else torch.exp(-(torch.cdist(a, b) ** 2) / 4.5)

    def own(a: Tensor) -> Tensor:
        return (k(a, a).sum() - k(a, a).diagonal().sum()) / (len(a) * (len(a) - 1))

    got = distance(X, Y)
    assert got.value == pytest.approx(float(own(X) + own(Y) - 2 * k(X, Y).mean()), rel=1e-9)
    assert got.bias == pytest.approx(0, abs=1e-9)


def test_the_median_bandwidth_is_the_references() -> None:
    h = float(torch.pdist(Y).median())
    assert mmd(X, Y).value == mmd(X, Y, bandwidth=h).value
    assert mmd(X * 9, Y).value == mmd(X * 9, Y, bandwidth=h).value
    many = normal(3000, 1, 13).sort(0).values  # the first 1000 alone would be narrow
    h = float(torch.pdist(many).median())
    assert mmd(X[:, :1], many).value == pytest.approx(
        mmd(X[:, :1], many, bandwidth=h).value, rel=0.05
    )


def test_precision_and_recall_by_hand() -> None:
    """On a line with k = 1: each point covers up to its nearest neighbour."""
    y = torch.tensor([[0.0], [1.0], [3.0], [10.0], [12.0]])  # covers -1..5 and 8..14
    x = torch.tensor([[-0.9], [5.1], [8.0], [14.5]])
    assert precision(x, y, k=1, groups=0).value == 2 / 4
    far = torch.tensor([[-9.0], [-8.5], [2.5], [2.0]])  # covers -9.5..-8 and 1.5..3
    assert recall(far, y, k=1, groups=0).value == 1 / 5


def test_a_dropped_mode_costs_recall_alone() -> None:
    centre = torch.tensor([[0.0, 0.0], [50.0, 0.0]], dtype=torch.float64)
    real = normal(200, 2, 7) + centre.repeat(100, 1)
    made = normal(200, 2, 8)
    assert precision(made, real).value > 0.9
    assert 0.4 < recall(made, real).value <= 0.5
    assert precision(made + 500, real).value == recall(made + 500, real).value == 0
    assert precision(real, real).value == recall(real, real).value == 1


# --- invariances -----------------------------------------------------------------------------------


@named
def test_order_of_the_samples_and_rotation_change_nothing(distance: Distance) -> None:
    """A rotation turns the directions, so a sliced distance changes as with other directions."""
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(9))
    plain = distance(X, Y).value
    assert distance(X[order], Y).value == pytest.approx(plain, rel=1e-10)
    turn = torch.linalg.qr(normal(5, 5, 10)).Q
    loose = 0.1 if distance is sliced_wasserstein else 1e-9
    assert distance(X @ turn, Y @ turn).value == pytest.approx(plain, rel=loose)


@pytest.mark.parametrize("distance", [frechet, energy, mmd, precision, recall, sliced_wasserstein])
def test_a_common_shift_changes_nothing(distance: Distance) -> None:
    """Not even a large one; KID is not among them."""
    assert distance(X + 1e5, Y + 1e5).value == pytest.approx(distance(X, Y).value, rel=1e-7)
    assert kid(X + 1, Y + 1).value != pytest.approx(kid(X, Y).value, rel=0.1)


@named
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_any_dtype_and_event_in_float64(distance: Distance, dtype: torch.dtype) -> None:
    """Computed in float64 from the rounded samples, without a gradient, the same twice."""
    x, y = X[:, :4].to(dtype).requires_grad_(), Y[:, :4].to(dtype)
    got = distance(x.reshape(-1, 1, 2, 2), y.reshape(-1, 1, 2, 2))
    assert got == distance(x.double(), y.double())
    assert isinstance(got.value, float)


@named
def test_blocks_change_nothing(distance: Distance, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = distance(X, Y)
    monkeypatch.setattr("flowsolve.metrics.pairwise.BLOCK", 200)
    monkeypatch.setattr("flowsolve.metrics.features.BATCH", 7)
    parts = distance(X, Y)
    assert (parts.value, parts.error) == pytest.approx((whole.value, whole.error), rel=1e-9)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@named
def test_on_a_gpu(distance: Distance) -> None:
    cpu = distance(X, Y)
    for y in (Y, Y.cuda()):
        got = distance(X.cuda(), y)
        assert (got.value, got.error) == pytest.approx((cpu.value, cpu.error), rel=1e-7)
        assert got.bias == pytest.approx(cpu.bias, rel=1e-6, abs=1e-12, nan_ok=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@named
def test_many_features_in_float32_on_a_gpu(distance: Distance) -> None:
    """And images, whose features are made there in batches."""
    x, y = normal(1500, 64, 20).float() * 1.1, normal(1600, 64, 21).float()
    features = pca(y, 40)
    got = distance(x.cuda().reshape(-1, 1, 8, 8), y.cuda().reshape(-1, 1, 8, 8), features)
    cpu = distance(x.reshape(-1, 1, 8, 8), y.reshape(-1, 1, 8, 8), features)
    assert (got.value, got.error) == pytest.approx((cpu.value, cpu.error), rel=1e-6)


# --- features --------------------------------------------------------------------------------------


def test_features_are_applied_in_batches() -> None:
    seen = []

    def halves(x: Tensor) -> Tensor:
        seen.append(len(x))
        return x.flatten(1)[:, :2]

    x = normal(1200, 4, 11).reshape(-1, 2, 2)
    got = frechet(x, x + 1, halves, groups=0).value
    assert got == pytest.approx(2, rel=1e-12)
    assert seen == [500, 500, 200] * 2


def test_principal_components() -> None:
    """All of them are a rotation; one of them is the longest axis; others see the same axes."""
    data = normal(100, 3, 12) * torch.tensor([1.0, 5.0, 0.1]) + 7
    every = pca(data, 3)
    assert every.explained == pytest.approx(1)
    assert frechet(data, X[:, :3], every, groups=0).value == pytest.approx(
        frechet(data, X[:, :3], groups=0).value, rel=1e-12
    )
    first = pca(data, 1)
    assert abs(float(first.axes[1, 0])) > 0.99
    assert float(first(data).var()) == pytest.approx(
        float(torch.linalg.eigvalsh(data.T.cov())[-1]), rel=1e-12
    )
    assert 0.9 < first.explained < 1
    assert frechet(data + torch.tensor([0.0, 0.0, 1.0]), data, first, groups=0).value < 1e-3


# --- bad input -------------------------------------------------------------------------------------

NAN = X.clone()
NAN[3, 1] = math.nan


@named
@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (X, Y[:, :3], "the samples of x are (5,) and those of y (3,): give both sets one shape"),
        (X.reshape(-1, 5, 1), Y, "the samples of x are (5, 1) and those of y (5,)"),
        (X[:3], Y, "x has 3 samples, and a distance needs 4 or more."),
        (X[:, :0], Y[:, :0], "the samples of x are (0,): they hold no values."),
        (X, Y[:0], "y has 0 samples, and a distance needs 4 or more."),
        (NAN, Y, "1 of 60 samples in x hold NaN or infinity."),
        (X, NAN / 0, "60 of 60 samples in y hold NaN or infinity."),
        (
            X,
            (Y * 255).to(torch.uint8),
            "y is a floating tensor, (N, *event), not (70, 5) of torch.uint8",
        ),
        (X.numpy(), Y, "x is a floating tensor, (N, *event), not array("),
        (X.to(torch.complex64), Y, "of torch.complex64"),
        (torch.tensor(1.0), Y, "not () of torch.float32"),
    ],
)
def test_bad_sets(distance: Distance, x: Tensor, y: Tensor, says: str) -> None:
    with pytest.raises(SamplesError, match=re.escape(says)):
        distance(x, y)


@pytest.mark.parametrize(
    ("features", "says"),
    [
        (lambda x: x.mean(1), "features map (60, 5) to a tensor (60, d), not to (60,)"),
        (lambda x: x[:1], "features map (60, 5) to a tensor (60, d), not to (1, 5)"),
        (lambda x: x.tolist(), "features map (60, 5) to a tensor (60, d), not to [["),
        (lambda x: x.log(), "the features of x hold NaN or infinity, and x does not."),
    ],
)
def test_bad_features(features: Callable[[Tensor], Tensor], says: str) -> None:
    with pytest.raises(SamplesError, match=re.escape(says)):
        energy(X, Y, features)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: pca(X, 6), "60 samples of 5 values have 1 to 5 principal components, not 6."),
        (lambda: pca(X[:4], 4), "4 samples of 5 values have 1 to 3 principal components, not 4."),
        (lambda: pca(X, 0), "not 0."),
        (lambda: pca(NAN, 2), "1 of 60 samples in reference hold NaN"),
        (lambda: precision(X, Y, k=0), "k = 0 neighbours need 1 <= k < 66: the set of 70 samples"),
        (lambda: recall(X, Y, k=57), "k = 57 neighbours need 1 <= k < 57: the set of 60 samples"),
        (lambda: mmd(X, Y, bandwidth=0.0), "a bandwidth above 0, not 0.0: give another."),
        (lambda: mmd(X, Y * 0), "not 0.0: half of the reference is one point; give one."),
        (lambda: floor(energy, X[:7]), "x has 3 samples"),
        (lambda: floor(energy, X.int()), "real is a floating tensor"),
        (lambda: floor(energy, X, repeats=1), "the spread of a floor needs repeats >= 2, not 1."),
        (
            lambda: sliced_wasserstein(X, Y, p=3),
            "needs p = 1 or 2 and directions >= 1, but got p = 3",
        ),
        (lambda: sliced_wasserstein(X, Y, directions=0), "directions = 0"),
        (lambda: frechet(X, Y, groups=1), "groups = 1: the error needs 2 or more, or 0 for none."),
        (lambda: precision(X, Y, groups=-1), "groups = -1"),
    ],
)
def test_bad_arguments(call: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        call()
