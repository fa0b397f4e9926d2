"""iPNDM for steps of any length, as it is published in code. The exact weights are those of LMS."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from flowsolve.solver import outside_the_trace
from flowsolve_solvers._multistep import Multistep, check_points

__all__ = ["IPNDMV"]


@dataclass(frozen=True, repr=False)
class IPNDMV(Multistep):
    """x_t = x_s + (t - s) Σ_j w_j e_j, w_0 = 1 + h/(2h₁) + a + b, from one point up.   diff-sampler, ipndm_v.

    e the last values of ε, the newest first, h = t - s and h₁, h₂, h₃ the steps before it. 1 evaluation a
    step. For parity: with 2 points it is LMS(2). With 3 and 4 it has slips, and LMS the weights that are
    meant: at equal steps the third difference has 11/24 where Adams-Bashforth has 9/24, and the four
    weights sum to 1 only where h₂² = h₁ h₃. So with 4 points it has no order on grids whose steps
    alternate in length.
    """

    points: int = 4

    reaches_zero = True

    def __post_init__(self) -> None:
        check_points(self, most=4)

    @property
    def order(self) -> int:
        """The first step is Euler's, and of the weights those of 2 points are right."""
        return min(self.points, 2)

    @outside_the_trace
    def weights(self, nodes: tuple[float, ...], s: float, t: float) -> tuple[float, ...]:
        h = t - s
        back = [newer - older for newer, older in pairwise(nodes)]
        weights = [1.0]
        if len(nodes) > 1:
            r = h / back[0]
            weights = [(2 + r) / 2, -r / 2]
        if len(nodes) > 2:
            h1, h2 = back[0], back[1]
            third = h / (3 * (h + h1))
            a = (1 - third * (h * (h + h1)) / (h1 * (h1 + h2))) / 2
            q = h1 / h2
            weights = [weights[0] + a, weights[1] - (1 + q) * a, a * q]
        if len(nodes) > 3:
            h3 = back[2]
            sums = (h * (h + h1) * (h + h1 + h2)) / (h1 * (h1 + h2) * (h1 + h2 + h3))
            b = sums * ((1 - third) / 2 + (1 - h / (2 * (h + h1))) * h / (6 * (h + h1 + h2)))
            p = h1 * (h1 + h2) / (h2 * (h2 + h3))
            difference = (1, -(1 + q + p), q + p * (1 + h2 / h3), -p * q)
            weights = [w + b * d for w, d in zip((*weights, 0.0), difference, strict=True)]
        return tuple(h * w for w in weights)
