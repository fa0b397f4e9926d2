"""The methods of the explorer as numbers: each one's recurrence on each grid, schedule and number of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flowsolve.analysis.stages import Recurrence, Stage, recurrence
from flowsolve.errors import BudgetError, TableError
from flowsolve.explorer.scenes import SCALES, SCENES, SIGMA_MAX, SIGMA_MIN
from flowsolve.integrate.cost import cost
from flowsolve.schedule.clock import VPSDE, Clock, FlowClock
from flowsolve.schedule.grid import Grid
from flowsolve.schedule.labels import AngleClock
from flowsolve.schedule.spacings import karras, log_snr, quadratic_t, uniform_t
from flowsolve.solver.base import Solver, check_solver, formula_and_source
from flowsolve.solver.plugins import make_solver, provided
from flowsolve.solver.rule import Rule, default_rule
from flowsolve.solver.stand_in import per_step
from flowsolve.study.cases import counts

VERSION = 1  # of the data; engine.js reads this one
STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 32, 64)
MOST = 64  # evaluations: a method that takes two a step is exported up to 32 steps

SCHEDULES: dict[str, tuple[str, Clock]] = {
    "linear": ("linear β", VPSDE()),
    "cosine": ("cosine", AngleClock()),
    "flow": ("flow matching", FlowClock()),
}
GRIDS: dict[str, tuple[str, Callable[..., Grid]]] = {
    "karras": ("Karras", karras),
    "log_snr": ("uniform in log-SNR", log_snr),
    "quadratic": ("quadratic in t", quadratic_t),
    "uniform": ("uniform in t", uniform_t),
}
TIMED = {
    "quadratic": ("linear",),
    "uniform": (*SCHEDULES,),
}  # by grids in t, whose schedules have it


@dataclass(frozen=True)
class Method:
    """A method to export.

    solver  a solver, or what `make_solver` reads, or a function of the name of a schedule, or a rule that
            chooses the solver and the grid for a number of evaluations
    free    whether engine.js has its recurrence for any levels
    """

    key: str
    label: str
    family: str
    solver: Solver | str | Callable[[str], Solver] | Rule
    free: bool = False

    def on(self, schedule: str) -> Solver:
        """The solver, of a rule that of ten evaluations."""
        if isinstance(self.solver, Rule):
            return self.solver.choose(10, SIGMA_MAX, SIGMA_MIN, SCALES)[0]
        if isinstance(self.solver, Solver):
            return self.solver
        return make_solver(self.solver) if isinstance(self.solver, str) else self.solver(schedule)


def _named(name: str, **options: object) -> Solver:
    return provided()[name].make(**options)


def _in_t(schedule: str) -> Solver:
    """Euler in the t of the schedule's own path; on a flow's that is DDIM."""
    clock = SCHEDULES[schedule][1]
    return (
        make_solver("euler:chart=flow") if schedule == "flow" else _named("eulerint", clock=clock)
    )


def _deis(schedule: str) -> Solver:
    return _named("deis", points=3, clock=SCHEDULES[schedule][1])


def methods() -> list[Method]:
    """Those that the page shows. Raises NameUnknown without the packages that provide them."""
    return [
        Method("euler", "DDIM (Euler)", "Euler", "euler", True),
        Method("euler_data", "Euler in DATA", "Euler", "euler:chart=data", True),
        Method("euler_velocity", "Euler in VELOCITY", "Euler", "euler:chart=velocity", True),
        Method("euler_flow", "Euler in FLOW", "Euler", "euler:chart=flow", True),
        Method("euler_in_t", "Euler in t", "Euler", _in_t, True),
        Method("euler_variance", "Euler in σ²", "Euler", "eulerinvariance", True),
        Method("heun", "Heun (EDM)", "Runge-Kutta", "heun", True),
        Method("midpoint", "Midpoint", "Runge-Kutta", "midpoint", True),
        Method("rk4", "RK4", "Runge-Kutta", "rk4", True),
        Method("dpm2", "DPM-Solver-2", "exponential", "dpmsolver2", True),
        Method("dpm3", "DPM-Solver-3", "exponential", "dpmsolver3"),
        Method("dpmpp_2s", "DPM-Solver++(2S)", "exponential", "dpmsolverpp2s"),
        Method("dpmpp_2m", "DPM-Solver++(2M)", "multistep", "dpmsolverpp2m", True),
        Method("lms", "LMS", "multistep", "lms:points=3", True),
        Method("deis", "DEIS", "multistep", _deis),
        Method("ipndm", "iPNDM", "multistep", "ipndm"),
        Method("unipc", "UniPC", "multistep", "unipc:points=3"),
        Method("default", "flowsolve default", "multistep", default_rule()),
        *(
            Method(f"eta_{100 * eta:.0f}", f"DDIM, η = {eta:g}", "with noise", f"ddimeta:eta={eta}")
            for eta in (0.25, 0.5, 0.75, 1.0)
        ),
    ]


def own(solver: Solver, place: int = 1) -> Method:
    """A solver of one's own as a method of the page, whose key is own1, own2, ...

    Raises StateError for what is no solver, TableError for a method that has no recurrence.
    """
    check_solver(solver)
    try:
        recurrence(solver, karras(6, SIGMA_MAX, SIGMA_MIN))
    except TableError as error:
        raise TableError(f"the explorer replays a method from numbers: {error}") from None
    return Method(f"own{place}", repr(solver), "your own", solver)


def export(chosen: Sequence[Method] | None = None, steps: Sequence[int] = STEPS) -> dict[str, Any]:
    """What engine.js loads: scenes, schedules, grids, methods and their plans.

    levels  σ by grid, or grid|schedule, or the method that has its own, and number of steps
    plans   [nodes, start, stages] by method|grid, or method|grid|schedule, or method, and number of steps

    Raises BudgetError for a number of steps that is not a whole number from 1 to 64.
    """
    steps = counts("steps", steps)
    if max(steps) > MOST:
        raise BudgetError(f"the explorer takes 1 to {MOST} steps, but steps holds {max(steps)}.")
    chosen = methods() if chosen is None else chosen
    levels: dict[str, dict[int, list[float]]] = {}
    plans: dict[str, dict[int, list[Any]]] = {}
    for method in chosen:
        for at, key, n, solver, grid in cases(method, steps):
            levels.setdefault(at, {})[n] = [*grid]
            plans.setdefault(key, {})[n] = packed(recurrence(solver, grid))
    return {
        "version": VERSION,
        "sigma": {"max": SIGMA_MAX, "min": SIGMA_MIN},
        "schedules": [{"key": key, "label": label} for key, (label, _) in SCHEDULES.items()],
        "grids": [
            {"key": key, "label": label, "schedules": [*TIMED.get(key, SCHEDULES)]}
            for key, (label, _) in GRIDS.items()
        ],
        "steps": [*steps],
        "scenes": [scene.as_dict() for scene in SCENES],
        "methods": [_about(method) for method in chosen],
        "levels": levels,
        "plans": plans,
    }


def cases(
    method: Method, steps: Sequence[int] = STEPS
) -> Iterator[tuple[str, str, int, Solver, Grid]]:
    """(key of its levels, key of its plans, n, solver, grid), each grid and schedule that differ once."""
    if isinstance(method.solver, Rule):
        for n in steps:
            solver, grid = method.solver.choose(n, SIGMA_MAX, SIGMA_MIN, SCALES)
            yield method.key, method.key, n, solver, grid
        return
    for name, (_, spacing) in GRIDS.items():
        one = name not in TIMED and not callable(method.solver)
        for schedule in TIMED.get(name, SCHEDULES if not one else ("linear",)):
            solver, clock = method.on(schedule), SCHEDULES[schedule][1]
            options = {"clock": clock} if name in TIMED else {}
            at = f"{name}|{schedule}" if options else name
            key = f"{method.key}|{name}" + ("" if one else f"|{schedule}")
            for n in steps:
                grid = spacing(n, SIGMA_MAX, SIGMA_MIN, **options)
                if cost(solver, grid) <= MOST:
                    yield at, key, n, solver, grid


def _about(method: Method) -> dict[str, Any]:
    solver = method.on("linear")
    rule = isinstance(method.solver, Rule)
    formula, source = formula_and_source(method.solver if rule else solver)
    return {
        "key": method.key,
        "label": method.label,
        "name": repr(method.solver if rule else solver),
        "order": solver.order,
        "family": method.family,
        "formula": formula,
        "source": source,
        "perStep": per_step(solver),
        "stochastic": solver.stochastic,
        "free": method.free,
        "ownGrid": rule,
    }


def packed(found: Recurrence) -> list[Any]:
    """[nodes, start, stages]; a stage is [σ, number, data, a, b, scale, [j, c, ...], [draws]]."""
    return [[*found.nodes], _stage(found.start)[5:], [_stage(stage) for stage in found.stages]]


def _stage(stage: Stage) -> list[Any]:
    weights = [value for pair in stage.weights for value in pair]
    draws = [[*draw] for draw in stage.draws]
    return [stage.sigma, stage.number, int(stage.data), *stage.mix, stage.scale, weights, draws]
