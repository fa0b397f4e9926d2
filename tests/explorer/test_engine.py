"""engine.js against Python: ε, densities, clocks, DDIM, the exact flow, recurrences for any levels, errors."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from flowsolve import Grid, solve
from flowsolve.analysis.order import observed_order
from flowsolve.explorer import SCENES, export, methods
from flowsolve.explorer.plans import SCHEDULES
from flowsolve.explorer.scenes import SIGMA_MAX, SIGMA_MIN, scene
from flowsolve.study import work_precision
from flowsolve.study.references import reference
from flowsolve_solvers import DDIMEta, DPMSolverPP2M, Euler, Heun, UniPC
from tests.explorer.helpers import Drawn, Jobs, largest, needs_node, ode_of, start

LEVELS = (80.0, 7.0, 1.0, 0.1, 0.01)
GUIDED = [(s.name, None, 1.0) for s in SCENES] + [("classes", 0, 1.0), ("classes", 2, 3.0)]
"""(scene, label, scale): every scene, one class, and one with guidance."""


def off(jobs: Jobs, folder: Path, tolerance: float) -> list[tuple[object, ...]]:
    return [
        (job["call"], {k: v for k, v in job.items() if k not in ("x", "draws")}, d)
        for job, found, expected in jobs.done(folder)
        if not (d := largest(found, expected)) <= tolerance
    ]


@needs_node
def test_closed_forms(tmp_path: Path) -> None:
    """ε and x₀ from the middle of the data to 30 σ_max away; the density where it is a number at all."""
    jobs = Jobs(export([]))
    for name, label, scale in GUIDED:
        ode, plain, near = (
            ode_of(name, label, scale),
            scene(name).problem(label),
            start(name, 32) / SIGMA_MAX,
        )
        for sigma in LEVELS:
            for x in (near, near * math.hypot(1, sigma), near * 30 * SIGMA_MAX):
                asked = {"scene": name, "label": label, "scale": scale, "x": x, "sigma": sigma}
                jobs.add("eps", ode.eps(x, sigma), **asked)
                if (
                    scale == 1 or x.abs().max() < 1000
                ):  # x̄ - σ ε with guidance, which cancels far away
                    jobs.add("x0", ode.x0(x, sigma), **asked)
                jobs.add("density", plain.log_density(x, sigma).exp(), **asked)  # type: ignore[attr-defined]
    assert not off(jobs, tmp_path, 1e-12)


@needs_node
def test_clocks(tmp_path: Path) -> None:
    jobs = Jobs(export([]))
    for key, (_, clock) in SCHEDULES.items():
        alpha = (lambda s: 1 / (1 + s)) if key == "flow" else (lambda s: 1 / math.hypot(1, s))
        rows = [[(t := clock.t(s)), clock.sigma(t), clock.rate(t), alpha(s)] for s in LEVELS]
        jobs.add("clock", np.array(rows), schedule=key, sigmas=[*LEVELS])
    for job, found, expected in jobs.done(tmp_path):
        assert found == pytest.approx(expected, rel=1e-12), job


@needs_node
def test_ddim_three_ways(tmp_path: Path) -> None:
    """Eq. 12, Eq. 13 and Euler's step are one, in x̄ and in x_t, and that of the library's DDIM."""
    jobs, x = Jobs(export([])), start("three", 16)
    for key in SCHEDULES:
        for s, t in ((80.0, 7.0), (7.0, 1.0), (1.0, 0.1), (0.1, 0.01)):
            here = x * (s / SIGMA_MAX)
            ode = ode_of("three")
            end = solve(ode, here, Grid([s, t]), Euler()).x
            scaled = end * (1 / (1 + t) if key == "flow" else 1 / math.hypot(1, t))
            jobs.add("ddim", torch.stack([end, scaled] * 3), schedule=key, x=here, eps=ode.eps(here, s),
                     s=s, t=t)  # fmt: skip
    assert not off(jobs, tmp_path, 1e-12)


@needs_node
def test_exact_flow(tmp_path: Path) -> None:
    """By quantiles in one dimension, as Mixture1D; elsewhere against the certified references of studies."""
    jobs, sigmas = Jobs(export([])), [10.0, 1.0, 0.1, SIGMA_MIN]
    for name in ("modes2", "narrow"):
        x, problem = start(name, 32), scene(name).problem()
        rows = torch.stack([problem.flow(x, SIGMA_MAX, t) for t in sigmas])
        jobs.add("exact", rows, scene=name, x=x, sigmas=sigmas)
    for name, label in (("three", None), ("classes", 1)):
        x, problem = start(name, 8), scene(name).problem(label)
        truth = reference(problem, x, SIGMA_MAX, SIGMA_MIN, tolerance=1e-11, cached=False)
        jobs.add("exact", truth.x, scene=name, label=label, x=x, sigmas=[SIGMA_MIN])
    assert not off(jobs, tmp_path, 1e-10)


@needs_node
def test_free_levels(tmp_path: Path) -> None:
    """Recurrences for levels dragged by hand, long steps among them, and any η: as Python's on random grids."""
    jobs, rng = Jobs(export([])), random.Random(0)
    free = [m for m in methods() if m.free]
    assert len(free) == 12
    for i in range(30):
        inner = sorted(
            (SIGMA_MIN * (SIGMA_MAX / SIGMA_MIN) ** rng.random() for _ in range(i % 12)),
            reverse=True,
        )
        grid, name = Grid([SIGMA_MAX, *inner, SIGMA_MIN]), ("modes2", "three")[i % 2]
        schedule, x = [*SCHEDULES][i % 3], start(name, 16)
        for method in free:
            end = solve(ode_of(name), x, grid, method.on(schedule)).x
            jobs.add("free", end, method=method.key, schedule=schedule, levels=[*grid], scene=name, x=x,
                     draws=x[:0])  # fmt: skip
        for eta in (0.0, 0.3, 1.0):
            drawn = Drawn(ode_of(name))
            end = solve(drawn, x, grid, DDIMEta(eta)).x
            jobs.add("eta", end, eta=eta, levels=[*grid], scene=name, x=x, draws=drawn.all)
    assert not off(jobs, tmp_path, 1e-12)


@needs_node
@pytest.mark.parametrize("name", ["modes2", "three"])
def test_errors_and_slopes_are_those_of_the_study(name: str, tmp_path: Path) -> None:
    """What the page prints, from Python's start states: errors against the exact flow, slopes, the order."""
    solvers, nfes = (
        {"euler": Euler(), "heun": Heun(), "dpmpp_2m": DPMSolverPP2M(), "unipc": UniPC(3)},
        (8, 16, 32, 64),
    )
    problem, x = scene(name).problem(), start(name, 32)
    study = work_precision(
        [*solvers.values()], problem, nfes, dtype="float64", seeds=range(32), cached=False
    )
    chosen = [m for m in methods() if m.key in solvers]
    jobs = Jobs(export(chosen, steps=(4, 8, 16, 32, 64)))
    for key, solver in solvers.items():
        rows = study.series[repr(solver), "karras"]
        assert [row.nfe for row in rows] == [*nfes]
        for row in rows:
            jobs.add("page_error", [row.rmse], method=key, n=row.steps, scene=name, x=x)
        steps, errors = [row.steps for row in rows], [row.rmse for row in rows]
        pairs = [math.log(a.rmse / b.rmse) / math.log(b.nfe / a.nfe) for a, b in pairwise(rows)]
        jobs.add("slope", [pairs[0], *pairs], nfes=[*nfes], errors=errors)
        order = observed_order(steps, errors)
        jobs.add("order", [order.order, order.settled, *order.steps], steps=steps, errors=errors)
    assert not off(jobs, tmp_path, 1e-9)


@needs_node
def test_normals_and_samples(tmp_path: Path) -> None:
    """Standard normals that follow from the seed, and draws of the scenes, by their moments."""
    jobs, n = Jobs(export([])), 100_000
    for seed in (0, 1, 0, 7 + 3 * 2**21):  # the last is that of a noise of a replay
        jobs.add("normals", [], n=n, seed=seed)
    jobs.add("normals", [], n=101, seed=0)
    for name, label in (("modes2", None), ("ring", None), ("classes", 2)):
        jobs.add("sample", [], scene=name, label=label, n=n, seed=3)
    zero, one, again, noise, fewer, *drawn = (found for _, found, _ in jobs.done(tmp_path))
    assert (zero == again).all()
    assert (zero[:101] == fewer).all()
    for z in (zero, one, noise):
        moments = [z.mean(), (z**2).mean(), (z**3).mean(), (z**4).mean()]
        assert moments == pytest.approx([0, 1, 0, 3], abs=5 * (96 / n) ** 0.5)
        assert abs(z[1:] @ z[:-1]) / n < 5 / n**0.5
        assert kstest(z, "norm").pvalue > 1e-4
    assert max(abs(zero @ one), abs(zero @ noise), abs(one @ noise)) / n < 5 / n**0.5
    for (name, label), x in zip(
        (("modes2", None), ("ring", None), ("classes", 2)), drawn, strict=True
    ):
        parts = scene(name)
        own = [k for k in range(len(parts.weights)) if label is None or parts.labels[k] == label]
        w = np.array([parts.weights[k] for k in own])
        means = np.array([parts.means[k] for k in own])
        widths = np.array([parts.deviations[k] for k in own])
        rows = x.reshape(n, -1)
        mean = w @ means / w.sum()
        square = w @ (means**2 + widths[:, None] ** 2) / w.sum()
        assert rows.mean(0) == pytest.approx(mean, abs=0.02)
        assert (rows**2).mean(0) == pytest.approx(square, abs=0.02)
