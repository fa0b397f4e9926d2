"""Solvers and spacings by name, for the command line.

Solvers are found through the entry-point group `flowsolve.solvers`. An entry names a package or
module, all of whose solvers are provided (what its modules list in `__all__`: Solver classes, and
functions that return one), or "package:Class" for a single one.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from flowsolve import grid, grid_tuned
from flowsolve.budget import cost
from flowsolve.errors import NameClash, NameUnknown
from flowsolve.expression import evaluate
from flowsolve.schedule import Clock
from flowsolve.solver import Solver, docline

GROUP = "flowsolve.solvers"


@dataclass(frozen=True)
class Provided:
    """A name, what makes the solver, and who provides it."""

    name: str
    make: Callable[..., Solver]
    provider: str

    @property
    def docline(self) -> tuple[str, str]:
        """(formula, source) of its docstring."""
        return docline(self.make)

    @property
    def evaluations(self) -> int | None:
        """Evaluations of one more step, counted on nothing; None if adaptive."""
        solver = self.make()
        if solver.adaptive:
            return None
        return cost(solver, grid.log_snr(13, 10, 0.1)) - cost(solver, grid.log_snr(12, 10, 0.1))


def _plain(name: str) -> str:
    """Case, hyphens and underscores do not matter, and + is p: DPM-Solver++2M is DPMSolverPP2M."""
    return re.sub(r"[-_\s]", "", name.lower().replace("+", "p"))


def _modules(module: ModuleType) -> Iterator[ModuleType]:
    yield module
    for info in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if not info.name.startswith("_"):
            yield import_module(f"{module.__name__}.{info.name}")


def _makers(entry: EntryPoint) -> Iterator[tuple[str, Callable[..., Solver]]]:
    if entry.attr:
        yield entry.attr, entry.load()
        return
    for module in _modules(entry.load()):
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            solver_class = inspect.isclass(thing) and issubclass(thing, Solver)
            if (solver_class and not inspect.isabstract(thing)) or inspect.isfunction(thing):
                yield name, thing


@cache
def provided() -> dict[str, Provided]:
    """Everything that the installed packages provide, by plain name.

    Raises NameClash if two packages provide one name. A package that cannot be imported is left out
    with a warning.
    """
    found: dict[str, Provided] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.value, e.name)):
        try:
            makers = list(_makers(entry))
        except Exception as error:  # another's package must not end the command
            warnings.warn(
                f"the solvers of {entry.value!r} are left out: {type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
            continue
        for name, make in makers:
            other = found.get(_plain(name))
            if other is not None and other.make is not make:
                raise NameClash(
                    f"two packages provide a solver {name!r}: {other.provider} and {entry.value}. "
                    "Uninstall one, or rename its class."
                )
            found[_plain(name)] = Provided(name, make, entry.value)
    return found


def certified() -> list[Solver]:
    """Every configuration that the installed packages list in `ALL`."""
    modules = (entry.load() for entry in entry_points(group=GROUP) if not entry.attr)
    return [solver for module in modules for solver in getattr(module, "ALL", [])]


def make_solver(text: str) -> Solver:
    """A solver from its name and options: `heun`, `adams:points=3,chart=data,start=heun`,

    or as its repr reads: `Adams(points=3, chart=DATA, start=Heun())`. Options may be numbers, charts
    (noise, data), variables (sigma, log, a clock's name for its time), clocks and solvers.
    Raises NameUnknown, which lists the near names, and StateError for wrong options.
    """
    makers = {key: p.make for key, p in provided().items()}
    solver = evaluate(text, makers, "solver", _plain)
    if not isinstance(solver, Solver):
        raise NameUnknown(f"{text!r} is not a solver, but {solver!r}.")
    return solver


def _ays(table: str = "sd15") -> grid.Spacing:
    return partial(grid_tuned.ays, table=table)


def _dmn(points: int = 3, error: str = "pixel") -> grid.Spacing:
    return partial(grid_tuned.dmn, points=points, error=error)


def find_spacing(text: str, clock: Clock) -> grid.Spacing:
    """A spacing by name, with options as karras:rho=5; those in t take the problem's clock."""
    makers: dict[str, Callable[..., Any]] = {
        "karras": lambda rho=7.0: partial(grid.karras, rho=rho),
        "logsnr": lambda: grid.log_snr,
        "exponential": lambda rho=1.0: partial(grid.exponential, rho=rho),
        "uniform": lambda: grid.uniform,
        "uniformt": lambda clock=clock, power=1: partial(grid.uniform_t, clock=clock, power=power),
        "quadratict": lambda clock=clock: partial(grid.quadratic_t, clock=clock),
        "beta": lambda a=0.6, b=0.6: partial(grid_tuned.beta, a=a, b=b),
        "betat": lambda clock=clock, a=0.6, b=0.6: partial(
            grid_tuned.beta_t, clock=clock, a=a, b=b
        ),
        "ays": _ays,
        "arctan": lambda c=0.5: partial(grid_tuned.arctan, c=c),
        "dmn": _dmn,
    }
    spacing: grid.Spacing = evaluate(text, makers, "spacing", _plain)
    return spacing
