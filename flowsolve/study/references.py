"""Reference solutions, each with a measured estimate of its own error."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve.errors import NonFiniteError
from flowsolve.problems.base import Problem, check_problem
from flowsolve.study import cache

if TYPE_CHECKING:
    from torch import Tensor

VERSION = "1"  # part of every key: raise it when the numbers that references hold change


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference solution.

    x    x̄ at t, float64 on the CPU
    err  the RMS by which two independent computations of it differ;  how: which two
    """

    x: Tensor
    err: float
    how: str


def reference(
    problem: Problem,
    x: Tensor,
    s: float,
    t: float,
    *,
    tolerance: float | None = None,
    cached: bool = True,
) -> Reference:
    """x̄ at t of the trajectories through x at s.

    With a closed-form flow: that flow, certified by its own composition through √(st). Otherwise
    SciPy's DOP853 in log σ and float64, its tolerances tightened tenfold until two successive
    answers agree to `tolerance` (relative to the RMS of the answer; the problem's own by default):
    `err` is that last difference, which overstates the error of the finer answer about tenfold.
    A closed-form ε is evaluated in float64; a network in the dtype of x and on its device, since
    rounded to another dtype it is another network, and then agreement to 1e-5 is asked at most.
    Kept on disk under a key of everything it depends on. Raises NonFiniteError.
    """
    import torch

    check_problem(problem)
    like = x.detach()
    if not problem.is_network:
        like = like.to("cpu").double()
    elif like.dtype != torch.float64:
        like = like.float()
    least = 0.0 if like.dtype == torch.float64 else 1e-5
    tolerance = max(float(problem.tolerance if tolerance is None else tolerance), least)
    s, t, x = float(s), float(t), like.to("cpu").double()
    where = (str(like.dtype), like.device.type)
    key = _key(problem, x, (s, t), tolerance, where)
    found = cache.load(key) if cached else None
    if found is not None:
        return Reference(found[0], float(found[1]["err"]), found[1]["how"])
    made = (
        _exact(problem, x, s, t) if problem.exact else _integrated(problem, like, s, t, tolerance)
    )
    if not bool(made.x.isfinite().all()):
        raise NonFiniteError(f"the reference of {problem!r} from σ = {s:g} to {t:g} is not finite.")
    if cached:
        cache.store(key, made.x, {"err": repr(made.err), "how": made.how})
    return made


def _key(
    problem: Problem,
    x: Tensor,
    levels: tuple[float, float],
    tolerance: float,
    where: tuple[str, str],
) -> str:
    """Of all that a reference depends on; where: the dtype and the device that a network runs in."""
    numbers = (v.hex() for v in (*levels, tolerance))
    parts = [VERSION, type(problem).__name__, problem.digest, *numbers, *where]
    return hashlib.sha256(" ".join(parts).encode() + x.contiguous().numpy().tobytes()).hexdigest()


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def _exact(problem: Problem, x: Tensor, s: float, t: float) -> Reference:
    y = problem.flow(x, s, t)
    m = math.sqrt(s * t)
    difference = _rms(problem.flow(problem.flow(x, s, m), m, t) - y)
    # two roundings may agree by chance; one unit in the last place is the least to be claimed
    return Reference(y, max(difference, _rms(y) * 2**-52), "closed form, against its composition")


def _integrated(problem: Problem, x: Tensor, s: float, t: float, tolerance: float) -> Reference:
    before = None
    rtol = min(1e-3, tolerance)
    while True:
        y = _dop853(problem, x, s, t, rtol)
        if before is not None:
            err = _rms(y - before)
            if err <= tolerance * _rms(y) or rtol <= 1e-13:
                return Reference(
                    y, err, f"DOP853 in log σ, rtol {10 * rtol:.0e} against {rtol:.0e}"
                )
        before, rtol = y, max(rtol / 10, 1e-13)


def _dop853(problem: Problem, x: Tensor, s: float, t: float, rtol: float) -> Tensor:
    import torch
    from scipy.integrate import solve_ivp

    low, high = min(s, t), max(s, t)

    def slope(log_sigma: float, y: object) -> object:
        sigma = min(max(math.exp(log_sigma), low), high)
        with torch.no_grad():
            eps = problem.eps(torch.as_tensor(y).reshape(x.shape).to(x), sigma)
        return (eps.to("cpu").double() * sigma).numpy().ravel()

    span, start = (math.log(s), math.log(t)), x.to("cpu").double().numpy().ravel()
    done = solve_ivp(slope, span, start, "DOP853", rtol=rtol, atol=rtol)
    if not done.success:
        raise NonFiniteError(f"the reference of {problem!r} failed: {done.message}")
    return torch.as_tensor(done.y[:, -1]).reshape(x.shape)
