"""Solvers by name, from every installed package that provides some.

A package provides solvers by an entry point of the group `flowsolve.solvers`. Its value is one of

    package          all solvers that the package and its modules list in `__all__`: Solver classes, and
                     functions that return a solver
    package:Class    that one solver

What `__all__` lists besides classes and functions are constants, such as DDIM_ETA. They may be given by
name as the value of an option whose default is such a constant: `ancestral:family=SDE_ETA`.
"""

from __future__ import annotations

import inspect
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from flowsolve.errors import NameClash, NameUnknown
from flowsolve.solver.base import OneStep, Solver
from flowsolve.solver.reversible import TwoState
from flowsolve.solver.spec import evaluate, plain_name

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from types import ModuleType

GROUP = "flowsolve.solvers"


FAMILIES = ("one-step", "multistep", "around", "reversible", "adaptive", "noise")


def family(solver: Solver) -> str:
    """One of FAMILIES, from what the solver is.

    noise and adaptive before all others; reversible: TwoState; around: it has another `method`, and is not a
    one-step one itself; one-step: OneStep; multistep: all others.
    """
    if solver.stochastic:
        return "noise"
    if solver.adaptive:
        return "adaptive"
    if isinstance(solver, TwoState):
        return "reversible"
    if isinstance(solver, OneStep):
        return "one-step"
    return "around" if isinstance(getattr(solver, "method", None), Solver) else "multistep"


@dataclass(frozen=True)
class Provided:
    """A solver that a package provides: its name, its class or function, and the entry point's value."""

    name: str
    make: Callable[..., Solver]
    provider: str

    @property
    def needs(self) -> list[str]:
        """The arguments without a default: GaussianStart is given data."""
        kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        options = inspect.signature(self.make).parameters.values()
        return [p.name for p in options if p.default is p.empty and p.kind not in kinds]


def _entries() -> list[EntryPoint]:
    from importlib.metadata import entry_points

    return [*entry_points(group=GROUP)]


def _modules(module: ModuleType) -> Iterator[ModuleType]:
    """The module, and those in it if it is a package, without the private ones."""
    yield module
    for info in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if not info.name.startswith("_"):
            yield import_module(f"{module.__name__}.{info.name}")


def _listed(entry: EntryPoint) -> Iterator[tuple[str, Any]]:
    """What the modules of a package list in `__all__`."""
    for module in _modules(entry.load()):
        for name in getattr(module, "__all__", ()):
            yield name, getattr(module, name)


def _makers(entry: EntryPoint) -> Iterator[tuple[str, Callable[..., Solver]]]:
    if entry.attr:
        yield entry.attr, entry.load()
        return
    for name, thing in _listed(entry):
        solver_class = inspect.isclass(thing) and issubclass(thing, Solver)
        if (solver_class and not inspect.isabstract(thing)) or inspect.isfunction(thing):
            yield name, thing


@cache
def provided() -> dict[str, Provided]:
    """Every solver of the installed packages, by `plain_name`.

    Raises NameClash if two packages provide one name. A package that cannot be imported is left out
    with a warning.
    """
    found: dict[str, Provided] = {}
    for entry in sorted(_entries(), key=lambda e: (e.value, e.name)):
        try:
            makers = list(_makers(entry))
        except Exception as error:  # a broken package of others must not end the command
            warnings.warn(
                f"the solvers of {entry.value!r} are left out: {type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
            continue
        for name, make in makers:
            other = found.get(plain_name(name))
            if other is not None and other.make is not make:
                raise NameClash(
                    f"two packages provide a solver {name!r}: {other.provider} and {entry.value}. "
                    "Uninstall one, or rename its class."
                )
            found[plain_name(name)] = Provided(name, make, entry.value)
    return found


@cache
def constants() -> dict[str, Any]:
    """What the installed packages list in `__all__` and is not callable, by `plain_name`."""
    listed = (pair for entry in _entries() if not entry.attr for pair in _listed(entry))
    return {plain_name(name): thing for name, thing in listed if not callable(thing)}


def certified() -> list[Solver]:
    """Every configuration that the installed packages list in `ALL`, then those in `STOCHASTIC`."""
    modules = [entry.load() for entry in _entries() if not entry.attr]
    lists = [getattr(m, name, []) for name in ("ALL", "STOCHASTIC") for m in modules]
    return [solver for solvers in lists for solver in solvers]


def make_solver(text: str) -> Solver:
    """A solver from its name and options: `heun`, `adams:points=3,chart=data,start=heun`,

    or as its repr reads: `Adams(points=3, chart=DATA, start=Heun())`. Options may be numbers, charts
    (noise, data), variables (sigma, log, a clock's name for its time), clocks, solvers and constants
    of the packages (family=SDE_ETA), and none, true and false.
    Raises NameUnknown, which lists the near names, and StateError for wrong options.
    """
    makers = {key: p.make for key, p in provided().items()}
    solver = evaluate(text, makers, "solver", constants())
    if not isinstance(solver, Solver):
        raise NameUnknown(f"{text!r} is not a solver, but {solver!r}.")
    return solver
