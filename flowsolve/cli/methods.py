"""Methods by their texts: a name with its options, name@spacing, default, package.module:Mine."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from flowsolve.cli.options import here
from flowsolve.errors import NameUnknown

if TYPE_CHECKING:
    from flowsolve.problems.base import Problem
    from flowsolve.solver.base import Solver
    from flowsolve.solver.rule import Rule
    from flowsolve.study.cases import Method


def find_method(text: str) -> Solver | Rule:
    """What package.module:Mine is or gives, a solver or a rule; else as `make_solver` reads the text."""
    from flowsolve.solver.base import Solver
    from flowsolve.solver.plugins import make_solver
    from flowsolve.solver.rule import Rule

    if not is_path(text):
        return make_solver(text)
    module, _, name = text.partition(":")
    here()
    try:
        found = getattr(import_module(module), name)
        method: object = found if isinstance(found, Solver | Rule) else found()
    except (ImportError, AttributeError) as error:
        raise NameUnknown(f"there is no solver {text!r}: {error}.") from error
    except TypeError as error:
        raise NameUnknown(
            f"{text} must be a Solver, or a class or function without arguments that gives one: {error}."
        ) from error
    if not isinstance(method, Solver | Rule):
        raise NameUnknown(f"{text} is a {type(method).__name__}, not a flowsolve Solver.")
    return method


def find_solver(text: str) -> Solver:
    """As `find_method`, a solver. Raises NameUnknown for a rule."""
    from flowsolve.solver.base import Solver

    found = find_method(text)
    if not isinstance(found, Solver):
        raise NameUnknown(f"{text} is a {type(found).__name__}, not a flowsolve Solver.")
    return found


def is_path(text: str) -> bool:
    """Whether it reads as package.module:Mine."""
    module, _, name = text.partition(":")
    return all(word.isidentifier() for word in (*module.split("."), name))


def find_solvers(texts: Sequence[str]) -> list[Solver]:
    """The solvers of these texts, each once whatever it is called."""
    from flowsolve.solver.plugins import make_solver

    return [*{repr(solver): solver for solver in map(make_solver, texts)}.values()]


def check_methods(texts: Sequence[str]) -> None:
    """Raise NameUnknown or StateError for a text that names no solver, before anything is loaded."""
    find_solvers([text.rpartition("@")[0] or text for text in texts if text != "default"])


def find_methods(texts: Sequence[str], spacings: Sequence[str], problem: Problem) -> list[Method]:
    """`default` as the rule; solver@spacing with that spacing, a solver alone on karras, where `spacings` has
    "own"; every solver on each of the others.
    """
    from flowsolve.cli.spacings import find_spacing
    from flowsolve.solver.plugins import make_solver
    from flowsolve.solver.rule import default_rule

    found: list[Method] = []
    for text in texts:
        if text == "default":
            found.append(default_rule())
            continue
        name, _, own = text.rpartition("@") if "@" in text else (text, "", "karras")
        named = [own if spacing == "own" else spacing for spacing in spacings]
        solver = make_solver(name)
        found += [(solver, find_spacing(one, problem.clock)) for one in named]
    return found


def find_names(texts: Sequence[str]) -> dict[str, str]:
    """What figures call the solvers of these texts, by their reprs: as they were asked for."""
    from flowsolve.solver.plugins import make_solver
    from flowsolve.solver.rule import default_rule
    from flowsolve.study.names import asked

    found: dict[str, str] = {}
    for text in texts:
        name = text.rpartition("@")[0] or text
        method = default_rule() if name == "default" else make_solver(name)
        found.setdefault(repr(method), asked(name, method))
    return found
