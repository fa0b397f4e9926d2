"""Reference solutions, each with a measured estimate of its own error."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowsolve._arguments import real
from flowsolve.errors import BudgetError, GridError, NonFiniteError
from flowsolve.integrate.driver import check_state
from flowsolve.problems.base import Problem, check_problem
from flowsolve.study import cache
from flowsolve.study.float32 import true_float32
from flowsolve.study.integrators import GaveUp, Slope, adams, dop853

if TYPE_CHECKING:
    from torch import Tensor

VERSION = "2"  # part of every key: raise it when the numbers that references hold change
LOOSE = 5e-4  # the relative accuracy that studies of a network begin with
LIMIT = 20_000  # evaluations: a network needs some 300 for four digits and 2,000 for eight
NOISY = 0.02  # of the state; networks in bfloat16 stay below 0.005


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference solution.

    x     x̄ at t, float64 on the CPU
    err   the RMS by which two independent computations of it differ;  how: which two
    rtol  of the finer one, where a more accurate reference goes on; 0 of a closed form
    """

    x: Tensor
    err: float
    how: str
    rtol: float = 0.0

    def agrees(self, tolerance: float) -> bool:
        """Whether err is within the tolerance, relative to the RMS of x."""
        return self.err <= tolerance * rms(self.x)


def reference(
    problem: Problem,
    x: Tensor,
    s: float,
    t: float,
    *,
    tolerance: float | None = None,
    after: Reference | None = None,
    limit: int = LIMIT,
    cached: bool = True,
) -> Reference:
    """x̄ at t of the trajectories through x at s.

    With a closed-form flow: that flow, certified by its own composition through √(st). Otherwise an
    integration in log σ and float64, SciPy's DOP853 for a closed-form ε and its Adams method for a
    network. Its tolerances are tightened tenfold until two successive answers agree to `tolerance`
    (relative to the RMS of the answer; the problem's own by default): `err` is that last difference,
    which overstates the error of the finer answer about tenfold, or the noise of ε where that is more.
    A closed-form ε is evaluated in float64; a network in the dtype of x and on its device, without TF32,
    since rounded to another dtype it is another network.

    after  a less accurate reference of the same, from which to go on
    limit  evaluations that it may take

    The noise of ε, by rounding or dropout, is measured before (six evaluations); two answers are asked to
    agree to ten times that at most. Where they agree no better than before, the best is returned,
    with its `err` above the tolerance. Kept on disk under a key of everything it depends on. Raises
    NonFiniteError, and BudgetError if ε is too noisy, or if no two answers were had within the limit.
    """
    import torch

    check_problem(problem)
    check_state(x, "x")
    like = x.detach()
    if not problem.is_network:
        like = like.to("cpu").double()
    elif like.dtype != torch.float64:
        like = like.float()
    tolerance = float(real("tolerance", problem.tolerance if tolerance is None else tolerance))
    s, t, x = float(real("s", s)), float(real("t", t)), like.to("cpu").double()
    if not (0 < s < math.inf and 0 < t < math.inf):
        raise GridError(
            f"a reference goes between finite levels above 0, but got s = {s!r}, t = {t!r}."
        )
    where = (str(like.dtype), like.device.type)

    def make() -> Reference:
        if problem.exact:
            made = _exact(problem, x, s, t)
        else:
            with true_float32():
                made = _integrated(Slope(problem, like, s, t, limit), tolerance, after)
        if not bool(made.x.isfinite().all()):
            raise NonFiniteError(
                f"the reference of {problem!r} from σ = {s:g} to {t:g} is not finite."
            )
        return made

    if not cached:
        return make()
    key = _key(problem, x, (s, t), tolerance, where)
    found, notes = cache.found_or_made(key, lambda: _noted(make()))
    return Reference(found, float(notes["err"]), notes["how"], float(notes["rtol"]))


def _noted(made: Reference) -> tuple[Tensor, dict[str, str]]:
    """As the cache keeps it."""
    return made.x, {"err": repr(made.err), "how": made.how, "rtol": repr(made.rtol)}


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


def rms(x: Tensor) -> float:
    """√mean x²."""
    return float(x.square().mean().sqrt())


def _exact(problem: Problem, x: Tensor, s: float, t: float) -> Reference:
    y = problem.flow(x, s, t)
    m = math.sqrt(s * t)
    difference = rms(problem.flow(problem.flow(x, s, m), m, t) - y)
    # two roundings may agree by chance; one unit in the last place is the least to be claimed
    return Reference(y, max(difference, rms(y) * 2**-52), "closed form, against its composition")


def _integrated(slope: Slope, tolerance: float, after: Reference | None) -> Reference:
    """Tightened until two answers agree, or until tightening does not help any more."""
    run, name = (adams, "Adams") if slope.problem.is_network else (dop853, "DOP853")
    noise = slope.noise()
    if noise > NOISY:
        raise _gave_up(slope, f"its answers to one input differ by {noise:.0%}")
    tolerance = max(tolerance, 10 * noise)
    if after is None:
        before, rtol = None, _decade(min(1e-3, tolerance))
    elif after.agrees(tolerance):
        return after
    else:
        before, rtol = after.x, _decade(max(after.rtol / 10, 1e-13))
    best, stale = after, 0
    while True:
        try:
            y = run(slope, rtol)
        except GaveUp:
            if best is None:
                raise _gave_up(slope, f"integrating it to {rtol:.0e} does not end") from None
            return best
        if before is not None:
            err = max(rms(y - before), noise * rms(y))
            stale = stale + 1 if best is not None and err > best.err / 2 else 0
            if best is None or err < best.err:
                how = f"{name} in log σ, rtol {10 * rtol:.0e} against {rtol:.0e}"
                best = Reference(y, err, how, rtol)
            slope.agreement = best.err / rms(best.x)
            least = (
                noise if best.agrees(30 * noise) else noise / 10
            )  # below it, steps follow the noise
            if best.agrees(tolerance) or rtol <= max(least, 1e-13) or stale == 2:
                return best
        before, rtol = y, _decade(max(rtol / 10, 1e-13))


def _decade(rtol: float) -> float:
    """The power of ten at or below."""
    return float(f"1e{math.floor(math.log10(rtol) + 1e-9)}")


def _gave_up(slope: Slope, why: str) -> BudgetError:
    return BudgetError(
        f"no reference of {slope.problem!r} from σ = {slope.s:g} to {slope.t:g}: {why} "
        f"({slope.calls} evaluations so far). If the network is in train() (dropout, batch norm), "
        "call network.eval(); if it draws noise, let it draw the same at each call."
    )
