"""The embedded classifier of digits: its size, what it reads and sees, and what it refuses."""

from __future__ import annotations

import re
import runpy
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from flowsolve import Guided, Solver, karras, sample, unit_noise, vp_start
from flowsolve.errors import SamplesError
from flowsolve.metrics import floor, frechet
from flowsolve.problems import Digits
from flowsolve.problems.classifier import (
    WEIGHTS,
    DigitsClassifier,
    digits_classes,
    digits_classifier,
    digits_features,
)
from flowsolve.problems.digits import digits_data
from flowsolve_solvers import DPMSolverPP2M, Euler, Heun

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "train_classifier.py"
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
value = partial(frechet, groups=0)


@cache
def script() -> dict[str, Any]:
    pytest.importorskip("sklearn")
    return runpy.run_path(str(SCRIPT))


def made(solver: Solver, steps: int, count: int = 100, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Samples of all classes in turn, and those classes."""
    asked, problem = torch.arange(count) % 10, Digits()
    given = problem.given(asked)
    ode = given if scale == 1 else Guided(given, problem, scale)
    grid = karras(steps, problem.sigma_max, problem.sigma_min)
    noise = unit_noise(range(count), problem.event)
    return sample(ode, noise, grid, solver, start=vp_start).x, asked


def read_as(x: Tensor, classes: Tensor) -> float:
    return (digits_classes(x) == classes).double().mean().item()


# --- the network -----------------------------------------------------------------------------------


def test_size() -> None:
    """The file is fp16, at most 100 kB, and says where it comes from."""
    assert WEIGHTS.stat().st_size <= 100_000
    assert sum(p.numel() for p in DigitsClassifier().parameters()) == 39_162
    with safe_open(WEIGHTS, "pt") as file:
        assert all(file.get_tensor(name).dtype == torch.float16 for name in file.keys())  # noqa: SIM118
        assert {"data", "data_license", "seed", "held_out_accuracy"} <= set(file.metadata())


def test_it_reads_what_it_was_not_trained_on() -> None:
    """DIGITS.md's figures, which are the shipped file's."""
    (seen, held), (images, classes) = script()["split"](), digits_data()
    assert not {*seen.tolist()} & {*held.tolist()}
    assert (len(seen), len(held)) == (1437, 360)
    assert int((digits_classes(images[held]) == classes[held]).sum()) == 357
    assert read_as(images[seen], classes[seen]) > 0.999
    with safe_open(WEIGHTS, "pt") as file:
        assert float(file.metadata()["held_out_accuracy"]) == pytest.approx(357 / 360, abs=5e-5)
    text = (WEIGHTS.parent / "DIGITS.md").read_text(encoding="utf-8")
    assert "99.2 % of them right (357)" in text


def test_its_features_do_not_know_what_it_was_trained_on() -> None:
    """Else real data would be far from real data, and samples nearer than either."""
    (seen, held), (images, _) = script()["split"](), digits_data()
    bottom = floor(value, images[seen[:720]], digits_features)
    apart = value(images[held], images[seen[:360]], digits_features).value
    assert abs(apart - bottom.value) < 2 * bottom.error


def test_training_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two epochs read most digits, and give the same weights twice."""
    pytest.importorskip("sklearn")
    files = [tmp_path / f"{i}.safetensors" for i in range(2)]
    for file in files:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--epochs", "2", "--out", str(file)])
        runpy.run_path(str(SCRIPT), run_name="__main__")
    right = float(re.findall(r"([\d.]+) of the others", capsys.readouterr().out)[0])
    assert right > 0.7
    one, two = map(load_file, files)
    assert all(one[k].equal(two[k]) for k in load_file(WEIGHTS))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_any_dtype(dtype: torch.dtype) -> None:
    """In the dtype of the samples, and the same to its precision."""
    x = digits_data()[0][:20]
    double = digits_features(x.double())
    got = digits_features(x.to(dtype))
    assert (got.shape, got.dtype) == ((20, 48), dtype)
    assert digits_classes(x.to(dtype)).equal(digits_classes(x))
    assert (got.double() - double).norm() < 4 * torch.finfo(dtype).eps * double.norm()
    assert digits_classifier(dtype, x.device)(x.to(dtype)).exp().sum(1).float() == pytest.approx(
        1, abs=0.02
    )


def test_smooth() -> None:
    """Central differences have errors c h²: halving h divides them by four."""
    x, v = digits_data()[0][:20].double(), unit_noise(range(20), (1, 8, 8)).double()

    def slope(h: float) -> Tensor:
        return (digits_features(x + h * v) - digits_features(x - h * v)) / (2 * h)

    coarse, middle, fine = slope(4e-2), slope(2e-2), slope(1e-2)
    assert float((coarse - middle).norm() / (middle - fine).norm()) == pytest.approx(4, abs=0.1)


# --- what it sees ----------------------------------------------------------------------------------


def test_a_gaussian_passes_for_digits_in_pixels_alone() -> None:
    """docs/metrics.md's other rows of `frechet`, where they say most."""
    images, labels = digits_data()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    half, others = images[order[:898]], order[898:]
    pixels = images.flatten(1).double()
    root = torch.linalg.cholesky(pixels.T.cov() + 1e-9 * torch.eye(64))
    normal = pixels.mean(0) + unit_noise(range(898), (64,)).double() @ root.T
    sets = [normal.reshape(-1, 1, 8, 8), images[others[labels[others] != 8]]]
    cells = {
        name: [tuple(map(float, cell.split(" ± "))) for cell in row.split(" | ")]
        for name, row in re.findall(r"^\| (pixels|`digits_features`) \| (.*) \|$", PAGE, re.M)
    }
    gaps = {}
    for name, features in (("pixels", None), ("`digits_features`", digits_features)):
        bottom = floor(value, images, features)
        assert bottom.value == pytest.approx(cells[name][0][0], abs=0.1 * bottom.error)
        assert bottom.error == pytest.approx(cells[name][0][1], rel=0.1)
        got = [value(x, half, features).value for x in sets]
        for v, (shown, error) in zip(got, cells[name][-2:], strict=True):
            assert abs(v - shown) < 0.1 * error
        gaps[name] = [(v - bottom.value) / bottom.error for v in got]
    assert gaps["pixels"][0] < 1
    assert gaps["`digits_features`"][0] > 50
    assert gaps["`digits_features`"][1] > 2 * gaps["pixels"][1] > 6


def test_samples_are_read_as_the_class_asked_for() -> None:
    """And guided ones more often; a permuted request is not."""
    x, asked = made(DPMSolverPP2M(), 20)
    assert 0.93 < read_as(x, asked) < 1
    assert read_as(x, asked.roll(1)) < 0.05
    x, asked = made(DPMSolverPP2M(), 20, scale=2.0)
    assert read_as(x, asked) == 1


# --- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_wild_samples_are_measured(steps: int) -> None:
    """Values of hundreds are what these steps make of the right range, and a distance says so."""
    x, _ = made(Heun(), steps, 40)
    assert x.abs().max() > 5
    for one in x.split(1):
        assert digits_features(one).isfinite().all()
    assert digits_features(made(Euler(), 1, 40)[0]).isfinite().all()


@pytest.mark.parametrize("top", [1, 16, 255])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_another_range_is_refused(top: int, noise: float) -> None:
    x = ((digits_data()[0][:100] + 1) / 2 + noise * unit_noise(range(100), (1, 8, 8))) * top
    for see in (digits_features, digits_classes):
        for some in (x, *x.split(1)):
            with pytest.raises(SamplesError, match=r"mean .*: bring images from \[0, b\] to \[-1"):
                see(some)
    assert digits_features(x * 2 / top - 1).isfinite().all()


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.zeros(5, 64), "images (N, 1, 8, 8) in [-1, 1], not (5, 64) of torch.float32"),
        (torch.zeros(5, 3, 8, 8), "not (5, 3, 8, 8)"),
        (torch.zeros(5, 1, 8, 8, dtype=torch.uint8), "of torch.uint8"),
        (torch.ones(5, 1, 8, 8), "which is -1, but these, 1 to 1, have the mean 1: bring images"),
        ([1.0], "not [1.0]: features=None sees pixels"),
        (torch.full((5, 1, 8, 8), torch.nan), "the digits hold NaN or infinity."),
    ],
)
def test_what_is_no_digit(x: Tensor, says: str) -> None:
    for see in (digits_features, digits_classes):
        with pytest.raises(SamplesError, match=re.escape(says)):
            see(x)


def test_none_are_none() -> None:
    assert digits_classes(torch.zeros(0, 1, 8, 8)).shape == (0,)
