"""Noise added to data at given labels, as image-to-image pipelines ask it of a scheduler."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.analysis.stages import Recurrence
    from flowsolve.ode.precondition import Precondition


class Noising:
    """x_t = α x₀ + σα ε at a label, which is that of a level of the run, or of the clock."""

    precondition: Precondition
    _whole: Recurrence | None = None
    _labels: list[float]

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """x_t = α x₀ + σα ε at these labels, one for each sample (or one for all)."""
        x = original_samples
        levels = [self._level(t) for t in timesteps.reshape(-1).tolist()]
        shape = (-1, *(1 for _ in x.shape[1:]))
        alpha = [0.0 if math.isinf(s) else self.precondition.alpha(s) for s in levels]
        scale = [1.0 if math.isinf(s) else s * a for s, a in zip(levels, alpha, strict=True)]
        return x.new_tensor(alpha).reshape(shape) * x + x.new_tensor(scale).reshape(shape) * noise

    def scale_noise(self, sample: Tensor, timestep: Tensor, noise: Tensor) -> Tensor:
        """`add_noise`, as flow schedulers call it."""
        return self.add_noise(sample, noise, timestep)

    def _level(self, t: float) -> float:
        if self._whole is not None and t in self._labels:
            return self._whole.stages[self._labels.index(t)].sigma
        return self.precondition.clock.sigma(t)
