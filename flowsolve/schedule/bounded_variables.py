"""Variables τ(σ) that are finite at both ends, σ = 0 and σ = ∞. c is the scale of the data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from flowsolve._arguments import Values, check_scale, real
from flowsolve.schedule.quadrature import on
from flowsolve.schedule.variable import Variable

_FAR = 40.0  # this far below low and above high in log σ, dτ/dlog σ is an exponential to round-off
_PANEL = (
    0.5  # of log σ: exact to round-off with 8 points, the density's poles are π off the real axis
)


@dataclass(frozen=True, repr=False)
class _Scaled(Values, Variable):
    """τ of y = σ/c.  Raises ValueError unless c = scale is above 0 and finite."""

    scale: float = 1.0

    has_zero = True
    has_infinity = True

    def __post_init__(self) -> None:
        check_scale(self)


class Theta(_Scaled):
    """τ = atan(σ/c), the angle in which a velocity network of scale c turns noise into data."""

    def tau(self, sigma: float) -> float:
        return math.atan2(sigma, self.scale)

    def sigma(self, tau: float) -> float:
        return math.inf if tau >= math.pi / 2 else self.scale * math.tan(tau)

    def rate(self, sigma: float) -> float:
        """(c²+σ²)/c."""
        return self.scale + sigma * (sigma / self.scale)


class Phi(_Scaled):
    """τ = atan √(σ/c):  σ = c tan² τ."""

    def tau(self, sigma: float) -> float:
        return math.atan(math.sqrt(sigma / self.scale))

    def sigma(self, tau: float) -> float:
        return math.inf if tau >= math.pi / 2 else self.scale * math.tan(tau) ** 2

    def rate(self, sigma: float) -> float:
        """2 √(σ/c) (c+σ)."""
        return 2 * math.sqrt(sigma / self.scale) * (self.scale + sigma)


class FlowTime(_Scaled):
    """τ = σ/(c+σ), the time of flow matching if c = 1."""

    def tau(self, sigma: float) -> float:
        return 1.0 if math.isinf(sigma) else sigma / (self.scale + sigma)

    def sigma(self, tau: float) -> float:
        return math.inf if tau >= 1 else self.scale * tau / (1 - tau)

    def rate(self, sigma: float) -> float:
        """(c+σ)²/c."""
        return (self.scale + sigma) ** 2 / self.scale


@dataclass(frozen=True, repr=False)
class TwoPower(Values, Variable):
    """dτ/dlog σ = [σ/(low+σ)]^below [high/(high+σ)]^above.

    Nearly log σ between the levels low and high, σ^below under them and -σ^-above over them. With both
    powers 0 it is log σ, with both 1/2 and low = high = c it is 2 Phi(c). τ = 0 at √(low·high). By
    Gauss-Legendre quadrature in log σ, to round-off. Raises ValueError unless 0 < low, high < ∞ and
    0 <= below, above < ∞.
    """

    low: float = 1.0
    high: float = 1.0
    below: float = 0.5
    above: float = 0.5

    def __post_init__(self) -> None:
        for name in ("low", "high", "below", "above"):
            value, level = real(f"TwoPower: {name}", getattr(self, name)), name in ("low", "high")
            if not 0 <= value < math.inf or (level and value == 0):
                kind = "a level above 0" if level else "a power of at least 0"
                raise ValueError(f"TwoPower: {name} must be {kind}, but got {value!r}.")

    @property
    def has_zero(self) -> bool:
        return self.below > 0

    @property
    def has_infinity(self) -> bool:
        return self.above > 0

    def tau(self, sigma: float) -> float:
        y = -math.inf if sigma == 0 else math.log(sigma)
        first, last = self._ends
        if first <= y <= last:
            k = round((y - self._middle) / _PANEL)
            return _knot(self, k) + self._integral(self._middle + k * _PANEL, y)
        end, power = (first, self.below) if y < first else (last, -self.above)
        width = y - end
        rest = math.expm1(power * width) / power if power else width
        return self.tau(math.exp(end)) + self.density(math.exp(end)) * rest

    def sigma(self, tau: float) -> float:
        """By Newton's method in log σ, safeguarded by bisection."""
        first, last = self._ends
        for end, power in ((first, self.below), (last, -self.above)):
            rest = (tau - self.tau(math.exp(end))) / self.density(math.exp(end))
            if rest * (1 if end == last else -1) >= 0:
                grown = 1 + power * rest
                if power and grown <= 0:
                    return math.inf if end == last else 0.0
                return math.exp(end + (math.log(grown) / power if power else rest))
        y = (first + last) / 2
        for _ in range(100):
            off = self.tau(math.exp(y)) - tau
            first, last = (first, y) if off > 0 else (y, last)
            step = y - off / self.density(math.exp(y))
            step = step if first < step < last else (first + last) / 2
            if abs(step - y) <= 1e-15 * max(1.0, abs(y)):
                break
            y = step
        return math.exp(step)

    def rate(self, sigma: float) -> float:
        return sigma / self.density(sigma)

    def density(self, sigma: float) -> float:
        """dτ/dlog σ at 0 < σ < ∞."""
        return math.exp(
            -self.below * math.log1p(self.low / sigma) - self.above * math.log1p(sigma / self.high)
        )

    @property
    def _middle(self) -> float:
        return (math.log(self.low) + math.log(self.high)) / 2

    @property
    def _ends(self) -> tuple[float, float]:
        a, b = sorted((math.log(self.low), math.log(self.high)))
        return a - _FAR, b + _FAR

    def _integral(self, a: float, b: float) -> float:
        return sum(w * self.density(math.exp(y)) for y, w in on(a, b, 8))


@lru_cache(maxsize=4096)
def _knot(variable: TwoPower, k: int) -> float:
    """τ at k panels above √(low·high) in log σ."""
    if k == 0:
        return 0.0
    before = k - 1 if k > 0 else k + 1
    middle = variable._middle
    a, b = middle + before * _PANEL, middle + k * _PANEL
    return _knot(variable, before) + variable._integral(a, b)
