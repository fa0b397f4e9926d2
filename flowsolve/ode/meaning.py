"""Whether a network means what its Precondition says, by how much of the noise its answer at the top holds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flowsolve.ode.base import ODE
from flowsolve.ode.diffusion import DiffusionODE
from flowsolve.ode.experts import Experts

if TYPE_CHECKING:
    from torch import Tensor

FAR = 10  # σ from which on the state is nearly the noise, for data of a deviation up to 2
OFF = 0.6  # of the noise: right networks are off by up to 0.3, those that mean something else by 0.7 to 2


def asked_at(ode: ODE, sigma: float) -> Iterator[ODE]:
    """The leaves of the ODE but for experts of other levels."""
    inner = [ode.at(sigma)] if isinstance(ode, Experts) else ode._components()
    if not inner:
        yield ode
    for one in inner:
        yield from asked_at(one, sigma)


def another_meaning(leaf: ODE, answer: Tensor, noise: Tensor, sigma: float) -> str:
    """What is to be said if the answer to σ noise holds more or less of the noise than it should; else nothing.

    At the top x₀ = c_skip x̄ + c_out F holds hardly any of it, whatever F predicts, so that F holds
    -c_skip σ/c_out of it: 1 of ε or a velocity, nearly 0 of x₀ or v. ε would not show a wrong F that it
    is made of only to a small part. In the difference of two samples the mean of the data is not seen.
    """
    if not FAR <= sigma < math.inf:
        return ""
    want, size = 1.0, 1.0
    if isinstance(leaf, DiffusionODE):
        c = leaf.precondition(sigma)
        want = -c.c_skip * sigma / c.c_out
        size = max(abs(want), (leaf.data_std or 1.0) / abs(c.c_out))
    f, n = (v.double().reshape(len(v), -1) for v in (answer, noise))
    f, n = (v[0] - v[1] if len(v) > 1 else v[0] for v in (f, n))
    held = float((f * n).sum() / (n * n).sum())
    if not abs(held - want) > OFF * size:
        return ""
    return (
        f"at σ = {sigma:.4g} its answers hold {held:.2f} times the noise, and {want:.2f} times is "
        "expected of what it was said to predict. Has it the other sign, does it predict something "
        "else (ε, v, x₀ or a velocity), or are the data at the other end of its time? An untrained "
        "network looks like this too."
    )
