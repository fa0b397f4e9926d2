"""Each draw of a stochastic method as a normal density, for policy gradients: mean, deviation, log p."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flowsolve.analysis.basis import Alpha
from flowsolve.analysis.stages import Recurrence, Run, Stage, recurrence
from flowsolve.errors import TableError
from flowsolve.integrate.driver import prepare
from flowsolve.ode.ownership import own
from flowsolve.ode.precondition import VP

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.analysis.stages import Draw
    from flowsolve.ode.base import ODE
    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.base import Solver


class Kernel(NamedTuple):
    """One draw of a method:  p(y | past) = N(mean, v² I),   y = mean + v z the first state that z is in.

    number     that of z among all answers and noises of the recurrence
    stage      the stage, from 0, after which the state is y; -1 before the first evaluation
    sigma      the level of y, at which the next evaluation is made, or the end of the grid
    deviation  v > 0, of y as x̄
    alpha      y in the scale of x_t is alpha y: mean alpha · mean, deviation alpha · v
    interval   (s, t) that z belongs to
    """

    number: int
    stage: int
    sigma: float
    deviation: float
    alpha: float
    interval: tuple[float, float]


def kernels(solver: Solver, grid: Grid, alpha: Alpha = VP.alpha) -> tuple[Kernel, ...]:
    """The draws of a stochastic method on a grid, in order.

    alpha  α for σ, as `ODE.alpha`

    A method that draws inside its steps has several kernels for a step: as a whole such a step is not normal.
    Raises TableError for a method that draws nothing, that chooses by the values that it sees, or in which two
    noises first show in one state.
    """
    return _kernels(recurrence(solver, grid, alpha), alpha)


@dataclass(frozen=True)
class Rollout:
    """A run of a stochastic method with the state y of each of its kernels. Nothing in it has a gradient.

    start   x̄ at the first level, (B, *event)
    states  the y, of which the last may be followed by evaluations without noise
    noises  the z
    x       x̄ at the end
    """

    recurrence: Recurrence
    kernels: tuple[Kernel, ...]
    start: Tensor
    states: tuple[Tensor, ...]
    noises: tuple[Tensor, ...]
    x: Tensor

    def means(self, ode: ODE) -> Iterator[Tensor]:
        """The mean of each kernel under the network of `ode`, given the states that were recorded.

        Every evaluation of the run is made again, at the recorded states and at what follows from them between
        two draws. With a gradient in the network's parameters, wherever torch has gradients on.
        """
        run, x, ode, start = Run(self.recurrence), self.start, own(ode), self.recurrence.start
        shown = {k.stage: (k, y) for k, y in zip(self.kernels, self.states, strict=True)}
        needed = self.recurrence.stages[: self.kernels[-1].stage + 1]
        for i, stage in enumerate((start, *needed), -1):
            x = _after(run, ode, x, stage, _no_noise)
            if i in shown:
                kernel, state = shown[i]
                if kernel.number in run.kept:  # the noise that leads to the recorded state now
                    run.kept[kernel.number] = (state - x) / dict(stage.weights)[kernel.number]
                yield x
                x = state

    def log_prob(
        self, ode: ODE | None = None, *, mean: bool = False, scaled: bool = False
    ) -> Tensor:
        """log N(y; mean, v² I) of each kernel, (B, M), under the network of `ode`.   DDPO: Black et al. 2024.

        ode     None: the network that made the run, without evaluating it
        mean    per value, as the code of DDPO and Flow-GRPO has it, instead of the sum over a sample's values
        scaled  the density of x_t = α x̄, which those have, instead of that of x̄: log α less for each value

        The ratio of two networks' densities is exp of the difference of the sums; `scaled` does not change it.
        """
        import torch

        if ode is None:
            each = [_log_normal(z, k) for z, k in zip(self.noises, self.kernels, strict=True)]
        else:
            each = [
                _log_normal((y - m) / k.deviation, k)
                for y, m, k in zip(self.states, self.means(ode), self.kernels, strict=True)
            ]
        size, logs = self.start[0].numel(), torch.stack(each, 1)
        if scaled:
            logs = logs - logs.new_tensor([size * math.log(k.alpha) for k in self.kernels])
        return logs / size if mean else logs


def rollout(ode: ODE, x: Tensor, grid: Grid, solver: Solver) -> Rollout:
    """`solve`, or from σ = ∞ and to 0 what `sample` does, with the state of each kernel kept.

    ode  gives the noise: WithNoise(ode, SeededNoise(seeds))
    x    x̄ at grid[0]; the unit noise, if that is ∞

    Raises TableError as `kernels`, and what `solve` raises of its arguments.
    """
    import torch

    grid = prepare(ode, x, grid, solver, None)
    found = recurrence(solver, grid, ode.alpha)
    every, ode, run = _kernels(found, ode.alpha), own(ode), Run(found)
    after, drawn = list["Tensor"](), list["Tensor"]()

    def noise(x: Tensor, s: float, t: float, again: int) -> Tensor:
        drawn.append(ode.noise(x, s, t, again))
        return drawn[-1]

    with torch.no_grad():
        x = start = x.detach()
        for stage in (found.start, *found.stages):
            x = _after(run, ode, x, stage, noise)
            after.append(x)
    numbers = [number for stage in (found.start, *found.stages) for number, *_ in stage.draws]
    noises = dict(zip(numbers, drawn, strict=True))
    states = tuple(after[k.stage + 1] for k in every)
    return Rollout(found, every, start, states, tuple(noises[k.number] for k in every), x)


def _after(run: Run, ode: ODE, x: Tensor, stage: Stage, noise: Draw) -> Tensor:
    """The state after a stage, or after the start."""
    if stage is run.recurrence.start:
        return run.start(x, noise)
    return run.step(x, (ode.x0 if stage.data else ode.eps)(x, stage.sigma), noise)


def _kernels(found: Recurrence, alpha: Alpha) -> tuple[Kernel, ...]:
    stages = (found.start, *found.stages)
    levels = [*(stage.sigma for stage in found.stages), found.levels[-1]]
    waiting, every = dict[int, tuple[float, float]](), list[Kernel]()
    for i, (stage, level) in enumerate(zip(stages, levels, strict=True), -1):
        waiting |= {number: (s, t) for number, s, t, _ in stage.draws}
        new = [(number, c) for number, c in stage.weights if number in waiting]
        if len(new) > 1:
            raise TableError(
                f"{found.solver} shows {len(new)} noises at once in the state at σ = {level:.4g}, from which "
                "they cannot be told apart: it has no density for each."
            )
        for number, weight in new:
            scale = 1.0 if math.isinf(level) else alpha(level)
            every.append(Kernel(number, i, level, abs(weight), scale, waiting.pop(number)))
    if not every:
        raise TableError(
            f"{found.solver} draws no noise on this grid, so its steps have no densities."
        )
    return tuple(every)


def _no_noise(x: Tensor, s: float, t: float, again: int) -> Tensor:
    return x.new_zeros(())


def _log_normal(z: Tensor, kernel: Kernel) -> Tensor:
    """log N(v z; 0, v² I), summed over the values of each sample, in float32 at least."""
    wide = z if z.element_size() > 2 else z.float()
    constant = math.log(kernel.deviation) + math.log(2 * math.pi) / 2
    return wide.square().reshape(len(z), -1).sum(1) / -2 - z[0].numel() * constant
