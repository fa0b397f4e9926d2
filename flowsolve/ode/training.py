"""Training: the input and the target of a network, for every Precondition by one formula.

    q(x_t | x₀) = N(α x₀, s²):  x̄ = x₀ + σε          F* = (x₀ - c_skip x̄)/c_out = (c_skip ε - e_skip x₀)/e_out

The target F* is ε, v, x₀ or u, as the Precondition says. The minimiser of the loss is E[F* | x̄, t], and with
it DiffusionODE gives the exact ε of the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from flowsolve._arguments import real, reals, shown
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
    """The input c_in (x₀ + σε) and the target F* as combinations of x₀ and ε.

    In the form of F* that does not cancel; at σ = ∞ the input is c_in ε.
    """
    k = precondition(sigma)
    if math.isinf(sigma):  # x̄/σ is ε
        return Weights(0.0, k.c_in, 1 / k.c_out, -k.c_skip / k.c_out, k.t)
    return Weights(k.c_in, k.c_in * sigma, -k.e_skip / k.e_out, k.c_skip / k.e_out, k.t)


class Batch(NamedTuple):
    """One batch of training: the network's arguments x, (B, *event), and t, (B,), the target F* and γ, (B,)."""

    x: Tensor
    t: Tensor
    target: Tensor
    gamma: Tensor


@dataclass(frozen=True)
class Objective:
    """L_γ = E γ(σ) |F_θ(c_in x̄, t) - F*|², σ uniform over levels.     Song, Meng, Ermon 2021, Eq. 5.

    precondition  what F is. EpsPrediction with γ = 1 gives L_simple of Ho, Jain and Abbeel 2020, Eq. 14;
                  EDMPrediction gives Karras et al. 2022, Eq. 8; FlowPrediction gives flow matching
    levels        the σ that are drawn, all equally likely: a Grid, all T of a table, or for example
                  [0.3 e^(1.2 z) for z in draws]; σ = ∞ too if the precondition has a value there
    gamma         σ -> γ >= 0, 1 unless given. A network that can fit every level has the same minimiser for
                  all γ > 0, so that one network serves the whole family of samplers (Theorem 1)

    Raises GridError for levels not above 0, and ValueError for a negative γ.
    """

    precondition: Precondition
    levels: Sequence[float] = field(repr=False)
    gamma: Callable[[float], float] | None = None

    def __post_init__(self) -> None:
        levels = reals("levels", self.levels, GridError)
        object.__setattr__(self, "levels", levels)
        if self.gamma is not None and not callable(self.gamma):
            raise StateError(f"gamma must be a function of σ or None, not {shown(self.gamma)}.")
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
        return torch.tensor(rows, dtype=torch.float64, device="cpu")

    def draw(self, x0: Tensor, generator: torch.Generator | None = None) -> Batch:
        """A batch with a random level and ε for each x₀, (B, *event); the generator is on the CPU."""
        import torch

        if not isinstance(x0, torch.Tensor) or not x0.is_floating_point() or x0.ndim == 0:
            raise StateError(f"x0 must be a floating-point tensor (B, *event), not {x0!r:.80}.")
        index = torch.randint(len(self.levels), x0.shape[:1], generator=generator, device="cpu")
        eps = torch.randn(x0.shape, dtype=x0.dtype, generator=generator, device="cpu").to(x0.device)
        return self.at(x0, eps, index)

    def at(self, x0: Tensor, eps: Tensor, index: Tensor) -> Batch:
        """The batch of x₀ and ε at levels[index], index (B,) on the CPU."""
        rows = self._rows[index].to(x0)
        a, b, c, d = rows[:, :4].T.reshape(4, len(x0), *[1] * (x0.ndim - 1))
        return Batch(a * x0 + b * eps, rows[:, 4], c * x0 + d * eps, rows[:, 5])

    def loss(
        self, network: Network, x0: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """L_γ estimated from one draw, as the mean over samples and values; differentiable."""
        batch = self.draw(x0, generator)
        error = (network(batch.x, batch.t) - batch.target).square()
        value: Tensor = (error.reshape(len(error), -1).mean(1) * batch.gamma).mean()
        return value


def moving_average(network: nn.Module, decay: float = 0.999) -> AveragedModel:
    """θ' ← decay θ' + (1 - decay) θ at each call of .update_parameters(network); the first sets θ' = θ.

    A torch.optim.swa_utils.AveragedModel, whose `.module` is the averaged network. Raises ValueError unless
    0 <= decay < 1.
    """
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    if not 0 <= real("decay", decay) < 1:
        raise ValueError(f"decay must be in [0, 1), but got {decay!r}.")
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=average)
