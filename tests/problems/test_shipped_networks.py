"""The networks that ship: their files, predictions, labels and data, and their samples beside the data."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from flowsolve import karras, sample, unit_noise
from flowsolve.errors import MissingExtra
from flowsolve.metrics import energy, floor
from flowsolve.problems import (
    PROBLEMS,
    Letters,
    letters_data,
    photos_data,
    signals_data,
)
from flowsolve.problems.letters import FONTS
from flowsolve.problems.shipped import Shipped, shipped_network, weights
from flowsolve.problems.unet import NETWORKS
from flowsolve.study import reference, work_precision
from flowsolve.study.samples import draw
from flowsolve.study.settings import Setup
from flowsolve_solvers import DPMSolverPP2M, Euler, Heun
from tests.helpers import says

ROOT = Path(__file__).parents[2]
NEW = ("photos", "signals", "letters")
ALL = ("digits", *NEW)
PARAMETERS = {"digits": 431_265, "photos": 434_195, "signals": 209_713, "letters": 432_849}


def shipped(name: str) -> Shipped:
    found = PROBLEMS[name]()
    assert isinstance(found, Shipped)
    return found


def noisy(p: Shipped, sigma: float, n: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """x₀ of the data, z, and x̄ = x₀ + σ z; of letters with their labels."""
    x0, z = p.data()[:n], unit_noise(range(n), p.event)
    return x0, z, x0 + sigma * z


def rms(x: Tensor) -> float:
    return float(x.double().square().mean().sqrt())


# --- the files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_the_file_is_small_half_precision_and_says_where_it_comes_from(name: str) -> None:
    assert weights(name).stat().st_size <= 1_000_000
    assert sum(p.numel() for p in NETWORKS[name]().parameters()) == PARAMETERS[name]
    with safe_open(weights(name), "pt") as file:
        assert all(file.get_tensor(k).dtype == torch.float16 for k in file.keys())  # noqa: SIM118
        assert {"seed", "steps"} <= set(file.metadata())


@pytest.mark.parametrize("name", NEW)
def test_what_the_network_is_made_of_is_written_beside_it(name: str) -> None:
    page = weights(name).with_name(f"{name.upper()}.md").read_text(encoding="utf-8")
    assert f"{PARAMETERS[name]:,}".replace(",", " ") in page
    assert f"train_networks.py {name}" in page
    words = {"photos": ("CC BY 2.0", "danielbuechele"), "signals": ("Apache", "Greydanus")}
    assert all(w in page for w in words.get(name, ("Bitstream Vera", "SIL Open Font", *FONTS)))


@pytest.mark.parametrize("name", NEW)
def test_training_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three steps give weights that load."""
    if name == "photos":
        pytest.importorskip("sklearn")
    out, threads = tmp_path / "x.safetensors", torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["train", name, "--steps", "3", "--out", str(out)])
    try:
        runpy.run_path(str(ROOT / "examples" / "train_networks.py"), run_name="__main__")
    finally:
        torch.set_num_threads(threads)
    assert "step      3  loss" in capsys.readouterr().out
    NETWORKS[name]().load_state_dict({k: w.float() for k, w in load_file(out).items()})


# --- the problems ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_shapes_dtypes_and_starts(name: str) -> None:
    p = shipped(name)
    x = p.start(range(4), torch.float64)
    assert x.shape == (4, *p.event)
    assert torch.equal(x[2:3], p.start([2], torch.float64))
    for sigma in (p.sigma_max, 1.0, p.sigma_min):
        y = x / p.sigma_max * (1 + sigma * sigma) ** 0.5
        eps = p.eps(y, sigma)
        assert (eps.shape, eps.dtype) == (x.shape, torch.float64)
        torch.testing.assert_close(p.eps(y.float(), sigma).double(), eps, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("name", ALL)
def test_the_digest_is_of_the_weights_and_the_labels(name: str) -> None:
    p = shipped(name)
    assert p.digest == shipped(name).digest
    assert len({shipped(n).digest for n in ALL}) == len(ALL)
    if p.labels is None and NETWORKS[name]().classes:
        one, other = (p.given(torch.tensor(c)).digest for c in ([1, 2], [2, 1]))
        assert len({one, other, p.digest}) == 3


@pytest.mark.parametrize("name", NEW)
def test_it_predicts_noise_far_from_the_data_and_data_near_them(name: str) -> None:
    p = shipped(name)
    x0, z, x = noisy(p, p.sigma_max)
    assert rms(p.eps(x, p.sigma_max) - z) < 1.2 * rms(x0) / p.sigma_max
    x0, _, x = noisy(p, p.sigma_min)
    assert rms(p.x0(x, p.sigma_min) - x0) < 1.1 * p.sigma_min


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_it_denoises_better_than_any_linear_filter(name: str, sigma: float) -> None:
    """The best one is μ + C (C + σ²)⁻¹ (x̄ - μ), μ and C the data's."""
    p = shipped(name)
    x0, _, x = noisy(p, sigma, 128)
    mu = (data := p.data().flatten(1).double()).mean(0)
    C = data.T.cov(correction=0)
    y = torch.linalg.solve(C + sigma**2 * torch.eye(len(C)), (x.flatten(1) - mu).T.double()).T
    linear = rms(mu + y @ C - x0.flatten(1))
    assert rms(p.x0(x, sigma) - x0) < 0.98 * linear


@pytest.mark.parametrize("name", NEW)
def test_it_is_smooth_in_sigma(name: str) -> None:
    """Central differences in log σ have errors c h²: halving h divides them by four."""
    p = shipped(name)
    for sigma in (0.1, 1.0, 10.0):
        x = noisy(p, sigma, 4)[2].double()

        def slope(h: float, x: Tensor = x, sigma: float = sigma) -> Tensor:
            high, low = (p.eps(x, float(sigma * torch.tensor(v).double().exp())) for v in (h, -h))
            return (high - low) / (2 * h)

        coarse, middle, fine = slope(4e-2), slope(2e-2), slope(1e-2)
        assert float((coarse - middle).norm() / (middle - fine).norm()) == pytest.approx(4, abs=0.1)
        assert (middle - fine).norm() < 1e-2 * fine.norm()


@pytest.mark.parametrize("name", NEW)
def test_its_reference_converges(name: str) -> None:
    """To 1e-5 of its RMS in float32, in few evaluations."""
    p = shipped(name)
    x = p.start([0])
    found = reference(p, x, p.sigma_max, p.sigma_min, tolerance=1e-5, limit=1500, cached=False)
    assert found.err < 1e-5 * rms(found.x)


@pytest.mark.parametrize("name", NEW)
def test_samples_are_as_near_to_the_data_as_data_are(name: str) -> None:
    """And few steps of Euler's method are not."""
    p, n = shipped(name), 96
    data, noise = p.data()[:1024], unit_noise(range(n), p.event)
    bottom, ode = floor(energy, data, samples=n), p.for_seeds(range(n))
    fine, coarse = karras(18, p.sigma_max, p.sigma_min), karras(4, p.sigma_max, p.sigma_min)
    near = energy(sample(ode, noise, fine, DPMSolverPP2M()).x, data[n:]).value
    far = energy(sample(ode, noise, coarse, Euler()).x, data[n:]).value
    assert near < bottom.value + 4 * bottom.error < far


def test_the_largest_deviation_of_photographs_is_that_of_images() -> None:
    x = photos_data(1024).flatten(1).double()
    top = torch.linalg.svdvals(x - x.mean(0)) / len(x) ** 0.5
    assert float(top[0]) == pytest.approx(15.3, abs=0.4)
    assert float(top[1]) == pytest.approx(5.4, abs=0.4)


# --- labels ---------------------------------------------------------------------------------------


def test_the_letter_of_a_sample_follows_from_its_seed_whatever_the_block() -> None:
    p, grid = Letters(), karras(4, 999.0, 1 / 999)
    seeds = [3, 29, 5, 0]
    whole = draw(p, Heun(), grid, Setup.of({"seeds": seeds})).x
    parts = draw(p, Heun(), grid, Setup.of({"seeds": seeds, "block": 3})).x
    torch.testing.assert_close(whole, parts, atol=1e-4, rtol=1e-4)
    asked = p.given(torch.tensor([3, 3, 5, 0]))
    assert torch.equal(sample(asked, unit_noise(seeds, p.event), grid, Heun()).x, whole)
    assert not torch.allclose(
        sample(p, unit_noise(seeds, p.event), grid, Heun()).x, whole, atol=0.1
    )
    assert asked.for_seeds(seeds) is asked
    assert shipped("photos").for_seeds(seeds).labels is None


def test_errors_of_letters_do_not_depend_on_the_block() -> None:
    def worst(block: int) -> float:
        study = work_precision(
            [Heun()], Letters(), nfe=[8], seeds=[25, 0], block=block, cached=False
        )
        assert not study.failures
        return max(row.max for row in study.rows)

    assert worst(1) == pytest.approx(worst(2), rel=1e-2)


def test_no_label_means_no_class() -> None:
    p = Letters()
    x = p.start([0, 1], torch.float64)
    none, some = (p.given(torch.tensor(c)).eps(x, 2.0) for c in ([26, 26], [0, 1]))
    assert torch.equal(p.eps(x, 2.0), none)
    assert not torch.allclose(some, none)
    x, classes = letters_data()
    assert torch.equal(p.given(torch.tensor([2, 7])).data(), x[(classes == 2) | (classes == 7)])
    assert torch.equal(p.given(torch.tensor([2, 26])).data(), x)


# --- the data -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NEW)
def test_data_are_a_function_of_their_number_and_the_seed(name: str) -> None:
    make = {
        "photos": photos_data,
        "signals": signals_data,
        "letters": lambda *a: letters_data(*a)[0],
    }[name]
    x = make(64, 5)
    assert (x.shape, x.dtype) == ((64, *PROBLEMS[name]().event), torch.float32)
    assert torch.equal(x, make(64, 5))
    assert not torch.equal(x, make(64, 6))
    assert len(PROBLEMS[name]().data()) == 2048
    if name != "signals":
        assert -1 <= float(x.min()) < -0.9 < 0.9 < float(x.max()) <= 1


def test_signals_have_mean_0_and_deviation_1() -> None:
    x = signals_data(20_000, 1).double()
    assert float(x.mean()) == pytest.approx(0, abs=0.02)
    assert float(x.std()) == pytest.approx(1, abs=0.02)


def test_letters_are_of_all_classes_and_lie_within_their_frame() -> None:
    x, classes = letters_data()
    assert classes.unique().tolist() == [*range(26)]
    frame = torch.cat((x[:, 0, 0], x[:, 0, -1], x[:, 0, :, 0], x[:, 0, :, -1]))
    assert float((frame < -0.9).double().mean()) > 0.97


def test_without_what_the_data_need_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from flowsolve.problems import letters, photos

    photos._photographs.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    says(MissingExtra, "the photographs come with scikit-learn: pip install", photos_data)
    letters._glyphs.cache_clear()
    monkeypatch.setitem(sys.modules, "PIL", None)
    says(MissingExtra, "the letters are drawn by Pillow with matplotlib's fonts", letters_data)


def test_a_network_is_the_same_object_until_another_dtype_is_asked_for() -> None:
    one, two = (shipped_network("signals", torch.float64, torch.device("cpu")) for _ in range(2))
    assert one is two
    assert shipped_network("signals", torch.float32, torch.device("cpu")) is not one
