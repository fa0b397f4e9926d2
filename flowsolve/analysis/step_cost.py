"""What a solve does besides its network: the operations that touch tensors, the states kept alive."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from flowsolve.integrate.driver import solve
from flowsolve.ode.base import ODE, Wrapped
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.ode.precondition import Precondition
from flowsolve.schedule.spacings import log_snr
from flowsolve.solver.base import Solver

SHAPE = (1, 4, 64, 64)


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations it sees, and the state-sized storages that are alive at once.

    ops    aten calls by name, those inside `network` left out
    peak   the most storages of at least `nbytes` alive at once, of tensors made or `hold`ed under it
    """

    def __init__(self, nbytes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nbytes, self.on, self.ops = nbytes, True, Counter[str]()
        self.alive: dict[int, object] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if self.on:
            self.ops[func.name().split(".")[0]] += 1
        if isinstance(out, Tensor):
            self.hold(out)
        return out

    def hold(self, x: Tensor) -> None:
        """Count the storage of x, until it is freed."""
        storage = x.untyped_storage()
        key = storage.data_ptr()
        if storage.nbytes() >= self.nbytes and key not in self.alive:
            self.alive[key] = weakref.finalize(storage, self.alive.pop, key, None)
            self.peak = max(self.peak, len(self.alive))

    def network(self, x: Tensor, t: Tensor) -> Tensor:
        """A network of one operation, which is not counted; its answer is a buffer like any."""
        self.on = False
        out = torch.sin(x)
        self.on = True
        return out


class _Metered(Wrapped):
    """Noise is one operation too, which is not counted."""

    def __init__(self, ode: ODE, meter: Meter) -> None:
        super().__init__(ode)
        self.meter = meter

    def noise(self, x: Tensor, s: float, t: float) -> Tensor:
        return self.meter.network(x, x)


def metered(solver: Solver, precondition: Precondition, steps: int) -> tuple[Meter, int]:
    """A solve of `steps` steps under a Meter, and its evaluations; the caller's start is held."""
    grid, x = log_snr(steps, 10.0, 0.1), torch.ones(SHAPE)
    meter = Meter(x.untyped_storage().nbytes())
    ode = _Metered(DiffusionODE(meter.network, precondition), meter)
    solve(ode, x, grid, solver)  # what methods cache, such as weights, is made by a first run
    with meter:
        meter.hold(x)
        done = solve(ode, x, grid, solver, check=False)
    return meter, done.nfe
