"""Solvers and spacings by name, for the command line.

Solvers are found through the entry-point group `flowsolve.solvers`. An entry names a package or
module, all of whose solvers are provided (what its modules list in `__all__`: Solver classes, and
functions that return one), or "package:Class" for a single one. What else a module lists and is no
callable, like a meaning of η, can be given by its name to an option that has such a default.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from flowsolve.analysis.dmn_bound import dmn
from flowsolve.schedule import spacings as grid
from flowsolve.schedule import timesteps as subsequence
from flowsolve.schedule import tuned as grid_tuned
from flowsolve.schedule.clock import Clock
from flowsolve.schedule.gits_published import gits_table
from flowsolve.schedule.grid import Grid, Spacing
from flowsolve.solver.spec import evaluate, plain_name

SPACINGS: tuple[Callable[..., Grid], ...] = (
    grid.karras, grid.log_snr, grid.exponential, grid.uniform, grid.uniform_t, grid.quadratic_t,
    grid_tuned.beta, grid_tuned.beta_t, grid_tuned.ays, grid_tuned.arctan, dmn, gits_table,
)  # fmt: skip


def find_spacing(text: str, clock: Clock) -> Spacing:
    """A spacing by name, with options as karras:rho=5; those in t take the problem's clock."""
    makers = {plain_name(function.__name__): _options(function, clock) for function in SPACINGS}
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
    named = {plain_name(function.__name__): function for function in SUBSEQUENCES}
    makers = {name: _options(function, clock, 1) for name, function in named.items()}
    makers |= {plain_name(function.__name__): _options(function, clock) for function in SPACINGS}
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
