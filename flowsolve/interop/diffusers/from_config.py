"""A solver and a diffusers config behind the loop of a pipeline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flowsolve.errors import StateError
from flowsolve.interop.diffusers.config import read_config
from flowsolve.interop.diffusers.grid import FlowSpacing
from flowsolve.interop.diffusers.reading import Limits, Reading
from flowsolve.interop.diffusers.stepping import Stepping
from flowsolve.interop.diffusers.timesteps import is_euler, shifted
from flowsolve.ode.base import ODE
from flowsolve.ode.precondition import FlowPrediction
from flowsolve.schedule.discrete import DiscreteClock
from flowsolve.schedule.flow_shift import odds
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.analysis.stages import Draw, Run

CALLABLES = ("spacing", "wrap")
KEEP_EPS = ("DDIMScheduler", "DDIMParallelScheduler")


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
        self._wrapped = wrap is not None
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
        """A fresh run; mu is the shift that pipelines compute from the size of the image.

        As in diffusers, the levels of a FlowMatch scheduler are shifted where timesteps are given, and the
        labels that the network gets are not. Raises StateError where timesteps and sigmas disagree.
        """
        if mu is not None and self._source.get("use_dynamic_shifting"):
            self._options.pop("image_seq_len", None)
            self._read = self._reading(mu=mu)
            self.spacing = self._spacing or self._read.spacing
        self.precondition = self._read.precondition
        if timesteps is not None and isinstance(self._read.spacing, FlowSpacing):
            clock, sigmas = shifted(timesteps, sigmas, self._read.spacing)
            self.precondition, timesteps = FlowPrediction(clock), None
        super().set_timesteps(num_inference_steps, device, timesteps, sigmas)
        if isinstance(self.precondition, FlowPrediction):
            self.sigmas = (self.sigmas / (1 + self.sigmas)).nan_to_num(1.0)

    def _advance(
        self, run: Run, x: Tensor, ode: ODE, noise: Draw, clipped: bool
    ) -> tuple[Tensor, Tensor]:
        """diffusers' DDIM: x_t = L(x₀) + t ε, ε the network's, unless use_clipped_model_output is set."""
        keeps = self._read.suggested in KEEP_EPS and not (clipped or self._wrapped or self.inverse)
        if not keeps or self.wrap is None or not is_euler(run.recurrence):
            return super()._advance(run, x, ode, noise, clipped)
        sigma = run.sigma
        x0, eps = self.wrap(ode).x0(x, sigma), x if math.isinf(sigma) else ode.eps(x, sigma)
        run.k += 1
        return x0, x0.add(eps, alpha=run.sigma)

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
