"""The problems that ship with the package, by name, and problems of other modules."""

from __future__ import annotations

import difflib
from importlib import import_module

from flowsolve._arguments import shown
from flowsolve.errors import NameUnknown
from flowsolve.problems.base import Problem
from flowsolve.problems.dataset import Dataset
from flowsolve.problems.digits import Digits
from flowsolve.problems.gaussian import Gaussian
from flowsolve.problems.letters import Letters
from flowsolve.problems.mixture import Mixture, Mixture1D
from flowsolve.problems.network import NetworkProblem
from flowsolve.problems.photos import Photos
from flowsolve.problems.signals import Signals

PROBLEMS: dict[str, type[Problem]] = {
    p.name: p for p in (Gaussian, Mixture1D, Mixture, Dataset, Digits, Photos, Signals, Letters)
}


def find_problem(name: str) -> Problem:
    """The problem of this name in PROBLEMS, or of "package.module:name", a Problem or a function that gives it.

    Raises NameUnknown, with the nearest names.
    """
    if not isinstance(name, str):
        raise NameUnknown(
            f"a problem is found by its name, such as 'digits' or 'package.module:function', not by "
            f"{shown(name)}."
        )
    if ":" in name:
        module, _, attribute = name.partition(":")
        if not all(word.isidentifier() for word in (*module.split("."), attribute)):
            raise NameUnknown(f"{name!r} does not read as package.module:function.")
        try:
            found = getattr(import_module(module), attribute)
            problem: object = found() if callable(found) else found
        except (ImportError, AttributeError) as error:
            raise NameUnknown(f"there is no problem {name!r}: {error}.") from error
        except TypeError as error:
            raise NameUnknown(
                f"{name} must be a Problem or a function without arguments that gives one: {error}."
            ) from error
        if not isinstance(problem, Problem):
            raise NameUnknown(f"{name} is a {type(problem).__name__}, not a flowsolve Problem.")
        if isinstance(problem, NetworkProblem) and not problem.named:
            problem.name = name
        return problem
    if name not in PROBLEMS:
        near = difflib.get_close_matches(name, PROBLEMS, cutoff=0.4) or list(PROBLEMS)
        raise NameUnknown(f"there is no problem {name!r}. Did you mean {', '.join(near)}?")
    return PROBLEMS[name]()
