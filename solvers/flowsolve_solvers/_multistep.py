"""The loop of linear multistep methods, and their start by a one-step method."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from flowsolve.ode import ODE, Wrapped
from flowsolve.solver import DATA, NOISE, Chart, OneStep, Resumed, Solver, check_option, given

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.schedule import Grid


class Multistep(Resumed):
    """z_t = z_s + Σ_j weights(nodes, s, t)_j F(nodes_j), on the newest `points` nodes.

    chart              what z and F are: x̄ and ε (NOISE), x̄/σ and x₀ (DATA), ...
    start              takes the first `start_steps` steps, and shares the evaluation at each node
    lower_order_final  at most as many points as steps are left; a step to σ = 0 is then DDIM's
    """

    @abstractmethod
    def weights(self, nodes: tuple[float, ...], s: float, t: float) -> Sequence[float]:
        """The weights of F at the newest nodes, the newest first, in the step from s = nodes[0] to t."""

    @property
    @abstractmethod
    def points(self) -> int: ...

    @property
    def chart(self) -> Chart:
        return NOISE

    @property
    def start(self) -> OneStep | None:
        return None

    @property
    def start_steps(self) -> int:
        return self.points - 1

    @property
    def lower_order_final(self) -> bool:
        return False

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, Tensor | None, None]:
        nodes: tuple[float, ...] = ()
        values: list[Tensor] = []
        for i, (s, t) in enumerate(pairwise(grid)):
            k = min(self.points, grid.steps - i) if self.lower_order_final else self.points
            nodes = (s, *nodes[: k - 1])
            del values[k - 1 :]  # before the evaluation: one state less in memory
            if self.lower_order_final and t == 0:
                yield ode.x0(x, s)
                return
            values.insert(0, self.chart.value(ode, x, s))
            if self.start is not None and i < self.start_steps and t > 0:
                x = self.start.step(Evaluated(ode, self.chart, x, s, values[0]), x, s, t)
            else:
                weights = self.weights(nodes, s, t)
                x = self.chart.advance(x, s, t, weights, values[: len(weights)])
            x = given(x, (yield x))


class Evaluated(Wrapped):
    """`ode`, whose F at (x, s) has been evaluated: there ε and x₀ follow from `value` at no cost."""

    def __init__(self, ode: ODE, chart: Chart, x: Tensor, s: float, value: Tensor) -> None:
        super().__init__(ode)
        self.at, self.chart, self.known = (x, s), chart, value

    def _here(self, x: Tensor, sigma: float) -> bool:
        return x is self.at[0] and sigma == self.at[1]

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        here = self._here(x, sigma)
        return self.chart.eps(x, self.known, sigma) if here else self.ode.eps(x, sigma)

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        here = self._here(x, sigma)
        return self.chart.x0(x, self.known, sigma) if here else self.ode.x0(x, sigma)


def check_start(start: OneStep | None) -> None:
    """Raise TypeError for a start that cannot take single steps."""
    if start is not None and not isinstance(start, OneStep):
        raise TypeError(f"start must be a one-step solver such as Heun(), not {start!r}.")


def check_points(solver: Solver, least: int = 1, most: int = 8, name: str = "points") -> None:
    """Raise ValueError unless the field `name` of the solver is a whole number from `least` to `most`."""
    count: object = getattr(solver, name, None)
    if isinstance(count, bool) or not isinstance(count, int) or not least <= count <= most:
        where = "" if name == "points" else f" in its {name}"
        raise ValueError(
            f"{type(solver).__name__} has {least} to {most} points{where}, a whole number, but got {name} = "
            f"{count!r}."
        )


def check_exponential(solver: Solver) -> None:
    """Raise ValueError unless solver.chart is NOISE or DATA, whose u is exponential in log σ."""
    check_option(solver, "chart", Chart)
    if getattr(solver, "chart", None) not in (NOISE, DATA):
        raise ValueError(
            f"{type(solver).__name__} has the weights of NOISE and DATA only. Adams and UniPC take any chart."
        )


def check_guard(solver: Solver) -> None:
    """Raise ValueError unless solver.guard is None or a number above 0."""
    guard: object = getattr(solver, "guard", None)
    if guard is None or (
        isinstance(guard, int | float) and not isinstance(guard, bool) and guard > 0
    ):
        return
    raise ValueError(
        f"{type(solver).__name__}: guard must be a number above 0, or None for the method as published, but "
        f"got {guard!r}."
    )
