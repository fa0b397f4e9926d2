"""GITS: levels chosen from a fine trajectory by dynamic programming.           Chen et al. 2024 (ICML)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowsolve._arguments import real
from flowsolve.errors import GridError, NonFiniteError
from flowsolve.integrate.driver import solve
from flowsolve.schedule.grid import Grid, as_grid
from flowsolve.schedule.spacings import ramp
from flowsolve.solver.base import Solver, check_solver

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from flowsolve.ode.base import ODE
    from flowsolve.solver.dense_output import Point

METRICS = ("dev", "l1", "l2")


@dataclass(frozen=True)
class GITS:
    """min over 0 < j₁ < ... < M of  cost[0][j₁] + γ cost[j₁][j₂] + γ² cost[j₂][j₃] + ...  (n terms).

    What `gits` found: a spacing, called with (n, sigma_max, sigma_min) or with n alone. One search
    serves every n. `dataclasses.replace(found, coeff=1.2)` changes γ at no cost, and `a + b` is the
    search over the samples of both.
    """

    teacher: Grid = field(repr=False)
    costs: tuple[tuple[float, ...], ...] = field(repr=False)  # [i][j], ∞ unless j > i
    samples: int
    metric: str = "dev"
    coeff: float = 1.15

    def __post_init__(self) -> None:
        check_coeff(self.coeff)

    @property
    def __name__(self) -> str:
        """The name that its grids get, as from a spacing that is a function."""
        options = [f"coeff={self.coeff:g}"] * (self.coeff != 1.15)
        options += [f"metric={self.metric}"] * (self.metric != "dev")
        return f"gits({', '.join(options)})" if options else "gits"

    def __call__(
        self, n: int, sigma_max: float | None = None, sigma_min: float | None = None
    ) -> Grid:
        """The n steps of least cost, from the teacher's first level to its last, on its levels."""
        ends = (self.teacher[0], self.teacher[-1])
        asked = (
            ends[0] if sigma_max is None else sigma_max,
            ends[1] if sigma_min is None else sigma_min,
        )
        ramp(n, *asked, "gits")
        if asked != ends:
            raise GridError(
                f"gits searched from σ = {ends[0]!r} to {ends[1]!r}, and has no grid from "
                f"{asked[0]!r} to {asked[1]!r}. Search again with a teacher's grid that has these ends."
            )
        if n > self.teacher.steps:
            raise GridError(
                f"gits chooses among the teacher's {self.teacher.steps} steps, and cannot make {n} of "
                "them. Search again with a finer teacher's grid."
            )
        return Grid((self.teacher[i] for i in self._nodes(n)), self.__name__)

    def _nodes(self, n: int) -> list[int]:
        least = [row[-1] for row in self.costs]  # from every node to the last in one step
        picks: list[list[int]] = []
        for _ in range(n - 1):
            best = [
                min(
                    (c + self.coeff * v, j) for j, (c, v) in enumerate(zip(row, least, strict=True))
                )
                for row in self.costs
            ]
            least = [v for v, _ in best]
            picks.append([j for _, j in best])
        nodes = [0]
        for pick in reversed(picks):
            nodes.append(pick[nodes[-1]])
        return [*nodes, self.teacher.steps]

    def __add__(self, other: GITS) -> GITS:
        """The search over the samples of both. Raises GridError if they are not one search."""
        for name in ("teacher", "metric", "coeff"):
            if getattr(self, name) != getattr(other, name):
                raise GridError(f"gits: the two searches differ in {name}, so they have no sum.")
        samples = self.samples + other.samples
        a, b = self.samples / samples, other.samples / samples
        costs = tuple(
            tuple(a * c + b * d for c, d in zip(*rows, strict=True))
            for rows in zip(self.costs, other.costs, strict=True)
        )
        return GITS(self.teacher, costs, samples, self.metric, self.coeff)


def gits(
    ode: ODE,
    x: Tensor,
    grid: Grid | Iterable[float],
    solver: Solver,
    *,
    coeff: float = 1.15,
    metric: str = "dev",
    keep_on: torch.device | str | None = "cpu",
) -> GITS:
    """cost[i][j] = mean ‖y - x̄ʲ‖, y = x̄ⁱ + (σ_j - σ_i) ε(x̄ⁱ, σ_i); the least sum.   GITS: Chen et al. 2024.

    The solver goes once over the fine grid; the costs are the errors that one Euler step from level
    i to level j would make on its trajectory x̄⁰, ..., x̄ᴹ, averaged over the samples.

    x        x̄ at grid[0], as for `solve`: the samples to average over (the paper has 256)
    grid     the levels to choose from (the paper: 61, as in `karras(60, 80, 0.002)`)
    solver   the teacher, with fixed steps and no noise (the paper: iPNDM)
    coeff    γ: above 1 the cost of late steps weighs more, below 1 that of early ones
    metric   "dev": mean ‖⊥(x̄ᴹ - y)‖ - mean ‖⊥(x̄ᴹ - x̄ʲ)‖, ⊥ the part at right angles to x̄ᴹ - x̄⁰;
             "l1" and "l2": the norm of y - x̄ʲ
    keep_on  where the trajectory is kept and compared in float64; None: where x is

    NFE: those of the solver on the grid, and one for each level where it does not itself ask for
    ε(x̄ⁱ, σ_i); for most methods that is the last level alone. Memory: about ten states a level.
    The cost knows Euler's steps only: for other methods measure what the grid buys.
    """
    teacher = as_grid(grid)
    check_coeff(coeff)
    _check(teacher, solver, metric)
    path = solve(ode, x, teacher, solver, keep=1, keep_on=keep_on).path
    if metric == "dev" and x[0].numel() == 1:
        raise GridError(
            'gits: metric "dev" measures distances from a line, and a state of one number has no '
            'others: its costs would all be 0. Use metric="l2".'
        )
    return GITS(teacher, _costs(path, metric), len(x), metric, coeff)


def check_coeff(coeff: float) -> None:
    """Raise GridError unless it is a positive number."""
    if not 0 < real("gits: coeff", coeff, GridError) < math.inf:
        raise GridError(
            f"gits: coeff must be a number above 0, but got {coeff!r}. The paper's is 1.15; "
            "below 1 the first steps weigh more than the last."
        )


def _check(teacher: Grid, solver: Solver, metric: str) -> None:
    check_solver(solver)
    if metric not in METRICS:
        raise GridError(f"gits: metric must be one of {', '.join(METRICS)}, but got {metric!r}.")
    if solver.stochastic or solver.adaptive:
        kind = "draws noise" if solver.stochastic else "chooses its own steps"
        raise GridError(
            f"gits: {solver!r} {kind}; the teacher needs fixed steps and no noise, like Heun."
        )
    if teacher.rising:
        raise GridError("gits: the teacher goes from noise to data, so σ must fall on its grid.")
    if math.isinf(teacher[0]) or (teacher[-1] == 0 and not solver.reaches_zero):
        raise GridError(
            f"gits: {solver!r} walks finite levels above 0, but the grid goes from {teacher[0]!r} to "
            f"{teacher[-1]!r}. Search between such levels, and give the found grids their ends by "
            ".from_infinity() and .to_zero()."
        )


def _costs(path: Sequence[Point], metric: str) -> tuple[tuple[float, ...], ...]:
    import torch

    with torch.no_grad():
        x = torch.stack([p.x.double().reshape(len(p.x), -1) for p in path])
        slopes = [p.eps for p in path[:-1] if p.eps is not None]
        if len(slopes) < len(path) - 1:
            raise NonFiniteError(
                "gits: the network could not be evaluated at every level of the teacher's trajectory: the "
                "warning says where. Search on a grid inside the range of its clock."
            )
        eps = torch.stack([e.double().reshape(x[0].shape) for e in slopes])
        if metric == "dev":
            line = x[-1] - x[0]
            line = line / line.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
            x = x - x[-1]
            for part in (*x, *eps):
                part -= (part * line).sum(-1, keepdim=True) * line
        norm = 1 if metric == "l1" else 2

        def size(v: Tensor) -> Tensor:
            norms: Tensor = torch.linalg.vector_norm(v, norm, dim=-1)
            return norms.mean(-1)

        far = size(x)
        rows = []
        for i, slope in enumerate(eps):
            row = []
            for j in range(i + 1, len(path)):
                y = x[i].add(slope, alpha=path[j].sigma - path[i].sigma)
                row.append(size(y) - far[j] if metric == "dev" else size(y - x[j]))
            costs = torch.stack(row).tolist()
            if not all(map(math.isfinite, costs)):
                raise NonFiniteError(
                    f"gits: the costs from σ = {path[i].sigma:.6g} on are not finite: the network's "
                    "answer on the teacher's trajectory there is not, or is too large."
                )
            rows.append((math.inf,) * (i + 1) + tuple(costs))
        return (*rows, (math.inf,) * len(path))
