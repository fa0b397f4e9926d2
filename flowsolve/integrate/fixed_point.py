"""The inverse of an explicit one-step method, by a fixed point at every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, TypedDict, Unpack

from flowsolve._arguments import real, whole
from flowsolve.errors import ConvergenceError, NonFiniteError, StateError
from flowsolve.integrate.anderson import Anderson
from flowsolve.integrate.counter import Counter, Tally
from flowsolve.integrate.driver import prepare
from flowsolve.integrate.inversion import rising
from flowsolve.integrate.options import check_names
from flowsolve.integrate.solution import Solution
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import OneStep, Solver

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.base import ODE


@dataclass(frozen=True, eq=False)
class Inversion(Solution):
    """The state at the top, and how well every step was inverted.

    residuals  (steps, B) from the bottom up: rms(x_t - Φ(x_s)) over the event, relative to
               rms(x_t) + t (the lowest positive level where t = 0)
    tolerance  what they were to be at most
    """

    residuals: Tensor = field(kw_only=True)
    tolerance: float = field(kw_only=True)

    @property
    def converged(self) -> bool:
        """Whether the residual of every step of every sample is within the tolerance."""
        return bool((self.residuals <= self.tolerance).all())


class FixedPointOptions(TypedDict, total=False):
    """`**options` of `invert`, the iteration of each step. In brackets the defaults.

    tolerance   of each step's relative residual, see `Inversion` (64 ε of the dtype)
    iterations  the most calls of Φ for a step, each with the evaluations of the method's step (100)
    look        look from the host every that many iterations whether all samples have converged; 0: never
                (4). Each look waits for the device; without them every step costs all `iterations`. A
                sample that has converged is frozen, so its result does not depend on the others'
    memory      the changes remembered, each for four states at most; 0 is the plain iteration (10)
    """

    tolerance: float | None
    iterations: int
    look: int
    memory: int


def invert(
    ode: ODE,
    x: Tensor,
    grid: Grid | Iterable[float],
    solver: Solver,
    *,
    strict: bool = True,
    **options: Unpack[FixedPointOptions],
) -> Inversion:
    """x_s with Φ(x_s; s→t) = x_t, Φ the step of `solver`, at every step up:  x ← x + (x_t - Φ(x; s→t)).

    For DDIM this is x ← x_t + (s - t) ε(x, s): Pan et al. 2023 (AIDI), Garibi et al. 2024 (ReNoise). With
    r = x_t - Φ(x), g = x + r and Δ their changes from iteration to iteration, Anderson's acceleration is

        x ← g - Σ γ Δg,  γ = argmin |r - Σ γ Δr|² for each sample, over the last `memory` changes

    which converges where the plain one does not: on coarse grids a step need not be a contraction.

    x        data as x̄ at the lowest level, (B, *event), as in `encode`; σ = 0 and σ = ∞ may be ends
    strict   raise if a step did not converge; else return it with its residuals
    options  tolerance=, iterations=, look=, memory= of the iteration: see `FixedPointOptions`

    Of each step it keeps the iterate of the least residual: what is returned was put through Φ.
    Raises StateError for a method that is not one-step, GridError for a stochastic one,
    ConvergenceError (its `partial` is the Inversion), NonFiniteError, ValueError, and TypeError for an
    unknown option.
    """
    import torch

    up = prepare(ode, x, rising(grid), solver, None)
    if not isinstance(solver, OneStep):
        raise StateError(
            f"invert needs a one-step method such as Euler() or Heun(), not {solver!r}, whose steps "
            "depend on those before. encode() takes any deterministic method."
        )
    fixed_point = _fixed_point(options, 64 * torch.finfo(x.dtype).eps)
    tally, residuals, n = Tally(), [], len(x)
    counter = Counter(ode, tally)
    with torch.no_grad():
        for t, s in pairwise(up):
            phi, unit = _phi(counter, s, t, solver)
            x, residual = fixed_point.solve(phi, x, unit, t or s)
            residuals.append(residual)
    done = Inversion(
        x,
        up,
        solver,
        tally.nfe,
        tally.forwards / n,
        alpha=1.0 if math.isinf(up[-1]) else ode.alpha(up[-1]),
        per_sample=tally.rows / n,
        rounds=tally.rounds,
        residuals=torch.stack(residuals),
        tolerance=fixed_point.tolerance,
    )
    _check(done, fixed_point.iterations, strict)
    return done


def _fixed_point(options: FixedPointOptions, tolerance: float) -> Anderson:
    """The iteration that the options describe, `tolerance` being that of an option None."""
    chosen = FixedPointOptions(tolerance=None, iterations=100, look=4, memory=10)
    check_names(options, FixedPointOptions)
    chosen |= options
    given, iterations = chosen["tolerance"], chosen["iterations"]
    look, memory = chosen["look"], chosen["memory"]
    counts = {"iterations": iterations, "look": look, "memory": memory}
    iterations, look, memory = (whole(f"invert: {k}", v) for k, v in counts.items())
    given = None if given is None else real("invert: tolerance", given)
    if iterations < 1 or min(look, memory) < 0 or (given is not None and not given > 0):
        raise ValueError(
            "invert needs iterations >= 1, look >= 0, memory >= 0 and tolerance > 0, but got iterations = "
            f"{iterations!r}, look = {look!r}, memory = {memory!r}, tolerance = {given!r}."
        )
    return Anderson(tolerance if given is None else given, iterations, look, memory)


def _phi(ode: ODE, s: float, t: float, solver: OneStep) -> tuple[Callable[[Tensor], Tensor], float]:
    """Φ(·; s→t), with the DDIM steps at the ends, and about the factor with which x enters it."""
    if math.isinf(s):
        return (lambda x: ode.x0(x, s).add(x, alpha=t)), t
    if t == 0 and not solver.reaches_zero:
        return (lambda x: ode.x0(x, s)), 1.0
    return (lambda x: solver.step(ode, x, s, t)), 1.0


def _check(done: Inversion, iterations: int, strict: bool) -> None:
    """Raise NonFiniteError, and if strict ConvergenceError."""
    if not bool(done.x.isfinite().all()):
        raise NonFiniteError(
            f"the inversion of {done.solver!r} gave NaN or infinity. Look at the data and at the network, or "
            "take a finer grid."
        )
    if not strict or done.converged:
        return
    worst = int(done.residuals.amax(1).argmax())
    missed = int((done.residuals > done.tolerance).any(0).sum())
    raise ConvergenceError(
        f"the inversion of {done.solver!r} did not converge in {iterations} iterations for {missed} of "
        f"{len(done.x)} samples: the largest relative residual is {float(done.residuals.max()):.2g}, at the "
        f"step between σ = {done.grid[worst]:.4g} and {done.grid[worst + 1]:.4g}, and the tolerance is "
        f"{done.tolerance:.2g}. Allow more iterations, a finer grid or a larger tolerance; with strict=False "
        "this result is returned with its residuals (here it is `partial` of the error).",
        done,
    )
