"""What the shipped classifier sees in 8x8 digits: features for distances, and classes."""

from __future__ import annotations

import copy
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve.errors import SamplesError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.problems.classifier import DigitsClassifier

WEIGHTS = Path(__file__).with_name("classifier.safetensors")


def digits_features(x: Tensor) -> Tensor:
    """The 48 features (N, 48) of images (N, 1, 8, 8) in [-1, 1], for `frechet(x, y, digits_features)`.

    In the dtype and on the device of x. Values may leave [-1, 1], as those of few steps do. Raises
    SamplesError for other shapes, whole numbers, NaN, and images of another range, such as [0, 1].
    """
    return _classifier_for(x).features(x)


def digits_classes(x: Tensor) -> Tensor:
    """The class 0..9 that each image is read as, (N,), int64. Images and errors as `digits_features`."""
    out: Tensor = _classifier_for(x)(x).argmax(1)
    return out


def _classifier_for(x: Tensor) -> DigitsClassifier:
    import torch

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
    # one image of the wildest samples, of one step of Heun, has at most 0.4 rms; one in [0, b] 0.47 or more
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

    from flowsolve.problems.classifier import DigitsClassifier

    network = DigitsClassifier()
    network.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()})
    return network.eval().requires_grad_(False)


@lru_cache(maxsize=8)
def digits_classifier(dtype: torch.dtype, device: torch.device) -> DigitsClassifier:
    """The shipped network, log p(class | x), in a dtype and on a device; frozen, and shared by all who ask."""
    return copy.deepcopy(_loaded()).to(device, dtype)
