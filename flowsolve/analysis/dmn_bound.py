"""DMN: the grid of least error bound for exponential Adams methods.        Xue et al. 2024 (CVPR)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from flowsolve._arguments import whole
from flowsolve.errors import GridError
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.spacings import ramp
from flowsolve.schedule.variable import LOG_SIGMA
from flowsolve.solver.chart import DATA
from flowsolve.solver.weights import adams_weights

# how the denoiser's error is assumed to grow with σ: σ_t/α_t and σ_t²/α_t of a VP path
DENOISER_ERROR: dict[str, Callable[[float], float]] = {
    "pixel": lambda sigma: sigma,
    "latent": lambda sigma: sigma * sigma / math.hypot(1, sigma),
}


def error_bound(
    grid: Sequence[float], points: int = 3, error: str = "pixel", split: int = 0
) -> float:
    """σ_N Σ_k |W_k| e(σ_k), W_k the weight of x₀(x̄_k, σ_k) in x̄_N/σ_N.            DMN: Xue et al. 2024.

    If the denoiser errs by at most e(σ) at level σ, x̄_N errs by at most this under the exponential
    Adams method (data chart, polynomials in log σ) with 1, 2, ..., `points` points rising at the
    start and falling again at the end. The method's own error is not in it.
    split  in the first `split` steps W_k adds up |weights|, so that they cannot cancel
    """
    weights = [0.0] * (len(grid) - 1)
    for i, (s, t) in enumerate(pairwise(grid)):
        k = min(i + 1, len(weights) - i, points)
        nodes = tuple(grid[i - j] for j in range(k))
        # not the cache: an optimiser never comes back to the same grid
        for j, w in enumerate(adams_weights.__wrapped__(DATA, LOG_SIGMA, nodes, s, t)):
            weights[i - j] += abs(w) if i < split else w
    e = DENOISER_ERROR[error]
    return grid[-1] * math.fsum(abs(w) * e(s) for w, s in zip(weights, grid, strict=False))


def dmn(n: int, sigma_max: float, sigma_min: float, points: int = 3, error: str = "pixel") -> Grid:
    """The grid of least `error_bound`, found on the CPU in seconds.             DMN: Xue et al. 2024 (CVPR).

    points  of the multistep method that it is for: DPMSolverPPM(3), UniPC
    error   "pixel": e = σ, or "latent": e = σ²/√(1+σ²)

    SciPy's SLSQP on the lengths of the steps in log σ, from even ones; the first 3 steps are split.
    Xue's code splits them for n <= 7 only, but without it the least bound has all levels but a few
    near σ_min, and what is found depends on the start. The method's own error is not in the bound:
    these grids are better than `log_snr` in the bound, and worse in the error of two-point and
    three-point methods on this package's exact problems. Measure on yours.
    """
    ramp(n, sigma_max, sigma_min, "dmn")
    if sigma_min == 0:
        raise GridError("dmn works in log σ: give sigma_min > 0, then .to_zero().")
    points = whole("dmn: points", points, error=GridError)
    if not isinstance(error, str) or error not in DENOISER_ERROR or points < 1:
        raise GridError(
            f"dmn: need points >= 1 and error one of {', '.join(DENOISER_ERROR)}, but got "
            f"points = {points!r}, error = {error!r}."
        )
    return _least(whole("n", n), float(sigma_max), float(sigma_min), points, error)


@lru_cache(maxsize=256)
def _least(n: int, sigma_max: float, sigma_min: float, points: int, error: str) -> Grid:
    from scipy.optimize import minimize

    fractions = ramp(n, sigma_max, sigma_min, "dmn")
    width = math.log(sigma_max / sigma_min)

    def levels(lengths: Any) -> list[float]:
        part = [float(h) for h in lengths]
        inner = (math.fsum(part[: i + 1]) / math.fsum(part) for i in range(n - 1))
        return [sigma_max, *(sigma_max * math.exp(-width * r) for r in inner), sigma_min]

    def bound(grid: Sequence[float]) -> float:
        return math.log(error_bound(grid, points, error, split=3))

    even = [b - a for a, b in pairwise(fractions)]
    found = minimize(
        lambda lengths: bound(levels(lengths)),
        even,
        method="SLSQP",
        bounds=[(0.02 / n, 1.0)] * n,
        constraints={"type": "eq", "fun": lambda lengths: sum(lengths) - 1},
        options={"maxiter": 200, "ftol": 1e-8},
    )
    best = _polished(min(levels(found.x), levels(even), key=bound), bound)
    options = [f"points={points}"] * (points != 3) + [f"error={error}"] * (error != "pixel")
    return Grid(best, f"dmn({', '.join(options)})" if options else "dmn")


def _polished(best: list[float], bound: Callable[[Sequence[float]], float]) -> list[float]:
    """`best` with single levels moved by a few percent while that helps: SLSQP may stop at a kink of |W|."""
    least = bound(best)
    for factor in (1.05, 1.02, 1.01):
        better = True
        while better:
            better = False
            for i in range(1, len(best) - 1):
                for level in (best[i] * factor, best[i] / factor):
                    tried = [*best[:i], level, *best[i + 1 :]]
                    if tried[i - 1] > level > tried[i + 1] and (new := bound(tried)) < least - 1e-6:
                        best, least, better = tried, new, True
    return best
