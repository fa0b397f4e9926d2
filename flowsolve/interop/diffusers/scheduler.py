"""Any solver as a scheduler of diffusers.

Saved pipelines look for `FlowsolveScheduler` and `SchedulerMixin` in this module. Both are attributes of it
that import diffusers when they are asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowsolve.errors import StateError
from flowsolve.interop.diffusers.config import read_config
from flowsolve.interop.diffusers.grid import FlowSpacing
from flowsolve.interop.diffusers.reading import Limits, Reading
from flowsolve.interop.diffusers.stepping import Stepping
from flowsolve.ode.base import ODE
from flowsolve.ode.precondition import FlowPrediction
from flowsolve.schedule.discrete import DiscreteClock
from flowsolve.schedule.flow_shift import odds
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver
from flowsolve.solver.plugins import make_solver

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# diffusers takes the module that a saved pipeline names from what is imported already; this is its old name
sys.modules.setdefault("flowsolve.interop.scheduler", sys.modules[__name__])

NAME = "FlowsolveScheduler"
OURS = (
    "_flowsolve"  # the key that is added to the config; diffusers passes on keys that begin with _
)
CALLABLES = ("spacing", "wrap")


def as_scheduler(
    solver: Solver,
    config: object,
    *,
    spacing: Callable[[int], Grid] | None = None,
    wrap: Callable[[ODE], ODE] | None = None,
    inverse: bool = False,
    **reading: Any,
) -> Any:
    """A diffusers scheduler that steps by `solver`, for pipelines as they are.

    pipe.scheduler = as_scheduler(UniPC(), pipe.scheduler)

    config   the scheduler that the pipeline has, its config with `_class_name`, or a path
    spacing  n -> Grid; by default the timesteps are spaced as the config says
    wrap     a function that wraps the ODE; by default clipping or thresholding, if the config has them
    inverse  from data to noise (the role of DDIMInverseScheduler)
    reading  options of `read_config`: mu, image_seq_len, between, as_shipped, ends_at

    Raises ImportError without diffusers, ScheduleError for a config that cannot be read, TableError
    for a method that chooses its evaluations by what it sees, GridError for a noisy one upwards.
    """
    options = {"spacing": spacing, "wrap": wrap, "inverse": inverse, "reading": reading}
    return scheduler_class()(solver, _with_name(config), **options)


def _with_name(config: object) -> dict[str, Any]:
    """The config of a scheduler with its class name, without what this package adds to it."""
    if isinstance(config, str | Path):
        config = scheduler_class().load_config(config)
    keys = getattr(config, "config", config)
    if not isinstance(keys, Mapping):
        raise StateError(
            f"{config!r:.80} is neither a diffusers scheduler nor its config nor a path."
        )
    name = keys.get("_class_name") if keys is config else type(config).__name__
    if OURS in keys and name in (None, NAME):
        name = keys[OURS]["scheduler"]
    given = {key: value for key, value in keys.items() if key not in (OURS, "_class_name")}
    if hasattr(config, "shift") and "shift" in given:
        given["shift"] = config.shift  # set_shift() does not change the config
    return given if name is None else {**given, "_class_name": name}


def _needs_mu(n: int) -> Grid:
    raise StateError(
        "use_dynamic_shifting is set, so the timesteps depend on the size of the image: "
        "set_timesteps needs mu=, or as_scheduler image_seq_len=."
    )


class FromConfig(Stepping):
    """A Stepping of a solver and a diffusers config; `scheduler_class` stores both in its own config."""

    config: Mapping[str, Any]

    def __init__(
        self,
        solver: Solver,
        config: Mapping[str, Any],
        *,
        spacing: Callable[[int], Grid] | None = None,
        wrap: Callable[[ODE], ODE] | None = None,
        inverse: bool = False,
        reading: Mapping[str, Any] | None = None,
    ) -> None:
        self._source, self._options, self._spacing = dict(config), dict(reading or {}), spacing
        dynamic = config.get("use_dynamic_shifting", False)
        late = dynamic and not {"mu", "image_seq_len"} & self._options.keys()
        self._read = self._reading(mu=1.0) if late else self._reading()
        limits = self._read.limits
        super().__init__(
            solver,
            self._read.precondition,
            spacing or (_needs_mu if late else self._read.spacing),
            start=self._read.start,
            wrap=wrap or (limits.around if limits != Limits() else None),
            inverse=inverse,
        )
        given = [name for name, made in zip(CALLABLES, (spacing, wrap), strict=True) if made]
        self._ours = {
            "solver": repr(solver),
            "scheduler": config.get("_class_name"),
            "inverse": inverse,
            "reading": self._options,
            "callables": given,
        }

    def _reading(self, **more: Any) -> Reading:
        return read_config(self._source, **{**self._options, **more})

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: torch.device | str | None = None,
        timesteps: Sequence[float] | None = None,
        sigmas: Sequence[float] | None = None,
        mu: float | None = None,
    ) -> None:
        """A fresh run; mu is the shift that pipelines compute from the size of the image."""
        if mu is not None and self._source.get("use_dynamic_shifting"):
            self._options.pop("image_seq_len", None)
            self._read = self._reading(mu=mu)
            self.spacing = self._spacing or self._read.spacing
        super().set_timesteps(num_inference_steps, device, timesteps, sigmas)
        if isinstance(self.precondition, FlowPrediction):
            self.sigmas = (self.sigmas / (1 + self.sigmas)).nan_to_num(1.0)

    def levels(self, sigmas: Sequence[float]) -> Grid:
        """The grid of `sigmas` as the scheduler takes them.

        They are all levels σ with the last one. For a flow they are t before the shift, without the last 0.
        """
        spacing = self._read.spacing
        if not isinstance(self.precondition, FlowPrediction):
            return super().levels(sigmas)
        shift = spacing.shift if isinstance(spacing, FlowSpacing) else 1.0
        levels = [shift * odds(float(t)) for t in sigmas]
        if isinstance(spacing, FlowSpacing) and spacing.terminal:  # as `flow_uniform`
            last = (1 + levels[-1]) * (1 - spacing.terminal)
            levels = [(1 + s) / last - 1 for s in levels]
        return Grid([*levels, 0.0], "sigmas")

    @property
    def alphas_cumprod(self) -> Tensor:
        """ᾱ_t of the table."""
        import torch

        clock = self.precondition.clock
        if not isinstance(clock, DiscreteClock):
            raise AttributeError(f"{clock} is not a table, so there is no alphas_cumprod.")
        return torch.tensor(clock.alphas_cumprod)

    def __len__(self) -> int:
        return int(self.config["num_train_timesteps"])


@cache
def scheduler_class() -> Any:
    """FlowsolveScheduler: `FromConfig` with diffusers' mixins.  Raises ImportError without diffusers."""
    try:
        from diffusers import ConfigMixin, SchedulerMixin
        from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers
    except ImportError as missing:
        raise ImportError(
            "as_scheduler makes a scheduler for diffusers, which is not installed here: "
            "pip install diffusers. To sample without it, use flowsolve.sample."
        ) from missing

    class FlowsolveScheduler(FromConfig, SchedulerMixin, ConfigMixin):  # type: ignore[misc]
        """A solver of flowsolve behind the config of the scheduler that it stands in for."""

        __qualname__ = NAME
        _compatibles = [kind.name for kind in KarrasDiffusionSchedulers]  # noqa: RUF012

        def __init__(self, solver: Solver, config: Mapping[str, Any], **options: Any) -> None:
            super().__init__(solver, config, **options)
            keys = {key: value for key, value in config.items() if key != "_class_name"}
            self.register_to_config(**keys, **{OURS: self._ours})

        @classmethod
        def from_config(
            cls, config: Any = None, return_unused_kwargs: bool = False, **kwargs: Any
        ) -> Any:
            """From its own config, or with solver= from that of another; other keywords change the config."""
            ours = dict((getattr(config, "config", config) or {}).get(OURS, {}))
            solver = kwargs.pop("solver", None) or make_solver(ours.get("solver", ""))
            missing = [name for name in ours.get("callables", ()) if name not in kwargs]
            if missing:
                raise StateError(
                    f"this scheduler was made with {' and '.join(missing)}, which a config cannot "
                    f"hold: give it again, from_pretrained(..., {missing[0]}=...)."
                )
            options = {"inverse": ours.get("inverse", False), "reading": ours.get("reading", {})}
            options |= {key: kwargs.pop(key) for key in (*CALLABLES, *options) if key in kwargs}
            given = _with_name(config)
            changed = {key: kwargs.pop(key) for key in list(kwargs) if key in given}
            made = cls(solver, {**given, **changed}, **options)
            return (made, kwargs) if return_unused_kwargs else made

    return FlowsolveScheduler


def __getattr__(name: str) -> Any:
    if name == NAME:
        return scheduler_class()
    if name == "SchedulerMixin":
        from diffusers import SchedulerMixin

        return SchedulerMixin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
