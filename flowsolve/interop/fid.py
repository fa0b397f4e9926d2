"""FID: the features of Heusel et al.'s Inception network, from weights that you have."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowsolve.errors import MissingExtra, NetworkError, SamplesError

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.metrics.features import Features

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"


def inception_features(
    network: str | PathLike[str] | Callable[[Tensor], Any],
    layer: int = 2048,
    *,
    batch: int = 50,
) -> Features:
    """f for which frechet(x, y, f).value is FID, of images in [-1, 1], `to_uint8`.      Heusel et al. 2017.

    network  the file of torch-fidelity's weights, weights-inception-2015-12-05-6726825d.pth, for its
             network, which resizes to 299x299 itself and works where x is. Nothing is downloaded.
             Or a function of uint8 images (n, 3, H, W), such as StyleGAN's TorchScript,
             partial(torch.jit.load(file), return_features=True): its answer (n, d), or a tuple of that
    layer    of the network in a file: 2048 is FID's; 64, 192 and 768 come before it
    batch    images at once

    Raises MissingExtra, NetworkError for a file that is none or holds no such weights, and for another
    answer; f raises what `to_uint8` does.
    """
    import torch

    ask = network if callable(network) else _torch_fidelity(fspath(network), layer)

    def features(x: Tensor) -> Tensor:
        parts = torch.split(to_uint8(x), batch)
        return torch.cat([_one(ask(part), len(part)) for part in parts])

    return features


def to_uint8(x: Tensor) -> Tensor:
    """⌊127.5 x + 128⌋ in 0..255: the nearest level, as EDM's and torchvision's images are saved.

    x floating, (N, 1 or 3, H, W) in [-1, 1], clipped to it; one channel becomes three alike. ADM's scripts
    cut off, ⌊127.5 x + 127.5⌋: half a level darker. Raises SamplesError for other shapes, NaN, and
    images in [0, 1] or [0, 255]: four or more without a value below 0, or fewer that also exceed 2.
    """
    import torch

    if x.ndim != 4 or x.shape[1] not in (1, 3) or not x.is_floating_point():
        raise SamplesError(
            f"images are floating, (N, 1 or 3, H, W), not {tuple(x.shape)} of {x.dtype}: decode latents, "
            "leave out alpha, and bring whole numbers to [-1, 1] by x / 127.5 - 1."
        )
    low, high = (float(v) for v in x.aminmax()) if x.numel() else (-1.0, 1.0)
    if low != low:
        raise SamplesError("the images hold NaN.")
    if low >= 0 and (len(x) > 3 or high > 2):
        raise SamplesError(
            f"images in [-1, 1] have values below 0, but these go from {low:.3g} to {high:.3g}: bring "
            "[0, b] to [-1, 1] by x * 2 / b - 1."
        )
    return (x.float() * 127.5 + 128).clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)


def _one(answer: Any, n: int) -> Tensor:
    """The (n, d) in an answer. Raises NetworkError."""
    import torch

    found = answer[0] if isinstance(answer, tuple) and len(answer) == 1 else answer
    if isinstance(found, torch.Tensor) and found.ndim == 2 and len(found) == n:
        return found
    got = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
    raise NetworkError(f"{n} images have features ({n}, d), but the network returned {got}.")


def _torch_fidelity(path: str, layer: int) -> Callable[[Tensor], Any]:
    import torch

    if layer not in (64, 192, 768, 2048):
        raise NetworkError(f"the layers of FID's network are 64, 192, 768 and 2048, not {layer!r}.")
    if not Path(path).is_file():
        raise NetworkError(
            f"there is no file {path!r}. FID needs {WEIGHTS} of torch-fidelity's release v0.2.0, which you "
            "fetch yourself."
        )
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another torch
        raise MissingExtra(
            f"FID's network is torch-fidelity's, which cannot be imported ({error}): "
            "pip install 'flowsolve[fid]', its torchvision built for this torch."
        ) from error
    try:
        torch.load(path, weights_only=True)  # theirs would run what a pickle says
        network = FeatureExtractorInceptionV3("fid", [str(layer)], path)
    except (RuntimeError, pickle.UnpicklingError, EOFError, TypeError) as error:
        raise NetworkError(
            f"{path!r} holds no weights of FID's network ({error!s:.200}): {WEIGHTS} of torch-fidelity does."
        ) from error

    def ask(x: Tensor) -> Any:
        return network.to(x.device)(x)

    return ask
