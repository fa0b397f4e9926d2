"""log p(x̄) by the instantaneous change of variables, along the same ODE and by the same solvers.

d log p(x̄)/dσ = -div ε, so ∫ div ε dσ is one more coordinate of the state, integrated by any solver as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve._arguments import real
from flowsolve.errors import GridError, NonFiniteError, StateError
from flowsolve.integrate.divergence import (
    Augmented,
    basis_vectors,
    flat,
    rademacher,
    requiring_gradients,
)
from flowsolve.integrate.driver import check_state, prepare, solve
from flowsolve.integrate.starting import ve_start, vp_start
from flowsolve.ode.base import ODE
from flowsolve.schedule.grid import Grid
from flowsolve.solver.base import Solver
from flowsolve.solver.reversible import Continued, TwoState

if TYPE_CHECKING:
    from torch import Tensor

Prior = Callable[["Tensor", float], "Tensor"]


def ve_prior(x: Tensor, sigma: float) -> Tensor:
    """log N(x̄; 0, σ² I), (B,): what `sample` starts from by `ve_start`."""
    return _normal(x, ve_start(sigma))


def vp_prior(x: Tensor, sigma: float) -> Tensor:
    """log N(x̄; 0, (1+σ²) I), (B,): x_T ~ N(0, I) of DDPM and DDIM, what `vp_start` starts from."""
    return _normal(x, vp_start(real("sigma", sigma)))


def _normal(x: Tensor, deviation: float) -> Tensor:
    check_state(x, "x")
    z = flat(x) / deviation
    constant = z.shape[1] * math.log(2 * math.pi * deviation**2)
    return -((z * z).sum(1) + constant) / 2


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The answer of `log_prob`, its error and its cost.

    log_p      natural logarithm of the density of x̄ at the lowest σ, (B,)
    stderr     standard error of log_p over the probes, (B,); 0 where the divergence is exact. The
               errors of the solver and of the prior are not in it
    noise      x̄ at the highest σ, (B, *event)
    nfe        evaluations by the method, each with its divergence
    forwards   forward passes of networks per sample
    backwards  vector-Jacobian products per sample: for each evaluation, one for each probe or dimension
    """

    log_p: Tensor
    stderr: Tensor
    noise: Tensor
    nfe: int
    forwards: float
    backwards: int


def log_prob(
    ode: ODE,
    x: Tensor,
    grid: Grid | Iterable[float],
    solver: Solver,
    *,
    prior: Prior = ve_prior,
    probes: int | None = None,
    seeds: Sequence[int] | None = None,
) -> Likelihood:
    """log p(x̄) = log p_T(x̄_T) + ∫ div ε dσ, up the grid to σ_T.    Chen et al. 2018; Song et al. 2021, Eq. 39.

    x       x̄ at the lowest level, (B, *event), float32 or float64. The density is that of x̄ = x_t/α: add
            -d log α for that of x_t
    grid    levels as for sampling, from σ_T down to σ_min > 0; both ends finite
    solver  any deterministic method: the integral is one more coordinate, of the method's own order
    prior   (x̄, σ) -> log p_T, (B,): N(0, σ² I) unless told otherwise, or `vp_prior`, or exactly, as
            `Mixture().log_density`. With data of mean m and covariance C, ve_prior is off by a
            divergence KL(p_T | prior) near |m|²/2σ² + tr C²/4σ⁴ nats
    probes  None: the divergence is exact, by d products with the Jacobian. K >= 2: Hutchinson's estimate
            from K Rademacher probes for each sample, the same ones along the whole path
    seeds   one for each sample, for its probes; 0 to B - 1 unless told otherwise

    Gradients are recorded inside each evaluation only; the answer carries none. The network must treat
    each row by itself. Raises GridError, StateError, NetworkError (no gradient in x̄), NonFiniteError.
    """
    import torch

    grid = prepare(ode, x, grid, solver, None)
    if not 0 < min(grid) < max(grid) < math.inf:
        raise GridError(
            f"log p needs finite levels above 0, but the grid goes from {grid[0]!r} to {grid[-1]!r}. "
            "Leave .from_infinity() and .to_zero() out: the density is that at the lowest level."
        )
    if x.dtype.itemsize < 4:
        raise StateError(
            f"log p is summed in the state's dtype, so {x.dtype} is too coarse. Use x.float(), and "
            "DiffusionODE(..., dtype=...) for a network in half precision."
        )
    if not callable(prior):
        raise StateError(
            f"prior must be a function (x, sigma) -> log density such as vp_prior, not {prior!r:.80}."
        )
    if probes is None and seeds is not None:
        raise StateError(
            "seeds are for probes, and an exact divergence has none. Give probes=, or no seeds."
        )
    if isinstance(solver, (TwoState, Continued)):
        raise StateError(
            f"{solver!r} goes up by undoing its own steps, in which errors grow. Take a method that steps up "
            "as it steps down, such as Heun()."
        )
    vectors = basis_vectors(x) if probes is None else rademacher(x, probes, seeds)
    augmented = Augmented(requiring_gradients(ode), vectors, total=probes is None)
    grid = grid if grid.rising else grid.reversed()
    solution = solve(augmented, augmented.start(x), grid, solver)
    with torch.no_grad():
        noise, integrals = augmented.split(solution.x)
        at_end = prior(noise, grid[-1])
        if not isinstance(at_end, torch.Tensor) or at_end.shape != x.shape[:1]:
            got = tuple(at_end.shape) if isinstance(at_end, torch.Tensor) else at_end
            raise StateError(
                f"prior must return one log density for each sample, a tensor ({len(x)},), but gave {got}."
            )
        if bool(at_end.isnan().any()):
            raise NonFiniteError(
                f"the prior is NaN at σ = {grid[-1]!r}, where the state is finite."
            )
        log_p = at_end + integrals.mean(1)
        spread = torch.zeros_like(log_p) if probes is None else integrals.std(1)
        stderr = spread / math.sqrt(len(vectors))
    backwards = solution.nfe * len(vectors)
    return Likelihood(log_p, stderr, noise, solution.nfe, solution.forwards, backwards)
