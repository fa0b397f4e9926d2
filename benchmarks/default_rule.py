"""The default rule against the best of everything that is tried, on problems it was and was not made on.

    python benchmarks/default_rule.py                  the table of docs/default.md: hours on one core
    python benchmarks/default_rule.py ring8 letters    some of the problems
    python benchmarks/default_rule.py --nfe 8 d1

The split was written down before any rule was tried: MADE_ON may be looked at, HELD is for judging. Everything
that is tried: nine classical methods on five spacings, and Adams with 2 to 4 points and UniPC with 3 in both
bounded charts, on two-power grids of three powers and two pairs of levels, from four starts, with the measured
scales. An error is the geometric mean of the samples' RMS errors.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

import flowsolve as fs
from flowsolve.errors import FlowsolveError
from flowsolve.problems import (
    Dataset,
    Digits,
    Letters,
    Mixture,
    Mixture1D,
    Photos,
    Problem,
    Signals,
    digits_data,
)
from flowsolve.solver import Solver
from flowsolve.study import reference
from flowsolve_solvers import (
    DEIS,
    IPNDM,
    Adams,
    CorrectedStart,
    DPMSolverPP2M,
    DPMSolverPPM,
    Euler,
    TwoScales,
    UniPC,
)

Choice = tuple[Solver, fs.Grid]


def mixture(
    seed: int, k: int, scale: np.ndarray, width: np.ndarray, ends: tuple[float, float]
) -> Mixture:
    """k random Gaussians: means of deviation `scale` in each coordinate, covariances near width²."""
    g, d = np.random.default_rng(seed), len(scale)
    w = g.dirichlet(np.ones(k) * 3)
    m = g.normal(size=(k, d)) * scale
    m -= (w[:, None] * m).sum(0) * 0.7
    covariances = []
    for _ in range(k):
        a = g.normal(size=(d, d)) / math.sqrt(d)
        c = np.diag(width) @ (a @ a.T * 0.5 + np.eye(d) * 0.5) @ np.diag(width)
        covariances.append(tuple(map(tuple, ((c + c.T) / 2).tolist())))
    return Mixture(tuple(w.tolist()), tuple(map(tuple, m.tolist())), tuple(covariances), *ends)


def even(seed: int, k: int, d: int, spread: float, width: float, *ends: float) -> Mixture:
    """As far in every direction."""
    return mixture(seed, k, np.ones(d) * spread, np.ones(d) * width, (ends[0], ends[1]))


def falling(
    seed: int, k: int, d: int, top: float, width: float, decay: float, *ends: float
) -> Mixture:
    """With deviations that fall as i^-decay, as those of images do."""
    scale = top * np.arange(1, d + 1) ** -decay
    return mixture(seed, k, scale, width * scale / scale.max(), (ends[0], ends[1]))


def ring(n: int, r: float, width: float, *ends: float) -> Mixture:
    """n round Gaussians on a circle."""
    means = tuple(
        (r * math.cos(2 * math.pi * i / n), r * math.sin(2 * math.pi * i / n)) for i in range(n)
    )
    return Mixture((1 / n,) * n, means, (((width**2, 0.0), (0.0, width**2)),) * n, *ends)


def points(seed: int, n: int, d: int) -> Tensor:
    """n points of deviation 0.6."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).double() * 0.6


def some_digits(k: int, seed: int) -> Tensor:
    """k real digits."""
    images, _ = digits_data()
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:k]
    return images[chosen].double()


MADE_ON = {
    "d1": lambda: Mixture1D((0.3, 0.5, 0.2), (-1.2, 0.3, 1.4), (0.15, 0.3, 0.1), 80.0, 0.002),
    "ring8": lambda: ring(8, 1.0, 0.05, 157.0, 0.01),
    "m5d8": lambda: even(1, 5, 8, 0.5, 0.25, 80.0, 0.002),
    "pts30d16": lambda: Dataset(points(5, 30, 16), 80.0, 0.1),
    "pow64top8": lambda: falling(2, 6, 64, 8.0, 4.0, 1.0, 80.0, 0.02),
    "d3top20": lambda: even(3, 4, 3, 15.0, 4.0, 80.0, 0.02),
    "lat64top30": lambda: falling(4, 5, 64, 20.0, 12.0, 0.7, 14.6, 0.03),
    "m3d2": lambda: even(6, 3, 2, 0.8, 0.3, 20.0, 0.01),
    "digits": Digits,
    "signals": Signals,
    "photos": Photos,
}
HELD = {
    "d1b": lambda: Mixture1D((0.5, 0.5), (-0.6, 0.9), (0.05, 0.4), 80.0, 0.005),
    "ring20r3": lambda: ring(20, 3.0, 0.2, 80.0, 0.002),
    "m8d4": lambda: even(11, 8, 4, 1.0, 0.2, 157.0, 0.01),
    "m4d12": lambda: even(12, 4, 12, 0.4, 0.3, 80.0, 0.002),
    "pow32top15": lambda: falling(13, 5, 32, 12.0, 7.0, 0.8, 80.0, 0.002),
    "digits200": lambda: Dataset(some_digits(200, 3), 157.0, 0.3),
    "top100d8": lambda: even(15, 5, 8, 80.0, 25.0, 80.0, 0.05),
    "lat16top6": lambda: even(16, 6, 16, 2.0, 1.0, 14.6, 0.03),
    "letters": Letters,
}


def classical(n: int, p: Problem) -> Iterator[Choice]:
    """Published methods on published grids."""
    s, t = p.sigma_max, p.sigma_min
    methods = (
        Euler(), IPNDM(2), IPNDM(3), IPNDM(4), DPMSolverPP2M(), DPMSolverPPM(3), UniPC(2), UniPC(3), DEIS(3),
    )  # fmt: skip
    for make in (
        lambda: fs.karras(n, s, t),
        lambda: fs.log_snr(n, s, t),
        lambda: fs.quadratic_t(n, s, t, clock=p.clock),
        lambda: fs.uniform_t(n, s, t, clock=p.clock),
        lambda: fs.ays(n, s, t),
    ):
        try:
            grid = make()
        except FlowsolveError:  # a clock without such levels
            continue
        yield from ((method, grid) for method in methods)


def bounded(n: int, p: Problem, scales: fs.Scales) -> Iterator[Choice]:
    """The family of the rule."""
    std, top = scales.std, scales.top
    c = math.sqrt(std * top)
    for low, high in ((std, 2 * top), (std / 2, 4 * top)):
        for a in (0.25, 0.35, 0.5):
            tau = fs.TwoPower(low, high, a, a)
            for chart in (fs.Velocity(c), fs.Flow(c)):
                for method in (
                    *(Adams(k, chart, tau, guard=None) for k in (2, 3, 4)),
                    UniPC(3, chart, variable=tau, guard=None),
                ):
                    for s in (2.5 * top, 5 * top, 10 * top, 20 * top, math.inf):
                        if s >= 0.9 * p.sigma_max:
                            yield method, fs.uniform_in(n, p.sigma_max, p.sigma_min, variable=tau)
                            break
                        inner = fs.uniform_in(n, s, p.sigma_min, variable=tau)
                        yield CorrectedStart(method, c), fs.Grid((p.sigma_max, *inner))


def main() -> None:
    """Print a line for each problem and budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problems", nargs="*", default=[*MADE_ON, *HELD])
    parser.add_argument("--nfe", nargs="+", type=int, default=[5, 8, 12, 20, 32])
    args = parser.parse_args()
    print(
        "problem, NFE, best of all; ratios to it: scales measured, guessed, best classical, best DDIM"
    )
    for name in args.problems:
        p = {**MADE_ON, **HELD}[name]()
        dtype, count = (torch.float32, 32) if p.is_network else (torch.float64, 64)
        x = p.start(range(1000, 1000 + count), dtype)
        truth = reference(
            p, x, p.sigma_max, p.sigma_min, tolerance=1e-5 if p.is_network else 1e-6
        ).x

        def error(choice: Choice, p: Problem = p, x: Tensor = x, truth: Tensor = truth) -> float:
            off = fs.solve(p, x, choice[1], choice[0], check=False).x.double() - truth
            found = float(off.reshape(len(x), -1).square().mean(1).sqrt().log().mean().exp())
            return found if math.isfinite(found) else math.inf

        scales = fs.scales(p, fs.unit_noise(range(16), p.event, dtype))
        guess = fs.Scales(0.5, 0.5 * max(4.0, math.sqrt(0.3 * math.prod(p.event))))
        for n in args.nfe:
            rule = [
                error(TwoScales().choose(n, p.sigma_max, p.sigma_min, s)) for s in (scales, guess)
            ]
            old = [(method, error((method, grid))) for method, grid in classical(n, p)]
            known, ddim = min(e for _, e in old), min(e for method, e in old if method == Euler())
            best = min(*rule, known, *map(error, bounded(n, p, scales)))
            ratios = "  ".join(f"{e / best:6.2f}" for e in (*rule, known, ddim))
            print(f"{name:12} {n:3}  {best:.2e}  {ratios}", flush=True)


if __name__ == "__main__":
    main()
