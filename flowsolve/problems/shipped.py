"""Shipped: a problem that is a trained network, whose weights are in the package."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from flowsolve.metrics.features import pca
from flowsolve.ode.by_seed import BySeed
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.problems.base import Problem
from flowsolve.schedule.clock import Clock

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.metrics.features import Features
    from flowsolve.ode.precondition import Precondition
    from flowsolve.problems.unet import UNet


class Shipped(DiffusionODE, Problem):
    """The network whose weights are <name>.safetensors beside this file, float16 there.

    It runs in the state's dtype and on its device.

    components  how many principal components of the data are the features; None for the values themselves
    """

    tolerance = 1e-8
    is_network = True
    components: ClassVar[int | None] = None

    def __init__(self, precondition: Precondition) -> None:
        super().__init__(partial(_asked, self.name), precondition)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    @property
    def clock(self) -> Clock:
        return self.precondition.clock

    @property
    def digest(self) -> str:
        if isinstance(self._label, BySeed):  # a function, which has no name of its own
            return super().digest
        labels = "" if self.labels is None else str(self.labels.tolist())
        return hashlib.sha256(weights(self.name).read_bytes() + labels.encode()).hexdigest()[:12]

    @property
    def labels(self) -> Tensor | None:
        """The classes that it was given, (B,); None without any, and where they follow from the seeds."""
        return None if isinstance(self._label, BySeed) else self._label

    @property
    def _label(self) -> Tensor | BySeed | None:
        c = self.condition
        label: Tensor | BySeed | None = c["label"] if isinstance(c, Mapping) else c
        return label

    @property
    def features(self) -> Features | None:
        """The largest principal components of the data of all classes."""
        return None if self.components is None else _components(type(self))

    def of_classes(self, x: Tensor, classes: Tensor, none: int) -> Tensor:
        """Those of x whose classes it was given; all, if it was given none or the label that means no class."""
        import torch

        if self.labels is None or none in (asked := set(self.labels.tolist())):
            return x
        return x[torch.isin(classes, torch.tensor(sorted(asked), device="cpu"))]


def weights(name: str) -> Path:
    """The file with the weights of the problem of this name."""
    return Path(__file__).with_name(f"{name}.safetensors")


@lru_cache(maxsize=16)
def shipped_network(name: str, dtype: torch.dtype, device: torch.device) -> UNet:
    """The network of the problem of this name, without gradients. Cached: do not change it."""
    return copy.deepcopy(_loaded(name)).to(device, dtype)


@cache
def _components(kind: Callable[[], Shipped]) -> Features:
    problem = kind()
    assert problem.components is not None
    return pca(problem.data(), problem.components)


@cache
def _loaded(name: str) -> UNet:
    import torch
    from safetensors.torch import load_file

    from flowsolve.problems.unet import NETWORKS

    with torch.device("cpu"):  # whatever torch's default device is
        network = NETWORKS[name]()
    network.load_state_dict({k: v.float() for k, v in load_file(weights(name)).items()})
    return network.eval().requires_grad_(False)


def _asked(name: str, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
    out: Tensor = shipped_network(name, x.dtype, x.device)(x, t, label)
    return out
