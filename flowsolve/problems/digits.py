"""Digits: a trained network that ships with the package, for 8x8 handwritten digits, and its data."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from flowsolve.errors import MissingExtra
from flowsolve.ode.precondition import EpsPrediction
from flowsolve.problems.shipped import Shipped, shipped_network
from flowsolve.schedule.discrete import linear_beta

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.problems.unet import UNet


class Digits(Shipped):
    """An ε-network on 1x8x8 images in [-1, 1], trained with DDPM's linear β, T = 1000, at continuous t.

    `given(labels)`, (B,) in 0..9, makes it class-conditional; label 10, like no condition, means no class.
    σ goes from the last level of the clock's table to the first. Trained by examples/train_digits.py; data,
    licence and quality are in DIGITS.md beside this file.
    """

    name = "digits"
    summary = "a real ε-network: U-Net on 8x8 handwritten digits, linear β, T = 1000"
    event = (1, 8, 8)
    levels = 17

    def __init__(self) -> None:
        super().__init__(_precondition())
        self.sigma_max, self.sigma_min = self.clock.sigma(999.0), self.clock.sigma(0.0)

    def data(self) -> Tensor:
        """The training images of the classes that it was given, all 1797 without. See `digits_data`."""
        return self.of_classes(*digits_data(), 10)


def digits_data() -> tuple[Tensor, Tensor]:
    """The images (1797, 1, 8, 8) in [-1, 1], float32, and their classes (1797,).    Alpaydin, Kaynak 1998.

    Read from the installed scikit-learn. Raises MissingExtra if there is none.
    """
    try:
        import sklearn.datasets  # type: ignore[import-untyped]  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "the real digits come with scikit-learn: pip install 'flowsolve[digits]'."
        ) from error
    images, classes = _read()
    return images.clone(), classes.clone()


@cache
def _read() -> tuple[Tensor, Tensor]:
    import torch
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.tensor(found.images, dtype=torch.float32, device="cpu")[:, None] / 8 - 1
    return images, torch.tensor(found.target, dtype=torch.int64, device="cpu")


@cache
def _precondition() -> EpsPrediction:
    """Of one clock: its table and its spline take 10 ms."""
    return EpsPrediction(linear_beta())


def digits_network(dtype: torch.dtype, device: torch.device) -> UNet:
    """The shipped network in a dtype and on a device, without gradients. Cached: do not change it."""
    return shipped_network("digits", dtype, device)
