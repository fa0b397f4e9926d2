"""Small measurements behind docs/perturbed.md, in float64: gains, orders, and what the network predicts.

    python benchmarks/perturbed_theory.py factors      a step's share of a constant error, and its formula
    python benchmarks/perturbed_theory.py gains        what errors of size 1 become on data N(0, 1)
    python benchmarks/perturbed_theory.py orders       slopes under every perturbation: minutes
    python benchmarks/perturbed_theory.py predictions  bfloat16, int8 and reuse by what the network predicts
    python benchmarks/perturbed_theory.py corrector    UniPC and Adams in bfloat16, with a start and without
    python benchmarks/perturbed_theory.py half         networks in bfloat16 inside, or rounded at their ends
    python benchmarks/perturbed_theory.py far          the error in ε of three networks far from the data

An error is the geometric mean of the samples' RMS errors.
"""

from __future__ import annotations

import math
import sys
from functools import partial
from itertools import pairwise

import torch
from perturbed import charts, measured, tau_of
from torch import Tensor

import flowsolve as fs
from flowsolve.problems import (
    Digits,
    Letters,
    NetworkProblem,
    PerturbedProblem,
    Photos,
    Problem,
    Signals,
    exact_network,
)
from flowsolve.problems.perturbed import bfloat16, constant, gaussian, int8, reuse
from flowsolve.schedule import uniform_in
from flowsolve.solver.rule import default_rule
from flowsolve.study import reference
from flowsolve_solvers import RK4, Adams, CorrectedStart, UniPC

TINY = fs.TwoPower(1, 2, 0.35, 0.35)  # the default's, for data of scale 1
ENDS = (157.0, 0.01)


class Impulses(fs.ODE):
    """ε of N(0, 1) or, far, of a point, with an error of 1 in sample i at the i-th level of the grid."""

    def __init__(self, grid: fs.Grid, far: bool = False) -> None:
        self.at, self.far = {s: i for i, s in enumerate(grid)}, far

    def eps(self, x: Tensor, sigma: float) -> Tensor:
        """With the error."""
        e = x / sigma if self.far else x * sigma / (1 + sigma**2)
        e = e.clone()
        e[self.at[sigma]] += 1
        return e


def response(solver: fs.Solver, grid: fs.Grid, far: bool = False) -> Tensor:
    """The change of x̄ at the end for an error of 1 at each level."""
    x = torch.zeros(len(grid), 1, dtype=torch.float64)
    return fs.solve(Impulses(grid, far), x, grid, solver).x[:, 0]


def factor(k: int, r: float) -> float:
    """A_k(r) = ∫ P e^-y dy / log r over a step, P of k points through e^y at 0, L, 2L, ..., L = log r."""
    step = math.log(r)
    moments = [r - 1.0]  # ∫_-L^0 y^j e^-y dy
    for j in range(1, k):
        moments.append(j * moments[-1] + (-step) ** j * r)
    nodes = torch.arange(k, dtype=torch.float64) * step
    powers = torch.stack([nodes**j for j in range(k)], 1)
    coefficients = torch.linalg.solve(powers, nodes.exp())
    return sum(float(c) * m for c, m in zip(coefficients, moments, strict=True)) / step


def factors() -> None:
    """The formula, and what a step of Adams in DATA does far from the data, beside it."""
    print("| r | 1 point | 2 | 3 | 4 | largest difference |")
    for r in (1.5, 2.0, 3.0, 4.0, 5.0):
        grid = fs.Grid([1e4 * r**-i for i in range(11)])
        cells, off = [], 0.0
        for k in (1, 2, 3, 4):
            method = Adams(k, fs.DATA, guard=None)
            shift = [
                float(response(method, fs.Grid(grid[:n]), True).sum()) / grid[n - 1]
                for n in (10, 11)
            ]
            found = (shift[0] - shift[1]) / math.log(r)
            off = max(off, abs(found - factor(k, r)))
            cells.append(f"{found:.2f}")
        print(f"| {r:g} |", " | ".join(cells), f"| {off:.1e} |")


def gains() -> None:
    """The same error at every level, and in brackets one drawn anew at each: its standard deviation."""
    print(f"exact: {math.asinh(ENDS[0]) - math.asinh(ENDS[1]):.2f}")
    for name, tau in (("log σ", fs.LOG_SIGMA), ("two powers", TINY)):
        for n in (5, 8, 12, 20, 50):
            grid = uniform_in(n, *ENDS, variable=tau)
            print(
                f"{name}, {n}; ratio of the first levels {grid[0] / grid[1]:.2f}, {grid[1] / grid[2]:.2f}"
            )
            for chart, made in charts(1.0).items():
                each = [response(Adams(k, made, tau, guard=None), grid) for k in (1, 2, 3, 4)]
                print(
                    "   ",
                    chart,
                    *map(_shown, each),
                    "guarded 3:",
                    _shown(response(Adams(3, made, tau), grid)),
                )
    for n in (5, 8, 12, 20, 50):
        solver, grid = default_rule().choose(n, *ENDS, fs.Scales(1, 1))
        print(
            "default",
            n,
            f"asked from σ = {grid[hasattr(solver, 'method')]:.3g}",
            _shown(response(solver, grid)),
        )


def _shown(e: Tensor) -> str:
    return f"{abs(float(e.sum())):.2f} ({float(e.square().sum().sqrt()):.2f})"


def errors(problem: Problem, truth: Tensor, x: Tensor, solver: fs.Solver, grid: fs.Grid) -> float:
    """The geometric mean of the samples' RMS errors."""
    off = (fs.solve(problem, x, grid, solver).x - truth).flatten(1)
    return float(off.square().mean(1).sqrt().log().mean().exp())


def orders() -> None:
    """Adams in FLOW with 1 to 4 points and a start of its order, on steps twice as many each time."""
    p = measured("m3d2")
    x, tau = p.start(range(1000, 1064), torch.float64), tau_of(p)
    truth = reference(p, x, p.sigma_max, p.sigma_min).x
    chart = fs.Flow(math.sqrt(p.scales.std * p.scales.top))
    for by in (None, bfloat16(), gaussian(1e-3), constant(3e-3), reuse(2), reuse(3)):
        one = (PerturbedProblem(p, by) if by else p).for_seeds(range(1000, 1064))
        for k in (1, 2, 3, 4):
            method = Adams(k, chart, tau, RK4(fs.LOG_SIGMA) if k > 1 else None, guard=None)
            counts = [12 * 2**i for i in range(7)]
            found = [
                errors(one, truth, x, method, uniform_in(n, p.sigma_max, p.sigma_min, variable=tau))
                for n in counts
            ]
            slopes = [math.log2(a / b) for a, b in pairwise(found)]
            print(
                by.name if by else "exact",
                k,
                *(f"{e:.1e}" for e in found),
                "|",
                *(f"{s:.2f}" for s in slopes),
                flush=True,
            )


def predictions() -> None:
    """Adams with 3 points in FLOW: the same data, predicted in five ways, disturbed in three."""
    ways = {
        "ε": fs.EpsPrediction(fs.VPSDE()), "v": fs.VPrediction(fs.VPSDE()), "x₀": fs.X0Prediction(fs.VPSDE()),
        "EDM's F": None, "flow": fs.FlowPrediction(),
    }  # fmt: skip
    for name in ("m5d8", "pow64top8"):
        p = measured(name)
        x, tau = p.start(range(1000, 1064), torch.float64), tau_of(p)
        truth = reference(p, x, p.sigma_max, p.sigma_min).x
        method = Adams(3, fs.Flow(math.sqrt(p.scales.std * p.scales.top)), tau, guard=None)
        spacing = partial(uniform_in, variable=tau)
        for what, given in ways.items():
            pre = given or fs.EDMPrediction(sigma_data=p.scales.std)
            ode = fs.DiffusionODE(exact_network(p, pre), pre)
            net = NetworkProblem(ode, p.event, p.sigma_max, p.sigma_min)
            for by in (None, bfloat16(), int8(), reuse(2)):
                one = PerturbedProblem(net, by) if by else net
                grids = (spacing(n * one.lasts, p.sigma_max, p.sigma_min) for n in (8, 20, 50))
                print(name, what, by.name if by else "exact",
                      *(f"{errors(one, truth, x, method, g):.1e}" for g in grids), flush=True)  # fmt: skip


def half() -> None:
    """The RMS error of ε, relative to its RMS: the network run in bfloat16, and only its ends rounded."""
    for p in (Digits(), Letters().for_seeds(range(32))):
        run = fs.DiffusionODE(
            p.network, p.precondition, condition=p.condition, dtype=torch.bfloat16
        )
        x = p.start(range(32), torch.float32)
        for sigma in (100.0, 10.0, 1.0, 0.1, 0.02):
            at = fs.solve(p, x, fs.log_snr(30, p.sigma_max, sigma), Adams(3)).x
            eps = p.eps(at, sigma)
            found = [float((q.eps(at, sigma) - eps).square().mean().sqrt() / eps.square().mean().sqrt())
                     for q in (run, fs.ode.Rounded(p), fs.ode.Quantised(p))]  # fmt: skip
            print(p.name, sigma, *(f"{e:.4f}" for e in found))


def corrector() -> None:
    """20 evaluations of two networks in float32 as they are, and in bfloat16."""
    for name in ("digits", "letters"):
        p, seeds = measured(name), range(1000, 1032)
        x, plain = p.start(seeds, torch.float32), p.for_seeds(seeds)
        truth = reference(plain, x, p.sigma_max, p.sigma_min, tolerance=1e-5).x.float()
        rounded = PerturbedProblem(p, bfloat16()).for_seeds(seeds)
        c = math.sqrt(p.scales.std * p.scales.top)
        tau = fs.TwoPower(p.scales.std, 2 * p.scales.top, 0.3, 0.3)
        default, grid = default_rule().choose(20, p.sigma_max, p.sigma_min, p.scales)
        adams = Adams(3, fs.Flow(c), tau, guard=None)
        whole = uniform_in(20, p.sigma_max, p.sigma_min, variable=tau)
        for what, method, at in (
            ("UniPC, start", default, grid),
            ("Adams, start", CorrectedStart(adams, c), grid),
            ("UniPC", UniPC(3, fs.Flow(c), variable=tau, guard=None), whole),
            ("Adams", adams, whole),
        ):
            print(name, what, *(f"{errors(q, truth, x, method, at):.1e}" for q in (plain, rounded)))


def far() -> None:
    """RMS error of ε, where the data's mean and covariance say what it is; the part common to all samples."""
    for p in (Digits(), Signals(), Photos()):
        data = p.data().double().flatten(1)
        mean = data.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov(data.T))
        chosen = torch.randint(len(data), (256,), generator=torch.Generator().manual_seed(0))
        noise = fs.unit_noise(range(256), p.event, torch.float64).flatten(1)
        for sigma in (0.95 * p.sigma_max, 60.0, 30.0, 15.0):
            x = data[chosen] + sigma * noise
            best = mean + ((x - mean) @ vectors * (values / (values + sigma**2))) @ vectors.T
            found = p.x0(x.float().reshape(256, *p.event), sigma).double().flatten(1)
            off = (found - best) / sigma
            print(
                p.name,
                f"{sigma:.0f}",
                *(f"{e.square().mean().sqrt():.4f}" for e in (off, off.mean(0))),
            )


if __name__ == "__main__":
    {f.__name__: f for f in (factors, gains, orders, predictions, corrector, half, far)}[
        sys.argv[1]
    ]()
