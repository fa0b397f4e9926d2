"""A solver called from outside, one network answer at a time, as diffusers calls its schedulers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from flowsolve.analysis.stages import Run
from flowsolve.errors import GridError, StateError, TableError
from flowsolve.integrate.starting import vp_start
from flowsolve.interop.diffusers.noising import Noising
from flowsolve.interop.diffusers.timesteps import (
    StepOutput,
    begun,
    cached,
    check_request,
    drawn,
    labelled,
    position,
    prediction,
    upwards,
)
from flowsolve.ode.base import ODE
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.schedule.discrete import DiscreteClock
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver, check_solver
from flowsolve.solver.stand_in import per_step

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.analysis.stages import Draw
    from flowsolve.interop.diffusers.timesteps import Generators
    from flowsolve.ode.precondition import Precondition


class Stepping(Noising):
    """A solver as diffusers calls its schedulers: states are x_t = α x̄, one timestep for each evaluation.

    solver        any method with a table, stochastic ones too
    precondition  what the network's answers mean
    spacing       n -> Grid, for `set_timesteps(n)`
    start         x̄ = start(σ₀) noise; pipelines multiply their noise by `init_noise_sigma` = α start(σ₀)
    wrap          a function that wraps the ODE, for example in `Clip`
    inverse       walk the grid upwards, from its last level above 0

    Raises TableError for methods that choose their evaluations by what they see.
    """

    def __init__(
        self,
        solver: Solver,
        precondition: Precondition,
        spacing: Callable[[int], Grid],
        *,
        start: Callable[[float], float] = vp_start,
        wrap: Callable[[ODE], ODE] | None = None,
        inverse: bool = False,
    ) -> None:
        check_solver(solver)
        if solver.adaptive:
            raise TableError(
                f"{solver!r} chooses its evaluations by the values it sees, so it has no list of "
                "timesteps. Take a method of fixed steps, or call flowsolve.sample."
            )
        if inverse and solver.stochastic:
            raise GridError(f"{solver!r} draws noise, so it only goes down the grid, not up.")
        self.solver, self.precondition, self.spacing = solver, precondition, spacing
        self.start, self.wrap, self.inverse = start, wrap, inverse
        self._sees_state = precondition(1.0).c_in == precondition.alpha(1.0)
        try:
            self.order = math.ceil(per_step(solver) or 1)
        except TableError:  # a table, which has one grid
            self.order = 1
        self.num_inference_steps: int | None = None
        self._begin: int | None = None
        self._run: tuple[int, Run] | None = None  # the evaluation that it began at
        self._whole = None

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: torch.device | str | None = None,
        timesteps: Sequence[float] | None = None,
        sigmas: Sequence[float] | None = None,
    ) -> None:
        """Begin a new run over spacing(n), over labels (and the spacing's last level), or over levels.

        `self.timesteps` then has a label for each evaluation: more than n if a step makes several.
        """
        import torch

        check_request(num_inference_steps, timesteps, sigmas)
        if sigmas is not None:
            grid = self.levels(sigmas)
        elif timesteps is not None:
            grid = labelled(timesteps, self.precondition.clock, self.spacing(2))
        else:
            grid = self.spacing(int(num_inference_steps or 0))
        if self.inverse or grid.rising:
            grid = upwards(grid)
        whole = cached(self.solver, grid, self.precondition.alpha)
        if whole.start.draws:
            raise StateError(
                f"{self.solver!r} draws noise before its first evaluation, where a pipeline has "
                "called the network already. Begin it at a lower level (EDM: s_tmax below the first)."
            )
        self._whole, self.num_inference_steps = whole, grid.steps
        labels = [self._label(stage.sigma) for stage in whole.stages]
        integral = isinstance(self.precondition.clock, DiscreteClock)
        integral = integral and all(t == round(t) for t in labels)
        on_host = torch.tensor(labels, dtype=torch.int64 if integral else torch.float32)
        self._labels: list[float] = on_host.tolist()
        self.timesteps = on_host.to(device)
        self.sigmas = torch.tensor([*(s.sigma for s in whole.stages), grid[-1]])
        self._begin = self._run = None

    def levels(self, sigmas: Sequence[float]) -> Grid:
        """The grid of `set_timesteps(sigmas=)`: the levels, the last one included."""
        return Grid(sigmas, "sigmas")

    def _label(self, sigma: float) -> float:
        t = self.precondition(sigma).t
        return float(round(t)) if abs(t - round(t)) < 1e-6 else t

    @property
    def init_noise_sigma(self) -> float:
        """What unit noise is multiplied with: α(σ₀) start(σ₀), 1 at σ = ∞."""
        sigma = math.inf if self._whole is None else self._whole.levels[0]
        return 1.0 if math.isinf(sigma) else self.precondition.alpha(sigma) * self.start(sigma)

    @property
    def begin_index(self) -> int | None:
        """Where the run begins, if `set_begin_index` said so."""
        return self._begin

    @property
    def step_index(self) -> int | None:
        """The number of the evaluation that comes next, once a run has begun."""
        return None if self._run is None else self._run[0] + self._run[1].k

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Begin a new run at timesteps[begin_index], which must be the first evaluation of a step."""
        self._begin, self._run = begin_index, None

    def scale_model_input(self, sample: Tensor, timestep: float | Tensor | None = None) -> Tensor:
        """What the network sees: x_t as it is, or c_in x_t/α where they differ, as for EDM's."""
        if timestep is None or self._sees_state:
            return sample
        sigma = self._next(timestep).sigma
        return sample * (self.precondition(sigma).c_in / self.precondition.alpha(sigma))

    def step(
        self,
        model_output: Tensor,
        timestep: float | Tensor,
        sample: Tensor,
        *,
        eta: float | None = None,
        generator: Generators = None,
        variance_noise: Tensor | None = None,
        return_dict: bool = True,
        **other: object,
    ) -> StepOutput | tuple[Tensor, Tensor]:
        """The state at which the network is evaluated next, or the end of the grid.

        model_output  the network's answer at this timestep, with or without a learned variance
        sample        x_t there, (B, *event)
        eta           refused unless it is 0 or the solver's own η
        other         use_clipped_model_output, as DDIM's; anything else must be None
        generator     for the noise of stochastic methods;  variance_noise: that noise itself

        Raises StateError for a timestep that is not the next one, and after the last.
        """
        clipped = bool(other.pop("use_clipped_model_output", None))
        given = [name for name, value in other.items() if value is not None]
        if given:
            why = "gives tokens levels of their own, and a method steps one level at a time"
            why = why if given == ["per_token_timesteps"] else "is not for a method of flowsolve"
            raise StateError(f"{', '.join(given)} {why}: keep the pipeline's own scheduler here.")
        run = self._next(timestep)
        stage = run.recurrence.stages[run.k]
        if eta and eta != getattr(self.solver, "eta", 0):
            raise StateError(
                f"eta = {eta} is not {self.solver!r}'s: it belongs to the method, such as DDIMEta(eta=1)."
            )
        if variance_noise is not None and (len(stage.draws) > 1 or not self.solver.stochastic):
            raise StateError(
                f"this step of {self.solver!r} draws {len(stage.draws)} noises, not one: "
                "leave variance_noise out, and give a generator."
            )

        def noise(x: Tensor, s: float, t: float, again: int) -> Tensor:
            z = drawn(sample, generator) if variance_noise is None else variance_noise
            return z.to(x)

        half = sample.dtype.itemsize < 4
        x = sample.float() if half else sample
        answer = prediction(model_output, x).to(x.dtype)
        ode: ODE = DiffusionODE(lambda *_: answer, self.precondition)
        x = x if math.isinf(stage.sigma) else x / ode.alpha(stage.sigma)
        x0, x = self._advance(run, x, ode, noise, clipped)
        x = x * ode.alpha(run.sigma)
        out = StepOutput(x.to(sample.dtype), x0.to(sample.dtype))
        return out if return_dict else (out.prev_sample, out.pred_original_sample)

    def _advance(
        self, run: Run, x: Tensor, ode: ODE, noise: Draw, clipped: bool
    ) -> tuple[Tensor, Tensor]:
        """The network's x₀ at x̄ as it is used, and the next x̄."""
        stage = run.recurrence.stages[run.k]
        ode = ode if self.wrap is None else self.wrap(ode)
        x0 = ode.x0(x, stage.sigma)
        return x0, run.step(x, x0 if stage.data else ode.eps(x, stage.sigma), noise)

    def _next(self, timestep: float | Tensor) -> Run:
        """The run, at this timestep."""
        if self._whole is None:
            raise StateError("call set_timesteps before step.")
        if self._run is None:
            first = self.index_for_timestep(timestep) if self._begin is None else self._begin
            self._run = first, Run(begun(self.solver, self._whole, first))
        first, run = self._run
        index = first + run.k
        if run.done:
            raise StateError(
                f"all {index} timesteps were stepped. For another run call set_timesteps."
            )
        where = position(timestep, self.timesteps, self._labels)
        if where is not None and index not in where:
            raise StateError(
                f"the next timestep is number {index}, {self._labels[index]:g}, but step was given "
                f"{float(timestep):g}. Take them in order, one run at a time: every pipeline needs "
                "a scheduler of its own (copy.deepcopy)."
            )
        return run

    def index_for_timestep(self, timestep: float | Tensor) -> int:
        """The number of this timestep; the last, where several evaluations have the same label."""
        where = position(timestep, self.timesteps, self._labels)
        if not where:
            raise StateError(
                f"{timestep!r} is none of the timesteps {self._labels}. Call set_timesteps first, "
                "and set_begin_index where a run begins later."
            )
        return where[-1]
