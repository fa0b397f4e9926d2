"""The divergence of ε beside the state: exact, or by Hutchinson's probes."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowsolve.errors import NetworkError, StateError
from flowsolve.ode.base import ODE, Wrapped
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.ode.noise import check_seeds, unit_noise

if TYPE_CHECKING:
    from torch import Tensor


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

        return torch.cat((flat(x), x.new_zeros(len(x), 1 if self.total else len(self.vectors))), 1)

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
                products.append(flat(vj * v).sum(1))
            div = torch.stack(products, 1)
            div = div.sum(1, keepdim=True) if self.total else div
            return torch.cat((flat(eps.detach()), div), 1)


def basis_vectors(x: Tensor) -> Tensor:
    """The unit vectors of an event, (d, B, *event), as an expanded view."""
    import torch

    d = x[0].numel()
    eye = torch.eye(d, dtype=x.dtype, device=x.device)
    return eye.reshape(d, 1, *x.shape[1:]).expand(d, *x.shape)


def rademacher(x: Tensor, probes: int, seeds: Sequence[int] | None) -> Tensor:
    """±1 with equal chance, (probes, B, *event), of each sample from its own seed."""
    if not isinstance(probes, int) or probes < 2:
        raise ValueError(
            f"probes must be 2 or more, to have a standard error, but is {probes!r}. None is exact."
        )
    seeds = range(len(x)) if seeds is None else check_seeds(seeds)
    if len(seeds) != len(x):
        raise StateError(f"there are {len(seeds)} seeds for {len(x)} samples: give one for each.")
    # not the seeds themselves: the state may have been drawn from them, and probes must not depend on it
    words = (hashlib.sha256(f"{seed} probes".encode()).digest() for seed in seeds)
    own = [int.from_bytes(word[:8], "little") >> 1 for word in words]
    noise = unit_noise(own, (probes, *x.shape[1:]), x.dtype, x.device)
    return (noise >= 0).to(x.dtype).mul(2).sub(1).transpose(0, 1)


def requiring_gradients(ode: ODE) -> ODE:
    """The same ODE, which raises NetworkError if a network's answer F has no gradient in x̄.

    Looking at x₀ would not do: its term c_skip x̄ has a gradient even where F has none.
    """
    parts = {
        name: requiring_gradients(value)
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
            # what is no tensor is left to DiffusionODE, which has an error for it
            if not getattr(out, "requires_grad", True):
                raise _no_gradient()
            return out

        other.network = checked
    return other


def flat(x: Tensor) -> Tensor:
    """(B, d)."""
    return x.reshape(len(x), -1)


def _no_gradient() -> NetworkError:
    return NetworkError(
        "the network's answer has no gradient in x̄, so it has no divergence. Give the network without "
        "torch.no_grad, torch.inference_mode or .detach() around it; its weights may stay frozen."
    )
