"""The embedded digits network: its size, its smoothness, and that its samples match the data."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from flowsolve import karras, sample, vp_start
from flowsolve.errors import MissingExtra
from flowsolve.problems import Digits
from flowsolve.problems.digits import digits_data
from flowsolve.problems.unet import NO_CLASS, DigitsUNet
from flowsolve_solvers import Heun

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "train_digits.py"
WEIGHTS = ROOT / "flowsolve" / "problems" / "digits.safetensors"


@pytest.fixture(scope="module")
def net() -> DigitsUNet:
    """Load the network as shipped."""
    net = DigitsUNet()
    net.load_state_dict(load_file(WEIGHTS))
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Import the training script, for its data."""
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("train_digits", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Draw four states and times."""
    g = torch.Generator().manual_seed(0)
    return torch.randn(4, 1, 8, 8, generator=g), torch.tensor([0.0, 3.5, 250.25, 999.0])


def test_size(net: DigitsUNet) -> None:
    """The file is fp16, at most 1 MB, and says where it comes from."""
    assert WEIGHTS.stat().st_size <= 1_000_000
    assert sum(p.numel() for p in net.parameters()) == 431_265
    with safe_open(WEIGHTS, "pt") as file:
        assert all(file.get_tensor(name).dtype == torch.float16 for name in file.keys())  # noqa: SIM118
        assert {"data", "data_license", "seed", "steps", "loss"} <= set(file.metadata())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype(net: DigitsUNet, batch: tuple[Tensor, Tensor], dtype: torch.dtype) -> None:
    """The answer has the shape and dtype of x, and both dtypes agree."""
    x, t = batch
    eps = net.to(dtype)(x.to(dtype), t.double())
    net.float()
    assert eps.shape == x.shape
    assert eps.dtype == dtype
    assert bool(eps.isfinite().all())
    torch.testing.assert_close(eps.float(), net(x, t), atol=2e-4, rtol=2e-4)


def test_unconditional_is_label_10(net: DigitsUNet, batch: tuple[Tensor, Tensor]) -> None:
    """No label means label 10, and another label means something else."""
    x, t = batch
    assert net(x, t).equal(net(x, t, torch.full((4,), NO_CLASS)))
    assert not net(x, t).equal(net(x, t, torch.full((4,), 3)))


def test_smooth_in_time(net: DigitsUNet, batch: tuple[Tensor, Tensor]) -> None:
    """Central differences in log(1 + t) have errors c h²: halving h divides them by four."""
    x, t = batch[0].double(), batch[1].double().clamp(1, 900)
    net.double()

    def slope(h: float) -> Tensor:
        forward, back = (1 + t) * torch.tensor([h, -h], dtype=t.dtype).exp()[:, None] - 1
        out: Tensor = (net(x, forward) - net(x, back)) / (2 * h)
        return out

    coarse, middle, fine = slope(4e-3), slope(2e-3), slope(1e-3)
    net.float()
    ratio = (coarse - middle).norm() / (middle - fine).norm()
    assert abs(ratio - 4) < 0.05
    assert (middle - fine).norm() < 1e-3 * fine.norm()


def test_training_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script trains for 3 steps and writes weights that load, and their figure."""
    pytest.importorskip("sklearn")
    out = tmp_path / "x.safetensors"
    figure = tmp_path / "x.png"
    options = ["--steps", "3", "--out", str(out), "--figure", str(figure)]
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, *options])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "step      3" in capsys.readouterr().out
    DigitsUNet().load_state_dict(load_file(out))
    assert figure.stat().st_size > 10_000


def energy_test(x: Tensor, y: Tensor, permutations: int = 999) -> tuple[float, float]:
    """Energy distance 2 E|X-Y| - E|X-X'| - E|Y-Y'| and its permutation p-value.

    With D the distances in the pooled set and z = ±1/n marking the two halves it is -zᵀ D z.
    """
    pool = torch.cat((x, y)).flatten(1).double()
    D = torch.cdist(pool, pool)
    z = torch.cat((torch.full((len(x),), 1 / len(x)), torch.full((len(y),), -1 / len(y)))).double()
    g = torch.Generator().manual_seed(0)
    shuffles = (torch.randperm(len(z), generator=g) for _ in range(permutations))
    Z = torch.stack([z, *(z[i] for i in shuffles)])
    distances = -((Z @ D) * Z).sum(1)
    return distances[0].item(), (distances >= distances[0]).double().mean().item()


@pytest.mark.parametrize(("steps", "accept"), [(24, lambda p: p > 0.01), (4, lambda p: p <= 0.001)])
def test_samples_match_the_data(
    script: ModuleType, steps: int, accept: Callable[[float], bool]
) -> None:
    """320 samples pass for 320 real images, and the same test sees through too few steps."""
    g = torch.Generator().manual_seed(1)
    images, _ = digits_data()
    real = images[torch.randperm(len(images), generator=g)[:320]]
    problem, noise = Digits(), torch.randn(320, 1, 8, 8, generator=g)
    grid = karras(steps, problem.sigma_max, problem.sigma_min)
    fake = sample(problem, noise, grid, Heun(), start=vp_start).x
    _, p = energy_test(fake, real)
    assert accept(p)


def test_its_data_are_the_images_and_of_the_labels_given() -> None:
    images, classes = digits_data()
    assert (images.shape, images.min(), images.max()) == ((1797, 1, 8, 8), -1, 1)
    assert torch.equal(Digits().data(), images)
    few = Digits().given(torch.tensor([3, 7, 7])).data()
    assert torch.equal(few, images[(classes == 3) | (classes == 7)])
    assert torch.equal(Digits().given(torch.tensor([3, 10])).data(), images)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtra, match=r"pip install 'flowsolve\[digits\]'"):
        Digits().data()
