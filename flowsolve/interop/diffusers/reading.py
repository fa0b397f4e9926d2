"""What a scheduler's config says, in flowsolve's terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from flowsolve.interop.diffusers.report import Report
from flowsolve.ode.base import ODE, Scales
from flowsolve.ode.clipping import Clip, Threshold
from flowsolve.ode.precondition import Precondition
from flowsolve.schedule.clock import Clock
from flowsolve.schedule.grid import Grid


def flow_start(sigma: float) -> float:
    """x̄ = (1+σ) noise: x_T ~ N(0, I) on the flow path, for schedulers that begin below t = 1."""
    return 1 + sigma


@dataclass(frozen=True)
class Limits:
    """What the config does to x₀: clipping to ±clip, or dynamic thresholding. None stands for neither.

    clip             the range of clip_sample
    threshold_ratio  the quantile of |x₀|; it takes precedence over clip
    threshold_max    the largest bound that thresholding keeps, at least 1
    """

    clip: float | None = None
    threshold_ratio: float | None = None
    threshold_max: float = 1.0

    def around(self, ode: ODE, keep_eps: Grid | None = None) -> ODE:
        """The ODE under these limits, or itself without any.

        keep_eps  None: ε follows the limited x₀. The grid that Euler() walks: the network's ε beside the
                  limited x₀, as DDIM of diffusers has it unless use_clipped_model_output is set
        """
        if self.threshold_ratio is not None:
            return Threshold(ode, self.threshold_ratio, self.threshold_max, keep_eps=keep_eps)
        return ode if self.clip is None else Clip(ode, -self.clip, self.clip, keep_eps=keep_eps)


@dataclass(frozen=True)
class Reading:
    """A scheduler's config in flowsolve's terms.

    suggested     the scheduler's class name; docs/diffusers.md says which solver that is
    precondition  what the network predicts, with the clock of its labels
    spacing       n -> Grid of n evaluations of a one-evaluation method: `sample(nfe=)` takes it
    start         unit noise times start(σ₀) is x̄ at the first level (`sample(start=)`)
    limits        clipping and thresholding, as data
    report        which keys were used, ignored (and why), unknown, and which defaults assumed
    scales        of the data, where the config has them: "_data_scales": [std, top]
    sigma_range   (σ_max, σ_min), where the config says another than the clock
    """

    suggested: str
    precondition: Precondition
    spacing: Callable[[int], Grid]
    start: Callable[[float], float]
    limits: Limits
    report: Report = field(repr=False)
    scales: Scales | None = None
    sigma_range: tuple[float, float] | None = None

    @property
    def clock(self) -> Clock:
        """σ to the label that the network gets."""
        return self.precondition.clock
