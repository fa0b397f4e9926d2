"""Problems by name."""

from __future__ import annotations

import difflib
from importlib import import_module

from flowsolve.errors import NameUnknown
from flowsolve.problems.as_network import exact_network as exact_network
from flowsolve.problems.base import Problem as Problem
from flowsolve.problems.dataset import Dataset as Dataset
from flowsolve.problems.digits import Digits as Digits
from flowsolve.problems.gaussian import Gaussian as Gaussian
from flowsolve.problems.mixture import Mixture as Mixture
from flowsolve.problems.mixture import Mixture1D as Mixture1D
from flowsolve.problems.network import NetworkProblem as NetworkProblem

PROBLEMS: dict[str, type[Problem]] = {
    p.name: p for p in (Gaussian, Mixture1D, Mixture, Dataset, Digits)
}


def find_problem(name: str) -> Problem:
    """A problem by its name, or "package.module:function" for one of the user's own.

    Raises NameUnknown with the near names.
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        if not all(word.isidentifier() for word in (*module.split("."), attribute)):
            raise NameUnknown(f"{name!r} does not read as package.module:function.")
        try:
            found = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise NameUnknown(f"there is no problem {name!r}: {error}.") from error
        problem = found() if callable(found) else found
        if not isinstance(problem, Problem):
            raise NameUnknown(f"{name} is a {type(problem).__name__}, not a flowsolve Problem.")
        return problem
    if name not in PROBLEMS:
        near = difflib.get_close_matches(name, PROBLEMS, cutoff=0.4) or list(PROBLEMS)
        raise NameUnknown(f"there is no problem {name!r}. Did you mean {', '.join(near)}?")
    return PROBLEMS[name]()
