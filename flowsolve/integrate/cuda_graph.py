"""A whole run as one CUDA graph: recorded once, then launched by a single call whatever the steps are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowsolve.errors import StateError
from flowsolve.integrate.driver import check_state, sample
from flowsolve.ode.base import ODE, parts
from flowsolve.ode.noise import Noise
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver, check_solver

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.integrate.solution import Solution


def graphed(
    ode: ODE,
    x: Tensor,
    grid: Grid,
    solver: Solver,
    *,
    run: Callable[..., Solution] = sample,
    check: bool = True,
) -> Callable[[Tensor], Solution]:
    """run(ode, x, grid, solver) recorded as a CUDA graph: a function of other states like x.

    x      a state like those to come: its shape, dtype and device are those of the graph
    run    `sample`, which takes unit noise, or `solve`
    check  look at every result for NaN and ∞, after the graph: that waits for the device

    Every call copies its state to where the graph reads it, launches the graph, and copies the answer. What
    a network reads besides, weights and conditions, is read where it was at the recording, so that it may be
    written to in place and not replaced. So may noise that was drawn before. Raises StateError off CUDA, for
    an adaptive method, which looks at values, and for noise that is drawn on the host.
    """
    import torch

    check_solver(solver)
    check_state(x, "the state")
    if solver.adaptive:
        raise StateError(f"{solver!r} looks at values to choose its steps, which a graph cannot.")
    if any(_drawn_on_the_host(part) for part in parts(ode)):
        raise StateError(
            "the noise of this ODE is drawn on the host, at every call. Draw it before, and give "
            "WithNoise a function (x, s, t, again) that looks it up."
        )
    if x.device.type != "cuda":
        raise StateError(
            f"a CUDA graph is recorded on a CUDA device, but the state is on {x.device}. Elsewhere "
            f"call {getattr(run, '__name__', 'it')} itself, or compile it."
        )
    static, graph = x.detach().clone(), torch.cuda.CUDAGraph()
    with torch.cuda.device(x.device), torch.no_grad():
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(2):  # libraries load, and methods compute their weights
                run(ode, static, grid, solver, check=False)
        torch.cuda.current_stream().wait_stream(aside)
        with torch.cuda.graph(graph):
            done = run(ode, static, grid, solver, check=False)

    def replay(x: Tensor) -> Solution:
        if (x.shape, x.dtype, x.device) != (static.shape, static.dtype, static.device):
            raise StateError(
                f"this graph is for {tuple(static.shape)}, {static.dtype}, on {static.device}, but the state "
                f"is {tuple(x.shape)}, {x.dtype}, on {x.device}: record another."
            )
        with torch.no_grad():
            static.copy_(x)
            graph.replay()
            second = None if done.second is None else done.second.clone()
            found = dataclasses.replace(done, x=done.x.clone(), second=second)
            if check and not bool(found.x.isfinite().all()):
                return run(ode, x, grid, solver)  # which names the evaluation
        return found

    return replay


def _drawn_on_the_host(part: ODE) -> bool:
    return any(isinstance(value, Noise) and value.on_host for value in vars(part).values())
