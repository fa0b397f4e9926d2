"""Solvers and spacings by name, for the command line.

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
from functools import cache, partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, cast

from flowsolve import grid, grid_tuned, subsequence
from flowsolve.budget import per_step
from flowsolve.dmn import dmn
from flowsolve.errors import NameClash, NameUnknown
from flowsolve.expression import evaluate, plain
from flowsolve.gits_table import gits_table
from flowsolve.grid import Grid, Spacing
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
        return per_step(self.make())


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


SPACINGS: tuple[Callable[..., Grid], ...] = (
    grid.karras, grid.log_snr, grid.exponential, grid.uniform, grid.uniform_t, grid.quadratic_t,
    grid_tuned.beta, grid_tuned.beta_t, grid_tuned.ays, grid_tuned.arctan, dmn, gits_table,
)  # fmt: skip


def find_spacing(text: str, clock: Clock) -> Spacing:
    """A spacing by name, with options as karras:rho=5; those in t take the problem's clock."""
    makers = {plain(function.__name__): _options(function, clock) for function in SPACINGS}
    spacing: Spacing = evaluate(text, makers, "spacing")
    return spacing


SUBSEQUENCES: tuple[Callable[..., Grid], ...] = (
    subsequence.tau_linear, subsequence.tau_quadratic, subsequence.leading, subsequence.trailing,
    subsequence.linspace,
)  # fmt: skip


def find_steps(
    text: str, clock: Clock, sigma_max: float, sigma_min: float
) -> Callable[[int], Grid]:
    """n -> Grid by the name of a sub-sequence of the clock's labels, or of a spacing between the ends."""
    named = {plain(function.__name__): function for function in SUBSEQUENCES}
    makers = {name: _options(function, clock, 1) for name, function in named.items()}
    makers |= {plain(function.__name__): _options(function, clock) for function in SPACINGS}
    found = evaluate(text, makers, "grid")
    if found.func in named.values():
        return cast(Callable[[int], Grid], found)
    return lambda n: cast(Grid, found(n, sigma_max, sigma_min))


def _options(
    function: Callable[..., Grid], clock: Clock, given: int = 3
) -> Callable[..., partial[Grid]]:
    """What makes function(n, sigma_max, sigma_min, options) a spacing: a function of its options.

    given  how many arguments come before the options
    """
    options = [
        p.replace(kind=p.POSITIONAL_OR_KEYWORD, default=clock if p.name == "clock" else p.default)
        for p in [*inspect.signature(function).parameters.values()][given:]
    ]

    def make(*args: Any, **given: Any) -> partial[Grid]:
        bound = make_signature.bind(*args, **given)
        bound.apply_defaults()
        return partial(function, **bound.arguments)

    make_signature = inspect.Signature(options)
    vars(make)["__signature__"] = make_signature
    return make
