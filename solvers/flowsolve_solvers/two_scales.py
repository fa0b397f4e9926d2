"""The default: chart, grid and start from two scales of the data, for a budget of evaluations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from flowsolve.ode import Scales
from flowsolve.schedule import Grid, Phi, TwoPower, Variable, karras, log_snr, uniform_in
from flowsolve.solver import Flow, Rule, Solver, Velocity
from flowsolve_solvers.adaptive_unipc import AdaptiveUniPC
from flowsolve_solvers.dpmpp import DPMSolverPP2M
from flowsolve_solvers.multistep import Adams
from flowsolve_solvers.pndm import IPNDM
from flowsolve_solvers.starts import CorrectedStart
from flowsolve_solvers.unipc import UniPC

__all__ = ["TwoScales"]


@dataclass(frozen=True, repr=False)
class TwoScales(Rule):
    """Three points on equal steps of τ:  dτ/dlog σ = [σ/(std+σ)]^a [2 top/(2 top+σ)]^a,  c = √(std·top).

        NFE to 4     Adams in VELOCITY of scale c    τ = atan √(σ/c)
        NFE 5 to 7   Adams in VELOCITY of scale c    a = 0.35
        NFE 8 to 15  Adams in FLOW of scale c        a = 0.35
        NFE 16 on    UniPC in FLOW of scale c        a = 0.3; from NFE 8 on where σ_max < 4 top

    The polynomial is in τ too. The first step is the corrected start, to s = top N^(3/2)/4.5: what it neglects
    falls as (top/s)², and the error of three points as N^-3. Adams starts at σ_max/2 at most where that is
    3 top or more, since a network's ε has σ times its error in x₀. From s = 0.9 σ_max on there is no start.
    """

    def choose(
        self, nfe: int, sigma_max: float, sigma_min: float, scales: Scales
    ) -> tuple[Solver, Grid]:
        std, top = scales.std, scales.top
        c, a = math.sqrt(std * top), 0.35 if nfe < 16 else 0.3
        tau: Variable = Phi(c) if nfe < 5 else TwoPower(std, 2 * top, a, a)
        method: Solver
        if nfe < 8 or (nfe < 16 and sigma_max >= 4 * top):
            method = Adams(3, Velocity(c) if nfe < 8 else Flow(c), tau, guard=None)
        else:
            method = UniPC(3, Flow(c), variable=tau, guard=None)
        s = top * nfe**1.5 / 4.5
        if nfe < 16 and sigma_max >= 6 * top:
            s = min(s, sigma_max / 2)
        return _started(method, tau, s, nfe, ends=(sigma_max, sigma_min), scales=scales)

    def menu(
        self, nfe: int, sigma_max: float, sigma_min: float, scales: Scales
    ) -> list[tuple[Solver, Grid]]:
        """The choice; Adams and UniPC in both charts, for three powers a and some starts; classical ones."""
        found, ends = [self.choose(nfe, sigma_max, sigma_min, scales)], (sigma_max, sigma_min)
        methods: tuple[tuple[type[Adams | UniPC], type[Velocity | Flow]], ...] = (
            (Adams, Velocity), (Adams, Flow), (UniPC, Velocity), (UniPC, Flow),
        )  # fmt: skip
        std, top = scales.std, scales.top
        for (kind, chart), a in product(methods, (0.25, 0.35, 0.5)):
            tau = TwoPower(std, 2 * top, a, a)
            method = kind(3, chart(math.sqrt(std * top)), variable=tau, guard=None)
            for s in (2.5 * top, 10 * top, math.inf)[: 2 if nfe < 12 else 3]:
                found.append(_started(method, tau, s, nfe, ends=ends, scales=scales))
        if sigma_min > 0 and sigma_max < math.inf:
            found += [(m, karras(nfe, *ends)) for m in (IPNDM(2), IPNDM(3), DPMSolverPP2M())]
            found += [(m, log_snr(nfe, *ends)) for m in (UniPC(2), UniPC(3))]
        return found

    def reach(
        self, tol: float, sigma_max: float, sigma_min: float, scales: Scales, max_nfe: int = 1000
    ) -> tuple[Solver, Grid]:
        """AdaptiveUniPC in VELOCITY of scale c, in τ of a = 0.35; its first step to s = ½ top √(std/tol).

        What a Gaussian's far field leaves there is some tol, as it falls with (top/s)²; where a network's is
        another the first step is rejected. More points pay for a smaller tol: 2 down to std/100, 3 to std/1000,
        then 4.
        """
        std, top = scales.std, scales.top
        points = 2 if 100 * tol >= std else 3 if 1000 * tol >= std else 4
        tau, chart = TwoPower(std, 2 * top, 0.35, 0.35), Velocity(math.sqrt(std * top))
        s = max(top / 2 * math.sqrt(std / tol), top)
        far = tau.tau(sigma_max) - tau.tau(min(s, sigma_max))
        first = max(far / (tau.tau(sigma_max) - tau.tau(sigma_min)), 0.2)
        method = AdaptiveUniPC(tol, points, chart, min(first, 0.9), max_nfe=max_nfe, variable=tau)
        return method, _named(Grid((sigma_max, sigma_min)), scales)


def _started(
    method: Solver,
    tau: Variable,
    s: float,
    nfe: int,
    *,
    ends: tuple[float, float],
    scales: Scales,
) -> tuple[Solver, Grid]:
    """The corrected start to s, then the method on equal steps of τ; that alone where s is near σ_max."""
    if s >= 0.9 * ends[0]:
        return method, _named(uniform_in(nfe, *ends, variable=tau), scales)
    inner = uniform_in(nfe, s, ends[1], variable=tau)
    c = math.sqrt(scales.std * scales.top)
    return CorrectedStart(method, c), _named(Grid((ends[0], *inner)), scales)


def _named(grid: Grid, scales: Scales) -> Grid:
    return Grid(grid, f"two_scales(std={scales.std:.3g}, top={scales.top:.3g})")
