"""Likelihood: log p of data by several solvers at several budgets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Unpack

from flowsolve._arguments import whole
from flowsolve.errors import SamplesError
from flowsolve.integrate.bits import bits_per_dim, dequantise
from flowsolve.integrate.likelihood import log_prob, vp_prior
from flowsolve.metrics.estimate import Estimate
from flowsolve.ode.base import ODE
from flowsolve.problems.base import Problem, check_problem
from flowsolve.study.cases import Case, check_cases
from flowsolve.study.door import door
from flowsolve.study.results import Row
from flowsolve.study.runner import Task
from flowsolve.study.settings import Settings, Setup


@dataclass(frozen=True, kw_only=True, repr=False)
class LikelihoodRow(Row):
    """The mean of log p over some of the data, by one solver on one grid.

    log_p         in nats, of x̄ at sigma_min;  bits: bits per dimension, NaN for data without levels
    log_p_error, bits_error  their standard errors over data, noise and probes together
    probes_error  the part of log_p_error that comes from the probes; 0 where the divergence is exact
    rmse          against the closed form of log p, where the problem has one
    probes        Hutchinson's, 0 for the exact divergence;  levels: of the data, 0 for none
    """

    KEY = (*Row.KEY, "solver", "spacing", "asked", "sigma_max", "sigma_min", "samples", "probes",
           "levels")  # fmt: skip

    solver: str
    spacing: str
    asked: str
    sigma_max: float
    sigma_min: float
    samples: int
    probes: int
    levels: int
    nfe: int = 0
    backwards: int = 0
    log_p: float = math.nan
    log_p_error: float = math.nan
    probes_error: float = math.nan
    bits: float = math.nan
    bits_error: float = math.nan
    rmse: float = math.nan

    @property
    def name(self) -> str:
        return f"{self.solver}  {self.asked}"

    @property
    def result(self) -> str:
        closed = "" if math.isnan(self.rmse) else f"  rms error {self.rmse:.1e} nats"
        unit = "nats" if math.isnan(self.bits) else "bits/dim"
        return f"{self.estimate} {unit}{closed}  nfe {self.nfe}  {self.seconds:.1f} s"

    @property
    def estimate(self) -> Estimate:
        """Bits per dimension where the data have levels, else log p in nats."""
        if math.isnan(self.bits):
            return Estimate(self.log_p, self.log_p_error, 0.0)
        return Estimate(self.bits, self.bits_error, 0.0)


def likelihood(
    cases: Sequence[Case],
    problem: Problem,
    *,
    samples: int = 64,
    probes: int | None = 4,
    levels: int | None = None,
    **settings: Unpack[Settings],
) -> list[Task[LikelihoodRow]]:
    """Tasks for `collect`: log p of the first `samples` of `problem.data()`, by each case.

    cases   as `budget_cases` makes them: a solver and the grid of its budget
    levels  of data on whole levels from -1 to 1, which are dequantised; other data are noised to σ_min,
            x₀ + σ_min z, since the density is that of x̄ there
    probes  None is the exact divergence
    settings  float32 and blocks of 64 unless told otherwise; the seed of a sample is its number,
              for its label by `BySeed` too

    The prior is the closed form at σ_max if the problem has `log_density`, else `vp_prior`. Raises SamplesError
    for fewer data than samples, and as `dequantise` and `log_prob` do.
    """
    import torch

    check_problem(problem)
    samples, cases = whole("samples", samples), check_cases(cases)
    run = replace(Setup.of(settings, block=64), seeds=range(samples))
    data = problem.data()
    if not 2 <= samples <= len(data):
        raise SamplesError(f"likelihood needs 2 to {len(data)} samples of the data, not {samples}.")
    x = data[:samples].to(run.device, run.dtype)
    y = (
        dequantise(x, levels, run.seeds)
        if levels
        else x + problem.sigma_min * run.noise(problem.event)
    )
    density = getattr(problem, "log_density", None)

    def measure(case: Case, row: LikelihoodRow) -> LikelihoodRow:
        grid = case.grid()
        parts = [
            log_prob(
                # only the rows of a `BySeed`: letters label their samples by seed, and not their data
                ODE.for_seeds(problem, part.seeds, run.device), y[part.seeds], grid, case.solver,
                prior=density or vp_prior, probes=probes, seeds=None if probes is None else part.seeds,
            )
            for part in run.blocks()
        ]  # fmt: skip
        log_p = torch.cat([p.log_p for p in parts]).double().cpu()
        probe = torch.cat([p.stderr for p in parts]).double().cpu()
        row = replace(
            row, nfe=parts[0].nfe, backwards=parts[0].backwards, log_p=float(log_p.mean()),
            log_p_error=float(log_p.std()) / math.sqrt(samples),
            probes_error=float(probe.square().sum().sqrt()) / samples,
        )  # fmt: skip
        if levels:
            bits = bits_per_dim(log_p, problem.event, levels)
            row = replace(
                row, bits=float(bits.mean()), bits_error=float(bits.std()) / math.sqrt(samples)
            )
        if density is not None:
            miss = log_p - density(y, problem.sigma_min).double().cpu()
            row = replace(row, rmse=float(miss.square().mean().sqrt()))
        return row

    met = door(problem, run)
    blank = partial(
        LikelihoodRow, **run.stamp(problem), sigma_max=problem.sigma_max,
        sigma_min=problem.sigma_min, samples=samples, probes=probes or 0, levels=levels or 0,
    )  # fmt: skip
    return [
        Task(blank(solver=c.label, spacing=c.spacing, asked=c.asked), partial(measure, c), met)
        for c in cases
    ]
