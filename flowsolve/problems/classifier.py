"""A small classifier of 8x8 digits: features for distances between samples of `digits`, and their classes."""

from __future__ import annotations

import copy
from functools import cache, lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from flowsolve.errors import SamplesError

WEIGHTS = Path(__file__).with_name("classifier.safetensors")


class DigitsClassifier(nn.Module):
    """log p(class | x) = log softmax(W f(x) + b), f three convolutions and a linear layer, each with SiLU.

    Smooth in x, so that a small error of a solver changes the features little.
    """

    def __init__(self, channels: int = 32, d: int = 48) -> None:
        """`channels` at 4x4 and half as many at 8x8; `d` features."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, channels // 2, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(16 * channels, d),
            nn.SiLU(),
        )
        self.head = nn.Linear(d, 10)

    def features(self, x: Tensor) -> Tensor:
        """f(x), (B, d), of images (B, 1, 8, 8) in [-1, 1]."""
        out: Tensor = self.body(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """log p of the ten classes, (B, 10)."""
        out: Tensor = self.head(self.features(x)).log_softmax(1)
        return out


def digits_features(x: Tensor) -> Tensor:
    """The 48 features (N, 48) of images (N, 1, 8, 8) in [-1, 1], for `frechet(x, y, digits_features)`.

    In the dtype and on the device of x. Values may leave [-1, 1], as those of samples by few steps do. Raises
    SamplesError for other shapes, whole numbers, NaN, and images of another range, such as [0, 1].
    """
    return _classifier_for(x).features(x)


def digits_classes(x: Tensor) -> Tensor:
    """The most probable class 0..9 of each image, (N,), int64. Images and errors as in `digits_features`."""
    out: Tensor = _classifier_for(x)(x).argmax(1)
    return out


def _classifier_for(x: Tensor) -> DigitsClassifier:
    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.shape[1:] != (1, 8, 8):
        given = f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, torch.Tensor) else f"{x!r:.60}"
        raise SamplesError(
            f"digits are floating images (N, 1, 8, 8) in [-1, 1], not {given}: features=None sees pixels, "
            "and pca(data, d) any samples."
        )
    if not bool(x.isfinite().all()):
        raise SamplesError("the digits hold NaN or infinity.")
    wide = x.double()
    mean, rms = float(wide.mean()), float(wide.square().mean().sqrt())
    # mean/rms of a single image is at most 0.4 even for samples of one Heun step, and 0.47 or more in [0, b]
    if mean > 0.45 * rms:
        raise SamplesError(
            f"digits in [-1, 1] are mostly ground, which is -1, but these, {float(x.min()):.3g} to "
            f"{float(x.max()):.3g}, have the mean {mean:.3g}: bring images from [0, b] to [-1, 1] by "
            "x * 2 / b - 1."
        )
    return digits_classifier(x.dtype, x.device)


@cache
def _loaded() -> DigitsClassifier:
    from safetensors.torch import load_file

    with torch.device("cpu"):  # whatever torch's default device is
        network = DigitsClassifier()
    network.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()})
    return network.eval().requires_grad_(False)


@lru_cache(maxsize=8)
def digits_classifier(dtype: torch.dtype, device: torch.device) -> DigitsClassifier:
    """The shipped classifier in a dtype and on a device, without gradients. Cached: do not change it."""
    return copy.deepcopy(_loaded()).to(device, dtype)
