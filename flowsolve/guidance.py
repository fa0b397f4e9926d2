"""Classifier-free guidance, as an ODE made of two."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flowsolve.condition import join
from flowsolve.errors import NetworkError, StateError
from flowsolve.guidance_scale import Scale, check_weight, weight_at
from flowsolve.ode import ODE, DiffusionODE, Wrapped
from flowsolve.precondition import Precondition, VPrediction
from flowsolve.schedule import FlowClock

if TYPE_CHECKING:
    from torch import Tensor

_V: Precondition = VPrediction(FlowClock())  # only its c_skip is asked for, and that needs no label


class Guided(Wrapped):
    """ε = ε_u + w (ε_c - ε_u).                                   Ho and Salimans 2022, Eq. 6, their 1 + w.

    cond     the conditional ODE;  uncond: the other, unconditional, with a negative condition, or of a
             weaker network (Karras et al. 2024, autoguidance)
    scale    w: a number, a tensor (B,) of one for each sample, or a function of σ that returns either.
             1 evaluates cond alone and 0 uncond alone. The paper writes (1+w) ε_c - w ε_u: add 1 to its w.
    batched  both in one call of 2B rows, [uncond; cond], for two `given` of one DiffusionODE; else two calls
    rescale  φ of x_g ← φ x_g std(x_c)/std(x_g) + (1-φ) x_g, 0 to 1.        Lin et al. 2023, Eq. 15 and 16.
             std is over all dimensions of a sample; x is what a network of `quantity` predicts, v as in
             the paper unless told otherwise. diffusers takes the network's own: ode.precondition.

    An evaluation is one NFE, and two forward passes where both are asked. At σ = ∞ the x₀ are combined.
    Raises NetworkError (batched), ValueError (a scale or a φ that is none), StateError (a scale of
    another batch or device, a rescale of samples of one value).
    """

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
        if not 0 <= rescale <= 1:
            raise ValueError(f"rescale is a part, 0 to 1, but got {rescale!r}.")
        if isinstance(quantity, type) or not isinstance(quantity, Precondition):
            raise ValueError(
                f"quantity must be a precondition such as VPrediction(clock), not {quantity!r}."
            )
        super().__init__(cond)
        self.uncond, self.scale, self.rescale, self.quantity = uncond, scale, rescale, quantity
        self.joined = _joined(cond, uncond) if batched else None
        if not callable(scale):
            check_weight(scale)

    def metered(self, count: Callable[[int], None]) -> Guided:
        """The same with all its networks metered."""
        other = super().metered(count)
        assert isinstance(other, Guided)
        other.uncond = self.uncond.metered(count)
        other.joined = self.joined and self.joined.metered(count)
        return other

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        """ε_u + w (ε_c - ε_u), or by x₀ if that is rescaled."""
        if self.rescale:
            return (x - self.x0(x, sigma)) / sigma
        return self._guided(lambda ode, y: ode.eps(y, sigma), x, sigma)[0]

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        """x₀_u + w (x₀_c - x₀_u), rescaled."""
        x0, cond = self._guided(lambda ode, y: ode.x0(y, sigma), x, sigma)
        return self._rescaled(x0, cond, x, sigma) if self.rescale and x0 is not cond else x0

    def _guided(
        self, ask: Callable[[ODE, Tensor], Tensor], x: Tensor, sigma: float
    ) -> tuple[Tensor, Tensor]:
        """The guided answer and the conditional one."""
        import torch

        w = weight_at(self.scale, x, sigma)
        if isinstance(w, float) and w == 1:
            cond = ask(self.ode, x)
            return cond, cond
        if isinstance(w, float) and w == 0 and not self.rescale:
            uncond = ask(self.uncond, x)
            return uncond, uncond
        if self.joined is None:
            uncond, cond = ask(self.uncond, x), ask(self.ode, x)
        else:
            uncond, cond = ask(self.joined, torch.cat((x, x))).chunk(2)
        return torch.lerp(uncond, cond, w), cond

    def _rescaled(self, x0: Tensor, cond: Tensor, x: Tensor, sigma: float) -> Tensor:
        """F = (x₀ - c_skip x̄)/c_out of both; the ratio of their deviations does not see c_out."""
        if x[0].numel() < 2:
            raise StateError(f"rescale needs samples of two values or more, not {tuple(x.shape)}.")
        axes, skip = tuple(range(1, x.ndim)), self.quantity(sigma).c_skip
        f, f_c = (a.sub(x, alpha=skip) for a in (x0, cond))
        ratio = f_c.std(axes, keepdim=True) / f.std(axes, keepdim=True)
        return x0.add(f * (ratio - 1), alpha=self.rescale)


def _joined(cond: ODE, uncond: ODE) -> ODE:
    """One ODE for [uncond; cond]."""
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
