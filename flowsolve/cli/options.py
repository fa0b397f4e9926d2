"""Arguments that several commands share, made into what they name."""

from __future__ import annotations

import argparse
import math
import os
import sys
from typing import TYPE_CHECKING

from flowsolve.errors import WrongUse

if TYPE_CHECKING:
    import torch

    from flowsolve.metrics.features import Features
    from flowsolve.problems.base import Problem


def positive(args: argparse.Namespace, *names: str) -> None:
    """Raise WrongUse unless these options are at least 1."""
    for name in names:
        value = getattr(args, name)
        for v in value if isinstance(value, list) else [value]:
            if v < 1:
                raise WrongUse(f"--{name} must be at least 1, but got {v}.")


def find_problem(args: argparse.Namespace) -> Problem:
    """The problem with the ends asked for."""
    from flowsolve.problems.catalogue import find_problem

    if ":" in args.problem:
        _here()
    problem = find_problem(args.problem)
    given = (args.sigma_max, args.sigma_min)
    own = (problem.sigma_max, problem.sigma_min)
    ends = tuple(o if g is None else g for g, o in zip(given, own, strict=True))
    if ends == own:
        return problem
    if not 0 < ends[1] < ends[0] < math.inf:
        raise WrongUse(
            f"need 0 < sigma-min < sigma-max < inf, but got {ends[1]:g} and {ends[0]:g}."
        )
    return problem.between(*ends)


def torch_options(args: argparse.Namespace) -> tuple[torch.dtype, torch.device]:
    """--dtype and --device. Raises WrongUse."""
    import torch

    return getattr(torch, args.dtype), find_device(args)


def find_device(args: argparse.Namespace) -> torch.device:
    """--device if it is there. Raises WrongUse."""
    import torch

    try:
        device = torch.device(args.device)
        torch.zeros(1, device=device).item()  # a device that holds no values fails here too
    except (RuntimeError, AssertionError) as error:
        raise WrongUse(f"cannot use --device {args.device}: {str(error).splitlines()[0]}") from None
    return device


def find_features(args: argparse.Namespace, problem: Problem) -> tuple[Features | None, str]:
    """--features as (callable, name): own, values, pca:16 or package.module:function. Raises WrongUse."""
    name = args.features
    if name == "own" and problem.features is not None:
        return problem.features, getattr(problem.features, "__name__", f"{problem.name}'s features")
    if name in ("own", "values"):
        return None, "values"
    if name.startswith("pca:") and name[4:].isdecimal():
        from flowsolve.metrics.features import pca

        return pca(problem.data(), int(name[4:])), name
    from importlib import import_module

    _here()
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise WrongUse(
            f"--features is own, values, pca:16 or package.module:function, but got {name!r}: {error}."
        ) from None
    if not callable(found):
        raise WrongUse(f"--features {name} is a {type(found).__name__}, which cannot be called.")
    return found, name


def _here() -> None:
    """Let modules be found in the current folder; last, so that nothing installed is shadowed from there."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
