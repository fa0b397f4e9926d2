"""A denoiser of diffusers as network(x, t, **condition), and as an ODE with the grid of its scheduler."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowsolve.errors import NetworkError
from flowsolve.interop.diffusers.config import read_config
from flowsolve.interop.diffusers.conventions import Inputs, convention
from flowsolve.interop.diffusers.reading import Reading
from flowsolve.interop.flow import End
from flowsolve.ode.base import ODE
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.ode.experts import Experts
from flowsolve.schedule.discrete import DiscreteClock

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.condition import Condition
    from flowsolve.schedule.grid import Grid

DENOISERS = ("unet", "transformer")
# what a step asks beside the denoiser; encoders, VAEs and priors make conditions and pictures
BESIDE = (
    "controlnet", "adapter", "unconditional_transformer", "image_unet", "text_unet", "super_res_first",
)  # fmt: skip


@dataclass(frozen=True)
class Denoiser:
    """F(x, t) = model(x, timestep=scale·t, ...)[0], without the channels of a learned variance.

    shared  keyword arguments that have no row for each sample, such as Flux's img_ids
    inputs  how x and the condition go in, see `Convention`
    """

    model: Callable[..., Any] = field(repr=False)
    scale: float = 1.0
    learned_variance: bool = False
    shared: Mapping[str, Any] = field(default_factory=dict, repr=False)
    inputs: Inputs = ""

    def __call__(self, x: Tensor, t: Tensor, **condition: Any) -> Tensor:
        """The prediction alone."""
        import torch

        label = t if self.scale == 1 else t * self.scale
        if self.inputs == "frames":
            text = condition["encoder_hidden_states"].repeat_interleave(x.shape[2], 0)
            condition = {**condition, "encoder_hidden_states": text}
        if self.inputs == "lists":
            rows = {key: list(value) for key, value in condition.items()}
            out = self.model(list(x.unsqueeze(2)), label, **rows, return_dict=False, **self.shared)
            return torch.stack(out[0]).squeeze(2)
        out = self.model(x, timestep=label, return_dict=False, **condition, **self.shared)
        answer: Tensor = out[0]
        return answer[:, : x.shape[1]] if self.learned_variance else answer


@dataclass(frozen=True)
class Imported:
    """A denoiser and its scheduler, ready for `sample(m.ode, noise, m.spacing, ..., start=m.start)`.

    ode      the network's ODE under the scheduler's limits of x₀, if it has any
    network  the same without them: what guidance is made of, see `limited`; Experts where there are two
    reading  the scheduler's config, read
    """

    ode: ODE
    network: DiffusionODE | Experts
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
    scheduler: object = None,
    *,
    condition: Condition = None,
    shared: Mapping[str, Any] | None = None,
    learned_variance: bool = False,
    label_scale: float | None = None,
    data_at: End = 0,
    points_to: End = 1,
) -> Imported:
    """The ODE of a diffusers model, and the grids of a diffusers scheduler.

    model             a UNet2DModel, UNet2DConditionModel, DiT, PixArt, SD3, Flux, ... in its own dtype, or a
                      pipeline, whose unet or transformer is taken
    scheduler         a scheduler, its config, its path, or a Reading (for the options of `read_config`); None
                      takes that of the pipeline
    condition         keyword arguments with one row for each sample: encoder_hidden_states, class_labels,
                      added_cond_kwargs, pooled_projections, guidance
    shared            keyword arguments that belong to all samples: img_ids, txt_ids, cross_attention_kwargs
    learned_variance  True for a model of twice the channels: the first half is the prediction
    label_scale       for classes that are not known here: what multiplies the scheduler's timestep t
    data_at           with label_scale: 1 where the label is that of T - t, which rises towards the data
    points_to         with label_scale: 0 where a flow's answer points to smaller labels (`from_velocity`)

    No diffusers is imported. Raises NetworkError where model and options do not fit each other.
    """
    parts = getattr(model, "components", None)
    if isinstance(parts, Mapping):
        options = {
            "condition": condition, "shared": shared, "learned_variance": learned_variance,
            "label_scale": label_scale, "data_at": data_at, "points_to": points_to,
        }  # fmt: skip
        return _of_pipeline(model, parts, scheduler, options)
    if scheduler is None:
        raise NetworkError(
            f"{type(model).__name__} is no pipeline, which would have a scheduler of its own: give "
            "from_diffusers(model, scheduler) one."
        )
    reading = scheduler if isinstance(scheduler, Reading) else read_config(scheduler)
    name = type(getattr(model, "_orig_mod", model)).__name__  # of torch.compile
    config = getattr(model, "config", None)
    if not callable(model) or config is None:
        raise NetworkError(
            f"{model!r:.80} is not a diffusers model: it is not callable with a config."
        )
    known = convention(name, config, label_scale, data_at, points_to)
    precondition = known.precondition(name, reading)
    _channels(name, config, learned_variance)
    given = condition if isinstance(condition, Mapping) else ()
    if getattr(config, "guidance_embeds", False) and "guidance" not in given:
        raise NetworkError(
            f"this {name} takes its guidance scale as an input (guidance_embeds): give "
            'condition={"guidance": torch.full((B,), 3.5), ...}.'
        )
    f = Denoiser(model, known.label_scale, learned_variance, dict(shared or {}), known.inputs)
    network = DiffusionODE(f, precondition, condition=condition, dtype=model.dtype)
    if reading.scales is not None:
        network.scales = reading.scales
    if reading.sigma_range is not None:
        network.sigma_range = reading.sigma_range
    return Imported(reading.limits.around(network), network, reading)


def _of_pipeline(
    pipeline: Any, parts: Mapping[str, Any], scheduler: object, options: Mapping[str, Any]
) -> Imported:
    """Its unet or transformer, or both of two experts."""
    name = type(pipeline).__name__
    part = next((p for p in DENOISERS if parts.get(p) is not None), None)
    given = parts.get("scheduler") if scheduler is None else scheduler
    if part is None or given is None:
        raise NetworkError(
            f"{name} has no {' or '.join(DENOISERS) if part is None else 'scheduler'}, but "
            f"{', '.join(parts)}: give from_diffusers its model and its scheduler."
        )
    refuse_beside(name, part, [key for key, value in parts.items() if value is not None])
    reading = given if isinstance(given, Reading) else read_config(given)
    first, second = from_diffusers(parts[part], reading, **options), parts.get(f"{part}_2")
    if second is None:
        return first
    ratio = getattr(pipeline.config, "boundary_ratio", None)
    return join(first, from_diffusers(second, reading, **options), ratio, name)


def refuse_beside(name: object, denoiser: str, parts: Iterable[str]) -> None:
    """Raise NetworkError for a pipeline whose steps ask other networks beside the denoiser."""
    others = [part for part in parts if part in BESIDE]
    if others:
        raise NetworkError(
            f"a step of {name} asks {' and '.join(others)} beside {denoiser}, which only the pipeline knows "
            f"how to call. For the {denoiser} alone give from_diffusers its model and its scheduler, or load "
            f'subfolder="{denoiser}"; for all of it, write network(x, t, **condition) that calls them, in a '
            "DiffusionODE, or put as_scheduler(solver, pipe.scheduler) into the pipeline."
        )


def join(noisy: Imported, clean: Imported, ratio: float | None, name: object) -> Imported:
    """Two experts by timestep, the first for the part of the labels from `ratio` on, as Wan 2.2 has them."""
    if ratio is None:
        raise NetworkError(
            f"{name} has two networks by timestep, and no boundary_ratio that says from which timestep on "
            "each is asked. Read them one by one and join them: "
            "Experts(noisy.network, clean.network, sigma)."
        )
    reading = noisy.reading
    clock = reading.clock
    last = len(clock.alphas_cumprod) if isinstance(clock, DiscreteClock) else clock.t(math.inf)
    both = Experts(noisy.network, clean.network, clock.sigma(ratio * last))
    return Imported(reading.limits.around(both), both, reading)


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
