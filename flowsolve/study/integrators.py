"""What references are integrated with: dx̄/d log σ, counted, watched and limited, and two methods of SciPy's."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from flowsolve.errors import NonFiniteError

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.problems.base import Problem

Watch = Callable[[int, float], None]
_WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)
_ONE = threading.RLock()  # SciPy's Adams method holds its state in global variables


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """While a reference is integrated in this context, watch(calls, agreement) after every evaluation.

    calls      evaluations so far
    agreement  of the last two answers, relative to their RMS; NaN as long as there is one at most
    """
    token = _WATCH.set(watch)
    try:
        yield
    finally:
        _WATCH.reset(token)


class GaveUp(Exception):
    """An integration that took too many evaluations, or that SciPy gave up."""


class Slope:
    """dx̄/d log σ = σ ε(x̄, σ) of float64 arrays, ε evaluated in the dtype and on the device of x.

    Raises GaveUp after `limit` evaluations in all, or when one integration takes ten times as many as the
    one before it: then its steps follow the noise of ε. Raises NonFiniteError if ε stays so.
    """

    def __init__(self, problem: Problem, x: Tensor, s: float, t: float, limit: int) -> None:
        self.problem, self.x, self.s, self.t, self.limit = problem, x, s, t, limit
        self.calls, self.agreement = 0, math.nan
        self._watch, self._begun, self._most, self._bad = _WATCH.get(), 0, limit, 0

    @property
    def start(self) -> Any:
        """x as a vector."""
        return self.x.to("cpu").double().numpy().ravel()

    @property
    def span(self) -> tuple[float, float]:
        return math.log(self.s), math.log(self.t)

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        """ε in float64 on the CPU, counted."""
        import torch

        self.calls += 1
        with torch.no_grad():
            eps = self.problem.eps(x.to(self.x), sigma).to("cpu", torch.float64, copy=True)
        if self._watch is not None:
            self._watch(self.calls, self.agreement)
        if not bool(eps.isfinite().all()):
            self._bad += 1  # a step that was too long is taken again
            if self._bad > 20:
                raise NonFiniteError(f"ε of {self.problem!r} is not finite at σ = {sigma:.6g}.")
        return eps

    def __call__(self, log_sigma: float, y: Any) -> Any:
        import torch

        if self.calls >= min(self.limit, self._begun + self._most):
            raise GaveUp
        low, high = sorted((self.s, self.t))
        sigma = min(max(math.exp(log_sigma), low), high)
        x = torch.tensor(y).reshape(self.x.shape)
        return (self.eps(x, sigma) * sigma).numpy().ravel()

    def ended(self) -> None:
        """One integration has ended, and the next may begin."""
        self._begun, self._most = self.calls, max(1000, 10 * (self.calls - self._begun))

    def noise(self) -> float:
        """The RMS of the noise in σ ε relative to 1 + the RMS of x̄: the larger of those at both ends."""
        x = self.x.to("cpu").double() / self.s
        return max(self._noise(x * sigma, sigma) for sigma in (self.s, self.t))

    def _noise(self, x: Tensor, sigma: float) -> float:
        """The second difference of ε along x (1 ± h), which is h² ε'' ≈ 1e-14 of a smooth ε.

        h begins at a unit of float32 in the last place, and grows while that changes nothing.
        """
        middle = self.eps(x, sigma)
        for h in (2.0**-23, 2.0**-10, 2.0**-7):
            up, down = (self.eps(x * f, sigma) for f in (1 + h, 1 - h))
            if float((up != middle).double().mean()) > 0.5:
                break
        second = (up - 2 * middle + down).square().mean().sqrt() / math.sqrt(6)
        return float(sigma * second / (1 + x.square().mean().sqrt()))

    def answer(self, y: Any) -> Tensor:
        """A vector as x."""
        import torch

        return torch.tensor(y).reshape(self.x.shape)


def dop853(slope: Slope, rtol: float) -> Tensor:
    """x̄ at t by DOP853, order 8.    Hairer, Nørsett, Wanner 1993, II.10."""
    from scipy.integrate import solve_ivp

    done = solve_ivp(slope, slope.span, slope.start, "DOP853", rtol=rtol, atol=rtol)
    if not done.success:
        raise GaveUp
    slope.ended()
    return slope.answer(done.y[:, -1])


def adams(slope: Slope, rtol: float) -> Tensor:
    """x̄ at t by VODE's Adams method, order up to 12.    Brown, Byrne, Hindmarsh 1989.

    On the digits network it takes half the evaluations of DOP853 at rtol 1e-4 and two thirds at 1e-7.
    """
    from scipy.integrate import ode

    with _ONE, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "vode", UserWarning)
        solver = ode(slope).set_integrator(
            "vode", method="adams", rtol=rtol, atol=rtol, nsteps=10**6
        )
        y = solver.set_initial_value(slope.start, slope.span[0]).integrate(slope.span[1])
    if not solver.successful():
        raise GaveUp
    slope.ended()
    return slope.answer(y)
