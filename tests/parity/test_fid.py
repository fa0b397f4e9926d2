"""FID is torch-fidelity's, from the same weights, through its own pipeline. The weights are random."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from flowsolve import unit_noise
from flowsolve.errors import NetworkError
from flowsolve.interop import inception_features
from flowsolve.interop.fid import to_uint8
from flowsolve.metrics import Moments, frechet
from tests.parity.helpers import note

if importlib.util.find_spec("torch_fidelity") is None:
    pytest.skip(
        "torch-fidelity is not installed: make parity, or pip install flowsolve[parity]",
        allow_module_level=True,
    )
pytestmark = pytest.mark.parity


class Unneeded(ModuleType):
    """torchvision, which torch-fidelity imports for its other networks and for data sets: names alone."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


@pytest.fixture(scope="module")
def fidelity() -> Iterator[ModuleType]:
    """The package, with a stand-in for torchvision where that is not installed, taken away afterwards."""
    names = ("torchvision", "torchvision.datasets", "torchvision.transforms",
             "torchvision.transforms.functional")  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("torchvision") is None:
            made = {name: Unneeded(name) for name in names}
            for name, module in made.items():
                patch.setitem(sys.modules, name, module)
                parent, _, child = name.rpartition(".")
                if parent:
                    setattr(made[parent], child, module)
        yield importlib.import_module("torch_fidelity")
    for name in [n for n in sys.modules if n.partition(".")[0] == "torch_fidelity"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def weights(fidelity: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as their loader takes it, of a random network."""
    path = tmp_path_factory.mktemp("fid") / "inception.pth"
    with pytest.MonkeyPatch.context() as patch:
        # no weights given means that theirs downloads; here it gets the random ones that it has
        name = "torch_fidelity.feature_extractor_inceptionv3"
        patch.setattr(f"{name}.load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        network = fidelity.FeatureExtractorInceptionV3("fid", ["2048"])
    torch.save(network.state_dict(), path)
    return path


class Levels(Dataset[Tensor]):
    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Tensor:
        return self.images[i]


def smooth(n: int, seed: int, size: int = 16) -> Tensor:
    """Images of a few waves, as random weights see noise as grey."""
    coarse = unit_noise(range(seed, seed + n), (3, 4, 4))
    return torch.nn.functional.interpolate(coarse, size=size, mode="bilinear") * 0.7


def test_fid_is_theirs(
    fidelity: ModuleType, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 64 and 192 features by their whole pipeline; at 40 pixels in place of 299, for the time."""
    monkeypatch.setattr(fidelity.FeatureExtractorInceptionV3, "INPUT_IMAGE_SIZE", 40)
    x, y = smooth(300, 0), smooth(300, 1000) * 0.9 + 0.1
    for layer in (64, 192):
        theirs = fidelity.calculate_metrics(
            input1=Levels(to_uint8(x)), input2=Levels(to_uint8(y)), fid=True, cuda=False,
            feature_extractor="inception-v3-compat", feature_layer_fid=str(layer),
            feature_extractor_weights_path=str(weights), save_cpu_ram=True, verbose=False, cache=False,
        )["frechet_inception_distance"]  # fmt: skip
        ours = frechet(x, y, inception_features(weights, layer), groups=0).value
        note(f"FID of {layer} features, relative", abs(ours / theirs - 1))
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_moments_are_theirs(fidelity: ModuleType) -> None:
    """Their distance, by the eigenvalues of ΣΛ, of full rank and of less, and their statistics."""
    theirs = importlib.import_module("torch_fidelity.metric_fid")
    for n, d in ((1200, 256), (200, 256)):
        mix = unit_noise(range(7, 7 + d), (d,), torch.float64) / d**0.5
        x, y = (unit_noise(range(a, a + n), (d,), torch.float64) @ mix for a in (1000, 5000))
        p, q = Moments.of(x.split(70)), Moments.of(1.1 * y + 0.1)
        first, second = map(theirs.fid_features_to_statistics, (x, 1.1 * y + 0.1))
        assert torch.allclose(p.covariance, torch.as_tensor(first["sigma"]), rtol=1e-10, atol=1e-12)
        found = theirs.fid_statistics_to_metric(first, second, False)["frechet_inception_distance"]
        ours = frechet(p, q).value
        note(
            f"Fréchet distance of moments, {n} samples of {d} features, relative",
            abs(ours / found - 1),
        )
        assert ours == pytest.approx(found, rel=1e-6)


def test_features_are_theirs_at_full_size(fidelity: ModuleType, weights: Path) -> None:
    """Number by number, in two batches."""
    network, x = fidelity.FeatureExtractorInceptionV3("fid", ["2048"], str(weights)), smooth(3, 0)
    theirs, ours = network(to_uint8(x))[0], inception_features(weights, batch=2)(x)
    assert ours.shape == (3, 2048)
    assert (ours - theirs).norm() < 1e-5 * theirs.norm()
    assert (theirs[0] - theirs[1]).norm() > 1e-3 * theirs.norm()


def test_other_files_are_refused(fidelity: ModuleType, weights: Path, tmp_path: Path) -> None:
    """And a pickle is not run."""
    bad, ran = tmp_path / "bad.pth", tmp_path / "ran"

    class Program:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return exec, (f"open({str(ran)!r}, 'w')",)

    for content in ({"conv": torch.zeros(3)}, Program(), [1.0]):
        torch.save(content, bad)
        with pytest.raises(NetworkError, match="holds no weights of FID's network"):
            inception_features(bad)
    for text in (b"", b"<html>"):
        bad.write_bytes(text)
        with pytest.raises(NetworkError, match="holds no weights of FID's network"):
            inception_features(bad)
    assert not ran.exists()
