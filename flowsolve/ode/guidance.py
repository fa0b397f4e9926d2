"""Classifier-free guidance: Guided, an ODE made of a conditional and an unconditional one, and its scales."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Union

from flowsolve._arguments import instance, real, shown
from flowsolve.errors import NetworkError, StateError
from flowsolve.ode.base import ODE
from flowsolve.ode.by_level import ByLevel
from flowsolve.ode.by_seed import BySeed
from flowsolve.ode.condition import join
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.ode.precondition import Precondition, VPrediction
from flowsolve.schedule.clock import FlowClock
from flowsolve.schedule.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor


_Ask = Callable[[ODE, "Sequence[Tensor]", Sequence[float]], "list[Tensor]"]
_V: Precondition = VPrediction(FlowClock())  # used for its c_skip alone, which no clock changes


class Guided(ByLevel):
    """ε = ε_u + w (ε_c - ε_u).                                   Ho and Salimans 2022, Eq. 6, their 1 + w.

    cond      the conditional ODE, which gives ε_c
    uncond    the ODE that gives ε_u: without condition, with a negative one, or of a weaker network
              (Karras et al. 2024, autoguidance)
    scale     w: a number, a tensor (B,) with one for each sample, one with the axes of x that broadcasts
              over it (by frame, by pixel), a `BySeed` of them, or a function of σ that returns a number or a
              tensor.
              1 evaluates cond alone and 0 uncond alone. The paper writes (1+w) ε_c - w ε_u: add 1 to its w.
    batched   whether both are evaluated in one call of 2B rows, [uncond; cond], which takes two `given` of
              one DiffusionODE; else in two calls
    rescale   φ, 0 to 1, of y_g ← φ y_g std(y_c)/std(y_g) + (1-φ) y_g.        Lin et al. 2023, Eq. 15 and 16.
              y_g is the guided and y_c the conditional value of `quantity`; std is over all values of a sample
    quantity  the Precondition that says what y is; v unless given, as in the paper. diffusers rescales what
              the network predicts: quantity=ode.precondition

    An evaluation is one NFE, and two forward passes if both are evaluated. At σ = ∞ the x₀ are combined.
    Raises NetworkError (batched is impossible), ValueError (scale or rescale is no such number), StateError (a
    scale for another batch or device; rescale on samples of a single value).
    """

    _twice = ("joined",)

    def __init__(
        self,
        cond: ODE,
        uncond: ODE,
        scale: Scale,
        *,
        batched: bool = False,
        rescale: float = 0.0,
        quantity: Precondition = _V,
    ) -> None:
        for ode in (cond, uncond):
            if not isinstance(ode, ODE):
                raise StateError(f"guidance takes two ODEs, not {ode!r:.80}.")
        if not isinstance(batched, bool):
            raise ValueError(f"batched must be True or False, but got {shown(batched)}.")
        rescale = real("rescale", rescale)
        if not 0 <= rescale <= 1:
            raise ValueError(f"rescale is a part, 0 to 1, but got {rescale!r}.")
        if isinstance(quantity, type) or not isinstance(quantity, Precondition):
            raise ValueError(
                f"quantity must be a precondition such as VPrediction(clock), not {quantity!r}."
            )
        super().__init__(cond)
        self.uncond, self.scale, self.rescale, self.quantity = uncond, scale, rescale, quantity
        self.joined = _joined(cond, uncond) if batched else None
        check_scale(scale)

    def _eps(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        """ε_u + w (ε_c - ε_u); (x̄ - x₀)/σ if x₀ is rescaled."""
        if self.rescale:
            x0s = self.x0_each(xs, sigmas)
            return [(x - x0) / sigma for x, x0, sigma in zip(xs, x0s, sigmas, strict=True)]
        return self._guided(lambda ode, xs, sigmas: ode.eps_each(xs, sigmas), xs, sigmas)

    def _x0(self, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        """x₀_u + w (x₀_c - x₀_u), then rescaled."""
        return self._guided(lambda ode, xs, sigmas: ode.x0_each(xs, sigmas), xs, sigmas)

    def _guided(self, ask: _Ask, xs: Sequence[Tensor], sigmas: Sequence[float]) -> list[Tensor]:
        """The guided values, of eps or x0 as `ask` says, rescaled if they are to be."""
        import torch

        weights = [weight_at(self.scale, x, sigma) for x, sigma in zip(xs, sigmas, strict=True)]
        plain = [w if isinstance(w, float) else None for w in weights]
        one = [i for i, w in enumerate(plain) if w == 1]
        none = [i for i, w in enumerate(plain) if w == 0 and not self.rescale]
        both = [i for i in range(len(xs)) if i not in one and i not in none]

        def answers(ode: ODE, which: list[int], twice: bool = False) -> dict[int, Tensor]:
            states = [torch.cat((xs[i], xs[i])) if twice else xs[i] for i in which]
            found = ask(ode, states, [sigmas[i] for i in which]) if which else []
            return dict(zip(which, found, strict=True))

        if self.joined is None:
            unconds, conds = answers(self.uncond, none + both), answers(self.ode, one + both)
        else:
            unconds, conds = answers(self.uncond, none), answers(self.ode, one)
            for i, pair in answers(self.joined, both, True).items():
                unconds[i], conds[i] = pair.chunk(2)
        for i in both:
            guided = torch.lerp(unconds[i], conds[i], weights[i])
            unconds[i] = (
                self._rescaled(guided, conds[i], xs[i], sigmas[i]) if self.rescale else guided
            )
        return [conds[i] if i in one else unconds[i] for i in range(len(xs))]

    def _rescaled(self, x0: Tensor, cond: Tensor, x: Tensor, sigma: float) -> Tensor:
        """x₀ after y_g ← y_g (1 + φ (std(y_c)/std(y_g) - 1)), y = (x₀ - c_skip x̄)/c_out.

        c_out cancels in the ratio and on the way back to x₀, so f is c_out y.
        """
        if x[0].numel() < 2:
            raise StateError(f"rescale needs samples of two values or more, not {tuple(x.shape)}.")
        axes, skip = tuple(range(1, x.ndim)), self.quantity(sigma).c_skip
        f, f_c = (a.sub(x, alpha=skip) for a in (x0, cond))
        ratio = f_c.std(axes, keepdim=True) / f.std(axes, keepdim=True)
        return x0.add(f * (ratio - 1), alpha=self.rescale)


def _joined(cond: ODE, uncond: ODE) -> ODE:
    """The DiffusionODE of both conditions, rows [uncond; cond]. Raises NetworkError if there is none."""
    if not isinstance(cond, DiffusionODE) or not isinstance(uncond, DiffusionODE):
        raise NetworkError(
            "batched=True needs two DiffusionODEs, ode.given(c) and ode.given(u), but got "
            f"{type(cond).__name__} and {type(uncond).__name__}. Put wrappers around the guidance, or "
            "leave batched out: two passes."
        )
    if cond.condition is None or uncond.condition is None:
        raise NetworkError(
            "batched=True needs a condition on both sides: ode.given(u) with what the network takes for "
            "no class or an empty text. Or leave batched out: two passes."
        )
    names = ("network", "precondition", "dtype", "autocast")
    other = [n for n in names if getattr(cond, n) != getattr(uncond, n)]
    if other:
        raise NetworkError(
            f"batched=True asks one network for both sides, but they differ in {', '.join(other)}. Use "
            "two `given` of one DiffusionODE, or leave batched out: two passes."
        )
    return cond.given(join(uncond.condition, cond.condition))


Weight = Union[float, "Tensor"]  # not |, which a forward reference does not have
"""w at one level: a number, or (B,) with one for each sample."""

Scale = Weight | Callable[[float], Weight] | BySeed
"""w at every level: a Weight, a function of σ that returns one, or one for each seed."""


def interval(scale: Scale, low: float, high: float) -> Callable[[float], Weight]:
    """w(σ) = scale for low < σ <= high, else 1, that is cond alone.     Kynkäänniemi et al. 2024, Eq. 6.

    Raises ValueError unless 0 <= low < high, and for a scale by seed.
    """
    if isinstance(scale, BySeed):
        raise ValueError(
            "interval takes a number, a tensor or a function of σ, not a scale by seed."
        )
    low, high = real("interval: low", low), real("interval: high", high)
    if not 0 <= low < high:
        raise ValueError(
            f"an interval needs 0 <= low < high, but got low = {low!r}, high = {high!r}."
        )

    def weight(sigma: float) -> Weight:
        if not low < sigma <= high:
            return 1.0
        return scale(sigma) if callable(scale) else scale

    return weight


def cfgpp(grid: Grid, lam: float) -> Callable[[float], float]:
    """w(s) = λ s/(s - t), t the level after s:  Euler is then x_t = x₀_u + λ (x₀_c - x₀_u) + t ε_u.   CFG++.

    Chung et al. 2024, Algorithm 2: the guided x₀ with the unconditional ε, 0 <= λ <= 1. For Euler() on this
    grid. w grows as steps get shorter, so samples on finer grids converge to the solution of no ODE. In the
    step to 0, w = λ. Raises ValueError for another λ, and GridError at a σ that is not a level of the grid.
    """
    instance("grid", grid, Grid, "karras(10, 80, 0.002)")
    lam = real("CFG++: lam", lam)
    if not 0 <= lam <= 1:
        raise ValueError(f"CFG++ interpolates, 0 <= lam <= 1, but got lam = {lam!r}.")
    return lambda sigma: lam * grid.gain(sigma)


def check_scale(scale: Scale) -> None:
    """As `check_weight`, where there is anything to see before σ and the seeds are known."""
    if not callable(scale) and not isinstance(scale, BySeed):
        check_weight(scale)


def check_weight(w: object) -> None:
    """Raise ValueError unless a number is finite, StateError for a tensor without dimensions."""
    import torch

    if isinstance(w, torch.Tensor):
        if w.ndim == 0:
            raise StateError(
                "a guidance scale in a tensor has shape (B,) or the axes of the state, but has none. Give a "
                "number for all."
            )
    elif not isinstance(w, int | float) or not math.isfinite(w):
        raise ValueError(f"a guidance scale is a finite number, but got {w!r}.")


def weight_at(scale: Scale, x: Tensor, sigma: float) -> Weight:
    """The scale at σ: a float, or a tensor that broadcasts over x; (B,) becomes (B, 1, ..., 1)."""
    import torch

    w = scale(sigma) if callable(scale) else scale
    if isinstance(w, BySeed):
        raise w.unresolved("the guidance scale")
    if callable(scale):
        check_weight(w)
    if not isinstance(w, torch.Tensor):
        return float(w)
    each = w.ndim == 1 and len(w) == len(x)
    fits = w.ndim == x.ndim and all(a in (1, b) for a, b in zip(w.shape, x.shape, strict=True))
    if not (each or fits) or w.device != x.device:
        raise StateError(
            f"the guidance scale is {tuple(w.shape)} on {w.device}, but the state {tuple(x.shape)} on "
            f"{x.device}: give ({len(x)},), one for each sample, or an axis of 1 or its length for each of "
            f"the state's {x.ndim}, there."
        )
    w = w.to(x.dtype)
    return w if fits else w.reshape(-1, *[1] * (x.ndim - 1))
