"""log p(x̄) by the instantaneous change of variables, along the same ODE and by the same solvers.

d log p(x̄)/dσ = -div ε, so ∫ div ε dσ is one more coordinate of the state, integrated by any solver as it is.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowsolve.errors import GridError, NetworkError, NonFiniteError, StateError
from flowsolve.integrate.driver import prepare, solve, ve_start, vp_start
from flowsolve.ode.base import ODE, Wrapped
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.ode.noise import unit_noise
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
    return _normal(x, vp_start(sigma))


def _normal(x: Tensor, deviation: float) -> Tensor:
    z = _flat(x) / deviation
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
    vectors = _basis(x) if probes is None else _rademacher(x, probes, seeds)
    augmented = Augmented(_requiring_gradients(ode), vectors, total=probes is None)
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


class Augmented(Wrapped):
    """d[x̄, ℓ]/dσ = [ε, vᵀJv],  J = ∂ε/∂x̄: flat states (B, d + K), ℓ one for each probe.

    vectors  v, (K, B, *event);  total: whether ℓ is one coordinate, the sum of vᵀJv over all v
    """

    def __init__(self, ode: ODE, vectors: Tensor, *, total: bool) -> None:
        super().__init__(ode)
        self.vectors, self.total = vectors, total

    def start(self, x: Tensor) -> Tensor:
        """[x̄, 0]."""
        import torch

        return torch.cat((_flat(x), x.new_zeros(len(x), 1 if self.total else len(self.vectors))), 1)

    def split(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """x̄ (B, *event) and ℓ."""
        event = self.vectors.shape[2:]
        d = math.prod(event)
        return y[:, :d].reshape(-1, *event), y[:, d:]

    def x0(self, x: Tensor, sigma: float) -> Tensor:
        """y - σ dy/dσ of every coordinate, ℓ among them."""
        return ODE.x0(self, x, sigma)

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        """[ε, vᵀJv], by a vector-Jacobian product for each v."""
        import torch

        with torch.inference_mode(False), torch.enable_grad():
            at = self.split(x)[0].clone().detach().requires_grad_()
            eps = self.ode.eps(at, sigma)
            if not eps.requires_grad:
                raise _no_gradient()
            products = []
            for v in self.vectors:
                (vj,) = torch.autograd.grad(eps, at, v, retain_graph=True, allow_unused=True)
                if vj is None:
                    raise _no_gradient()
                products.append(_flat(vj * v).sum(1))
            div = torch.stack(products, 1)
            div = div.sum(1, keepdim=True) if self.total else div
            return torch.cat((_flat(eps.detach()), div), 1)


def _flat(x: Tensor) -> Tensor:
    return x.reshape(len(x), -1)


def _basis(x: Tensor) -> Tensor:
    import torch

    d = x[0].numel()
    eye = torch.eye(d, dtype=x.dtype, device=x.device)
    return eye.reshape(d, 1, *x.shape[1:]).expand(d, *x.shape)


def _rademacher(x: Tensor, probes: int, seeds: Sequence[int] | None) -> Tensor:
    """±1 with equal chance, (probes, B, *event), of each sample from its own seed."""
    if not isinstance(probes, int) or probes < 2:
        raise ValueError(
            f"probes must be 2 or more, to have a standard error, but is {probes!r}. None is exact."
        )
    seeds = range(len(x)) if seeds is None else seeds
    if len(seeds) != len(x):
        raise StateError(f"there are {len(seeds)} seeds for {len(x)} samples: give one for each.")
    # not the seeds themselves: the state may have been drawn from them, and probes must not depend on it
    words = (hashlib.sha256(f"{seed} probes".encode()).digest() for seed in seeds)
    own = [int.from_bytes(word[:8], "little") >> 1 for word in words]
    noise = unit_noise(own, (probes, *x.shape[1:]), x.dtype, x.device)
    return (noise >= 0).to(x.dtype).mul(2).sub(1).transpose(0, 1)


def _requiring_gradients(ode: ODE) -> ODE:
    """The same ODE, which raises NetworkError if a network's answer F has no gradient in x̄.

    Looking at x₀ would not do: its term c_skip x̄ has a gradient even where F has none.
    """
    parts = {
        name: _requiring_gradients(value)
        for name, value in vars(ode).items()
        if isinstance(value, ODE)
    }
    if not parts and not isinstance(ode, DiffusionODE):
        return ode
    other = copy.copy(ode)
    vars(other).update(parts)
    if isinstance(other, DiffusionODE):
        network = other.network

        def checked(*args: Any, **condition: Any) -> Tensor:
            out = network(*args, **condition)
            if getattr(
                out, "requires_grad", True
            ):  # DiffusionODE has an error for what is no tensor
                return out
            raise _no_gradient()

        other.network = checked
    return other


def _no_gradient() -> NetworkError:
    return NetworkError(
        "the network's answer has no gradient in x̄, so it has no divergence. Give the network without "
        "torch.no_grad, torch.inference_mode or .detach() around it; its weights may stay frozen."
    )
