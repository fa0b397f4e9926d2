"""Photos: a trained network that ships with the package, for 3x16x16 patches of two photographs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from flowsolve.errors import MissingExtra
from flowsolve.ode.precondition import EDMPrediction
from flowsolve.problems.shipped import Shipped
from flowsolve.schedule.clock import EDMClock

if TYPE_CHECKING:
    from torch import Tensor


class Photos(Shipped):
    """EDM's F on 3x16x16 patches in [-1, 1] of two photographs, σ from 80 to 0.002.

    The largest principal deviation of such data is about 15, where that of digits is 2: most of a patch is
    its mean, as of images. Trained by examples/train_networks.py; data, licence and quality are in PHOTOS.md
    beside this file.
    """

    name = "photos"
    event = (3, 16, 16)
    summary = "a real network: EDM's F, U-Net on 3x16x16 patches of photographs"
    components = 40
    sigma_max, sigma_min = 80.0, 0.002

    def __init__(self) -> None:
        super().__init__(EDMPrediction(EDMClock(), 0.65))

    def data(self) -> Tensor:
        """2048 patches. See `photos_data`."""
        return photos_data()


def photos_data(n: int = 2048, seed: int = 0) -> Tensor:
    """n random patches (n, 3, 16, 16) in [-1, 1], float32, each as it is or mirrored.

    The photographs are "china" and "flower" of scikit-learn, at a quarter of their size: load_sample_images.
    Raises MissingExtra without scikit-learn.
    """
    import torch

    generator = torch.Generator("cpu").manual_seed(seed)
    photo, mirrored = torch.randint(2, (2, n), generator=generator, device="cpu")
    found = torch.stack(_photographs())  # (2, 3, H, W)
    corner = [
        torch.randint(k - 15, (n, 1), generator=generator, device="cpu") for k in found.shape[2:]
    ]
    row, column = (c + torch.arange(16, device="cpu") for c in corner)
    column = torch.where(mirrored[:, None] == 1, column.flip(1), column)
    patches = found[photo[:, None, None], :, row[:, :, None], column[:, None, :]]
    return patches.permute(0, 3, 1, 2).contiguous()


@cache
def _photographs() -> list[Tensor]:
    """Means over 4x4 pixels, (3, 106, 160) in [-1, 1]."""
    import torch

    try:
        from sklearn.datasets import load_sample_images  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra(
            "the photographs come with scikit-learn: pip install 'flowsolve[digits]'."
        ) from error
    pixels = (
        torch.tensor(image, dtype=torch.float32, device="cpu")
        for image in load_sample_images().images
    )
    return [torch.nn.functional.avg_pool2d(p.permute(2, 0, 1) / 127.5 - 1, 4) for p in pixels]
