"""Training: what a network sees and what it should answer, for every Precondition by one formula.

    q(x_t | x₀) = N(α x₀, s²):  x̄ = x₀ + σε          F* = (x₀ - c_skip x̄)/c_out = (c_skip ε - e_skip x₀)/e_out

F* is ε, v, x₀ or u where the Precondition says so, and a network that has learned E[F* | x̄, t] is right for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from flowsolve.errors import GridError, StateError
from flowsolve.ode.diffusion import Network
from flowsolve.ode.precondition import Precondition

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.optim.swa_utils import AveragedModel


class Weights(NamedTuple):
    """The network's input a x₀ + b ε at label t, and its target F* = c x₀ + d ε."""

    a: float
    b: float
    c: float
    d: float
    t: float


def weights(precondition: Precondition, sigma: float) -> Weights:
    """The input c_in (x₀ + σε) and F* of the module's first lines, without their cancellations; σ = ∞ too."""
    k = precondition(sigma)
    if math.isinf(sigma):  # x̄/σ is ε
        return Weights(0.0, k.c_in, 1 / k.c_out, -k.c_skip / k.c_out, k.t)
    return Weights(k.c_in, k.c_in * sigma, -k.e_skip / k.e_out, k.c_skip / k.e_out, k.t)


class Batch(NamedTuple):
    """The network's arguments x (B, *event) and t (B,), its target F* like x, and γ (B,)."""

    x: Tensor
    t: Tensor
    target: Tensor
    gamma: Tensor


@dataclass(frozen=True)
class Objective:
    """L_γ = E γ(σ) |F_θ(c_in x̄, t) - F*|², σ uniform over levels.     Song, Meng, Ermon 2021, Eq. 5.

    precondition  what F is: with EpsPrediction F* = ε, and γ = 1 is L_simple: Ho, Jain and Abbeel 2020, Eq. 14;
                  with EDMPrediction it is Karras et al. 2022, Eq. 8, with FlowPrediction flow matching's
    levels        equally likely σ, for example all T of a table's or [0.3 e^(1.2 z) for z in draws]; a Grid;
                  ∞ if the network can be asked there
    gamma         σ -> γ >= 0. For a network that can fit every level, the minimiser is one for all γ > 0,
                  which is why one network serves the whole family of samplers (Theorem 1)

    Raises GridError for levels not above 0, and ValueError for a negative γ.
    """

    precondition: Precondition
    levels: Sequence[float] = field(repr=False)
    gamma: Callable[[float], float] | None = None

    def __post_init__(self) -> None:
        if len(self.levels) == 0 or not all(sigma > 0 for sigma in self.levels):
            raise GridError(
                f"training needs noise levels σ > 0, at least one, but got {list(self.levels)[:5]}."
            )
        if self.gamma is not None and not all(self.gamma(sigma) >= 0 for sigma in self.levels):
            raise ValueError("gamma(σ) must be at least 0 at every level.")

    @cached_property
    def _rows(self) -> Tensor:
        """A row (a, b, c, d, t, γ) for each level, float64."""
        import torch

        gamma = self.gamma or (lambda sigma: 1.0)
        rows = [(*weights(self.precondition, sigma), gamma(sigma)) for sigma in self.levels]
        return torch.tensor(rows, dtype=torch.float64)

    def draw(self, x0: Tensor, generator: torch.Generator | None = None) -> Batch:
        """A level and an ε for each x₀, (B, *event), from a generator of the CPU."""
        import torch

        if not isinstance(x0, torch.Tensor) or not x0.is_floating_point() or x0.ndim == 0:
            raise StateError(f"x0 must be a floating-point tensor (B, *event), not {x0!r:.80}.")
        index = torch.randint(len(self.levels), x0.shape[:1], generator=generator)
        eps = torch.randn(x0.shape, dtype=x0.dtype, generator=generator).to(x0.device)
        return self.at(x0, eps, index)

    def at(self, x0: Tensor, eps: Tensor, index: Tensor) -> Batch:
        """The batch of given x₀, ε and levels[index], index (B,) on the CPU."""
        rows = self._rows[index].to(x0)
        a, b, c, d = rows[:, :4].T.reshape(4, len(x0), *[1] * (x0.ndim - 1))
        return Batch(a * x0 + b * eps, rows[:, 4], c * x0 + d * eps, rows[:, 5])

    def loss(
        self, network: Network, x0: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """L_γ on one draw, a mean over samples and values; differentiable."""
        batch = self.draw(x0, generator)
        error = (network(batch.x, batch.t) - batch.target).square()
        value: Tensor = (error.reshape(len(error), -1).mean(1) * batch.gamma).mean()
        return value


def moving_average(network: nn.Module, decay: float = 0.999) -> AveragedModel:
    """θ' ← decay θ' + (1 - decay) θ at each .update_parameters(network), θ' = θ at the first.    torch.optim.

    `.module` is the averaged network.
    """
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    if not 0 <= decay < 1:
        raise ValueError(f"decay must be in [0, 1), but got {decay!r}.")
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=average)
