"""Moments: in parts, in files, as a side of the Fréchet distance, and that of samples that are not kept."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from flowsolve.errors import SamplesError
from flowsolve.metrics import Estimate, Moments, frechet, frechet_streamed, pca
from tests.devices import on_each_device
from tests.helpers import says
from tests.metrics.sets import X, Y, normal


def formula(p: Moments, q: Moments) -> float:
    """|μ - ν|² + tr(Σ + Λ - 2(ΣΛ)^½), as FID's programs compute it."""
    S, L = p.covariance.numpy(), q.covariance.numpy()
    root = np.real(sqrtm(S @ L))
    return float((p.mean - q.mean).square().sum()) + float(np.trace(S + L - 2 * root))


def same(a: Moments, b: Moments) -> bool:
    return a.n == b.n and torch.equal(a.mean, b.mean) and torch.equal(a.covariance, b.covariance)


# --- parts -----------------------------------------------------------------------------------------


def test_they_are_the_mean_and_the_covariance() -> None:
    found = Moments.of(X + 1e4)
    assert found.n == 60
    torch.testing.assert_close(found.mean, X.mean(0) + 1e4, rtol=1e-15, atol=0)
    torch.testing.assert_close(found.covariance, X.T.cov(), rtol=1e-9, atol=1e-9)
    assert repr(found) == "Moments(n=60, d=5)"


@pytest.mark.parametrize("size", [60, 1, 7, 2, 59])
def test_merged_parts_are_the_whole(size: int) -> None:
    whole = Moments.of(X)
    merged = Moments.merged(Moments.of(part) for part in X.split(size))
    assert merged.n == 60
    torch.testing.assert_close(merged.mean, whole.mean, rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(merged.covariance, whole.covariance, rtol=1e-13, atol=1e-14)


def test_merging_keeps_digits_far_from_the_origin() -> None:
    """Sums of squares would have none left: 1e-16 of (1e9)²."""
    parts = [Moments.of(part + 1e9) for part in X.split(7)]
    torch.testing.assert_close(Moments.merged(parts).covariance, X.T.cov(), rtol=1e-5, atol=1e-5)


def test_how_samples_are_cut_changes_no_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowsolve.metrics.gaussians.CHUNK", 16)
    whole = Moments.of(X)
    for size in (1, 7, 16, 25, 60):
        assert same(Moments.of(X.split(size)), whole)
    images = X[:, :4].reshape(-1, 1, 2, 2).float()
    features = pca(images, 2)
    assert same(Moments.of(images.split(9), features), Moments.of(images, features))
    assert len(Moments.of(images, features).mean) == 2


# --- the distance ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "d", "close"), [(400, 5, 1e-12), (600, 64, 1e-12), (3000, 64, 1e-12), (200, 300, 1e-8)]
)
def test_it_is_that_of_the_samples_and_of_the_formula(n: int, d: int, close: float) -> None:
    """Eigenvalues that should be 0 are 1e-16: where samples are fewer than dimensions, digits are lost."""
    mix = normal(d, d, 9) / d**0.5
    x, y = normal(n, d, 0) @ mix * 1.1 + 0.2, normal(n + 11, d, 1) @ mix
    expected, p, q = frechet(x, y, groups=0).value, Moments.of(x), Moments.of(y)
    assert frechet(p, q).value == pytest.approx(expected, rel=close)
    assert frechet(x, q, groups=0).value == pytest.approx(expected, rel=close)
    assert frechet(p, y, groups=0).value == pytest.approx(expected, rel=close)
    assert frechet_streamed(x.split(50), n, y, groups=0).value == pytest.approx(expected, rel=close)
    assert formula(p, q) == pytest.approx(expected, rel=1e-6)


def test_the_error_is_that_of_the_side_with_samples() -> None:
    both = frechet(X, Y)
    left, right = frechet(X, Moments.of(Y)), frechet(Moments.of(X), Y)
    assert both.error == pytest.approx(math.hypot(left.error, right.error), rel=1e-10)
    assert both.bias == pytest.approx(left.bias + right.bias, rel=1e-10)
    none = frechet(Moments.of(X), Moments.of(Y))
    assert math.isnan(none.error)
    assert math.isnan(none.bias)
    assert math.isnan(frechet(X, Moments.of(Y), groups=0).error)


def test_a_stream_is_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Value, error and bias; and every digit whatever the blocks, which may be a generator."""

    def fields(found: Estimate) -> tuple[float, float, float]:
        return found.value, found.error, found.bias

    for reference in (Y, Moments.of(Y)):
        expected = frechet(X, reference, groups=8, seed=3)
        streamed = frechet_streamed(iter(X.split(13)), 60, reference, groups=8, seed=3)
        assert fields(streamed) == pytest.approx(fields(expected), rel=1e-10)
    monkeypatch.setattr("flowsolve.metrics.gaussians.CHUNK", 16)
    once = frechet_streamed([X], 60, Y)
    for size in (1, 7, 25):
        assert frechet_streamed(X.split(size), 60, Y) == once
    assert frechet_streamed(X.split(7), 60, Y, groups=0).value == pytest.approx(
        once.value, rel=1e-12
    )
    assert frechet_streamed(X.split(7), 60, Y, groups=100).error > 0


def test_a_stream_of_images_by_features() -> None:
    x, y = X[:, :4].reshape(-1, 1, 2, 2), Y[:, :4].reshape(-1, 1, 2, 2)
    features = pca(y, 3)
    expected = frechet(x, y, features)
    for reference in (y, Moments.of(y, features)):
        found = frechet_streamed(x.split(20), 60, reference, features)
        assert found.value == pytest.approx(expected.value, rel=1e-10)


@on_each_device
def test_on_each_device(device: str) -> None:
    x, y = X.to(device), Y.to(device)
    p, q = Moments.of(x.split(7)), Moments.of(y)
    assert p.covariance.device.type == device
    torch.testing.assert_close(p.covariance.cpu(), X.T.cov(), rtol=1e-11, atol=1e-11)
    expected, half = frechet(X, Y), frechet(X, Moments.of(Y))
    assert frechet(p, Moments.of(Y)).value == pytest.approx(expected.value, rel=1e-9)
    assert frechet(p.to("cpu"), q).value == pytest.approx(expected.value, rel=1e-9)
    for found, wanted in (
        (frechet(x, Moments.of(Y)), half),
        (frechet_streamed(x.split(7), 60, q), half),
        (frechet_streamed(x.split(7), 60, Y), expected),
    ):
        assert found.value == pytest.approx(wanted.value, rel=1e-6)
        assert found.error == pytest.approx(wanted.error, rel=1e-6)


# --- files -----------------------------------------------------------------------------------------


def test_a_file_keeps_every_digit(tmp_path: Path) -> None:
    path, p = tmp_path / "statistics", Moments.of(X)
    p.save(path)
    assert same(Moments.load(path), p.checked("x"))
    assert frechet(Moments.load(path), Y) == frechet(p, Y)
    with np.load(path) as file:
        assert sorted(file) == ["mu", "n", "sigma"]
    Moments(p.mean, p.covariance).save(path)
    assert Moments.load(path).n is None


def test_files_of_other_programs_are_read(tmp_path: Path) -> None:
    """EDM's and clean-fid's have mu and sigma; ADM's more, and some are in float32."""
    mu, sigma = X.mean(0).numpy(), X.T.cov().numpy()
    edm, adm = tmp_path / "edm.npz", tmp_path / "adm.npz"
    np.savez(edm, mu=mu, sigma=sigma)
    np.savez_compressed(
        adm, arr_0=np.zeros((2, 4, 4, 3), np.uint8), mu=mu.astype(np.float32),
        sigma=sigma.astype(np.float32), mu_s=mu, sigma_s=sigma,
    )  # fmt: skip
    expected = frechet(Y, X, groups=0).value
    assert frechet(Y, Moments.load(edm), groups=0).value == pytest.approx(expected, rel=1e-12)
    assert frechet(Y, Moments.load(adm), groups=0).value == pytest.approx(expected, rel=1e-5)
    assert Moments.load(edm).n is None


def test_other_programs_read_ours_by_its_keys(tmp_path: Path) -> None:
    """As EDM's fid.py does, and clean-fid: neither looks at n."""
    path = tmp_path / "ours.npz"
    Moments.of(X).save(path)
    with open(path, "rb") as file:
        ref: dict[str, Any] = dict(np.load(file))
    made = Moments(torch.from_numpy(ref["mu"]), torch.from_numpy(ref["sigma"]))
    assert formula(made, Moments.of(Y)) == pytest.approx(frechet(X, Y, groups=0).value, rel=1e-10)


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"mu": np.zeros(3)}, r"bad.npz has no sigma, but \['mu'\]: moments are in a .npz with mu \(d,\) and"),
        ({"arr_0": np.zeros(3)}, r"has no mu and no sigma, but \['arr_0'\]"),
        (
            {"mu": np.zeros(3), "sigma": np.eye(4)},
            r"bad.npz needs a mean \(d,\) and a covariance \(d, d\), but they are \(3,\) and \(4, 4\).",
        ),
        ({"mu": np.zeros((1, 3)), "sigma": np.eye(3)}, r"but they are \(1, 3\) and \(3, 3\)."),
        ({"mu": np.zeros(0), "sigma": np.zeros((0, 0))}, r"but they are \(0,\) and \(0, 0\)."),
        ({"mu": np.full(3, np.nan), "sigma": np.eye(3)}, "the moments of .*bad.npz hold NaN or infinity."),
        ({"mu": np.zeros(3), "sigma": np.diag([1, 1, np.inf])}, "hold NaN or infinity."),
        (
            {"mu": np.zeros(3), "sigma": np.eye(3) + np.eye(3, k=1)},
            "the covariance of .*bad.npz is not symmetric.",
        ),
        ({"mu": np.zeros(3), "sigma": np.eye(3), "n": np.array(2)}, "has 2 samples, and a distance needs 4"),
        ({"mu": np.array([{}]), "sigma": np.eye(1)}, "bad.npz holds no moments: "),
    ],
)  # fmt: skip
def test_bad_files(arrays: dict[str, Any], text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(SamplesError, match=text):
        Moments.load(path)


def test_what_is_no_file_of_moments(tmp_path: Path) -> None:
    path = tmp_path / "none.npz"
    with pytest.raises(SamplesError, match=r"none\.npz holds no moments: .*No such file"):
        Moments.load(path)
    path.write_text("mu")
    with pytest.raises(SamplesError, match=r"none\.npz holds no moments: "):
        Moments.load(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(SamplesError, match=r"one\.npy holds no moments: "):
        Moments.load(tmp_path / "one.npy")


# --- bad input -------------------------------------------------------------------------------------

P = Moments.of(X)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Moments.merged([]), "there are no samples."),
        (
            lambda: P.merge(Moments(P.mean, P.covariance)),
            "only moments of as many values and of known numbers of samples can be merged, not Moments(n=60, "
            "d=5) and Moments(n=None, d=5).",
        ),
        (lambda: P.merge(Moments.of(X[:, :3])), "only moments of as many values"),
        (lambda: Moments.of([X, Y[:, :3]]), "blocks of one set have features of one length, not 5 and then 3."),
        (lambda: Moments.of([X, [1.0]]), "x is a floating tensor, (N, *event), not [1.0]"),
        (lambda: Moments.of(X / 0), "60 of 60 samples in x hold NaN or infinity."),
        (
            lambda: frechet(X, Moments.of(Y[:, :3])),
            "x has 5 features and y 3: Moments are of features, which samples get by features=.",
        ),
        (lambda: frechet(Moments.of(X[:3]), Y), "x has 3 samples, and a distance needs 4 or more."),
        (lambda: frechet(X[:3], P), "x has 3 samples, and a distance needs 4 or more."),
        (lambda: frechet(X, Moments(P.mean, P.covariance[:2])), "y needs a mean (d,) and a covariance (d, d)"),
        (
            lambda: frechet(X, Moments(P.mean, torch.diag(torch.tensor([1.0, 1, 1, 1, -1])))),
            "a covariance has no eigenvalues below 0, but Moments(n=None, d=5) has -1 beside 1.",
        ),
        (lambda: frechet_streamed([X], 3, Y), "n must be a whole number of at least 4, but got 3."),
        (
            lambda: frechet_streamed([X], 70, Y),
            "the blocks were said to hold n = 70 samples, but 60 came.",
        ),
        (
            lambda: frechet_streamed(X.split(10), 50, Y),
            "the blocks were said to hold n = 50 samples, but more came.",
        ),
    ],
)  # fmt: skip
def test_bad_input(call: Callable[[], object], text: str) -> None:
    says(SamplesError, text, call)


def test_bad_groups() -> None:
    for call in (
        lambda: frechet(P, P, groups=1),
        lambda: frechet_streamed([X], 60, P, groups=1),
    ):
        with pytest.raises(ValueError, match=re.escape("groups = 1: the error needs 2 or more")):
            call()


def test_fewer_samples_than_features_are_kept_and_the_distance_is_that_of_all_at_once() -> None:
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.randn(n, 30, generator=generator, dtype=torch.float64) for n in (20, 80))
    for reference in (y, Moments.of(y)):
        assert frechet_streamed(x.split(7), 20, reference) == frechet(x, reference)
    says(
        SamplesError,
        "the blocks were said to hold n = 19 samples, but more came",
        lambda: frechet_streamed([x], 19, y),
    )
    says(
        SamplesError,
        "the blocks were said to hold n = 21 samples, but 20 came",
        lambda: frechet_streamed([x], 21, y),
    )
