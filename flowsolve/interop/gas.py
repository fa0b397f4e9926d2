"""GAS: the generalized solver that it learned, as a Table.                               Oganov et al. 2025."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

from flowsolve._arguments import real
from flowsolve.analysis.table import Table
from flowsolve.errors import ScheduleError, TableError
from flowsolve.interop.checkpoints import read_checkpoint, sigma_at
from flowsolve.ode.precondition import VP
from flowsolve.schedule.clock import Clock
from flowsolve.schedule.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor

OFFSET = 1e-5  # their eps_mu_offset


class GeneralizedSolver(NamedTuple):
    """Its table, for `Replay`, and the level that the network is told at each of its levels."""

    table: Table
    told: dict[float, float]


def read_gas(path: str | PathLike[str], clock: Clock, t_eps: float) -> GeneralizedSolver:
    """x_t = (a₁ + δa₁) x_s - (c₁ + δc₁) D₁ + ... + Σ_j (δa_j x_j + δc_j D_j).   Oganov et al. 2025, their code.

    A step of DPM-Solver++(3M) with corrections δ to its coefficients, and all earlier values with coefficients
    of their own; D_k = (x_k - s_k ε(x_k, t_k + τ_k))/α_k, τ learned too.

    path   a checkpoint of GAS's training.py, 500.pt to 10000.pt; its averaged parameters are taken. Only
           tensors and numbers are read: no code in it is run
    clock  whose times the file has: VPSDE() for EDM's networks, which it treats so; for latent diffusion the
           table, scaled_linear_beta(between="log_alpha")
    t_eps  the last time, of student_solver_config: 0.001, or 0.0001 for FFHQ and AFHQv2

    It runs as Replay(table) on ode.told(told, VP), from unit noise / α at the first level. The table's weights
    on x̄_T are not 1. Raises TableError for a file that is none or holds no such solver, and ScheduleError for
    another clock or t_eps and where a time that the network is told is outside a table.
    """
    saved = read_checkpoint(path, "GAS's training.py writes one every 500 iterations.")
    parts = _parts(saved, str(path))
    t_eps = real("read_gas: t_eps", t_eps, ScheduleError)
    if not 0 < t_eps < 1:
        raise ScheduleError(f"read_gas: t_eps is the last time, between 0 and 1, not {t_eps!r}.")
    t = _times(parts[0], t_eps)
    sigmas = [sigma_at(clock, time) for time in t]
    told = [sigma_at(clock, a + b) for a, b in zip(t, parts[1], strict=False)]
    grid = Grid(sigmas, "gas")
    rows = _rows(grid, parts[2::2], parts[3::2])
    table = Table("GAS", 1, grid.levels, grid[:-1], tuple(rows[:-1]), tuple(rows[1:]))
    return GeneralizedSolver(table, dict(zip(grid[:-1], told, strict=True)))


def _parts(saved: Any, path: str) -> list[list[float]]:
    """mu_logit, t_couple, c1_diff, a1_diff, c2_diff, a2_diff, ...: shadow_params of torch_ema."""
    average = saved.get("ema") if isinstance(saved, dict) else None
    found: Sequence[Tensor] = average.get("shadow_params", ()) if isinstance(average, dict) else ()
    shapes = [tuple(getattr(p, "shape", ())) for p in found]
    n = shapes[1][0] if len(shapes) > 1 and len(shapes[1]) == 1 else 0
    wanted = [(n - 1,), *[(n,)] * (len(shapes) - 1)]
    if n == 0 or len(shapes) < 4 or len(shapes) % 2 or shapes != wanted:
        raise TableError(
            f"{path!r} is no checkpoint of GAS, whose ema.shadow_params are N - 1 logits, then N shifts of "
            f"times, and N for each coefficient: it has {shapes or 'none'}."
        )
    return [p.double().tolist() for p in found]


def _times(logits: Sequence[float], t_eps: float) -> list[float]:
    """1 > t_1 > ... > t_eps: 1 - Π μ of t_eps..1, from the last.          Oganov et al. 2025, Eq. 14."""
    rest, found = 1.0, [t_eps]
    for logit in logits:
        rest *= OFFSET + (1 - 2 * OFFSET) / (1 + math.exp(-logit))
        found.append(t_eps + (1 - t_eps) * (1 - rest))
    return [1.0, *found[:0:-1], t_eps]


def _rows(
    grid: Grid, c: Sequence[Sequence[float]], a: Sequence[Sequence[float]]
) -> list[tuple[float, ...]]:
    """The states at the levels, in (x̄_T, ε_1, ε_2, ...): their solver run on basis vectors, x = α x̄."""
    import numpy as np

    alpha = [VP.alpha(s) for s in grid]
    basis = np.eye(grid.steps + 1)
    xs, ds = [alpha[0] * basis[0]], []
    for i, (s, t) in enumerate(pairwise(grid)):
        ds.append(xs[i] / alpha[i] - s * basis[i + 1])
        h = math.log(s / t)
        k = min(i + 1, len(c))  # how many values the step takes; x and D, the newest first
        x, d = xs[: -k - 1 : -1], ds[: -k - 1 : -1]
        phi_1 = math.expm1(-h)
        new = (t * alpha[i + 1] / (s * alpha[i]) + a[0][i]) * x[0]
        new = new - (alpha[i + 1] * phi_1 + c[0][i]) * d[0]
        if k > 1:
            r0 = math.log(grid[i - 1] / s) / h
            d10 = (d[0] - d[1]) / r0
        if k == 2:
            new = new - (alpha[i + 1] * phi_1 / 2 + c[1][i]) * d10
        if k > 2:
            r1 = math.log(grid[i - 2] / grid[i - 1]) / h
            bend = (d10 - (d[1] - d[2]) / r1) / (r0 + r1)
            phi_2 = phi_1 / h + 1
            new = new + (alpha[i + 1] * phi_2 + c[1][i]) * (d10 + r0 * bend)
            new = new - (alpha[i + 1] * (phi_2 / h - 0.5) + c[2][i]) * bend
        for j in range(1, k):
            new = new + a[j][i] * x[j] + (c[j][i] * d[j] if j > 2 else 0)
        xs.append(new)
    return [
        tuple((x / b).tolist()[: i + 1]) for i, (x, b) in enumerate(zip(xs, alpha, strict=True))
    ]
