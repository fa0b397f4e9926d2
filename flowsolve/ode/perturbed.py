"""ODEs that are wrong on purpose: ε with an error, answers rounded to few bits, answers used again.

    GaussianError  ε + δ rms(ε) z     z ~ N(0, I), another at every level and for every sample
    ConstantError  ε + δ c            c ~ N(0, I), one for every sample, the same at all levels
    Rounded        r(F(r(x), t))      r rounds to bfloat16 or another dtype
    Quantised      q(F(x, t))         q rounds to 256 values, evenly from the least to the largest of a sample
    Reused         F of every k-th evaluation, in between the F before

F is the network's own answer where the ODE is a DiffusionODE, else ε, and at σ = ∞ x₀. All of them treat each
sample by itself, and given the same seeds the same x and σ have the same answer, but for Reused, whose answers
depend on how often it was asked before. All but Rounded cost operations of the size of the state alone.
"""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flowsolve._arguments import instance, real, whole
from flowsolve.ode.base import ODE
from flowsolve.ode.by_level import ByLevel
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.ode.noise import Noise, floating
from flowsolve.ode.ownership import owned

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def check_size(name: str, size: float) -> float:
    """The relative size of an error. Raises ValueError unless it is 0 or more, and finite."""
    if not 0 <= real(f"{name}: size", size) < math.inf:
        raise ValueError(
            f"{name} needs a finite size of 0 or more, such as 0.01, but got {size!r}."
        )
    return float(size)


class WithError(ByLevel):
    """ε ← ε + e(ε, σ), x₀ ← x₀ - σ e. At σ = ∞, where the error of x₀ would be infinite, there is none.

    size   0 leaves every bit as it is
    noise  SeededNoise(seeds), a seed for each sample

    Raises ValueError for a size below 0, StateError for what is no Noise.
    """

    def __init__(self, ode: ODE, size: float, noise: Noise) -> None:
        super().__init__(ode)
        self.size = check_size(type(self).__name__, size)
        instance("noise", noise, Noise, "SeededNoise(range(64))")
        self.source = noise

    @abstractmethod
    def error(self, eps: Tensor, sigma: float) -> Tensor:
        """E(ε, σ), shape and dtype of ε."""

    def _eps(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        answers = self.ode.eps_each(xs, sigmas)
        return [eps + self.error(eps, sigma) for eps, sigma in zip(answers, sigmas, strict=True)]

    def _x0(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        answers = self.ode.x0_each(xs, sigmas)
        return [self._moved(*each) for each in zip(xs, answers, sigmas, strict=True)]

    def _moved(self, x: Tensor, x0: Tensor, sigma: float) -> Tensor:
        return x0 if math.isinf(sigma) else x0.sub(self.error((x - x0) / sigma, sigma), alpha=sigma)


class GaussianError(WithError):
    """ε + δ rms(ε) z,  z ~ N(0, I) a function of a sample's seed and of σ: the same wherever x̄ is.

    The RMS is over the values of a sample.
    """

    def error(self, eps: Tensor, sigma: float) -> Tensor:
        size = eps.reshape(len(eps), -1).square().mean(1).sqrt() * self.size
        return self.source(eps, sigma, sigma) * size.reshape(-1, *[1] * (eps.ndim - 1))


class ConstantError(WithError):
    """ε + δ c,  c ~ N(0, I) a function of a sample's seed alone.

    In x₀ this is σ δ c. Networks that predict ε have such an error far from the data (docs/perturbed.md).
    """

    def error(self, eps: Tensor, sigma: float) -> Tensor:
        return self.source(eps, 0.0, 0.0) * self.size


class Disturbed(ByLevel):
    """The same ODE, whose network's F (or without a network its ε, and at σ = ∞ x₀) is `answer(ask, x)`."""

    @abstractmethod
    def answer(self, ask: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """What is answered in place of ask(x); x is what the network sees."""

    def _eps(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        if isinstance(self.ode, DiffusionODE):
            return self._with_network(self.ode).eps_each(xs, sigmas)
        return self._in_turn(
            lambda x, sigma: self.answer(lambda at: self.ode.eps(at, sigma), x), xs, sigmas
        )

    def _x0(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        if isinstance(self.ode, DiffusionODE):
            return self._with_network(self.ode).x0_each(xs, sigmas)
        return self._in_turn(self._x0_of_no_network, xs, sigmas)

    def _x0_of_no_network(self, x: Tensor, sigma: float) -> Tensor:
        if math.isinf(sigma):
            return self.answer(lambda at: self.ode.x0(at, sigma), x)
        return ODE.x0(self, x, sigma)

    def _with_network(self, ode: DiffusionODE) -> DiffusionODE:
        def network(x: Tensor, *rest: Any, **condition: Any) -> Tensor:
            return self.answer(lambda at: ode.network(at, *rest, **condition), x)

        other = copy.copy(ode)
        other.network = network
        return other


class Rounded(Disturbed):
    """F ← r(F(r(x), t)),  r rounds to a dtype and back.

    dtype  bfloat16, or another floating one of torch, or its name; the label t and what the network computes
           inside keep theirs

    Raises ValueError for what is no floating dtype.
    """

    def __init__(self, ode: ODE, dtype: torch.dtype | str = "bfloat16") -> None:
        super().__init__(ode)
        self.dtype = floating(dtype)

    def answer(self, ask: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        out = ask(x.to(self.dtype).to(x.dtype))
        return out.to(self.dtype).to(out.dtype)


class Quantised(Disturbed):
    """F ← low + h round((F - low)/h),  h = (high - low)/(levels - 1), low and high those of each sample.

    levels  256, those of int8. A sample whose values are all alike keeps them

    Raises ValueError for fewer than 2 levels.
    """

    def __init__(self, ode: ODE, levels: int = 256) -> None:
        super().__init__(ode)
        self.levels = whole("Quantised: levels", levels, 2)

    def answer(self, ask: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        out = ask(x)
        each = out.reshape(len(out), -1)
        low = each.amin(1, keepdim=True)
        h = (each.amax(1, keepdim=True) - low) / (self.levels - 1)
        return ((each - low) / h).round_().mul_(h).add_(low).where(h != 0, each).reshape(out.shape)


class Reused(Disturbed):
    """F of the 1st, (k+1)-th, (2k+1)-th evaluation, and after each the k - 1 next answers are the same F.

    every  k; 1 asks at every evaluation

    A run has a memory of its own, empty at first: `solve` and `sample` take the copy that `with_forward_hook`
    makes. Outside of a run the network is always asked, as it is for a state of another shape than the last.
    Evaluations that ask no network are in no count. Raises ValueError for k below 1.
    """

    def __init__(self, ode: ODE, every: int) -> None:
        super().__init__(ode)
        self.every = whole("Reused: every", every, 1)
        self._last: Tensor | None = None
        self._age = 0
        self._running = False

    eps_each, x0_each = ODE.eps_each, ODE.x0_each  # its answers follow from those before

    @property
    def asked(self) -> bool:
        return self._age == 0

    def with_forward_hook(self, hook: Callable[[int], None]) -> Reused:
        other = Reused(self.ode.with_forward_hook(hook), self.every)
        other._running = True
        return other

    def answer(self, ask: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        if not self._running:
            return ask(x)
        last, self._age = self._last, self._age + 1
        if last is None or self._age == self.every or last.shape != x.shape:
            last, self._age = owned(ask, x), 0
            self._last = last
        return last.clone()  # the caller's own
