"""Adaptive baselines: general-purpose ODE solvers of torchdiffeq and SciPy on dx̄/dτ = ε dσ/dτ.

They know nothing of grids: levels between the first and the last are read off their interpolants.
One error norm serves the whole batch, so a sample's answer depends on the batch it is in, and every
step reads the device back. They are here because papers compare with them, not as a recommendation.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowsolve.errors import NonFiniteError, StateError
from flowsolve.schedule import LOG_SIGMA, Variable
from flowsolve.solver import Solver
from flowsolve_solvers._adaptive import ran_out, stopped

if TYPE_CHECKING:
    from torch import Tensor

    from flowsolve.ode import ODE
    from flowsolve.schedule import Grid

__all__ = ["Scipy", "Torchdiffeq"]

_ORDERS = {"dopri5": 5, "bosh3": 3, "dopri8": 8, "adaptive_heun": 2, "rk4": 4, "midpoint": 2}
_FIXED = ("rk4", "midpoint")
_STAGES = {"RK45": 6, "DOP853": 12}
_SCIPY_ORDERS = {"RK45": 5, "DOP853": 8, "LSODA": 12}

Stats = dict[str, int]


class _Slope:
    """The right-hand side ε(x̄, σ(τ)) dσ/dτ. Keeps σ inside the grid, and evaluations below max_nfe."""

    def __init__(self, ode: ODE, x: Tensor, grid: Grid, solver: Torchdiffeq | Scipy) -> None:
        self.ode, self.grid, self.solver = ode, grid, solver
        self.low, self.high = min(grid), max(grid)
        self.sigma, self.x = grid[0], x
        self.nfe = self.accepted = self.rejected = 0

    def level(self, tau: float) -> float:
        # their float32 times stray from the ends by a rounding error, where a clock may end
        return min(max(self.solver.variable.sigma(tau), self.low), self.high)

    def __call__(self, tau: Any, x: Tensor) -> Tensor:
        if self.nfe >= self.solver.max_nfe:
            raise ran_out(self.solver, self.grid, self.x, self.sigma)
        self.nfe += 1
        sigma = self.level(float(tau))
        return self.ode.eps(x, sigma) * self.solver.variable.rate(sigma)

    @property
    def stats(self) -> Stats:
        return {"accepted": self.accepted, "rejected": self.rejected}

    def stopped(self, why: object) -> NonFiniteError:
        return stopped(self.solver, self.sigma, self.nfe, why)


class _Watched(_Slope):
    """`_Slope` with torchdiffeq's callbacks, which its fixed-grid methods do not take."""

    def __call__(self, tau: Any, x: Tensor) -> Tensor:
        return super().__call__(tau.detach(), x)  # under grad its step sizes require grad too

    def callback_step(self, t0: Tensor, y0: Tensor, dt: Tensor) -> None:
        self.sigma, self.x = self.level(float(t0.detach())), y0

    def callback_accept_step(self, t0: Tensor, y0: Tensor, dt: Tensor) -> None:
        self.accepted += 1

    def callback_reject_step(self, t0: Tensor, y0: Tensor, dt: Tensor) -> None:
        self.rejected += 1


@dataclass(frozen=True, repr=False)
class Torchdiffeq(Solver):
    """dx̄/dτ = ε dσ/dτ by torchdiffeq.odeint.                Chen et al. 2018; Dormand and Prince 1980.

    Methods dopri5, bosh3, dopri8, adaptive_heun (adaptive, with rtol and atol on the RMS over the
    whole batch; they stop exactly at the last level), and rk4 (the 3/8 rule) and midpoint, which
    step over the grid. A 5(4) pair spends 2 evaluations on its first step size, then 6 a trial.
    stats: accepted, rejected. Raises BudgetError with `partial` after max_nfe evaluations.
    """

    method: str = "dopri5"
    rtol: float = 1e-5
    atol: float = 1e-5
    variable: Variable = LOG_SIGMA
    max_nfe: int = 10_000

    def __post_init__(self) -> None:
        if self.method not in _ORDERS:
            raise ValueError(f"Torchdiffeq knows {', '.join(_ORDERS)}, not {self.method!r}.")
        _check_tolerances(self)

    @property
    def order(self) -> int:
        return _ORDERS[self.method]

    @property
    def adaptive(self) -> bool:
        return self.method not in _FIXED

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, None, Stats]:
        """The states at all levels are yielded after the one call of odeint."""
        import torch
        from torchdiffeq import odeint

        taus = torch.tensor(
            [self.variable.tau(s) for s in grid], dtype=torch.float64, device=x.device
        )
        slope = _Watched(ode, x, grid, self) if self.adaptive else _Slope(ode, x, grid, self)
        # without step_t the last step would pass the end, where σ may even be negative
        options = {"step_t": taus[-1:]} if self.adaptive else {}
        try:
            path = odeint(
                slope, x, taus, rtol=self.rtol, atol=self.atol, method=self.method, options=options
            )
        except AssertionError as error:
            if str(error).startswith(("underflow in dt", "non-finite values")):
                raise slope.stopped(str(error).split(":")[0]) from None
            raise
        yield from path[1:]
        return slope.stats if self.adaptive else {}


@dataclass(frozen=True, repr=False)
class Scipy(Solver):
    """dx̄/dτ = ε dσ/dτ by scipy.integrate.              Hairer, Norsett, Wanner 1993; Petzold 1983.

    Methods DOP853, RK45 and LSODA on the CPU, in float64, the whole batch as one vector: for
    references. stats: accepted, and rejected where the method shows it (not LSODA).
    Raises BudgetError with `partial` after max_nfe evaluations, and StateError where a gradient is
    wanted, which does not pass through SciPy.
    """

    method: str = "DOP853"
    rtol: float = 1e-10
    atol: float = 1e-10
    variable: Variable = LOG_SIGMA
    max_nfe: int = 100_000

    adaptive = True

    def __post_init__(self) -> None:
        if self.method not in _SCIPY_ORDERS:
            raise ValueError(f"Scipy knows {', '.join(_SCIPY_ORDERS)}, not {self.method!r}.")
        _check_tolerances(self)

    @property
    def order(self) -> int:
        """LSODA's is the highest of those it chooses from."""
        return _SCIPY_ORDERS[self.method]

    def steps(self, ode: ODE, x: Tensor, grid: Grid) -> Generator[Tensor, None, Stats]:
        """Levels that a step passes are read off SciPy's interpolant."""
        import torch
        from scipy import integrate

        if x.dtype != torch.float64 and self.rtol < 1e-6:
            raise StateError(
                f"{self!r} asks for more than {x.dtype} can resolve, and would only step ever "
                "smaller. Use a float64 state, or rtol and atol of at least 1e-6."
            )
        if x.requires_grad and torch.is_grad_enabled():
            raise self._no_gradient()
        slope = _Slope(ode, x, grid, self)

        def back(y: Any) -> Tensor:
            # a copy: LSODA writes its next states into the same memory
            return torch.tensor(y.reshape(x.shape), dtype=x.dtype, device=x.device)

        def fun(tau: float, y: Any) -> Any:
            eps = slope(tau, back(y))
            if eps.requires_grad:  # by the parameters of the network
                raise self._no_gradient()
            out = eps.to("cpu", torch.float64).numpy().ravel()
            if not abs(out).max() < float("inf"):  # SciPy would halve a NaN step for ever
                raise slope.stopped(f"ε is not finite at σ = {slope.level(float(tau)):.6g}")
            return out

        taus = [self.variable.tau(s) for s in grid]
        start = x.detach().to("cpu", torch.float64).numpy().ravel()
        make = getattr(integrate, self.method)
        solver = make(fun, taus[0], start, taus[-1], rtol=self.rtol, atol=self.atol)
        sign, todo = (1 if taus[-1] > taus[0] else -1), taus[1:]
        while todo:
            before = slope.nfe
            message = solver.step()
            if solver.status == "failed" or not abs(solver.y).max() < float("inf"):
                raise slope.stopped(message or "its state is not finite")
            slope.accepted += 1
            slope.rejected += max(0, (slope.nfe - before) // _STAGES.get(self.method, 10**9) - 1)
            slope.sigma, slope.x = slope.level(solver.t), back(solver.y)
            if sign * solver.t >= sign * todo[0] and len(todo) > 1:
                between = solver.dense_output()
                while len(todo) > 1 and sign * solver.t >= sign * todo[0]:
                    yield back(between(todo.pop(0)))
            if solver.status == "finished":
                todo.pop()
                yield slope.x
        stats = slope.stats
        return stats if self.method in _STAGES else {"accepted": stats["accepted"]}

    def _no_gradient(self) -> StateError:
        return StateError(
            f"{self!r} gives no gradient: SciPy integrates outside of torch. Take Torchdiffeq() or a "
            "method on a grid, or leave grad=False."
        )


def _check_tolerances(solver: Torchdiffeq | Scipy) -> None:
    if not (
        solver.rtol > 0
        and solver.atol > 0
        and isinstance(solver.max_nfe, int)
        and solver.max_nfe >= 1
    ):
        raise ValueError(
            f"tolerances must be positive and max_nfe at least 1, but got rtol = {solver.rtol!r}, "
            f"atol = {solver.atol!r}, max_nfe = {solver.max_nfe!r}."
        )
