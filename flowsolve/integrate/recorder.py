"""The path of a run, kept node by node, and the evaluation at which a NaN began."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, NoReturn

from flowsolve.errors import NonFiniteError
from flowsolve.integrate.counter import Counter, Tally
from flowsolve.integrate.endpoints import trajectory
from flowsolve.ode.ownership import own
from flowsolve.solver.dense_output import Point

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.integrate.options import Options
    from flowsolve.ode.base import ODE
    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.base import Solver


class Recorder:
    """The nodes of a run that are kept, as Points.

    A Point needs ε and x₀ at its node. Most methods evaluate there, at the start of their next step, and
    `saw` takes the answer. Where a method does not (at its last node, or if adaptive), `ode` is evaluated
    once more: `observations` of these, which are no part of `tally`. One that fails, as below the range of a
    clock, costs the Point its ε and x₀, and never the run: there is a RuntimeWarning.

    last     the index of the last node;  options: `keep`, `keep_on` and `on_step` are used
    """

    def __init__(self, ode: ODE, tally: Tally, last: int, options: Options) -> None:
        self.ode, self.tally, self.last = ode, tally, last
        self.keep, self.keep_on = options["keep"], options["keep_on"]
        self.on_step = options["on_step"]
        self.points: list[Point] = []
        self.observations = 0
        self.waiting: tuple[Tensor, float, int] | None = None

    def node(self, i: int, sigma: float, x: Tensor) -> None:
        """The state at node i."""
        if self.keep:
            self._observe()
            if i % self.keep == 0 or i == self.last:
                self.waiting = (x, sigma, self.tally.nfe)
        if self.on_step is not None:
            self.on_step(i, sigma, x.detach().clone())

    def saw(
        self, x: Tensor, sigma: float, *, eps: Tensor | None = None, x0: Tensor | None = None
    ) -> None:
        """An evaluation, which is stored if it is at the node that waits for one."""
        if self.waiting is None or self.waiting[0] is not x or self.waiting[1] != sigma:
            return
        self._store(*self.waiting, eps if x0 is None else x0, has_x0=x0 is not None)

    def path(self) -> tuple[Point, ...]:
        """Every kept Point, the last one included."""
        self._observe()
        return tuple(self.points)

    def _observe(self) -> None:
        """Evaluate at the node that still waits, if there is one."""
        if self.waiting is None:
            return
        x, sigma, nfe = self.waiting
        if sigma == 0:
            self._store(x, sigma, nfe)
            return
        try:
            x0 = own(self.ode).x0(x, sigma)
        except Exception as error:  # whatever a network raises: the method has not asked here
            warnings.warn(
                f"the node at σ = {sigma:.6g} is kept without ε and x₀, which the method did not need there: "
                f"{type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=5,
            )
            self._store(x, sigma, nfe)
            return
        self.observations += 1
        self._store(x, sigma, nfe, x0, has_x0=True)

    def _store(
        self,
        x: Tensor,
        sigma: float,
        nfe: int,
        answer: Tensor | None = None,
        *,
        has_x0: bool = False,
    ) -> None:
        def put(v: Tensor) -> Tensor:
            return v if self.keep_on is None else v.to(self.keep_on)

        alpha = 0.0 if math.isinf(sigma) else self.ode.alpha(sigma)
        answer = None if answer is None else put(answer)
        self.points.append(Point(sigma, alpha, put(x), nfe, answer, has_x0))
        self.waiting = None


class _FiniteCheck:
    """An observer that raises NonFiniteError at the first evaluation with a value that is not finite."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def saw(
        self, x: Tensor, sigma: float, *, eps: Tensor | None = None, x0: Tensor | None = None
    ) -> None:
        out = x0 if eps is None else eps
        assert out is not None
        where = f"at evaluation {self.tally.nfe}, σ = {sigma:.6g}"
        if not bool(x.isfinite().all()):
            raise NonFiniteError(
                f"the state is not finite {where}, before the network is called: {_bad(x)}. "
                + (
                    "The starting state is at fault."
                    if self.tally.nfe == 1
                    else "The method diverged."
                )
            )
        if not bool(out.isfinite().all()):
            raise NonFiniteError(
                f"the network's answer is not finite {where}: {_bad(out)}, for a finite state of "
                f"largest magnitude {float(x.abs().max()):.3g}. Does its dtype overflow there?"
            )


def _bad(x: Tensor) -> str:
    return f"{int((~x.isfinite()).sum())} of {x.numel()} values"


def locate_non_finite(ode: ODE, x: Tensor, grid: Grid, solver: Solver) -> NoReturn:
    """Solve again and look at every evaluation; raises NonFiniteError that names the first bad one."""
    tally = Tally()
    for _ in trajectory(Counter(ode, tally, _FiniteCheck(tally)), x, grid, solver):
        pass
    raise NonFiniteError(
        "the result is not finite, but every evaluation of a second look was: the last step "
        "overflowed, or the network does not give the same answer twice."
    )
