"""A method whose network is evaluated by the caller, step by step, from a recurrence found beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.analysis.basis import Alpha, BasisRun, respond
from flowsolve.analysis.combinations import combinations
from flowsolve.errors import StateError
from flowsolve.ode.base import ODE
from flowsolve.ode.precondition import VP
from flowsolve.schedule.grid import Grid, as_grid
from flowsolve.solver.base import Solver
from flowsolve.solver.chart import DATA, NOISE, Chart

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Vector = NDArray[np.float64]
    Draw = Callable[[Tensor, float, float, int], Tensor]

TOGETHER = 64  # stages whose weights are found at a time


@dataclass(frozen=True)
class Stage:
    """x_{k+1} = a x_k + Σ c_j v_j:  evaluation k, and the state that the next one is made at.

    sigma    σ of the evaluation;  number: that of its answer among all answers and noises
    data     whether the answer is asked as x₀ (always at σ = ∞) or as ε
    mix      (a, b): what is used and kept is v = a x_k + b answer, F of the method's chart
    draws    (number, s, t, again) of the noises drawn after it, each for a visit to the interval from s to t
    scale    a;  weights: (j, c_j), on the answers and noises by their numbers
    keep     the numbers that later stages need
    """

    sigma: float
    number: int
    data: bool
    mix: tuple[float, float]
    draws: tuple[tuple[int, float, float, int], ...]
    scale: float
    weights: tuple[tuple[int, float], ...]
    keep: frozenset[int]


@dataclass(frozen=True)
class Recurrence:
    """A method as stages: each state from the state before it and the fewest of the last answers and noises.

    start    what comes before the first evaluation: nothing (x_1 = x_T), or noise
    stages   one for each evaluation; the last gives the state at the end of the grid
    nodes    which evaluation, from 0, is made at each level; the number of all at the last
    """

    solver: str
    levels: tuple[float, ...]
    start: Stage
    stages: tuple[Stage, ...]
    nodes: tuple[int, ...]

    @property
    def kept(self) -> int:
        """The most answers and noises alive between two evaluations, besides the state."""
        return max(len(stage.keep) for stage in (self.start, *self.stages))


def recurrence(solver: Solver, grid: Grid, alpha: Alpha = VP.alpha) -> Recurrence:
    """Run `solver` on basis vectors, and write each state by the state before it and the last vectors.

    alpha  α for σ, as `Precondition.alpha`: BDIA, EDICT, DDIMInverse and a first step from σ = 0 depend on it

    x₀ and ε are basis vectors where the method asks for them: x₀ as x - σ ε would lose σ/x₀ in precision.
    Raises TableError for a method that chooses by the values that it sees.
    """
    run = respond(solver, as_grid(grid), separate_x0=True, alpha=alpha)
    nodes, reach = _nodes(run, grid[:]), 4
    while True:  # a state may need few of the last ε but many of the last x₀, or the reverse
        plans = [_plan(run, chart, reach) for chart in _charts(solver)]
        found = [
            Recurrence(repr(solver), grid[:], plan[0], tuple(plan[1:]), nodes)
            for plan in plans
            if plan
        ]
        if found:
            return min(found, key=lambda r: r.kept)
        reach *= 2


def _charts(solver: Solver) -> list[Chart]:
    """NOISE, DATA, its own `chart`, and those that are options of the solver or of one around which it is."""
    found = [NOISE, DATA]
    for value in (getattr(solver, "chart", None), *vars(solver).values()):
        new = _charts(value) if isinstance(value, Solver) else [value]
        found += [chart for chart in new if isinstance(chart, Chart) and chart not in found]
    return found


def _nodes(run: BasisRun, levels: tuple[float, ...]) -> tuple[int, ...]:
    """The first evaluation at the node's own state; else (where it is corrected afterwards) the last at its σ;
    else (where noise comes between) the next one.
    """
    asked, found = run.evaluations, list[int]()
    for (x, known), level in zip(run.nodes[:-1], levels, strict=False):
        same = (k for k, g in enumerate(asked) if g.s == level and bool((g.state == x).all()))
        before = [k for k, g in enumerate(asked) if g.number < known]
        last = next((k for k in reversed(before) if asked[k].s == level), len(before))
        found.append(next(same, last))
    return (*found, len(asked))


def _plan(run: BasisRun, chart: Chart, reach: int) -> list[Stage] | None:
    """The start and the stages, with F of the chart, or None where one needs more than `reach` vectors."""
    import numpy as np
    import torch

    known: list[Vector] = list(np.eye(1 + len(run.given)))
    states = [known[0], *(g.state.numpy() for g in run.evaluations), run.nodes[-1][0].numpy()]
    takes, mixes, one = {0: False}, {0: (0.0, 1.0)}, torch.eye(2, dtype=torch.float64)
    for (number, kind, sigma, *_), x in zip(run.evaluations, states[1:], strict=False):
        takes[number] = data = math.isinf(sigma) or chart.takes_x0(sigma)
        answer = known[number]
        if data and kind == "eps":
            answer = x - sigma * answer
        elif not data and kind == "x0":
            answer = (x - answer) / sigma
        a, b = chart.of(one[0], one[1], sigma).tolist()
        mixes[number] = a, b
        known[number] = a * x + b * answer
    asked = [(0, math.nan), *((g.number, g.s) for g in run.evaluations)]
    ends = [*(number for number, _ in asked[1:]), len(known)]
    lasts = [
        range(end - 1, 0, -1)[:reach] for end in ends
    ]  # noises after the answer, the answer, and before
    vectors = [[x, *(known[j] for j in last)] for x, last in zip(states, lasts, strict=False)]
    weights = list["Vector"]()
    for i in range(0, len(lasts), TOGETHER):
        part = slice(i, i + TOGETHER)
        found = combinations(states[1:][part], vectors[part])
        if found is None:
            return None
        weights += [*found]
    stages = []
    for (number, sigma), last, end, row in zip(asked, lasts, ends, weights, strict=True):
        used = tuple((j, float(c)) for j, c in zip(last, row[1:], strict=False) if c)
        draws = tuple((g.number, g.s, g.t, g.again) for g in run.noises if number < g.number < end)
        data, mix = takes[number], mixes[number]
        stages.append(Stage(sigma, number, data, mix, draws, float(row[0]), used, frozenset()))
    return _with_keep(stages)


def _with_keep(stages: Sequence[Stage]) -> list[Stage]:
    """Each stage with its `keep`: the numbers known by then that a later stage uses."""
    found, later = list[Stage](), set[int]()
    for stage in reversed(stages):
        newest = max([stage.number, *(number for number, *_ in stage.draws)])
        later = {j for j in later if j <= newest}
        found.append(Stage(**{**vars(stage), "keep": frozenset(later)}))
        later |= {j for j, _ in stage.weights}
    return found[::-1]


class Run:
    """One pass over a recurrence. Keeps the answers and noises that later stages need, nothing else.

    `noise` is called as (x, s, t, again) -> z like x, as `ODE.noise`.
    """

    def __init__(self, recurrence: Recurrence) -> None:
        self.recurrence, self.k = recurrence, 0
        self.kept = dict[int, "Tensor"]()

    @property
    def done(self) -> bool:
        """Whether the end of the grid is reached."""
        return self.k == len(self.recurrence.stages)

    @property
    def sigma(self) -> float:
        """σ of the state: of the next evaluation, or of the end."""
        return self.recurrence.levels[-1] if self.done else self.recurrence.stages[self.k].sigma

    def start(self, x: Tensor, noise: Draw) -> Tensor:
        """x_1 from x̄_T (the unit noise, if the grid starts at σ = ∞)."""
        return self._combine(self.recurrence.start, x, {}, noise)

    def step(self, x: Tensor, answer: Tensor, noise: Draw) -> Tensor:
        """x_{k+1} from x_k and its ε, or x₀ as the stage says.  Raises StateError after the last."""
        if self.done:
            raise StateError(f"all {self.k} evaluations of {self.recurrence.solver} were made.")
        stage = self.recurrence.stages[self.k]
        a, b = stage.mix
        if a:
            answer = (answer * b).add_(x, alpha=a)
        elif b != 1:
            answer = answer * b
        out = self._combine(stage, x, {stage.number: answer}, noise)
        self.k += 1
        return out

    def _combine(
        self,
        stage: Stage,
        x: Tensor,
        new: dict[int, Tensor],
        noise: Draw,
    ) -> Tensor:
        known = {**self.kept, **new, **{n: noise(x, s, t, k) for n, s, t, k in stage.draws}}
        self.kept = {j: known[j] for j in stage.keep}
        out = x if stage.scale == 1 else x * stage.scale
        for j, c in stage.weights:
            out = out.add(known[j], alpha=c) if out is x else out.add_(known[j], alpha=c)
        return out


def drive(ode: ODE, x: Tensor, recurrence: Recurrence) -> Tensor:
    """x̄ at the end of the grid from x̄ at its first level: how a caller uses `Run`."""
    run = Run(recurrence)
    x = run.start(x, ode.noise)
    for stage in recurrence.stages:
        x = run.step(x, (ode.x0 if stage.data else ode.eps)(x, stage.sigma), ode.noise)
    return x
