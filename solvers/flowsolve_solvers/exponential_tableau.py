"""Tableaus of exponential Runge-Kutta methods, which integrate du exactly, in any chart and variable.

    z_i = z_s + Σ_j a_ij F_j      z_t = z_s + Σ_i b_i F_i      M_k(c) = ∫ θ^(k-1)/(k-1)! du  for θ from 0 to c

θ = (τ - τ_s)/h, stage i lies at θ = c_i, and a and b are sums of M_k(c). Where τ is u, M_k(c) = h c^k/k!, and a
tableau is a classical one. In log σ the M_k are φ-functions: w = z/u', u' = du/dτ, obeys dw/dτ = F - w u''/u',
whose linear part is a number then, 1 for NOISE (w = x̄/σ) and -1 for DATA (w = x̄), and

    M_k(c)/u'(c) = h c^k φ_k(cζ),   ζ = h in NOISE and -h in DATA, up to a sign,  h = log(s/t)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from flowsolve.schedule import Variable
from flowsolve.solver import Chart, moments
from flowsolve_solvers.tableau import Row, Stages, slope

__all__ = [
    "COX_MATTHEWS",
    "HOCHBRUCK_OSTERMANN",
    "KROGSTAD",
    "STREHMEL_WEINER",
    "ExponentialTableau",
]


@dataclass(frozen=True)
class Sum:
    """Σ w M_k(c): terms (w, k, c, carried)."""

    terms: tuple[tuple[float, int, float, bool], ...] = ()

    def __add__(self, other: Sum) -> Sum:
        return Sum(self.terms + other.terms)

    def __sub__(self, other: Sum) -> Sum:
        return self + other * -1.0

    def __mul__(self, by: float) -> Sum:
        return Sum(tuple((w * by, *term) for w, *term in self.terms))  # type: ignore[misc]

    def value(
        self, moment: Mapping[float, Row], slopes: Mapping[float, float], end: float
    ) -> float:
        """In a row for θ = end, u' = slopes."""
        return math.fsum(
            w * moment[c][k - 1] * (slopes[end] / slopes[c] if carried and c != end else 1.0)
            for w, k, c, carried in self.terms
        )


def M(k: int, c: float = 1.0) -> Sum:
    """M_k(c) = ∫ θ^(k-1)/(k-1)! du for θ from 0 to c."""
    return Sum(((1.0, k, c, False),))


def phi_at(k: int, c: float) -> Sum:
    """h c^k φ_k(cζ) in the row of any stage, as papers write it for w: M_k(c) u'(c_i)/u'(c)."""
    return Sum(((1.0, k, c, True),))


@dataclass(frozen=True, repr=False)
class ExponentialTableau(Stages):
    """z_t = z_s + Σ b_i F_i, a and b sums of M_k(c).                       Hochbruck, Ostermann 2005.

    c      of each stage, from 0
    a      row i holds a_i2, ..., a_i,i-1, for i = 2, 3, ...; a_i1 = M₁(c_i) less their sum
    b      b_2, b_3, ...; b_1 = M₁(1) less their sum
    order  the global order on smooth problems

    Raises ValueError for rows that do not fit.
    """

    name: str
    c: Row
    a: tuple[tuple[Sum, ...], ...]
    b: tuple[Sum, ...]
    order: int

    def __post_init__(self) -> None:
        sizes = [*map(len, (*self.a, self.b))]
        if sizes != [*range(len(self.c))] or self.c[0] != 0 or not 0 < max(self.c) <= 1:
            raise ValueError(
                f"ExponentialTableau {self.name}: c starts with 0 and goes to 1 at most, row i of a has i - 2 "
                f"sums, b one less than there are stages; but c = {self.c!r} and the rows have {sizes}."
            )

    def weights(self, chart: Chart, variable: Variable, s: float, t: float) -> tuple[Row, ...]:
        levels = self.levels(variable, s, t)
        at = dict(zip(self.c, levels, strict=True)) | {1.0: t}
        terms = [term for row in (*self.a, self.b) for w in row for term in w.terms]
        most = max((k for _, k, _, _ in terms), default=1)
        slopes = dict[float, float]()
        if any(carried for *_, carried in terms):
            slopes = {c: slope(chart, variable, at[c]) for c in self.c if c}
        found = {c: moments(chart, variable, (s, t), m, most) for c, m in at.items() if c}
        return self.rows(found, slopes)

    def rows(self, moment: Mapping[float, Row], slopes: Mapping[float, float]) -> tuple[Row, ...]:
        """The weights from M_k(c) = moment[c][k - 1] and u'(c) = slopes[c]."""
        rows = []
        for c, row in zip((*self.c[1:], 1.0), (*self.a, self.b), strict=True):
            others = [w.value(moment, slopes, c) for w in row]
            rows.append((math.fsum([moment[c][0], *(-w for w in others)]), *others))
        return tuple(rows)


def dpm_solver_2(r: float = 0.5) -> ExponentialTableau:
    """b₂ = M₁(1)/(2r), c₂ = r.       DPM-Solver-2 in NOISE, DPM-Solver++(2S) in DATA: Lu et al. 2022."""
    return ExponentialTableau(f"dpm_solver_2({r!r})", (0.0, r), ((),), (M(1) * (0.5 / r),), 2)


def dpm_solver_3(r1: float = 1 / 3, r2: float = 2 / 3) -> ExponentialTableau:
    """a₃₂ = M₂(r₂)/r₁, b₃ = M₂(1)/r₂.            DPM-Solver-3 in NOISE: Lu et al. 2022a, Algorithm 2."""
    order = 3 if math.isclose(r2, 2 / 3) else 2
    name = f"dpm_solver_3({r1!r}, {r2!r})"
    b = (Sum(), M(2) * (1 / r2))
    return ExponentialTableau(name, (0.0, r1, r2), ((), (M(2, r2) * (1 / r1),)), b, order)


def res_2s(c2: float = 0.5) -> ExponentialTableau:
    """b₂ = M₂(1)/c₂.                             RES 2S in DATA: Hochbruck, Ostermann 2005."""
    return ExponentialTableau(f"res_2s({c2!r})", (0.0, c2), ((),), (M(2) * (1 / c2),), 2)


def res_3s(c2: float = 1 / 3, c3: float = 2 / 3) -> ExponentialTableau:
    """a₃₂ = γ M₂(c₂)/c₂ + M₂(c₃)/c₂, b₃ = M₂(1)/(γc₂ + c₃), b₂ = γ b₃.  Hochbruck, Ostermann 2005."""
    gamma = c3 * (3 * c3 - 2) / (c2 * (2 - 3 * c2))
    b3 = M(2) * (1 / (gamma * c2 + c3))
    a32 = phi_at(2, c2) * (gamma / c2) + M(2, c3) * (1 / c2)
    name = f"res_3s({c2!r}, {c3!r})"
    return ExponentialTableau(name, (0.0, c2, c3), ((), (a32,)), (b3 * gamma, b3), 3)


_HALF = 0.5
_LAST = M(3) * 4 - M(2)  # the weight of the stage at the end, of the three that follow

# ETD4RK: Cox, Matthews 2002. RK4 where u = τ, like the next two
COX_MATTHEWS = ExponentialTableau(
    "COX_MATTHEWS",
    (0.0, _HALF, _HALF, 1.0),
    ((), (M(1, _HALF),), (Sum(), M(1) * 2 - M(1, _HALF) * 2)),
    (M(2) * 2 - M(3) * 4, M(2) * 2 - M(3) * 4, _LAST),
    4,
)

# ETDRK4-B: Krogstad 2005
KROGSTAD = ExponentialTableau(
    "KROGSTAD",
    (0.0, _HALF, _HALF, 1.0),
    ((), (M(2, _HALF) * 4,), (Sum(), M(2) * 2)),
    (M(2) * 2 - M(3) * 4, M(2) * 2 - M(3) * 4, _LAST),
    4,
)

# Strehmel, Weiner 1992, as in Hochbruck, Ostermann 2005
STREHMEL_WEINER = ExponentialTableau(
    "STREHMEL_WEINER",
    (0.0, _HALF, _HALF, 1.0),
    ((), (M(2, _HALF) * 2,), (M(2) * -2, M(2) * 4)),
    (Sum(), M(2) * 4 - M(3) * 8, _LAST),
    4,
)

# a₅₂ = a₅₃ and a₅₄ of Hochbruck, Ostermann 2005
_A52 = M(2, _HALF) * 2 - phi_at(3, 1.0) + phi_at(2, 1.0) * 0.25 - M(3, _HALF) * 4
HOCHBRUCK_OSTERMANN = ExponentialTableau(
    "HOCHBRUCK_OSTERMANN",
    (0.0, _HALF, _HALF, 1.0, _HALF),
    ((), (M(2, _HALF) * 4,), (M(2), M(2)), (_A52, _A52, M(2, _HALF) - _A52)),
    (Sum(), Sum(), _LAST, M(2) * 4 - M(3) * 8),
    4,
)
