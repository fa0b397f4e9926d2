"""The tables in docs/ that take minutes: python benchmarks/docs_tables.py NAME, NAME one of the functions.

Each prints the rows of its page: `metrics` and `cost` of docs/metrics.md, `table2` and `exact` of
docs/inversion.md, `gits` of docs/conventions.md, `ends` of docs/solvers.md, `inpaint` and `edits` of
docs/editing.md.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

import flowsolve as fs
import flowsolve_solvers as S
from flowsolve import metrics as m
from flowsolve.experiments import edit
from flowsolve.fixed_point import invert
from flowsolve.inversion import encode, round_trip_error
from flowsolve.law import law_error
from flowsolve.problems import Dataset, Digits, Mixture, Mixture1D, Problem
from flowsolve.problems.digits import digits_data
from flowsolve.study import work_precision

DISTANCES = (m.frechet, m.sliced_wasserstein, m.energy, m.kid, m.mmd, m.precision, m.recall)


def metrics() -> None:
    """Floors of 20 halvings; 898 samples, seeds 0 to 897, against 898 random digits."""
    digits, images = Digits(), Digits().data()
    half = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:898]]
    noise, made = fs.unit_noise(range(898), digits.event), []
    for solver, n in ((S.DPMSolverPP2M(), 20), (S.Euler(), 20), (S.Euler(), 5)):
        grid = fs.karras(n, digits.sigma_max, digits.sigma_min)
        made.append(fs.sample(digits, noise, grid, solver, start=fs.vp_start).x)
    for distance in DISTANCES:
        alone = distance if distance in (m.energy, m.kid, m.mmd) else partial(distance, groups=0)
        print(
            distance.__name__, m.floor(alone, images), *(distance(x, half) for x in made), sep=" | "
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
        (S.DDIM(), encode), (S.DDIM(), under), (S.DPMSolverPP2M(), encode), (S.Heun(), encode),
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


def gits() -> None:
    """Searched on seeds 0 to 63 (digits) or 255, measured on 1000 to 1031 or 1063."""
    many = [S.Euler(), S.LMS(3), S.IPNDM(), S.DPMSolverPP2M()]
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
    """The slopes of the law of EDM with its default churn, and of SASolver before it has settled."""
    for solver, steps in (
        (S.EDM(), (100, 200, 400, 800)),
        (S.SASolver(), (40, 80, 160, 320, 640, 1280)),
    ):
        errors = torch.tensor([law_error(solver, fs.log_snr(n, 1.0, 0.2)) for n in steps])
        print(solver, *(f"{v:.2f}" for v in (errors[:-1] / errors[1:]).log2().tolist()))


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
            x = fs.inpaint(problem, known, mask, noise, grid, how)
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


def edits() -> None:
    """Every way to edit, 360 digits, 20 steps of DDIM; a support vector machine for the classes."""
    from sklearn.svm import SVC

    images, classes = digits_data()
    machine = SVC(C=10).fit(images.flatten(1).numpy(), classes.numpy())
    task = edit.Task(360, fs.tau_linear(20, clock=Digits().clock), S.DDIM())
    for row in edit.edit_rows(task, lambda x: torch.tensor(machine.predict(x.flatten(1).numpy()))):
        print(row.edit, row.nfe, row.forwards, f"{row.distance:.3f} ± {row.distance_err:.3f}",
              f"{row.correlation:.3f} ± {row.correlation_err:.3f}",
              f"{100 * row.right:.1f} ± {100 * row.right_err:.1f} %", sep=" | ", flush=True)  # fmt: skip


if __name__ == "__main__":
    tables = {f.__name__: f for f in (metrics, cost, table2, exact, gits, ends, inpaint, edits)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=tables)
    tables[parser.parse_args().table]()
