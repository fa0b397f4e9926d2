"""Looking over a solver's shoulder: counting its evaluations, keeping its path, finding its NaNs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn

from flowsolve.errors import NonFiniteError
from flowsolve.integrate.endpoints import walk
from flowsolve.ode.base import ODE, Wrapped
from flowsolve.solver.dense_output import Point

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.base import Solver


class Counted(Wrapped):
    """An ODE that counts its evaluations, and shows each to a recorder if it has one."""

    def __init__(self, ode: ODE) -> None:
        super().__init__(ode)
        self.nfe = self.rows = 0
        self.recorder: Recorder | None = None

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        """ε, and one more evaluation."""
        self.nfe += 1
        self.rows += len(x)
        out = self.ode.eps(x, sigma)
        if self.recorder is not None:
            self.recorder.saw(x, sigma, eps=out)
        return out

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        """x₀, and one more evaluation."""
        self.nfe += 1
        self.rows += len(x)
        out = self.ode.x0(x, sigma)
        if self.recorder is not None:
            self.recorder.saw(x, sigma, x0=out)
        return out


class Recorder:
    """The kept nodes. ε and x₀ at a node are the method's own evaluation there, which comes a step
    later; where it makes none (the last node, adaptive methods) the ODE is asked, uncounted.
    """

    def __init__(
        self,
        ode: ODE,
        counted: Counted,
        keep: int,
        keep_on: torch.device | str | None,
        last: int,
    ) -> None:
        self.ode, self.counted, self.last = ode, counted, last
        self.keep, self.keep_on = keep, keep_on
        self.points: list[Point] = []
        self.observations = 0
        self.waiting: tuple[Tensor, float, int] | None = None
        if keep:
            counted.recorder = self

    def node(self, i: int, sigma: float, x: Tensor) -> None:
        """The state at node i."""
        if self.keep:
            self._observe()
            if i % self.keep == 0 or i == self.last:
                self.waiting = (x, sigma, self.counted.nfe)

    def saw(
        self, x: Tensor, sigma: float, eps: Tensor | None = None, x0: Tensor | None = None
    ) -> None:
        """An evaluation, which may be the one that the waiting node needs."""
        if self.waiting is None or self.waiting[0] is not x or self.waiting[1] != sigma:
            return
        if math.isinf(sigma):
            eps = x
        elif x0 is None:
            assert eps is not None
            x0 = x.add(eps, alpha=-sigma)
        elif eps is None:
            eps = (x - x0) / sigma
        assert x0 is not None
        self._store(*self.waiting, eps, x0)

    def path(self) -> tuple[Point, ...]:
        """Every kept Point, the last one included."""
        self._observe()
        return tuple(self.points)

    def _observe(self) -> None:
        if self.waiting is None:
            return
        x, sigma, nfe = self.waiting
        if sigma == 0:
            self._store(x, sigma, nfe, None, x)
            return
        self.observations += 1
        x0 = self.ode.x0(x, sigma)
        self._store(x, sigma, nfe, x if math.isinf(sigma) else (x - x0) / sigma, x0)

    def _store(self, x: Tensor, sigma: float, nfe: int, eps: Tensor | None, x0: Tensor) -> None:
        def put(v: Tensor) -> Tensor:
            return v if self.keep_on is None else v.to(self.keep_on)

        alpha = 0.0 if math.isinf(sigma) else self.ode.alpha(sigma)
        kept = None if eps is None else put(eps)
        self.points.append(Point(sigma, alpha, put(x), nfe, kept, put(x0)))
        self.waiting = None


class _Watched(Wrapped):
    """An ODE that looks at every value, and raises at the first that is not finite."""

    def __init__(self, ode: ODE) -> None:
        super().__init__(ode)
        self.nfe = 0

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        return self._look(x, sigma, self.ode.eps(x, sigma))

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        return self._look(x, sigma, self.ode.x0(x, sigma))

    def _look(self, x: Tensor, sigma: float, out: Tensor) -> Tensor:
        self.nfe += 1
        where = f"at evaluation {self.nfe}, σ = {sigma:.6g}"
        if not bool(x.isfinite().all()):
            raise NonFiniteError(
                f"the state is not finite {where}, before the network is called: {_bad(x)}. "
                + ("The starting state is at fault." if self.nfe == 1 else "The method diverged.")
            )
        if not bool(out.isfinite().all()):
            raise NonFiniteError(
                f"the network's answer is not finite {where}: {_bad(out)}, for a finite state of "
                f"largest magnitude {float(x.abs().max()):.3g}. Does its dtype overflow there?"
            )
        return out


def _bad(x: Tensor) -> str:
    return f"{int((~x.isfinite()).sum())} of {x.numel()} values"


def locate_non_finite(ode: ODE, x: Tensor, grid: Grid, solver: Solver) -> NoReturn:
    """The second look: solve again, watching every evaluation, and raise NonFiniteError."""
    for _ in walk(_Watched(ode), x, grid, solver):
        pass
    raise NonFiniteError(
        "the result is not finite, but every evaluation of a second look was: the last step "
        "overflowed, or the network does not give the same answer twice."
    )
