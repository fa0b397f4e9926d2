"""Any problem as a network that predicts ε, v, x₀, EDM's F or a flow's velocity without error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowsolve.ode.base import ODE
from flowsolve.ode.diffusion import Network

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode.precondition import Precondition


def exact_network(problem: ODE, precondition: Precondition) -> Network:
    """F(x, t) = (x₀(x̄, σ) - c_skip x̄)/c_out, with σ = σ(t) and x̄ = x/c_in.

    It is what a network would predict after perfect training, and DiffusionODE(exact_network(p, precondition),
    precondition) is p again. The labels in t must all be equal.
    """

    def network(x: Tensor, t: Tensor) -> Tensor:
        sigma = precondition.clock.sigma(float(t[0]))
        c = precondition(sigma)
        x_bar = x / c.c_in
        if c.e_out == 1:  # an ε-network: the same formula without its cancellation
            return problem.eps(x_bar, sigma)
        return (problem.x0(x_bar, sigma) - c.c_skip * x_bar) / c.c_out

    return network
