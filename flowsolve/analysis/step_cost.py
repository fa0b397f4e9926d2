"""What a solve costs besides its network: operations on tensors, and states alive at once."""

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


class StepCost(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations made inside `with cost:`, and the state-sized storages alive at once.

    ops    aten calls by name, without those of `network`
    peak   the most storages of at least `nbytes` alive at once, of tensors made here or given to `hold`
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
        """A network of one operation. The operation is not counted, the storage of its answer is."""
        self.on = False
        out = torch.sin(x)
        self.on = True
        return out


class _FreeNoise(Wrapped):
    """`ode` with noise of one operation, which is not counted."""

    def __init__(self, ode: ODE, cost: StepCost) -> None:
        super().__init__(ode)
        self.cost = cost

    def noise(self, x: Tensor, s: float, t: float, again: int = 0) -> Tensor:
        return self.cost.network(x, x)


def measured_cost(solver: Solver, precondition: Precondition, steps: int) -> tuple[StepCost, int]:
    """The cost of a solve of `steps` steps, the caller's start among its storages; and its NFE."""
    grid, x = log_snr(steps, 10.0, 0.1), torch.ones(SHAPE)
    cost = StepCost(x.untyped_storage().nbytes())
    ode = _FreeNoise(DiffusionODE(cost.network, precondition), cost)
    solve(ode, x, grid, solver)  # what methods cache, such as weights, is made by a first run
    with cost:
        cost.hold(x)
        done = solve(ode, x, grid, solver, check=False)
    return cost, done.nfe
