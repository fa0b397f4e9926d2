"""FID's features: images as whole levels, any network in place of Inception, and what is refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flowsolve import unit_noise
from flowsolve.errors import FlowsolveError, MissingExtra, NetworkError, SamplesError
from flowsolve.interop import inception_features
from flowsolve.interop.fid import to_uint8
from flowsolve.metrics import frechet

IMAGES = (unit_noise(range(60), (3, 5, 5)) / 2).clamp(-1, 1)


def means(x: Tensor) -> Tensor:
    """What stands for the network: the mean of each channel."""
    assert x.dtype == torch.uint8
    return x.float().mean((2, 3))


def test_levels_are_the_nearest() -> None:
    """Each of the 256 is its own, and stays so up to half a level to either side, in any dtype."""
    levels = torch.arange(256.0)
    x = (levels / 127.5 - 1).reshape(256, 1, 1, 1)
    for nudge in (-0.49, 0.0, 0.49):
        got = to_uint8(x + nudge / 127.5)
        assert got.shape == (256, 3, 1, 1)
        assert torch.equal(got[:, 2, 0, 0].float(), levels)
    assert torch.equal(to_uint8(x.double()), to_uint8(x))
    half = to_uint8(x.half())[:, 0, 0, 0].float()
    assert torch.equal(half, levels)


def test_what_is_beyond_is_clipped() -> None:
    x = torch.tensor([-300.0, -1.1, -1.0, 1.0, 1.1, 300.0]).reshape(1, 1, 2, 3)
    assert to_uint8(x)[0, 0].flatten().tolist() == [0, 0, 0, 255, 255, 255]


def test_a_network_of_your_own_in_batches() -> None:
    seen = []

    def network(x: Tensor) -> tuple[Tensor]:
        seen.append(len(x))
        return (means(x),)

    features = inception_features(network, batch=25)
    shifted = IMAGES * 0.9
    got = frechet(shifted, IMAGES, features, groups=0).value
    assert seen == [25, 25, 10] * 2
    byhand = frechet(means(to_uint8(shifted)), means(to_uint8(IMAGES)), groups=0).value
    assert got == byhand > 0
    assert got == frechet(shifted, IMAGES, inception_features(means), groups=0).value


@pytest.mark.parametrize("top", [1, 16, 255])
def test_another_range_is_refused(top: int) -> None:
    x = (IMAGES + 1) / 2 * top
    with pytest.raises(SamplesError, match=r"values below 0, but these go .* by x \* 2 / b - 1"):
        frechet(x, IMAGES, inception_features(means))
    assert torch.equal(to_uint8(x * 2 / top - 1), to_uint8(IMAGES))


def test_a_bright_image_alone_is_an_image() -> None:
    """The last of a set may be a batch of one."""
    assert to_uint8(torch.ones(1, 3, 2, 2)).min() == 255
    with pytest.raises(SamplesError, match="these go from 200 to 200"):
        to_uint8(torch.full((1, 3, 2, 2), 200.0))
    assert to_uint8(torch.zeros(0, 3, 2, 2)).shape == (0, 3, 2, 2)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.zeros(5, 4, 8, 8), "not (5, 4, 8, 8) of torch.float32: decode latents"),
        (torch.zeros(5, 8, 8), "not (5, 8, 8)"),
        (torch.zeros(5, 3, 8, 8, dtype=torch.uint8), "of torch.uint8"),
        (torch.full((5, 3, 8, 8), torch.nan), "the images hold NaN."),
    ],
)
def test_what_is_no_image(x: Tensor, says: str) -> None:
    with pytest.raises(SamplesError, match=re.escape(says)):
        inception_features(means)(x)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (
            lambda x: x.float(),
            "5 images have features (5, d), but the network returned (5, 3, 5, 5)",
        ),
        (lambda x: [means(x)], "returned list"),
        (lambda x: (means(x), means(x)), "returned tuple"),
        (lambda x: means(x)[:2], "returned (2, 3)"),
    ],
)
def test_another_answer(network: Callable[[Tensor], Tensor], says: str) -> None:
    with pytest.raises(NetworkError, match=re.escape(says)):
        inception_features(network)(IMAGES[:5])


def test_without_torch_fidelity_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "weights.pth"
    file.touch()
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(MissingExtra, match=r"pip install 'flowsolve\[fid\]'"):
        inception_features(file)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            partial(inception_features, "gone.pth"),
            "no file 'gone.pth'. FID needs weights-inception",
        ),
        (partial(inception_features, __file__, layer=100), "64, 192, 768 and 2048, not 100."),
    ],
)
def test_files_and_layers(call: Callable[[], object], says: str) -> None:
    with pytest.raises(FlowsolveError, match=re.escape(says)):
        call()
