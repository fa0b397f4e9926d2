"""A denoiser of diffusers as network(x, t, **condition), and as an ODE with the grid of its scheduler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowsolve.errors import NetworkError
from flowsolve.interop.diffusers.config import read_config
from flowsolve.interop.diffusers.reading import Reading
from flowsolve.ode.base import ODE
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.ode.precondition import FlowPrediction

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.condition import Condition
    from flowsolve.schedule.grid import Grid

# what the pipeline of each class multiplies the scheduler's timestep by
LABEL_SCALES = {
    **dict.fromkeys(("UNet2DModel", "UNet2DConditionModel", "UNet3DConditionModel"), 1.0),
    **dict.fromkeys(("DiTTransformer2DModel", "Transformer2DModel", "PixArtTransformer2DModel"), 1.0),
    "SD3Transformer2DModel": 1.0,
    **dict.fromkeys(("FluxTransformer2DModel", "ChromaTransformer2DModel"), 1e-3),
    **dict.fromkeys(("QwenImageTransformer2DModel", "AuraFlowTransformer2DModel"), 1e-3),
}  # fmt: skip
FLOWS = tuple(
    name for name in LABEL_SCALES if name.startswith(("SD3", "Flux", "Chr", "Qwen", "Aura"))
)


@dataclass(frozen=True)
class Denoiser:
    """F(x, t) = model(x, timestep=scale·t, ...)[0], without the channels of a learned variance.

    shared  keyword arguments that have no row for each sample, such as Flux's img_ids
    """

    model: Callable[..., Any] = field(repr=False)
    scale: float = 1.0
    learned_variance: bool = False
    shared: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __call__(self, x: Tensor, t: Tensor, **condition: Any) -> Tensor:
        """The prediction alone."""
        label = t if self.scale == 1 else t * self.scale
        out = self.model(x, timestep=label, return_dict=False, **condition, **self.shared)
        answer: Tensor = out[0]
        return answer[:, : x.shape[1]] if self.learned_variance else answer


@dataclass(frozen=True)
class Imported:
    """A denoiser and its scheduler, ready for `sample(m.ode, noise, m.spacing, ..., start=m.start)`.

    ode      the network's ODE under the scheduler's limits of x₀, if it has any
    network  the same without them: what guidance is made of, see `limited`
    reading  the scheduler's config, read
    """

    ode: ODE
    network: DiffusionODE
    reading: Reading

    @property
    def spacing(self) -> Callable[[int], Grid]:
        """n -> Grid: the scheduler's levels."""
        return self.reading.spacing

    @property
    def start(self) -> Callable[[float], float]:
        """What unit noise is multiplied by, a function of σ₀."""
        return self.reading.start

    def limited(self, ode: ODE, keep_eps: Grid | None = None) -> ODE:
        """Another ODE, such as a guided one, under the scheduler's limits; see `Limits.around`."""
        return self.reading.limits.around(ode, keep_eps)


def from_diffusers(
    model: Any,
    scheduler: object,
    *,
    condition: Condition = None,
    shared: Mapping[str, Any] | None = None,
    learned_variance: bool = False,
    label_scale: float | None = None,
) -> Imported:
    """The ODE of a diffusers model, and the grids of a diffusers scheduler.

    model             a UNet2DModel, UNet2DConditionModel, DiT, PixArt, SD3, Flux, ... in its own dtype
    scheduler         a scheduler, its config, its path, or a Reading (for the options of `read_config`)
    condition         keyword arguments with one row for each sample: encoder_hidden_states, class_labels,
                      added_cond_kwargs, pooled_projections, guidance
    shared            keyword arguments that belong to all samples: img_ids, txt_ids, cross_attention_kwargs
    learned_variance  True for a model of twice the channels: the first half is the prediction
    label_scale       what multiplies the scheduler's timestep, for classes that are not known here

    No diffusers is imported. Raises NetworkError where model and options do not fit each other.
    """
    reading = scheduler if isinstance(scheduler, Reading) else read_config(scheduler)
    name = type(getattr(model, "_orig_mod", model)).__name__  # of torch.compile
    config = getattr(model, "config", None)
    if not callable(model) or config is None:
        raise NetworkError(
            f"{model!r:.80} is not a diffusers model: it is not callable with a config."
        )
    scale = LABEL_SCALES.get(name) if label_scale is None else label_scale
    if scale is None:
        raise NetworkError(
            f"{name} is not known here, so neither is the label that it takes. If its pipeline passes "
            "the scheduler's timestep as it is, say label_scale=1, if timestep / 1000, say 1e-3."
        )
    if name in FLOWS and not isinstance(reading.precondition, FlowPrediction):
        raise NetworkError(
            f"{name} predicts a flow, but {reading.suggested} with this config does not. Give the "
            "FlowMatch scheduler of its own folder."
        )
    _channels(name, config, learned_variance)
    if getattr(config, "guidance_embeds", False) and "guidance" not in (condition or ()):
        raise NetworkError(
            f"this {name} takes its guidance scale as an input (guidance_embeds): give "
            'condition={"guidance": torch.full((B,), 3.5), ...}.'
        )
    f = Denoiser(model, scale, learned_variance, dict(shared or {}))
    network = DiffusionODE(f, reading.precondition, condition=condition, dtype=model.dtype)
    if reading.scales is not None:
        network.scales = reading.scales
    if reading.sigma_range is not None:
        network.sigma_range = reading.sigma_range
    return Imported(reading.limits.around(network), network, reading)


def _channels(name: str, config: Any, learned_variance: bool) -> None:
    """Raise NetworkError unless the channels that come out are those that go in, or twice as said."""
    into, out = getattr(config, "in_channels", None), getattr(config, "out_channels", None)
    if into is None or out is None:
        return
    if out == 2 * into and not learned_variance:
        raise NetworkError(
            f"this {name} answers {out} channels to {into}: a prediction and a learned variance. Say "
            "learned_variance=True to keep the prediction alone."
        )
    if out != into * (1 + learned_variance):
        raise NetworkError(
            f"this {name} takes {into} channels and answers {out}"
            f"{' with learned_variance=True' if learned_variance else ''}: not a state and its "
            "prediction. Wrap it: network(x, t) that adds the other channels, in a DiffusionODE."
        )
