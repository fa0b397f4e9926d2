"""Spacings that were tuned: Beta quantiles, Align Your Steps, arctan; and levels resampled or rounded.

beta, beta_t, ays and arctan are functions (n, sigma_max, sigma_min) -> Grid, like the plain spacings.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from flowsolve._arguments import instance, real
from flowsolve.errors import GridError
from flowsolve.schedule.clock import Clock
from flowsolve.schedule.discrete import DiscreteClock
from flowsolve.schedule.grid import Grid, as_grid
from flowsolve.schedule.spacings import ramp, with_ends

# ------------------------------------------------------------------------------------------- beta


def beta(n: int, sigma_max: float, sigma_min: float, a: float = 0.6, b: float = 0.6) -> Grid:
    """σ_i = σ_min + (σ_max - σ_min) F⁻¹(1 - i/n), F of Beta(a, b).     Lee et al. 2024, as in diffusers.

    diffusers' n steps with use_beta_sigmas are `beta(n - 1, ...).to_zero()`. The paper places the time t in
    this way, not σ: see `beta_t`.
    """
    fractions = ramp(n, sigma_max, sigma_min, "beta")
    inner = [sigma_min + (sigma_max - sigma_min) * p for p in _beta_ppf(fractions, a, b)]
    return with_ends(sigma_max, inner, sigma_min, _named("beta", a, b))


def beta_t(
    n: int, sigma_max: float, sigma_min: float, *, clock: Clock, a: float = 0.6, b: float = 0.6
) -> Grid:
    """t_i = t(σ_min) + (t(σ_max) - t(σ_min)) F⁻¹(1 - i/n), F of Beta(a, b).           Lee et al. 2024.

    ComfyUI's beta scheduler also rounds t to whole labels: `round_to(beta_t(...), clock)`.
    """
    fractions = ramp(n, sigma_max, sigma_min, "beta_t")
    instance("clock", clock, Clock, "VPSDE()")
    first, last = clock.t(sigma_max), clock.t(sigma_min)
    inner = [clock.sigma(last + (first - last) * p) for p in _beta_ppf(fractions, a, b)[1:-1]]
    name = f"{_named('beta_t', a, b)}[{clock}]"
    return with_ends(sigma_max, (sigma_max, *inner, sigma_min), sigma_min, name)


def _named(name: str, a: float, b: float) -> str:
    return name if a == b == 0.6 else f"{name}(a={a:g}, b={b:g})"


def _beta_ppf(fractions: Sequence[float], a: float, b: float) -> list[float]:
    from scipy.special import betaincinv

    a, b = real("beta: a", a, GridError), real("beta: b", b, GridError)
    if not (0 < a < math.inf and 0 < b < math.inf):
        raise GridError(f"beta: need finite a > 0 and b > 0, but got a = {a!r}, b = {b!r}.")
    return [float(betaincinv(a, b, 1 - r)) for r in fractions]


# --------------------------------------------------------------------------------- align your steps

AYS: dict[str, tuple[float, ...]] = {
    "sd15": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
    "deepfloyd": (160.41, 8.081, 3.315, 1.885, 1.207, 0.785, 0.553, 0.293, 0.186, 0.030, 0.006),
    "svd": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
}  # fmt: skip


def resample(grid: Sequence[float], n: int, sigma_max: float = 0, sigma_min: float = 0) -> Grid:
    """n steps along the grid as a curve, log σ piecewise linear in the index, read at n + 1 even places.

    From sigma_max to sigma_min, unless given the ends of the grid. So Align Your Steps goes from 10 steps to n.
    Raises GridError for ends outside the grid, and for a grid with the levels 0 or ∞.
    """
    name = f"resample({grid.name})" if isinstance(grid, Grid) else "resample"
    levels = as_grid(grid)[:]
    sigma_max, sigma_min = (
        real(f"{name}: an end", end, GridError) for end in (sigma_max, sigma_min)
    )
    sigma_max, sigma_min = sigma_max or levels[0], sigma_min or levels[-1]
    fractions = ramp(n, sigma_max, sigma_min, name)
    if not (levels[-1] > 0 and math.isfinite(levels[0])):
        raise GridError(f"{name}: a curve in log σ has no ends 0 and ∞. Add them afterwards.")
    logs = [math.log(s) for s in reversed(levels)]  # rising

    def place(sigma: float) -> float:
        y = math.log(sigma)
        if not logs[0] - 1e-9 <= y <= logs[-1] + 1e-9:
            raise GridError(
                f"{name} knows levels from {levels[0]:g} to {levels[-1]:g}, not σ = {sigma!r}."
            )
        j = min(max(bisect_right(logs, y) - 1, 0), len(logs) - 2)
        return j + (y - logs[j]) / (logs[j + 1] - logs[j])

    def read(where: float) -> float:
        j = min(max(int(where), 0), len(logs) - 2)
        return math.exp(logs[j] + (where - j) * (logs[j + 1] - logs[j]))

    first, last = place(sigma_max), place(sigma_min)
    return with_ends(
        sigma_max, (read(first + r * (last - first)) for r in fractions), sigma_min, name
    )


def ays(n: int, sigma_max: float, sigma_min: float, table: str = "sd15") -> Grid:
    """The table of Align Your Steps, log-linear between its levels.      Sabour, Fidler, Kreis 2024, App. B.

    table  "sd15" and "sdxl" (14.615 to 0.029), "deepfloyd" (160.41 to 0.006), "svd" (700 to 0.002);
           sigma_max and sigma_min must lie inside it. Ten steps from end to end are the table itself.

    diffusers' lists of 10 steps end with 0.152, 0: `ays(9, 14.615, 0.152).to_zero()`. The tables are tuned for
    those models with a stochastic sampler. Raises GridError for another table.
    """
    if not isinstance(table, str) or table not in AYS:
        raise GridError(f"ays knows the tables {', '.join(AYS)}, not {table!r}.")
    levels = resample(Grid(AYS[table], f"ays({table})"), n, sigma_max, sigma_min)
    return levels.named("ays" if table == "sd15" else f"ays(table={table})")


def arctan(n: int, sigma_max: float, sigma_min: float, c: float = 0.5) -> Grid:
    """σ_i = c tan((1 - i/n) atan(σ_max/c) + i/n atan(σ_min/c)).        Sabour, Fidler, Kreis 2024, Thm. 3.1.

    The best grid of DDIM for Gaussian data of variance c². With σ = c tan θ the exact flow multiplies x̄ by
    cos θ_s/cos θ_t, and a DDIM step by that times cos Δθ. The product of all cos Δθ_i, whose distance from 1 is
    the error, is nearest to 1 for equal Δθ: it is then cosⁿ(Δθ). c = 0.5 is EDM's σ_data.
    """
    fractions = ramp(n, sigma_max, sigma_min, "arctan")
    if not 0 < real("arctan: c", c, GridError) < math.inf:
        raise GridError(f"arctan: need 0 < c < ∞, but got c = {c!r}.")
    a, b = math.atan(sigma_max / c), math.atan(sigma_min / c)
    inner = (c * math.tan(a + r * (b - a)) for r in fractions)
    return with_ends(sigma_max, inner, sigma_min, "arctan" if c == 0.5 else f"arctan(c={c:g})")


# --------------------------------------------------------------------- the levels of a network's table


def round_to(grid: Grid, clock: DiscreteClock) -> Grid:
    """Every level replaced by the nearest σ of the clock's table; the ends 0 and ∞ stay.     EDM, round_sigma.

    For networks that take whole labels only. Nearest in σ, as in EDM's code: the nearest in log σ can be
    another. Raises GridError if two levels round to the same one.
    """
    instance("clock", clock, DiscreteClock, "linear_beta()")
    instance("grid", grid, Grid, "karras(10, 80, 0.002)")
    table = [math.exp(y) for y in clock.log_sigmas]

    def nearest(sigma: float) -> float:
        if sigma == 0 or math.isinf(sigma):
            return sigma
        j = bisect_left(table, sigma)
        return min(table[max(j - 1, 0) : j + 1], key=lambda s: abs(s - sigma))

    rounded = [nearest(s) for s in grid]
    for i, (s, t) in enumerate(pairwise(rounded)):
        if s == t:
            raise GridError(
                f"grid[{i}] = {grid[i]:.6g} and grid[{i + 1}] = {grid[i + 1]:.6g} round to one level "
                f"{s:.6g} of {clock}. Take fewer steps, or a spacing in t."
            )
    whole = Grid(rounded[::-1] if grid.rising else rounded, f"{grid.name}, rounded to {clock}")
    return whole.reversed() if grid.rising else whole
