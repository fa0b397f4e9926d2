"""Clocks from a table ᾱ_0 > ᾱ_1 > ... > ᾱ_{T-1}, whose labels 0 ... T-1 DDPM-type networks are trained with.

ᾱ_{T-1} = 0 is zero terminal SNR (Lin et al. 2023): the last label is σ = ∞.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from flowsolve._arguments import reals, whole
from flowsolve.errors import ScheduleError
from flowsolve.schedule.clock import Clock, check_betas

Between = Literal["smooth", "log_sigma", "log_alpha", "sigma", "nearest"]
"""How a table is continued between its labels: see DiscreteClock."""
Piece = tuple[float, float, float, float]
"""(a, b, c, d) of the cubic ((a u + b) u + c) u + d, 0 <= u <= 1."""


@dataclass(frozen=True)
class DiscreteClock(Clock):
    """σ_t = √((1 - ᾱ_t)/ᾱ_t) at t = 0, 1, ..., T-1, and in between by one of five conventions.

    between = "smooth":    a C² cubic spline of log σ in t (a monotone C¹ one, PCHIP, if that spline
                           would not rise everywhere). Only this one keeps orders above two.
              "log_sigma": linear in log σ, as k-diffusion. Its kinks limit every order to two.
              "log_alpha": linear in log α, as the official DPM-Solver. It has kinks too.
              "sigma":     linear in σ, as diffusers' Euler, Heun and LMS on "linspace". It has kinks too.
              "nearest":   the entry nearest in log σ. The network then changes in jumps.

    If ᾱ_{T-1} = 0, then σ = σ_{T-2}/(T-1-t) above label T-2 in all conventions but "nearest".
    Raises ScheduleError for a table that does not fall inside (0, 1), and for another `between`.
    """

    alphas_cumprod: tuple[float, ...]
    between: Between = "smooth"
    name: str = ""

    def __post_init__(self) -> None:
        a = tuple(map(float, reals("alphas_cumprod", self.alphas_cumprod, ScheduleError)))
        object.__setattr__(self, "alphas_cumprod", a)
        if not isinstance(self.between, str) or self.between not in (
            "smooth",
            "log_sigma",
            "log_alpha",
            "sigma",
            "nearest",
        ):
            raise ScheduleError(
                f"between = {self.between!r} is not one of smooth, log_sigma, log_alpha, sigma, nearest."
            )
        finite = a[:-1] if a and a[-1] == 0 else a
        if len(finite) < 2 or not all(1 > b > c > 0 for b, c in pairwise(finite)):
            raise ScheduleError(
                "alphas_cumprod must fall strictly inside (0, 1), at least two of them (one more, "
                "0, is zero terminal SNR), "
                f"but got {len(a)} from {a[0] if a else None!r} to {a[-1] if a else None!r}."
            )

    def __hash__(self) -> int:
        """Of a few of its numbers: weights are looked up by their clock at every step."""
        return hash((len(self.alphas_cumprod), *self.alphas_cumprod[:3], self.between))

    def __repr__(self) -> str:
        name = self.name or f"DiscreteClock(T={len(self.alphas_cumprod)})"
        return name if self.between == "smooth" else f"{name}[{self.between}]"

    @cached_property
    def log_sigmas(self) -> list[float]:
        """log σ_t at t = 0, ..., T-1."""
        return [
            0.5 * (math.log1p(-a) - math.log(a)) if a else math.inf for a in self.alphas_cumprod
        ]

    @cached_property
    def _curve(self) -> tuple[list[float], list[Piece]]:
        """(y_0, y_1, ...) and the pieces y(t) = ((a u + b) u + c) u + y_i, u = t - i, for i <= t <= i + 1.

        y is the quantity that `between` interpolates, log σ, -log α or σ, at all labels where σ is finite.
        """
        y = [v for v in self.log_sigmas if v < math.inf]
        if self.between == "log_alpha":
            y = [-0.5 * math.log(a) for a in self.alphas_cumprod[: len(y)]]
        elif self.between == "sigma":
            y = [math.exp(v) for v in y]
        if self.between != "smooth":
            return y, [(0.0, 0.0, b - a, a) for a, b in pairwise(y)]
        from scipy.interpolate import CubicSpline, PchipInterpolator

        ends: tuple[str, object] = ("not-a-knot", "not-a-knot")
        if len(y) < len(self.alphas_cumprod):
            ends = (
                "not-a-knot",
                (1, 1.0),
            )  # at T-2 the slope of -log(T-1-t), the curve from there on
        spline = CubicSpline(range(len(y)), y, bc_type=ends)
        pieces = spline.c.T.tolist()
        if not all(map(_rises, pieces)):
            pieces = PchipInterpolator(range(len(y)), y).c.T.tolist()
        return y, [(a, b, c, d) for a, b, c, d in pieces]

    def _to_sigma(self, y: float) -> float:
        if self.between == "sigma":
            return y
        return math.sqrt(math.expm1(2 * y)) if self.between == "log_alpha" else math.exp(y)

    def _from_sigma(self, sigma: float) -> float:
        if self.between == "sigma":
            return sigma
        log = self.between == "log_alpha"
        return 0.5 * math.log1p(sigma * sigma) if log else math.log(sigma)

    @property
    def sigma_range(self) -> tuple[float, float]:
        return self.sigma(len(self.alphas_cumprod) - 1), self.sigma(0)

    def sigma(self, t: float) -> float:
        """σ at label t, 0 <= t <= T-1."""
        y, pieces = self._curve
        last = len(self.alphas_cumprod) - 1
        t = self._inside(t, 0, last)
        if self.between == "nearest":
            return math.exp(self.log_sigmas[round(t)])
        if t > len(pieces):  # between T-2 and σ = ∞ at T-1
            return math.inf if t == last else self._to_sigma(y[-1]) / (last - t)
        i = min(int(t), len(pieces) - 1)
        a, b, c, d = pieces[i]
        u = t - i
        return self._to_sigma(((a * u + b) * u + c) * u + d)

    def t(self, sigma: float) -> float:
        """The label of σ, σ_0 <= σ <= σ_{T-1} up to a relative 1e-12; T-1 at σ = ∞ if ᾱ_{T-1} = 0."""
        y, pieces = self._curve
        last = len(self.alphas_cumprod) - 1
        if sigma == math.inf and len(pieces) < last:
            return float(last)
        v = self._from_sigma(self._positive(sigma))
        if v < y[0] and v > y[0] - 1e-12 * max(1, y[0]):
            return 0.0
        if v > y[-1] and v < y[-1] + 1e-12 * max(1, y[-1]):
            return float(len(pieces))
        if v > y[-1] and len(pieces) < last:  # between T-2 and σ = ∞ at T-1
            rest = self._to_sigma(y[-1]) / sigma
            return len(pieces) + (0.0 if self.between == "nearest" else 1 - rest)
        if not y[0] <= v <= y[-1]:
            raise ScheduleError(
                f"σ = {sigma!r} is outside {self}, which knows σ from {self._to_sigma(y[0]):.6g} "
                f"to {self._to_sigma(y[-1]):.6g}. End the grid inside, or step to 0 from there."
            )
        i = min(bisect_right(y, v) - 1, len(pieces) - 1)
        if self.between == "nearest":
            return float(i if v - y[i] <= y[i + 1] - v else i + 1)
        return i + _root(pieces[i], v, y[i + 1])

    def rate(self, t: float) -> float:
        if self.between == "nearest":
            raise ScheduleError(f"{self} moves in jumps, so dσ/dt has no value.")
        sigma, pieces = self.sigma(t), self._curve[1]
        if sigma == math.inf:
            raise ScheduleError(f"{self}: σ(t) has no derivative at t = {t!r}, where σ = ∞.")
        if t > len(pieces):
            return sigma / (len(self.alphas_cumprod) - 1 - t)
        i = min(int(t), len(pieces) - 1)
        a, b, c, _ = pieces[i]
        slope = (3 * a * (t - i) + 2 * b) * (t - i) + c
        if self.between == "sigma":
            return slope
        return slope * (sigma + 1 / sigma if self.between == "log_alpha" else sigma)


def _rises(piece: Sequence[float]) -> bool:
    """Whether the slope (3a u + 2b) u + c is positive on [0, 1], which its ends and its vertex decide."""
    a, b, c, _ = piece
    vertex = min(max(-b / (3 * a), 0.0), 1.0) if a else 0.0
    return all((3 * a * u + 2 * b) * u + c > 0 for u in (0.0, vertex, 1.0))


def _root(piece: Piece, v: float, top: float) -> float:
    """The u in [0, 1] with ((a u + b) u + c) u + d = v, by Newton's method with bisection where it leaves.

    top  the value of the piece at u = 1, for the first guess
    """
    a, b, c, d = piece
    low, high, u = 0.0, 1.0, (v - d) / (top - d)
    for _ in range(60):
        f = ((a * u + b) * u + c) * u + d - v
        low, high = (u, high) if f < 0 else (low, u)
        slope = (3 * a * u + 2 * b) * u + c
        new = u - f / slope if slope > 0 else (low + high) / 2
        new = new if low <= new <= high else (low + high) / 2
        if abs(new - u) <= 1e-16:
            return new
        u = new
    return u


def from_alphas_cumprod(
    alphas_cumprod: Sequence[float], between: Between = "smooth", name: str = ""
) -> DiscreteClock:
    """The clock of a table ᾱ_t = Π_{i<=t} (1 - β_i), for example `scheduler.alphas_cumprod.tolist()`."""
    return DiscreteClock(reals("alphas_cumprod", alphas_cumprod, ScheduleError), between, name)


def from_betas(
    betas: Sequence[float], between: Between = "smooth", name: str = ""
) -> DiscreteClock:
    """The clock of β_0, ..., β_{T-1}:  ᾱ_t = Π_{i<=t} (1 - β_i) = exp Σ_{i<=t} log1p(-β_i)."""
    betas = reals("betas", betas, ScheduleError)
    if not all(0 < b < 1 for b in betas):
        raise ScheduleError("every beta must lie strictly between 0 and 1.")
    logs = [math.log1p(-b) for b in betas]
    # fsum keeps 1 - ᾱ_t, about 1e-4 at t = 0, to full relative precision
    return from_alphas_cumprod(
        [math.exp(math.fsum(logs[: i + 1])) for i in range(len(logs))], between, name
    )


def _linspace(a: float, b: float, n: int) -> list[float]:
    return [a + (b - a) * i / max(n - 1, 1) for i in range(n)]


def linear_beta(
    T: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02, between: Between = "smooth"
) -> DiscreteClock:
    """β_t linear from 1e-4 to 0.02.                                     Ho, Jain, Abbeel 2020."""
    T = whole("linear_beta: T", T, 1, ScheduleError)
    beta_start, beta_end = reals("linear_beta: β", (beta_start, beta_end), ScheduleError)
    check_betas(beta_start, beta_end)
    return from_betas(_linspace(beta_start, beta_end, T), between, f"linear_beta(T={T})")


def scaled_linear_beta(
    T: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012, between: Between = "smooth"
) -> DiscreteClock:
    """√β_t linear.                                    Latent diffusion; Stable Diffusion 1 and 2."""
    T = whole("scaled_linear_beta: T", T, 1, ScheduleError)
    beta_start, beta_end = reals("scaled_linear_beta: β", (beta_start, beta_end), ScheduleError)
    check_betas(beta_start, beta_end)
    roots = _linspace(math.sqrt(beta_start), math.sqrt(beta_end), T)
    return from_betas([r * r for r in roots], between, f"scaled_linear_beta(T={T})")
