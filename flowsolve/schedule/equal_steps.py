"""Grids without a clock: levels at equal steps of a variable."""

from __future__ import annotations

from flowsolve._arguments import instance
from flowsolve.errors import GridError
from flowsolve.schedule.bounded_variables import Phi, TwoPower
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.spacings import ramp, with_ends
from flowsolve.schedule.variable import Variable


def uniform_in(n: int, sigma_max: float, sigma_min: float, *, variable: Variable) -> Grid:
    """τ(σ_i) uniform, for any variable; σ_max may be ∞ where it is finite there.

    Raises GridError unless τ is finite at both ends.
    """
    instance("uniform_in: variable", variable, Variable, "Phi()")
    return _equal(n, sigma_max, sigma_min, variable, f"uniform_in[{variable!r}]")


def uniform_phi(n: int, sigma_max: float, sigma_min: float, *, scale: float = 1.0) -> Grid:
    """σ_i = c tan² φ_i, φ_i uniform, so from ∞ to 0 in equal angles. c is the scale of the data.

    The two-power grid of powers 1/2 with both levels at c.
    """
    name = "uniform_phi" if scale == 1 else f"uniform_phi(scale={scale:.4g})"
    return _equal(n, sigma_max, sigma_min, Phi(scale), name)


def two_power(
    n: int,
    sigma_max: float,
    sigma_min: float,
    *,
    low: float = 1.0,
    high: float = 1.0,
    below: float = 0.5,
    above: float = 0.5,
) -> Grid:
    """Levels whose density in log σ is [σ/(low+σ)]^below [high/(high+σ)]^above.

    low   near the deviation of a value of the data, under which steps in log σ grow
    high  near the largest principal deviation of the data, above which they grow
    """
    variable = TwoPower(low, high, below, above)
    name = repr(variable).replace("TwoPower", "two_power").removesuffix("()")
    return _equal(n, sigma_max, sigma_min, variable, name)


def _equal(n: int, sigma_max: float, sigma_min: float, variable: Variable, name: str) -> Grid:
    word = name.partition("[")[0].partition("(")[0]
    fractions = ramp(n, sigma_max, sigma_min, word, infinite=variable.has_infinity)
    if sigma_min == 0 and not variable.has_zero:
        raise GridError(
            f"{word}: {variable!r} is infinite at σ = 0: give sigma_min > 0, then .to_zero()."
        )
    first, last = variable.tau(sigma_max), variable.tau(sigma_min)
    inner = [variable.sigma(first + r * (last - first)) for r in fractions[1:-1]]
    return with_ends(sigma_max, (sigma_max, *inner, sigma_min), sigma_min, name)
