"""EnginePlan: a method on its grid as a JSON file of numbers, which other programs run without flowsolve."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flowsolve._arguments import instance, read_json, write_json
from flowsolve._version import __version__
from flowsolve.analysis.plan_reading import Reader
from flowsolve.analysis.stages import Recurrence, Stage, recurrence
from flowsolve.errors import TableError
from flowsolve.integrate.starting import start_scale, ve_start
from flowsolve.ode.precondition import VP, Precondition
from flowsolve.schedule.grid import as_grid
from flowsolve.solver.base import check_solver

if TYPE_CHECKING:
    from flowsolve.schedule.grid import Grid
    from flowsolve.solver.base import Solver

FORMAT, VERSION = "flowsolve plan", 1
REPLAYERS = tuple(files("flowsolve.analysis") / f"replay_plan.{end}" for end in ("py", "mjs"))


class NetworkCall(NamedTuple):
    """The answer of a stage by one call of the network:  skip x̄ + out F(c_in x̄, t).

    (skip, out) are (c_skip, c_out) where the stage asks x₀, and those of ε = (x̄ - x₀)/σ where it asks ε.
    """

    c_in: float
    t: float
    skip: float
    out: float


@dataclass(frozen=True)
class Parametrisation:
    """What the network of a plan predicts, as numbers:  x₀ = c_skip x̄ + c_out F(c_in x̄, t).    EDM, Eq. 7.

    precondition  its repr
    alpha         x_t / x̄ at the first level and at the last; 1 at σ = ∞, where the state is the unit noise
    calls         one for each stage
    """

    precondition: str
    alpha: tuple[float, float]
    calls: tuple[NetworkCall, ...]


@dataclass(frozen=True, repr=False)
class EnginePlan:
    """For each stage:  v_n = a x + b answer(x),   then   x ← scale x + Σ c_j v_j.

    recurrence   the stages; `drive(ode, x, plan.recurrence)` runs them here
    order        that the solver declares
    noise_scale  what unit noise is multiplied by to be x̄ at the first level; None on a rising grid
    network      the scalars of the network's parametrisation, if they are in the plan

    `save` writes it as JSON, `load` reads it. docs/plans.md says what every key means.
    """

    recurrence: Recurrence
    order: int
    noise_scale: float | None
    network: Parametrisation | None = None

    def __repr__(self) -> str:
        r = self.recurrence
        model = f", {self.network.precondition}" if self.network else ""
        return (
            f"EnginePlan({r.solver}, {len(r.levels) - 1} steps, σ {r.levels[0]:.4g} to {r.levels[-1]:.4g}: "
            f"{len(r.stages)} evaluations{model})"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and texts, as in the file; `EnginePlan.from_dict` reads them back."""
        r, network = self.recurrence, self.network
        calls = [None] * len(r.stages) if network is None else [c._asdict() for c in network.calls]
        return {
            "format": FORMAT,
            "version": VERSION,
            "flowsolve": __version__,
            "solver": r.solver,
            "order": self.order,
            "levels": [*map(_number, r.levels)],
            "noise_scale": self.noise_scale,
            "precondition": network and network.precondition,
            "alpha": network and [*network.alpha],
            "nodes": [*r.nodes],
            "start": _combination(r.start),
            "stages": [
                {
                    "sigma": _number(stage.sigma),
                    "asks": "x0" if stage.data else "eps",
                    "network": call,
                    "number": stage.number,
                    "mix": [*stage.mix],
                    **_combination(stage),
                }
                for stage, call in zip(r.stages, calls, strict=True)
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EnginePlan:
        """The inverse of `as_dict`.

        Raises TableError for anything else: another format or a later version, what is missing, numbers that
        are not finite, levels that are no grid, an answer or a noise that is used before it is known.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise TableError(f"this is not a saved plan: its format is not {FORMAT!r}.")
        version = data.get("version")
        if isinstance(version, int) and version > VERSION:
            raise TableError(
                f"this plan has version {version}, and this flowsolve reads versions up to {VERSION}. "
                "Read it with the flowsolve that saved it, or a later one."
            )
        reader = Reader(data)
        reader.whole("version")
        found = reader.recurrence()
        network = None
        if data.get("precondition") is not None:
            alpha, calls = reader.network(NetworkCall._fields)
            network = Parametrisation(
                str(data["precondition"]), alpha, tuple(NetworkCall(*call) for call in calls)
            )
        return cls(found, reader.whole("order"), reader.noise_scale(), network)

    def save(self, path: str | Path) -> None:
        """Write JSON; every float comes back bit for bit. Raises ResultsError where it cannot."""
        write_json(path, self.as_dict())

    @classmethod
    def load(cls, path: str | Path) -> EnginePlan:
        """Read what `save` wrote. Raises ResultsError without such a file, and TableError as `from_dict`."""
        return cls.from_dict(read_json(path, TableError))


def engine_plan(
    solver: Solver,
    grid: Grid,
    precondition: Precondition | None = None,
    *,
    start: Callable[[float], float] = ve_start,
) -> EnginePlan:
    """The plan of a solver on a grid, down or up, σ = ∞ and 0 included.

    precondition  what the network predicts; its four scalars at every stage are then in the plan. Without it
                  the path is VP, which only the methods ask that `recurrence` names
    start         as in `sample`: `ve_start` or `vp_start`

    Raises TableError for a method that chooses by the values that it sees or whose weights are matrices, and
    ScheduleError where the precondition has no scalars at a stage.
    """
    check_solver(solver)
    grid = as_grid(grid)
    if precondition is not None:
        instance("precondition", precondition, Precondition, "EpsPrediction(clock)")
    found = recurrence(solver, grid, (precondition or VP).alpha)
    first, last = grid[0], grid[-1]
    scale = 1.0 if math.isinf(first) else start_scale(start, first)
    network = None
    if precondition is not None:
        alpha = tuple(1.0 if math.isinf(s) else precondition.alpha(s) for s in (first, last))
        calls = tuple(_call(precondition, stage) for stage in found.stages)
        network = Parametrisation(repr(precondition), (alpha[0], alpha[1]), calls)
    return EnginePlan(found, solver.order, None if grid.rising else float(scale), network)


def _call(precondition: Precondition, stage: Stage) -> NetworkCall:
    c = precondition(stage.sigma)
    skip, out = (c.c_skip, c.c_out) if stage.data else (c.e_skip, c.e_out)
    return NetworkCall(*map(float, (c.c_in, c.t, skip, out)))


def _combination(stage: Stage) -> dict[str, Any]:
    """What follows the answer: the noises that are drawn, the new state, and what is kept."""
    names = ("number", "from", "to", "visit")
    return {
        "draws": [
            dict(zip(names, (n, _number(s), _number(t), again), strict=True))
            for n, s, t, again in stage.draws
        ],
        "scale": stage.scale,
        "weights": [[j, c] for j, c in stage.weights],
        "keep": sorted(stage.keep),
    }


def _number(sigma: float) -> float | str:
    """JSON has no ∞: it is the text "Infinity", which most languages read as a number."""
    return "Infinity" if math.isinf(sigma) else sigma
