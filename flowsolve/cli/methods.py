"""A method of the user's own, package.module:Mine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from flowsolve.cli.options import here
from flowsolve.errors import NameUnknown

if TYPE_CHECKING:
    from flowsolve.solver.base import Solver
    from flowsolve.solver.rule import Rule


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


def is_path(text: str) -> bool:
    """Whether it reads as package.module:Mine."""
    module, _, name = text.partition(":")
    return all(word.isidentifier() for word in (*module.split("."), name))
