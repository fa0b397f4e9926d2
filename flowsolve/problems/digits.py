"""Digits: a trained network that ships with the package, for 8x8 handwritten digits, and its data."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from flowsolve.errors import MissingExtra
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.ode.precondition import EpsPrediction
from flowsolve.problems.base import Problem
from flowsolve.schedule.clock import Clock
from flowsolve.schedule.discrete import linear_beta

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.problems.unet import DigitsUNet

WEIGHTS = Path(__file__).with_name("digits.safetensors")


class Digits(DiffusionODE, Problem):
    """An ε-network on 1x8x8 images in [-1, 1], trained with DDPM's linear β, T = 1000, at continuous t.

    Runs in the state's dtype and on its device. `given(labels)`, (B,) in 0..9, makes it class-conditional;
    label 10, like no condition, means no class. σ goes from the last level of the clock's table to the first.
    Trained by examples/train_digits.py; data, licence and quality are in DIGITS.md beside this file.
    """

    name = "digits"
    summary = "a real ε-network: U-Net on 8x8 handwritten digits, linear β, T = 1000"
    tolerance = 1e-8
    is_network = True
    levels = 17

    def __init__(self) -> None:
        super().__init__(_network, EpsPrediction(linear_beta()))
        self.sigma_max, self.sigma_min = self.clock.sigma(999.0), self.clock.sigma(0.0)

    def __repr__(self) -> str:
        return "Digits()"

    @property
    def event(self) -> tuple[int, ...]:
        return (1, 8, 8)

    @property
    def clock(self) -> Clock:
        return self.precondition.clock

    @property
    def digest(self) -> str:
        c = self.condition["label"] if isinstance(self.condition, Mapping) else self.condition
        labels = "" if c is None else str(c.tolist())
        return hashlib.sha256(WEIGHTS.read_bytes() + labels.encode()).hexdigest()[:12]

    def data(self) -> Tensor:
        """The training images of the classes that it was given, all 1797 without. See `digits_data`."""
        import torch

        from flowsolve.problems.unet import NO_CLASS

        images, classes = digits_data()
        c = self.condition["label"] if isinstance(self.condition, Mapping) else self.condition
        if c is None or NO_CLASS in (asked := set(c.tolist())):
            return images
        return images[torch.isin(classes, torch.tensor(sorted(asked), device="cpu"))]


def digits_data() -> tuple[Tensor, Tensor]:
    """The images (1797, 1, 8, 8) in [-1, 1], float32, and their classes (1797,).    Alpaydin, Kaynak 1998.

    Read from the installed scikit-learn. Raises MissingExtra if there is none.
    """
    import torch

    try:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra(
            "the real digits come with scikit-learn: pip install 'flowsolve[digits]'."
        ) from error
    found = load_digits()
    images = torch.tensor(found.images, dtype=torch.float32, device="cpu")[:, None] / 8 - 1
    return images, torch.tensor(found.target, dtype=torch.int64, device="cpu")


def _network(x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
    out: Tensor = digits_network(x.dtype, x.device)(x, t, label)
    return out


@cache
def _loaded() -> DigitsUNet:
    import torch
    from safetensors.torch import load_file

    from flowsolve.problems.unet import DigitsUNet

    with torch.device("cpu"):  # whatever torch's default device is
        network = DigitsUNet()
    network.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()})
    return network.eval().requires_grad_(False)


@lru_cache(maxsize=8)
def digits_network(dtype: torch.dtype, device: torch.device) -> DigitsUNet:
    """The shipped network in a dtype and on a device, without gradients. Cached: do not change it."""
    return copy.deepcopy(_loaded()).to(device, dtype)
