"""The tables in docs/ that take minutes: python benchmarks/docs_tables.py NAME, NAME one of the functions.

Each prints the rows of its page: `metrics`, `features`, `classes` and `cost` of docs/metrics.md,
`table2`, `exact` and `two_state` of docs/inversion.md, `gits` of docs/conventions.md, `ends`, `long_steps` and
`long_steps_noise` of docs/solvers.md, `between` of docs/trajectories.md, `inpaint` of docs/editing.md.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise

import torch
from long_steps import NAMES, error, grid_of, law_distance
from torch import Tensor

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import metrics as m
from flowsolve.analysis.weak_order import law_error
from flowsolve.integrate import Encoder, encode, invert, round_trip_error
from flowsolve.problems import Dataset, Digits, Mixture, Mixture1D, Problem, digits_data
from flowsolve.problems.classifier import digits_classes, digits_features
from flowsolve.solver import hermite
from flowsolve.study import work_precision

DISTANCES = (m.frechet, m.sliced_wasserstein, m.energy, m.kid, m.mmd, m.precision, m.recall)


def halves() -> tuple[Tensor, Tensor]:
    """The numbers of 898 random digits and of the others."""
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    return order[:898], order[898:]


def made_898() -> list[Tensor]:
    """Samples of seeds 0 to 897."""
    digits, made = Digits(), []
    noise = fs.unit_noise(range(898), digits.event)
    for solver, n in ((S.DPMSolverPP2M(), 20), (S.Euler(), 20), (S.Euler(), 5)):
        grid = fs.karras(n, digits.sigma_max, digits.sigma_min)
        made.append(fs.sample(digits, noise, grid, solver, start=fs.vp_start).x)
    return made


def metrics() -> None:
    """Floors of 20 halvings; 898 samples against 898 random digits."""
    images, made = Digits().data(), made_898()
    half = images[halves()[0]]
    for distance in DISTANCES:
        alone = distance if distance in (m.energy, m.kid, m.mmd) else partial(distance, groups=0)
        print(
            distance.__name__, m.floor(alone, images), *(distance(x, half) for x in made), sep=" | "
        )


def features() -> None:
    """Besides: the Gaussian with the images' mean and covariance, and the other images but the eights."""
    images, labels = digits_data()
    half, others = halves()
    pixels = images.flatten(1).double()
    root = torch.linalg.cholesky(pixels.T.cov() + 1e-9 * torch.eye(64))
    normal = pixels.mean(0) + fs.unit_noise(range(898), (64,)).double() @ root.T
    sets = [*made_898(), normal.reshape(-1, 1, 8, 8), images[others[labels[others] != 8]]]
    for f in (None, m.pca(images, 16), digits_features):
        floor = m.floor(partial(m.frechet, groups=0), images, f)
        print(floor, *(m.frechet(x, images[half], f) for x in sets), sep=" | ")


def classes() -> None:
    """The share of 1000 samples, seeds 0 to 999, that is read as the class asked for, and its error."""
    asked, noise = torch.arange(1000) % 10, fs.unit_noise(range(1000), (1, 8, 8))
    digits = Digits().given(asked)
    odes = [digits, *(fs.Guided(digits, Digits(), w) for w in (2.0, 4.0))]
    for solver, n in ((S.DPMSolverPP2M(), 20), (S.Euler(), 20), (S.Euler(), 5)):
        grid = fs.karras(n, digits.sigma_max, digits.sigma_min)
        made = [fs.sample(ode, noise, grid, solver, start=fs.vp_start).x for ode in odes]
        shares = [(digits_classes(x) == asked).double().mean().item() for x in made]
        print(
            solver, n, *(f"{p:.1%} ± {(p * (1 - p) / 1000) ** 0.5:.1%}" for p in shares), sep=" | "
        )


def cost() -> None:
    """Seconds for 10,000 against 10,000 of 64 features."""
    x, y = torch.randn(2, 10_000, 64, dtype=torch.float64)
    for distance in DISTANCES:
        begin = time.perf_counter()
        distance(x, y)
        print(f"{distance.__name__} {time.perf_counter() - begin:.1f} s")


def table2() -> None:
    """128 digits up and down."""
    digits, x = Digits(), Digits().data()[:128]

    def under(ode: fs.ODE, x: Tensor, grid: fs.Grid, _: fs.Solver) -> fs.Solution:
        return encode(ode, x, grid, S.DDIMInverse())

    for solver, up in (
        (S.DDIM(), encode), (S.DDIM(), under), (S.DPMSolverPP2M(guard=None), encode), (S.Heun(), encode),
        (S.RK4(fs.LOG_SIGMA), encode),
    ):  # fmt: skip
        grids = [fs.tau_linear(n, clock=digits.clock) for n in (10, 20, 50, 100)]
        trips = [round_trip_error(digits, x, grid, solver, encoder=up) for grid in grids]
        print(
            up.__name__,
            solver,
            *(f"{t.mse:.1e} ± {t.stderr / t.mse:.0%}" for t in trips),
            sep=" | ",
        )


def exact() -> None:
    """16 digits, 20 steps of DDIM, and of Heun."""
    digits, grid = Digits(), fs.tau_linear(20, clock=Digits().clock)
    single, double = torch.float32, torch.float64
    for solver, dtype, options in (
        (S.DDIM(), single, None), (S.DDIM(), single, {"iterations": 5}),
        (S.DDIM(), single, {"iterations": 10, "memory": 0}), (S.DDIM(), single, {"iterations": 10}),
        (S.DDIM(), single, {}), (S.DDIM(), double, {}), (S.DDIM(), double, {"iterations": 200}),
        (S.Heun(), single, None), (S.Heun(), single, {}),
    ):  # fmt: skip
        up = encode if options is None else partial(invert, strict=False, **options)
        x = Digits().data()[:16].to(dtype)
        trip = round_trip_error(digits, x, grid, solver, encoder=up)
        there = ""
        if options is not None:
            found = invert(digits, x, grid, solver, strict=False, **options)
            there = int((found.residuals <= found.tolerance).all(0).sum())
        print(solver, dtype, options, trip.nfe_up, f"{trip.mse:.1e}", there, sep=" | ")


def two_state() -> None:
    """20 steps to σ_min: NFE, round trips in float64 and float32, samples; then the codes on S steps."""
    methods: list[tuple[fs.Solver, Encoder]] = [
        (S.Euler(), encode), (S.Euler(), partial(invert, strict=False)), (S.Heun(), encode),
        *((solver, encode) for solver in (
            S.BDIA(), S.BDIA(0.5), S.OBELM(), S.EDICT(), S.EDICT(alternate=False), S.EDICT(1.0),
            S.Rex(), S.Rex(S.Heun()), S.Rex(S.RK4(fs.LOG_SIGMA)), S.Rex(chart=fs.NOISE),
        )),
    ]  # fmt: skip
    for problem, count in ((Mixture(), 64), (Digits(), 16)):
        top, low = problem.sigma_max, problem.sigma_min
        if not problem.is_network:
            top, low = problem.clock.sigma(1.0), problem.clock.sigma(1e-3)

        def grid(n: int, p: Problem = problem, top: float = top, low: float = low) -> fs.Grid:
            return fs.uniform_t(n, top, low, clock=p.clock)

        start = problem.between(top, low).start(range(count), torch.float64)
        fine = fs.solve(problem, start, fs.log_snr(400, top, low), S.RK4(fs.LOG_SIGMA)).x
        x = Digits().data()[:count].double() if problem.is_network else fine
        code = fs.solve(problem, x, fs.log_snr(400, top, low).reversed(), S.RK4(fs.LOG_SIGMA)).x
        for solver, up in methods:
            trips = [
                round_trip_error(problem, x.to(d), grid(20), solver, encoder=up)
                for d in (torch.float64, torch.float32)
            ]
            off = fs.solve(problem, start, grid(20), solver).x - fine
            print(
                problem.name, "encode" if up is encode else "invert", solver, trips[0].nfe_up,
                *(f"{t.mse:.0e}" for t in trips), f"{float(off.square().mean().sqrt()):.3f}",
                sep=" | ",
            )  # fmt: skip
        for solver, up in methods:
            if up is encode:
                off = [encode(problem, x, grid(n), solver).x - code for n in (10, 20, 50, 100)]
                sizes = [f"{float(o.square().mean().sqrt()) / top:.2g}" for o in off]
                print(problem.name, solver, *sizes, sep=" | ")


def gits() -> None:
    """Searched on seeds 0 to 63 (digits) or 255, measured on 1000 to 1031 or 1063."""
    many = [S.Euler(), S.LMS(3, guard=None), S.IPNDM(guard=None), S.DPMSolverPP2M(guard=None)]
    cases: list[tuple[Problem, list[fs.Solver], int, int, torch.dtype]] = [
        (Digits(), many, 64, 32, torch.float32),
        (Mixture(), many[:1], 256, 64, torch.float64),
        (Dataset(), many[:1], 256, 64, torch.float64),
    ]
    for problem, solvers, search, count, dtype in cases:
        fine = fs.karras(60, problem.sigma_max, problem.sigma_min)
        x = problem.start(range(search), dtype)
        found = [fs.gits(problem, x, fine, S.IPNDM(), metric=k, coeff=1) for k in ("dev", "l2")]
        grids = [f for one in found for f in (one, replace(one, coeff=1.15))]
        study = work_precision(
            solvers, problem, (6, 10), spacings=(fs.karras, fs.log_snr, *grids),
            seeds=range(1000, 1000 + count), dtype=dtype,
        )  # fmt: skip
        for (solver, spacing), rows in study.series.items():
            print(problem.name, solver, spacing, *(f"{r.rmse:.3f}" for r in rows), sep=" | ")


def ends() -> None:
    """The slopes of the law of EDM with its default churn."""
    steps = (100, 200, 400, 800)
    errors = torch.tensor([law_error(S.EDM(), fs.log_snr(n, 1.0, 0.2)) for n in steps])
    print(S.EDM(), *(f"{v:.2f}" for v in (errors[:-1] / errors[1:]).log2().tolist()))


def long_steps() -> None:
    """`mixture`, 256 samples: Euler's RMSE, and by pairs the published method's and the default's."""
    pairs: list[tuple[fs.Solver, fs.Solver]] = [
        (S.DPMSolverPP2M(guard=None), S.DPMSolverPP2M()),
        (S.UniPC(3, guard=None), S.UniPC(3)),
        (S.DPMSolverPPM(3, guard=None), S.DPMSolverPPM(3)),
        (S.LMS(3, guard=None), S.LMS(3)),
        (S.IPNDM(guard=None), S.IPNDM()),
    ]
    for name in NAMES[:-1]:
        for n in (8, 28):
            grid = grid_of(name, n)
            errors = [error(s, Mixture(), grid, 256) for s in (S.Euler(), *sum(pairs, ()))]
            print(name, n, *(f"{e:.3f}" for e in errors), sep=" | ")


def long_steps_noise() -> None:
    """W₁ at σ = 0 on `mixture_1d`: DDIM with η = 1, and by pairs the published method's and the default's."""
    pairs: list[tuple[fs.Solver, fs.Solver]] = [
        (S.DPMSolverPP2MSDE(guard=None), S.DPMSolverPP2MSDE()),
        (S.DPMSolverPP3MSDE(guard=None), S.DPMSolverPP3MSDE()),
        (S.SASolver(1.0, 3, 4, guard=None), S.SASolver(1.0, 3, 4)),
        (S.ERSDE(guard=None), S.ERSDE()),
    ]
    for name in NAMES[:-1]:
        for n in (8, 28):
            grid = grid_of(name, n)
            solvers = (S.DDIMEta(), *sum(pairs, ()))
            print(name, n, *(f"{law_distance(s, grid):.3f}" for s in solvers), sep=" | ")


def between() -> None:
    """Polynomials through the exact flow at the nodes: the largest RMS error between them."""

    def log(p: fs.Point) -> fs.Point:
        assert p.eps is not None
        return replace(p, sigma=math.log(p.sigma), eps=p.sigma * p.eps)

    def data(p: fs.Point) -> fs.Point:
        return replace(p, sigma=math.log(p.sigma), x=p.x / p.sigma, eps=-p.x0 / p.sigma)

    def read(kind: str, nodes: list[fs.Point], k: int, s: float) -> Tensor:
        ends = nodes[k : k + 2]
        if kind == "log":
            return hermite([*map(log, ends)], math.log(s))
        if kind == "data":
            return s * hermite([*map(data, ends)], math.log(s))
        if kind == "quadratic":
            return hermite([ends[0], replace(ends[1], eps=None)], s)
        wide = {"cubic": 2, "5": 3, "7": 4}[kind]
        first = max(0, min(k - (wide - 2) // 2, len(nodes) - wide))
        return hermite(nodes[first : first + wide], s)

    kinds = ("cubic", "log", "data", "quadratic", "5", "7")
    for n, spacing, high, low in (
        (8, fs.karras, 10, 0.05), (16, fs.karras, 10, 0.05), (8, fs.log_snr, 10, 0.05),
        (16, fs.log_snr, 10, 0.05), (8, fs.log_snr, 80, 0.002),
    ):  # fmt: skip
        problem = Mixture1D(sigma_max=high, sigma_min=low)
        x, grid = problem.start(range(8), torch.float64), spacing(n, high, low)
        heun = fs.solve(problem, x, grid, S.Heun(), keep=1).path
        nodes = []
        for p in heun:
            there = problem.flow(x, high, p.sigma)
            nodes.append(
                replace(p, x=there, eps=problem.eps(there, p.sigma), x0=problem.x0(there, p.sigma))
            )
        worst = dict.fromkeys(kinds, 0.0)
        for k, (s, t) in enumerate(pairwise(grid)):
            for sigma in (s * (t / s) ** (j / 4) for j in (1, 2, 3)):
                flow = problem.flow(x, high, sigma)
                for kind in kinds:
                    worst[kind] = max(worst[kind], rms(read(kind, nodes, k, sigma) - flow))
        off = max(rms(p.x - q.x) for p, q in zip(heun, nodes, strict=True))
        print(n, spacing.__name__, high, *(f"{v:.1e}" for v in (*worst.values(), off)), sep=" | ")


def rms(x: Tensor) -> float:
    """√ of the mean square."""
    return float(x.square().mean().sqrt())


def inpaint() -> None:
    """The unknown coordinate given the other: mean, deviation and W1 to the exact law, 2000 samples."""
    n, mask = 2000, torch.tensor([False, True])
    grid, noise = fs.karras(25, 80.0, 0.01).to_zero(), fs.unit_noise(range(n), (2,), torch.float64)
    steps = ((S.Heun(), 1, 1), *((S.Heun(), r, 1) for r in (2, 5, 10, 20)), (S.Heun(), 10, 5))
    steps = (*steps, (S.DPMSolverPP2M(), 1, 1), (S.DPMSolverPP2M(), 10, 5), (S.DDIMEta(1.0), 1, 1))
    alone = Mixture((1.0,), ((0.5, -0.3),), (((0.5, 0.3), (0.3, 0.4)),))
    for problem, value in ((alone, 0.6), (Mixture(), -0.5), (Mixture(), 1.0)):
        law = given_second(problem, value)
        draws = (fs.unit_noise(range(k, k + n), (), torch.float64) for k in (0, 5000))
        exact, other = (law.flow(z * 1e4, 1e4, 1e-9) for z in draws)
        floor = (exact.sort().values - other.sort().values).abs().mean()
        print(f"{value}: {law!r}, W1 of two exact sets {floor:.3f}")
        for solver, repeats, jump in steps:
            known = torch.full((n, 2), value, dtype=torch.float64)
            how = fs.Repaint(solver, repeats, range(n), jump)
            x = fs.inpaint(problem, known, mask, noise, grid=grid, solver=how)
            u, err = x.x[:, 0], float(x.x[:, 0].std()) / n**0.5
            w = (u.sort().values - exact.sort().values).abs().mean()
            print(how.solver, repeats, jump, x.nfe, f"{u.mean():.3f} ± {err:.3f}",
                  f"{u.std():.3f} ± {err / 2**0.5:.3f}", f"{w:.3f}", sep=" | ", flush=True)  # fmt: skip


def given_second(mixture: Mixture, y: float) -> Mixture1D:
    """p(x₁ | x₂ = y): weights w N(y; m₂, C₂₂), means m₁ + C₁₂/C₂₂ (y - m₂), variances C₁₁ - C₁₂²/C₂₂."""
    c = torch.tensor(mixture.covariances, dtype=torch.float64)
    m, w = (torch.tensor(v, dtype=torch.float64) for v in (mixture.means, mixture.weights))
    z, gain = y - m[:, 1], c[:, 0, 1] / c[:, 1, 1]
    w = w * torch.exp(-z * z / (2 * c[:, 1, 1])) / c[:, 1, 1].sqrt()
    deviations = (c[:, 0, 0] - gain * c[:, 0, 1]).sqrt()
    parts = (w / w.sum(), m[:, 0] + gain * z, deviations)
    return Mixture1D(*(tuple(v.tolist()) for v in parts))


if __name__ == "__main__":
    every = (
        metrics,
        features,
        classes,
        cost,
        table2,
        exact,
        two_state,
        gits,
        ends,
        between,
        long_steps,
        long_steps_noise,
    )
    tables = {f.__name__: f for f in (*every, inpaint)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=tables)
    tables[parser.parse_args().table]()
