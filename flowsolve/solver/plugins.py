"""Solvers by name, from every installed package that provides some.

Solvers are found through the entry-point group `flowsolve.solvers`. An entry names a package or
module, all of whose solvers are provided (what its modules list in `__all__`: Solver classes, and
functions that return one), or "package:Class" for a single one. What else a module lists and is no
callable, like a meaning of η, can be given by its name to an option that has such a default.
"""

from __future__ import annotations

import inspect
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from flowsolve.errors import NameClash, NameUnknown
from flowsolve.solver.base import Solver, docline
from flowsolve.solver.spec import evaluate, plain

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
            other = found.get(plain(name))
            if other is not None and other.make is not make:
                raise NameClash(
                    f"two packages provide a solver {name!r}: {other.provider} and {entry.value}. "
                    "Uninstall one, or rename its class."
                )
            found[plain(name)] = Provided(name, make, entry.value)
    return found


@cache
def constants() -> dict[str, Any]:
    """What the installed packages list beside solvers and is no class and no function, by plain name."""
    listed = (
        (name, getattr(module, name))
        for entry in entry_points(group=GROUP)
        if not entry.attr
        for module in _modules(entry.load())
        for name in getattr(module, "__all__", ())
    )
    return {plain(name): thing for name, thing in listed if not callable(thing)}


def certified() -> list[Solver]:
    """Every configuration that the installed packages list in `ALL`, then those in `STOCHASTIC`."""
    modules = [entry.load() for entry in entry_points(group=GROUP) if not entry.attr]
    lists = [getattr(m, name, []) for name in ("ALL", "STOCHASTIC") for m in modules]
    return [solver for solvers in lists for solver in solvers]


def make_solver(text: str) -> Solver:
    """A solver from its name and options: `heun`, `adams:points=3,chart=data,start=heun`,

    or as its repr reads: `Adams(points=3, chart=DATA, start=Heun())`. Options may be numbers, charts
    (noise, data), variables (sigma, log, a clock's name for its time), clocks, solvers and constants
    of the packages (family=SDE_ETA).
    Raises NameUnknown, which lists the near names, and StateError for wrong options.
    """
    makers = {key: p.make for key, p in provided().items()}
    solver = evaluate(text, makers, "solver", constants())
    if not isinstance(solver, Solver):
        raise NameUnknown(f"{text!r} is not a solver, but {solver!r}.")
    return solver
